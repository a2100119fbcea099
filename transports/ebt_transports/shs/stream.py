"""A byte stream whose ends have proved who they are, over any byte stream; see :class:`SecretStream`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, cast

import anyio
import trio
from anyio.abc import ByteStream

from ebt_trio.errors import AuthenticationError, LocalProtocolError, TransportError
from ebt_trio.identity import Identity

from .boxstream import Opener, Sealer
from .handshake import ACCEPT_BYTES, AUTHENTICATE_BYTES, HELLO_BYTES, Client, Keys, Server, network_key

__all__ = ["HANDSHAKE_TIMEOUT", "SecretStream"]

HANDSHAKE_TIMEOUT: Final = 5.0
"""Seconds for the whole handshake."""
_GOODBYE_TIMEOUT: Final = 1.0
"""How long closing waits until the goodbye can be sent, in seconds."""
_READ: Final = 65536
_SEAL: Final = 65536
"""Bytes sealed at once: more would only take memory."""

_BROKEN: Final = (trio.BrokenResourceError, anyio.BrokenResourceError, OSError)
_CLOSED: Final = (trio.ClosedResourceError, anyio.ClosedResourceError)


class SecretStream(trio.abc.HalfCloseableStream):
    """Encrypted and authenticated, both ways. Made by :meth:`client` or :meth:`server`; owns the stream below it.

    What goes wrong is ``trio.BrokenResourceError``: also an end without goodbye, and bytes that the other side did not
    seal. A ``send_all`` that is cancelled midway breaks it for sending; cancelling ``receive_some`` loses nothing.
    """

    def __init__(self, link: _Link, keys: Keys, remote_key: bytes) -> None:
        """For :meth:`client` and :meth:`server`."""
        self.remote_key = remote_key
        """The public key that the other end has proved to have; 32 bytes."""
        self._link = link
        self._sealer = Sealer(keys.sending, keys.sending_nonce)
        self._opener = Opener(keys.receiving, keys.receiving_nonce)
        self._opened = bytearray(self._opener.open(link.take_rest()))
        self._sending = False
        self._no_more: str | None = None
        """Why nothing more can be sent."""

    @classmethod
    async def client(
        cls,
        stream: ByteStream | trio.abc.Stream,
        identity: Identity,
        remote_key: bytes,
        *,
        network: bytes | None = None,
        timeout: float = HANDSHAKE_TIMEOUT,
    ) -> SecretStream:
        """Shake hands with a listener, as the one who has called. Whatever happens but success closes ``stream``.

        :param remote_key: the listener's public key, 32 bytes
        :param network: the network key, 32 bytes; default: that of the network without a name
        :raises AuthenticationError: it is not the one, or does not let us in, or has another network key
        :raises TransportError: the stream broke, or the timeout (seconds) is over
        """

        async def shake(link: _Link) -> SecretStream:
            hands = Client(identity, remote_key, _checked(network))
            await link.write(hands.hello())
            hands.take_hello(await link.read(HELLO_BYTES))
            await link.write(hands.authenticate())
            keys = hands.take_accept(await link.read(ACCEPT_BYTES))
            return cls(link, keys, remote_key)

        return await _shake(stream, shake, timeout)

    @classmethod
    async def server(
        cls,
        stream: ByteStream | trio.abc.Stream,
        identity: Identity,
        *,
        network: bytes | None = None,
        timeout: float = HANDSHAKE_TIMEOUT,
    ) -> SecretStream:
        """Shake hands with a caller; :attr:`remote_key` says who it is. Whatever happens but success closes ``stream``.

        Parameters and errors as for :meth:`client`. A caller that fails is told nothing.
        """

        async def shake(link: _Link) -> SecretStream:
            hands = Server(identity, _checked(network))
            hands.take_hello(await link.read(HELLO_BYTES))
            await link.write(hands.hello())
            hands.take_authenticate(await link.read(AUTHENTICATE_BYTES))
            accept, keys = hands.accept()
            await link.write(accept)
            return cls(link, keys, hands.remote_key)

        return await _shake(stream, shake, timeout)

    # -- sending ----------------------------------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``.

        :raises trio.BrokenResourceError: the stream is broken, or a send was cut off before
        :raises trio.ClosedResourceError: it is closed, or its sending half is
        """
        with self._sender():
            view = memoryview(data)
            if not view:
                await trio.lowlevel.checkpoint()
            for start in range(0, len(view), _SEAL):
                await self._write(self._sealer.seal(view[start : start + _SEAL]))

    async def wait_send_all_might_not_block(self) -> None:
        """Returns at once: the stream below may be of a kind that cannot tell."""
        with self._sender():
            await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        """Say goodbye: nothing more will be sent. Receiving goes on. Twice is fine."""
        if self._no_more == _SAID_GOODBYE:
            await trio.lowlevel.checkpoint()
            return
        with self._sender():
            await self._write(self._sealer.goodbye())
            self._no_more = _SAID_GOODBYE

    def _sender(self) -> _Sending:
        return _Sending(self)

    def start_sending(self) -> None:
        """For one at a time: one task sends."""
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        if self._no_more in (_SAID_GOODBYE, _IS_CLOSED):
            raise trio.ClosedResourceError(self._no_more)
        if self._no_more is not None:
            raise trio.BrokenResourceError(self._no_more)
        self._sending = True

    def stop_sending(self) -> None:
        self._sending = False

    async def _write(self, sealed: bytes) -> None:
        try:
            await self._link.write(sealed)
        except TransportError as exc:
            self._no_more = f"it broke: {exc}"
            raise trio.BrokenResourceError(str(exc)) from exc
        except _CLOSED:
            raise
        except BaseException:
            self._no_more = "a send was cut off in the middle"
            raise

    # -- receiving --------------------------------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Some bytes, or none after the other side's goodbye.

        :raises trio.BrokenResourceError: the stream broke, or ended without a goodbye, or what came was not sealed by
            the other side
        :raises trio.ClosedResourceError: it is closed
        """
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        if self._opened or self._opener.ended or self._no_more == _IS_CLOSED:
            await trio.lowlevel.checkpoint()
        if self._no_more == _IS_CLOSED:
            raise trio.ClosedResourceError(_IS_CLOSED)
        while not (self._opened or self._opener.ended):
            try:
                data = await self._link.read_some()
                if not data:
                    raise TransportError("cut off: it ended without a goodbye")
                self._opened += self._opener.open(data)
            except (TransportError, AuthenticationError) as exc:
                raise trio.BrokenResourceError(str(exc)) from exc
        taken, self._opened = self._opened[:max_bytes], self._opened[max_bytes:] if max_bytes else bytearray()
        return taken

    # -- the end ----------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Say goodbye, if that takes no longer than a second and nothing was cut off, and close.

        Cancelled, closes at once, which the other side sees as cut off. Closing twice is fine.
        """
        try:
            if self._no_more is None and not self._sending:
                with trio.move_on_after(_GOODBYE_TIMEOUT):
                    await self.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._no_more = _IS_CLOSED
            await self._link.close()


_SAID_GOODBYE: Final = "the goodbye has been said"
_IS_CLOSED: Final = "it is closed on this side"


class _Sending:
    """One task sends at a time."""

    def __init__(self, stream: SecretStream) -> None:
        self._stream = stream

    def __enter__(self) -> None:
        self._stream.start_sending()

    def __exit__(self, *_: object) -> None:
        self._stream.stop_sending()


class _Link:
    """The byte stream below, of either family, with exact reads and one kind of error."""

    def __init__(self, stream: ByteStream | trio.abc.Stream) -> None:
        given = cast("object", stream)
        if not isinstance(given, trio.abc.Stream | ByteStream):
            kind = type(given).__qualname__
            raise LocalProtocolError(f"expected an anyio.abc.ByteStream or a trio.abc.Stream, got {kind}")
        self._stream = stream
        self._write: Callable[[bytes], Awaitable[object]]
        self._read: Callable[[int], Awaitable[bytes | bytearray]]
        if isinstance(stream, trio.abc.Stream):
            self._write, self._read = stream.send_all, stream.receive_some
        else:
            self._write, self._read = stream.send, stream.receive
        self._rest = bytearray()

    async def write(self, data: bytes) -> None:
        try:
            await self._write(data)
        except _BROKEN as exc:
            raise TransportError(str(exc.__cause__ or exc) or type(exc).__name__) from exc

    async def read_some(self) -> bytes | bytearray:
        """Nothing: the end."""
        try:
            return await self._read(_READ)
        except anyio.EndOfStream:
            return b""
        except _BROKEN as exc:
            raise TransportError(str(exc.__cause__ or exc) or type(exc).__name__) from exc

    async def read(self, size: int) -> bytes:
        """Exactly so many bytes.

        :raises AuthenticationError: the stream ended before
        """
        while len(self._rest) < size:
            data = await self.read_some()
            if not data:
                raise AuthenticationError(
                    "the other side ended the secret handshake without a word: "
                    "it has another key or another network, or does not let us in"
                )
            self._rest += data
        found = bytes(self._rest[:size])
        del self._rest[:size]
        return found

    def take_rest(self) -> bytes:
        """What has come behind the handshake."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest

    async def close(self) -> None:
        """At once: no goodbye of a layer below is worth waiting for."""
        with trio.CancelScope(shield=True) as scope:
            scope.cancel()
            try:
                await self._stream.aclose()
            except (*_BROKEN, *_CLOSED):
                pass


async def _shake(
    stream: ByteStream | trio.abc.Stream, shake: Callable[[_Link], Awaitable[SecretStream]], timeout: float
) -> SecretStream:
    link = _Link(stream)
    try:
        with trio.fail_after(timeout):
            return await shake(link)
    except trio.TooSlowError as exc:
        await link.close()
        raise TransportError(f"the secret handshake was not finished within {timeout:g} seconds") from exc
    except BaseException:
        await link.close()
        raise


def _checked(network: bytes | None) -> bytes:
    if network is not None and len(network) != 32:
        raise LocalProtocolError(f"a network key has 32 bytes, not {len(network)}")
    return network_key() if network is None else network

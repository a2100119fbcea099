"""Frames on a byte stream: TCP, Unix sockets, TLS, pipes, whatever anyio or Trio can open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, cast

import anyio
import trio
from anyio.abc import ByteStream

from ebt_trio.abc import PeerId, Transport
from ebt_trio.errors import LocalProtocolError, RemoteProtocolError, TransportError
from ebt_trio.frames import FrameSplitter, byte_string_head

__all__ = ["FramedTransport"]

_CHUNK: Final = 65536
"""How much to read at once, in bytes: smaller chunks cost more calls, larger ones gain nothing."""
_JOIN: Final = 65536
"""Up to this many bytes a frame is copied behind its head, to go out in one write."""

_EOF: Final = "send_eof has been called"
_CLOSED: Final = (trio.ClosedResourceError, anyio.ClosedResourceError)
_BROKEN: Final = (trio.BrokenResourceError, anyio.BrokenResourceError, OSError)


class FramedTransport(Transport):
    """Carries frames over ``stream``, each in a definite-length CBOR byte string; owns the stream and closes it.

    :param stream: any ``anyio.abc.ByteStream`` or ``trio.abc.Stream``
    :param peer_id: who is at the other end, if the stream has proved it
    :param address: where the other end is, for people

    Errors of the stream are :class:`~ebt_trio.errors.TransportError`. A ``send`` that is cancelled before its first
    byte leaves the transport as it was; one that is cut off later breaks it for sending: further sends raise
    TransportError at once, while ``receive`` and ``aclose`` work as ever.
    """

    def __init__(
        self, stream: ByteStream | trio.abc.Stream, *, peer_id: PeerId | None = None, address: str = ""
    ) -> None:
        self._write: Callable[[bytes], Awaitable[object]]
        self._read: Callable[[int], Awaitable[bytes | bytearray]]
        given = cast("object", stream)
        if not isinstance(given, trio.abc.Stream | ByteStream):
            kind = type(given).__qualname__
            raise LocalProtocolError(f"expected an anyio.abc.ByteStream or a trio.abc.Stream, got {kind}")
        if isinstance(stream, trio.abc.Stream):
            self._write, self._read = stream.send_all, stream.receive_some
        else:
            self._write, self._read = stream.send, stream.receive
        self.peer_id = peer_id
        self.address = address
        self._stream = stream
        self._splitter = FrameSplitter()
        self._sending = False
        self._sent_all: str | None = None  # why nothing more can be sent
        self._derailed = False  # a rule was broken: where the next frame begins is unknown

    async def send(self, item: bytes) -> None:
        """Send one frame.

        :raises TransportError: the link is broken or closed, here or there
        :raises LocalProtocolError: another task is sending
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._start_sending()
        try:
            head = byte_string_head(len(item))
            if len(item) <= _JOIN:
                await self._write(head + item)
            else:
                await self._write(head)
                await self._write(item)
        except _CLOSED as exc:
            self._sent_all = "it is closed"
            raise self._closed_error() from exc
        except _BROKEN as exc:
            self._sent_all = f"it broke: {_reason(exc)}"
            raise self._broken_error(exc) from exc
        except BaseException:
            self._sent_all = "a send was cut off in the middle of a frame"
            raise
        finally:
            self._sending = False

    async def receive(self) -> bytes:
        """Return the next frame. Cancelling loses nothing.

        After :class:`~ebt_trio.errors.FrameTooLarge`, or another rule broken by the remote, later calls read and
        discard until the stream ends: closing on unread data could destroy the BYE that we have just sent.

        :raises anyio.EndOfStream: the remote has closed between two frames
        :raises TransportError: the link broke, was cut in the middle of a frame, or is closed here
        :raises FrameTooLarge: a frame is longer than ``max_frame``; found out by its head
        :raises RemoteProtocolError: what comes is not a sequence of CBOR byte strings
        """
        if not self._splitter.at_boundary:
            # There may be a frame already. Be cancelled before taking it, not after.
            await trio.lowlevel.checkpoint()
        while True:
            frame = self._next_frame()
            if frame is not None:
                return frame
            data = await self._read_some()
            if not self._derailed:
                self._splitter.feed(data)
                self.arriving_at = trio.current_time()

    def receive_nowait(self) -> bytes | None:
        """A frame that has been read from the stream together with one before, or None.

        :raises FrameTooLarge: as :meth:`receive`
        :raises RemoteProtocolError: likewise
        """
        return self._next_frame()

    async def send_eof(self) -> None:
        """Say that nothing more will be sent; receiving goes on. Where the stream has no half-close the remote learns
        nothing of it. Twice is fine.

        :raises TransportError: the link is broken or closed
        :raises LocalProtocolError: another task is sending
        """
        await trio.lowlevel.checkpoint()
        if self._sent_all == _EOF:
            return
        self._start_sending()
        try:
            self._sent_all = _EOF
            if isinstance(self._stream, trio.abc.HalfCloseableStream | ByteStream):
                await self._stream.send_eof()
        except NotImplementedError:
            pass  # what an anyio stream without half-close says
        except _CLOSED as exc:
            raise self._closed_error() from exc
        except _BROKEN as exc:
            raise self._broken_error(exc) from exc
        finally:
            self._sending = False

    async def aclose(self) -> None:
        """Close the stream, at once if cancelled or in the middle of sending a frame. Closing twice is fine."""
        in_mid_frame = self._sending or self._sent_all not in (None, _EOF)
        self._sent_all = "it is closed"
        self._splitter = FrameSplitter()  # what was received but not taken is gone
        with trio.CancelScope() as scope:
            if in_mid_frame:  # no use in a parting word, which TLS would wait to send behind what does not move
                scope.cancel()
            try:
                await self._stream.aclose()
            except (*_CLOSED, *_BROKEN):
                pass  # an end is all that was wanted

    def _start_sending(self) -> None:
        if self._sending:
            raise LocalProtocolError("one task at a time sends on a transport; another is in the middle of a frame")
        if self._sent_all is not None:
            raise TransportError(f"cannot send to {self._where}: {self._sent_all}")
        self._sending = True

    def _next_frame(self) -> bytes | None:
        if self._derailed:
            return None
        try:
            return self._splitter.next_frame(self.max_frame)
        except RemoteProtocolError:
            self._derailed = True
            self._splitter = FrameSplitter()
            raise

    async def _read_some(self) -> bytes:
        try:
            data = bytes(await self._read(_CHUNK))
        except anyio.EndOfStream:
            data = b""
        except _CLOSED as exc:
            raise self._closed_error() from exc
        except _BROKEN as exc:
            raise self._broken_error(exc) from exc
        if data:
            return data
        if self._splitter.at_boundary:
            raise anyio.EndOfStream
        raise TransportError(f"the link to {self._where} was cut in the middle of a frame")

    @property
    def _where(self) -> str:
        return self.address or "the other side"

    def _closed_error(self) -> TransportError:
        return TransportError(f"the link to {self._where} is closed on this side")

    def _broken_error(self, exc: Exception) -> TransportError:
        return TransportError(f"the link to {self._where} broke: {_reason(exc)}")


def _reason(exc: BaseException) -> str:
    """The cause, where there is one: anyio's own errors say nothing."""
    cause = exc.__cause__ or exc
    return str(cause) or type(cause).__name__

"""Where transports come from: a URL, through the entry-point group ``ebt_trio.transports``, or an object with bytes."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Final, cast

import anyio
import trio
from anyio.abc import ByteStream, ObjectStream

from .abc import Listener, Scheme, SecretScheme, Transport
from .errors import ByeCode, FrameTooLarge, LocalProtocolError, RemoteProtocolError, TransportError

if TYPE_CHECKING:
    from .identity import Identity

__all__ = ["ENTRY_POINTS", "as_transport", "connect", "listen", "proves"]

ENTRY_POINTS: Final = "ebt_trio.transports"
"""The entry-point group in which a distribution names its schemes: ``scheme = "module:object"``."""

_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*)://.*", re.IGNORECASE | re.DOTALL)  # RFC 3986, section 3.1


async def connect(url: str, *, identity: Identity | None = None, network: str = "") -> Transport:
    """Connect to a URL, such as ``tcp://127.0.0.1:8008``, ``unix:///run/ebt.sock``, ``memory://name``, or
    ``shs+tcp://ID@192.0.2.7:8008``.

    Cancelling leaves nothing behind.

    :param identity: who we are, for schemes that prove it (``shs+…``)
    :param network: likewise: the name of the network, :class:`~ebt_trio.EBT`'s ``network``
    :raises LocalProtocolError: malformed URL, unknown scheme, or no identity for a scheme that needs one
    :raises TransportError: no connection
    :raises AuthenticationError: the other end is not who the URL says, or does not let us in
    """
    scheme = _scheme(url)
    if isinstance(scheme, SecretScheme):
        return await scheme.connect(url, identity=_needed(identity, url), network=network)
    return await scheme.connect(url)


async def listen(url: str, *, identity: Identity | None = None, network: str = "") -> Listener:
    """Listen on a URL; the listener's ``urls`` say where that is, in the form that :func:`connect` takes.

    Close the listener after use. Cancelling leaves nothing behind. Parameters as for :func:`connect`.

    :raises LocalProtocolError: malformed URL, unknown scheme, or no identity for a scheme that needs one
    :raises TransportError: it is not possible to listen there
    """
    scheme = _scheme(url)
    if isinstance(scheme, SecretScheme):
        return await scheme.listen(url, identity=_needed(identity, url), network=network)
    return await scheme.listen(url)


def proves(url: str) -> bool:
    """Whether transports of this URL's scheme prove who is at the other end.

    :raises LocalProtocolError: malformed URL, or unknown scheme
    """
    return isinstance(_scheme(url), SecretScheme)


def as_transport(obj: Transport | ObjectStream[bytes] | trio.abc.Channel[bytes]) -> Transport:
    """A :class:`Transport` as it is; an anyio ``ObjectStream[bytes]`` or a ``trio.abc.Channel[bytes]`` made into one.

    The result owns the object: closing it closes both. Errors of anyio and Trio become
    :class:`~ebt_trio.errors.TransportError`; other exceptions pass through.

    :raises LocalProtocolError: none of these. A byte stream needs ``ebt_transports.FramedTransport`` around it.
    """
    if isinstance(obj, Transport):
        return obj
    given = cast("object", obj)
    if isinstance(given, ObjectStream | trio.abc.Channel):
        return _Adapter(obj)
    hint = ""
    if isinstance(given, ByteStream | trio.abc.Stream):
        hint = ": a byte stream has no frames; put an ebt_transports.FramedTransport around it"
    raise LocalProtocolError(
        "expected a Transport, an anyio ObjectStream[bytes] or a trio.abc.Channel[bytes], "
        f"got {type(obj).__qualname__}{hint}"
    )


def _needed(identity: Identity | None, url: str) -> Identity:
    if identity is None:
        raise LocalProtocolError(
            f"{url} is for peers that have keys: give the peer an ebt_trio.Identity instead of a name, "
            "or pass identity=… to connect and listen"
        )
    return identity


def _scheme(url: str) -> Scheme | SecretScheme:
    match = _URL.fullmatch(url)
    if match is None:
        raise LocalProtocolError(f"expected a URL like tcp://127.0.0.1:8008, got {url!r}")
    return _load(match[1].lower())


@cache  # looking through all installed distributions takes milliseconds; only what was found is kept
def _load(name: str) -> Scheme | SecretScheme:
    installed = entry_points(group=ENTRY_POINTS)
    found: dict[str, EntryPoint] = {point.value: point for point in installed if point.name == name}
    if not found:
        known = ", ".join(sorted({point.name for point in installed})) or "none"
        raise LocalProtocolError(f"unknown URL scheme {name!r}; installed: {known}")
    if len(found) > 1:
        raise LocalProtocolError(f"several distributions offer the URL scheme {name!r}: {', '.join(sorted(found))}")
    (point,) = found.values()
    try:
        scheme: object = point.load()
    except (ImportError, AttributeError) as exc:
        raise LocalProtocolError(f"the URL scheme {name!r} cannot be loaded from {point.value}: {exc}") from exc
    if isinstance(scheme, type) or not isinstance(scheme, Scheme | SecretScheme):
        raise LocalProtocolError(f"{point.value}, for the URL scheme {name!r}, has no connect(url) and listen(url)")
    return scheme


_CLOSED: Final = (trio.ClosedResourceError, anyio.ClosedResourceError)
_BROKEN: Final = (trio.BrokenResourceError, anyio.BrokenResourceError, OSError)


class _Adapter(Transport):
    """Gives a foreign stream of bytes objects our errors, and our limit on the length of a frame."""

    def __init__(self, stream: ObjectStream[bytes] | trio.abc.Channel[bytes]) -> None:
        self._stream = stream
        self.address = type(stream).__qualname__

    async def send(self, item: bytes) -> None:
        try:
            await self._stream.send(item)
        except (*_CLOSED, *_BROKEN) as exc:
            raise self._error(exc) from exc

    async def receive(self) -> bytes:
        try:
            item = cast("object", await self._stream.receive())
        except (anyio.EndOfStream, trio.EndOfChannel):
            raise anyio.EndOfStream from None
        except (*_CLOSED, *_BROKEN) as exc:
            raise self._error(exc) from exc
        if not isinstance(item, bytes | bytearray):
            raise RemoteProtocolError(
                f"expected frames of bytes from {self.address}, got {type(item).__qualname__}", ByeCode.MALFORMED
            )
        frame = bytes(item)
        if len(frame) > self.max_frame:
            raise FrameTooLarge(f"expected a frame of at most {self.max_frame} bytes, got one of {len(frame)}")
        return frame

    async def send_eof(self) -> None:
        try:
            if isinstance(self._stream, ObjectStream):
                await self._stream.send_eof()
            else:
                await trio.lowlevel.checkpoint()
        except NotImplementedError:
            pass  # no half-close
        except (*_CLOSED, *_BROKEN) as exc:
            raise self._error(exc) from exc

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        except (*_CLOSED, *_BROKEN):
            pass  # an end is all that was wanted

    def _error(self, exc: Exception) -> TransportError:
        if isinstance(exc, _CLOSED):
            return TransportError(f"the link to {self.address} is closed on this side")
        cause = exc.__cause__ or exc  # anyio's own errors say nothing
        return TransportError(f"the link to {self.address} broke: {str(cause) or type(cause).__name__}")

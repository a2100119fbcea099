"""TCP: ``tcp://host:port``, IPv6 as ``tcp://[::1]:8008``."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Callable, Sequence
from typing import Final, cast

import trio

from ebt_trio.abc import Listener, Scheme, Transport
from ebt_trio.errors import LocalProtocolError, TransportError

from ._sockets import Prepare, SocketListener
from .framed import FramedTransport

__all__ = ["connect", "listen", "scheme"]

_URL: Final = re.compile(r"tcp://(?:\[([^\[\]/?#@\s]+)\]|([^\[\]:/?#@\s]+)):([0-9]{1,5})/?", re.IGNORECASE)

_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""what listens on every interface → how to reach it from the same machine"""

_LISTEN_HINTS: Final = {
    errno.EADDRINUSE: "the port is in use; stop what uses it, or take another (0: any free one)",
    errno.EADDRNOTAVAIL: "not an address of this machine; 127.0.0.1 is reached from this machine, 0.0.0.0 from others",
    errno.EACCES: "not permitted; take a port above 1023",
}
_CONNECT_HINTS: Final = {
    errno.ECONNREFUSED: "nothing listens there; start the other side, or check the port",
    errno.EHOSTUNREACH: "the host cannot be reached; check the address and the network",
    errno.ENETUNREACH: "the network cannot be reached; check the address and the network",
    errno.ETIMEDOUT: "no answer; check the address, and firewalls in between",
}


async def connect(host: str, port: int) -> FramedTransport:
    """Connect to a host by name or address. Where a name has several addresses, they are tried as RFC 8305 says
    (happy eyeballs), and the first to answer is taken.

    The system's patience with a silent host may be minutes: put ``trio.fail_after`` around it. Cancelling leaves
    nothing behind.

    :raises TransportError: unknown host, refused, unreachable
    :raises LocalProtocolError: not a port
    """
    stream, url = await open_stream(host, port)
    return FramedTransport(stream, address=url)


async def open_stream(host: str, port: int) -> tuple[trio.SocketStream, str]:
    """For :func:`connect`, and for what goes over TCP: the bare stream, and its URL."""
    url = _format(host, _check_port(port, url=f"{host}:{port}"))
    try:
        return await trio.open_tcp_stream(host, port), url
    except (OSError, UnicodeError) as exc:
        raise TransportError(f"cannot connect to {url}: {_explain(exc, host, _CONNECT_HINTS)}") from exc


async def listen(host: str, port: int) -> Listener:
    """Listen on an address of this machine; connections wait from then on, until somebody calls ``serve``.

    :param host: a name or an address; ``0.0.0.0`` or ``::`` for all interfaces
    :param port: 0 for any free port. A host name with several addresses gets a port for each.

    The listener's ``urls`` have the real ports, in a form that ``connect`` takes on this machine: for ``0.0.0.0`` they
    say ``127.0.0.1``, for ``::`` they say ``[::1]``. Cancelling leaves nothing behind.

    :raises TransportError: port in use, not an address of this machine, not permitted
    :raises LocalProtocolError: not a port
    """
    return await open_listener(host, port)


async def open_listener(
    host: str, port: int, *, name: Callable[[str], str] = str, prepare: Prepare | None = None
) -> Listener:
    """For :func:`listen`, and for what goes over TCP.

    :param name: makes the listener's URL of a TCP URL
    :param prepare: see :class:`SocketListener`
    """
    url = _format(host, _check_port(port, url=f"{host}:{port}"))
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except (OSError, UnicodeError) as exc:
        raise TransportError(f"cannot listen on {url}: {_explain(exc, host, _LISTEN_HINTS)}") from exc
    urls: list[str] = []
    for listener in listeners:
        address: str
        address, real_port, *_ = listener.socket.getsockname()
        urls.append(name(_format(_ANY.get(address, address), real_port)))
    return SocketListener(listeners, urls, _peer_address, prepare=prepare)


def _check_port(port: int, url: str) -> int:
    if not 0 <= port <= 65535:
        raise LocalProtocolError(f"expected a port from 0 to 65535, got {url!r}")
    return port


def _format(host: str, port: int) -> str:
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"


def _peer_address(stream: trio.SocketStream) -> str:
    try:
        name = stream.socket.getpeername()
    except OSError:  # gone already
        return "tcp"
    return _format(name[0], name[1])


def _explain(exc: Exception, host: str, hints: dict[int, str]) -> str:
    """One line for people: why, and what to do."""
    causes: Sequence[BaseException] = (exc,)
    because = exc.__cause__
    if isinstance(because, BaseExceptionGroup):  # one for each address that was tried
        causes = cast("BaseExceptionGroup[BaseException]", because).exceptions
    reasons: dict[str, None] = {}  # mostly they are alike: say each thing once
    for cause in causes:
        if isinstance(cause, socket.gaierror | UnicodeError):
            reasons[f"the host name {host!r} is not known; check the name and the network"] = None
        elif isinstance(cause, OSError) and cause.errno is not None:
            reasons[hints.get(cause.errno) or os.strerror(cause.errno)] = None
        else:
            reasons[str(cause)] = None
    return "; ".join(reasons)


def parse(url: str) -> tuple[str, int]:
    """Host and port of a TCP URL.

    :raises LocalProtocolError: it is none
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise LocalProtocolError(
            f"expected tcp://HOST:PORT, for example tcp://127.0.0.1:8008 or tcp://[::1]:8008, got {url!r}"
        )
    return match[1] or match[2], _check_port(int(match[3]), url)


class _TcpScheme:
    async def connect(self, url: str) -> Transport:
        return await connect(*parse(url))

    async def listen(self, url: str) -> Listener:
        return await listen(*parse(url))


scheme: Final[Scheme] = _TcpScheme()

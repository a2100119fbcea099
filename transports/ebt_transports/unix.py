"""Unix sockets: ``unix:///path/to/socket``. Imports everywhere; works where the system has them."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import trio

from ebt_trio.abc import Listener, Scheme, Transport
from ebt_trio.errors import LocalProtocolError, TransportError

from ._sockets import Prepare, SocketListener
from .framed import FramedTransport

__all__ = ["connect", "listen", "scheme"]

_LONGEST_PATH: Final = 107 if sys.platform == "linux" else 103
"""in bytes; what fits into a ``sockaddr_un`` with its final zero"""
_BACKLOG: Final = 1024

_HINTS: Final = {
    errno.ECONNREFUSED: "nobody listens there; start the other side",
    errno.ENOENT: "no such file or directory; start the other side, or check the path",
    errno.EACCES: "not permitted; check who owns the file and its directory",
}


async def connect(path: str | os.PathLike[str]) -> FramedTransport:
    """Connect to the socket at ``path``. Cancelling leaves nothing behind.

    :raises TransportError: nobody listens there, the path is too long, or the system has no Unix sockets
    """
    stream, url = await open_stream(path)
    return FramedTransport(stream, address=url)


async def open_stream(path: str | os.PathLike[str]) -> tuple[trio.SocketStream, str]:
    """For :func:`connect`, and for what goes over Unix sockets: the bare stream, and its URL."""
    path, url = _check(path)
    try:
        stream = await trio.open_unix_socket(path)
    except OSError as exc:
        raise TransportError(f"cannot connect to {url}: {_explain(exc)}") from exc
    try:
        stream.socket.getpeername()
    except OSError as exc:
        # When the listener's queue is full, the system says "try again", which Trio takes for "under way".
        stream.socket.close()
        raise TransportError(
            f"cannot connect to {url}: too many connections wait there already; try again later"
        ) from exc
    return stream, url


async def listen(path: str | os.PathLike[str]) -> Listener:
    """Listen at ``path``; connections wait from then on, until somebody calls ``serve``.

    The socket file is for its owner only (mode 0600), and is removed when the listener is closed. One that a killed
    process has left is replaced; one that somebody answers at, or a file that is no socket, never is.

    :raises TransportError: in use, not a socket, no such directory, not permitted, the path is too long, or the system
        has no Unix sockets
    """
    return await open_listener(path)


async def open_listener(
    path: str | os.PathLike[str], *, name: Callable[[str], str] = str, prepare: Prepare | None = None
) -> Listener:
    """For :func:`listen`, and for what goes over Unix sockets.

    :param name: makes the listener's URL of a Unix URL
    :param prepare: see :class:`SocketListener`
    """
    path, url = _check(path)
    await trio.lowlevel.checkpoint()
    try:
        sock = _bind(path, url)
        made = os.lstat(path)
    except OSError as exc:
        raise TransportError(f"cannot listen on {url}: {_explain(exc)}") from exc

    def remove() -> None:
        # Only our own file: somebody may have removed it meanwhile, and made another. While our socket is open,
        # the system does not give its inode to another file.
        try:
            if os.path.samestat(os.lstat(path), made):
                os.unlink(path)
        except OSError:
            pass

    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    return SocketListener([listener], [name(url)], lambda _: url, remove, prepare)


def _check(path: str | os.PathLike[str]) -> tuple[str, str]:
    """The path and its URL.

    :raises LocalProtocolError: not a path
    """
    path = os.fspath(path)
    if not path or "\0" in path:
        raise LocalProtocolError(f"expected the path of a socket, got {path!r}")
    url = "unix://" + quote(os.fsencode(os.path.abspath(path)))
    if not hasattr(socket, "AF_UNIX"):
        raise TransportError(
            f"cannot use {url}: Python has no Unix sockets on this system; take tcp://127.0.0.1:PORT instead"
        )
    if (length := len(os.fsencode(path))) > _LONGEST_PATH:
        raise TransportError(
            f"cannot use {url}: a socket's path may have {_LONGEST_PATH} bytes here, and this one has {length}; "
            "take a shorter one"
        )
    return path, url


def _bind(path: str, url: str) -> socket.socket:
    """A listening socket. Nothing is awaited between looking and binding, so that two starts hardly ever cross."""
    _remove_stale(path, url)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        try:
            os.chmod(path, 0o600)  # before listening, so that nobody else ever gets in
            sock.listen(_BACKLOG)
        except BaseException:
            os.unlink(path)
            raise
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: str, url: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise TransportError(
            f"cannot listen on {url}: a file that is not a socket is there; remove it, or take another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass  # its queue is full: somebody is there
    raise TransportError(f"cannot listen on {url}: in use; stop what listens there, or take another path")


def _explain(exc: OSError) -> str:
    """One line for people: why, and what to do."""
    if exc.errno is None:
        return str(exc)
    return _HINTS.get(exc.errno) or os.strerror(exc.errno)


def parse(url: str) -> str:
    """The path of a Unix URL.

    :raises LocalProtocolError: it is none
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() != "unix" or not rest.startswith("/") or rest.endswith("/"):
        raise LocalProtocolError(f"expected unix:///PATH, for example unix:///run/ebt.sock, got {url!r}")
    try:
        return os.fsdecode(unquote_to_bytes(os.fsencode(rest)))
    except UnicodeError:
        raise LocalProtocolError(f"expected a path that a file can have, got {url!r}") from None


class _UnixScheme:
    async def connect(self, url: str) -> Transport:
        return await connect(parse(url))

    async def listen(self, url: str) -> Listener:
        return await listen(parse(url))


scheme: Final[Scheme] = _UnixScheme()

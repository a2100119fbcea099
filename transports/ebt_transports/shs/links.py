"""Secret handshakes over TCP and Unix sockets: connecting, listening, and the URL schemes."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import trio

from ebt_trio.abc import Listener, SecretScheme, Transport
from ebt_trio.doorstep import Doorstep, source_of
from ebt_trio.errors import AuthenticationError, EBTError, LocalProtocolError
from ebt_trio.identity import Identity, public_key_bytes, public_key_text

from .. import tcp, unix
from ..framed import FramedTransport
from .handshake import network_key
from .stream import HANDSHAKE_TIMEOUT, SecretStream

__all__ = ["HANDSHAKES", "connect", "connect_unix", "listen", "listen_unix", "tcp_scheme", "unix_scheme"]

HANDSHAKES: Final = 256
"""How many handshakes a listener has under way at once."""
_URL: Final = re.compile(r"(shs\+(?:tcp|unix))://(?:([^@/]*)@)?(.*)", re.IGNORECASE | re.DOTALL)

_log = logging.getLogger("ebt_transports")


async def connect(
    host: str, port: int, key: str, identity: Identity, *, network: str = "", timeout: float = HANDSHAKE_TIMEOUT
) -> FramedTransport:
    """Connect over TCP to the peer whose id is ``key``; otherwise like :func:`ebt_transports.tcp.connect`.

    :param timeout: seconds for the handshake, once connected
    :raises AuthenticationError: another peer is there, or it does not let us in, or is of another network
    :raises TransportError: unknown host, refused, unreachable, or the handshake took too long
    :raises LocalProtocolError: not a port, not a key
    """
    remote_key = public_key_bytes(key)
    return await _call(*await tcp.open_stream(host, port), remote_key, identity, network, timeout)


async def connect_unix(
    path: str | os.PathLike[str],
    key: str,
    identity: Identity,
    *,
    network: str = "",
    timeout: float = HANDSHAKE_TIMEOUT,
) -> FramedTransport:
    """Like :func:`connect`, over a Unix socket; like :func:`ebt_transports.unix.connect`."""
    remote_key = public_key_bytes(key)
    return await _call(*await unix.open_stream(path), remote_key, identity, network, timeout)


async def listen(
    host: str,
    port: int,
    identity: Identity,
    *,
    network: str = "",
    timeout: float = HANDSHAKE_TIMEOUT,
    handshakes: int = HANDSHAKES,
) -> Listener:
    """Listen on TCP for peers that know who we are; like :func:`ebt_transports.tcp.listen`.

    Handlers get transports whose ``peer_id`` is proved. Who fails the handshake is told nothing, and is logged.

    :param timeout: seconds for a handshake
    :param handshakes: how many may be under way at once; see :class:`ebt_trio.doorstep.Doorstep`
    """
    door = _Door(identity, network, timeout, handshakes)
    return await tcp.open_listener(host, port, name=door.url, prepare=door.admit)


async def listen_unix(
    path: str | os.PathLike[str],
    identity: Identity,
    *,
    network: str = "",
    timeout: float = HANDSHAKE_TIMEOUT,
    handshakes: int = HANDSHAKES,
) -> Listener:
    """Like :func:`listen`, at a Unix socket; like :func:`ebt_transports.unix.listen`."""
    door = _Door(identity, network, timeout, handshakes)
    return await unix.open_listener(path, name=door.url, prepare=door.admit)


async def _call(
    stream: trio.SocketStream, url: str, remote_key: bytes, identity: Identity, network: str, timeout: float
) -> FramedTransport:
    secret = await SecretStream.client(stream, identity, remote_key, network=network_key(network), timeout=timeout)
    peer = public_key_text(remote_key)
    return FramedTransport(secret, peer_id=peer, address=_secret_url(url, peer))


def _secret_url(url: str, key: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"shs+{scheme}://{key}@{rest}"


class _Door:
    """Shakes hands with callers."""

    def __init__(self, identity: Identity, network: str, timeout: float, handshakes: int) -> None:
        self._identity = identity
        self._network = network_key(network)
        self._timeout = timeout
        self._doorstep = Doorstep(handshakes)

    def url(self, below: str) -> str:
        """Where we are to be found, for who is to know us."""
        return _secret_url(below, self._identity.id)

    async def admit(self, stream: trio.SocketStream, address: str) -> Transport | None:
        """A transport to who has proved who it is; None, and nothing left of the stream, if that failed."""
        with trio.CancelScope() as scope:
            place = self._doorstep.enter(source_of(address), scope.cancel)
            try:
                secret = await SecretStream.server(stream, self._identity, network=self._network, timeout=self._timeout)
                try:
                    peer = public_key_text(secret.remote_key)
                except LocalProtocolError as exc:
                    await trio.aclose_forcefully(secret)
                    raise AuthenticationError(str(exc)) from None
                return FramedTransport(secret, peer_id=peer, address=_secret_url(address, peer))
            except EBTError as exc:
                _log.warning("refused %s: %s", address, exc)
            finally:
                place.leave()
        if scope.cancelled_caught:
            _log.warning("refused %s: too many handshakes at once", address)
        return None


class _Scheme:
    needs_identity: Literal[True] = True

    def __init__(
        self,
        name: str,
        example: str,
        call: Callable[[str, str, Identity, str], Awaitable[Transport]],
        wait: Callable[[str, Identity, str], Awaitable[Listener]],
    ) -> None:
        self._name = name
        self._example = example
        self._call = call
        self._wait = wait

    async def connect(self, url: str, *, identity: Identity, network: str) -> Transport:
        key, below = self._parse(url)
        if not key:
            raise LocalProtocolError(
                f"expected shs+{self._name}://ID@{self._example}, where ID is the id of who listens there, got {url!r}"
            )
        return await self._call(below, key, identity, network)

    async def listen(self, url: str, *, identity: Identity, network: str) -> Listener:
        key, below = self._parse(url)
        if key and key != identity.id:
            raise LocalProtocolError(f"cannot listen as {key}: we are {identity.id}; leave 'ID@' out, got {url!r}")
        return await self._wait(below, identity, network)

    def _parse(self, url: str) -> tuple[str, str]:
        """The key, if any, and the URL below."""
        match = _URL.fullmatch(url)
        if match is None or match[1].lower() != f"shs+{self._name}":
            raise LocalProtocolError(f"expected shs+{self._name}://ID@{self._example}, got {url!r}")
        below = f"{self._name}://{match[3]}"
        try:
            _PARSERS[self._name](below)
        except LocalProtocolError as exc:
            who = f"ID@{self._example}, or without ID@ to listen"
            raise LocalProtocolError(f"expected shs+{self._name}://{who}, got {url!r} ({exc})") from None
        return match[2] or "", below


async def _call_tcp(below: str, key: str, identity: Identity, network: str) -> Transport:
    host, port = tcp.parse(below)
    return await connect(host, port, key, identity, network=network)


async def _wait_tcp(below: str, identity: Identity, network: str) -> Listener:
    host, port = tcp.parse(below)
    return await listen(host, port, identity, network=network)


async def _call_unix(below: str, key: str, identity: Identity, network: str) -> Transport:
    return await connect_unix(unix.parse(below), key, identity, network=network)


async def _wait_unix(below: str, identity: Identity, network: str) -> Listener:
    return await listen_unix(unix.parse(below), identity, network=network)


_PARSERS: Final[dict[str, Callable[[str], object]]] = {"tcp": tcp.parse, "unix": unix.parse}

tcp_scheme: Final[SecretScheme] = _Scheme("tcp", "192.0.2.7:8008", _call_tcp, _wait_tcp)
unix_scheme: Final[SecretScheme] = _Scheme("unix", "/run/ebt.sock", _call_unix, _wait_unix)

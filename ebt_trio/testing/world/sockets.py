"""Sockets of a :class:`~.network.Network`, for Trio to use in place of the system's: :func:`install`.

All that is built on ``trio.socket`` runs on them as it is: ``open_tcp_stream``, TLS, ``tcp://`` and ``shs+tcp://``.
"""

from __future__ import annotations

import errno
import socket as system
from collections import deque
from typing import Any

import trio

from ..._pulse import Pulse
from .network import HOST, Address, Network
from .pipes import Connection, Pipe, error

__all__ = ["VirtualSocket", "install"]

ANY = "0.0.0.0"


class VirtualSocket(trio.socket.SocketType):
    """A TCP socket on one of the hosts."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.host = HOST.get()
        self.backlog: deque[VirtualSocket] = deque()
        """connections that nobody has accepted yet"""
        self._network = network
        self._name: Address = (ANY, 0)
        self._peer: Address | None = None
        self._is_listening = self._is_closed = self._is_finished = False
        self._rung = Pulse()
        self._connection: Connection | None = None
        self._out: Pipe | None = None
        self._in: Pipe | None = None

    # -- for the network

    def plug(self, connection: Connection, end: int, peer: Address) -> None:
        """Now it is connected; ``end`` 0 is the caller's."""
        if self._name[1] == 0:
            self._name = (self._network.address(self.host), self._network.port())
        self._connection, self._peer = connection, peer
        self._out, self._in = connection.pipes if end == 0 else connection.pipes[::-1]

    def ring(self, connection: Connection, caller: Address) -> None:
        """Somebody has connected to this listening socket."""
        accepted = VirtualSocket(self._network)
        accepted.host, accepted._name = self.host, self._name
        accepted.plug(connection, 1, caller)
        self.backlog.append(accepted)
        self._rung.fire()

    # -- what Trio asks for

    @property
    def family(self) -> system.AddressFamily:
        return system.AF_INET

    @property
    def type(self) -> system.SocketKind:
        return system.SOCK_STREAM

    @property
    def proto(self) -> int:
        return system.IPPROTO_TCP

    @property
    def did_shutdown_SHUT_WR(self) -> bool:
        return self._is_finished

    def fileno(self) -> int:
        return -1 if self._is_closed else 1 << 20

    def getsockname(self) -> Address:
        return self._name

    def getpeername(self) -> Address:
        if self._peer is None:
            raise error(errno.ENOTCONN)
        return self._peer

    def getsockopt(self, level: int, optname: int, buflen: int | None = None) -> Any:
        return int(self._is_listening) if optname == system.SO_ACCEPTCONN else 0

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None) -> None:
        """They make no difference here."""

    def __enter__(self) -> VirtualSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<VirtualSocket on {self.host}: {self._connection or self._name}>"

    async def bind(self, address: Any) -> None:
        await trio.lowlevel.checkpoint()
        host, port = address[0], address[1] or self._network.port()
        mine = self._network.address(self.host)
        if host not in (ANY, "127.0.0.1", mine):
            raise error(errno.EADDRNOTAVAIL)
        if (mine, port) in self._network.listening:
            raise error(errno.EADDRINUSE)
        self._name = (mine, port)

    def listen(self, backlog: int = 128) -> None:
        self._is_listening = True
        self._network.listening[self._name] = self

    async def accept(self) -> tuple[trio.socket.SocketType, Address]:
        await trio.lowlevel.checkpoint()
        while not self.backlog:
            self._check_open()
            await self._rung.wait()
        accepted = self.backlog.popleft()
        return accepted, accepted.getpeername()

    async def connect(self, address: Any) -> None:
        if address[0] == "127.0.0.1":
            address = (self._network.address(self.host), address[1])
        await self._network.connect(self, (address[0], address[1]))

    async def send(self, data: Any, flags: int = 0, /) -> int:
        self._check_open()
        if self._out is None:
            raise error(errno.ENOTCONN)
        if self._is_finished:
            raise error(errno.EPIPE)
        return await self._out.send(bytes(data))

    async def recv(self, buflen: int, flags: int = 0, /) -> bytes:
        self._check_open()
        if self._in is None:
            raise error(errno.ENOTCONN)
        return await self._in.receive(buflen)

    def shutdown(self, flag: int) -> None:
        self._check_open()
        if self._out is None or self._out.is_broken:
            raise error(errno.ENOTCONN)
        self._is_finished = True
        self._out.finish()

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_listening:
            if self._network.listening.get(self._name) is self:
                del self._network.listening[self._name]
            for waiting in self.backlog:
                waiting.close()
        self._rung.fire()
        if self._in is not None and self._out is not None:
            self._out.finish(reset=self._in.close())

    def _check_open(self) -> None:
        if self._is_closed:
            raise error(errno.EBADF)


class _Factory(trio.abc.SocketFactory):
    def __init__(self, network: Network) -> None:
        self._network = network

    def socket(self, family: Any = None, type: Any = None, proto: Any = None) -> trio.socket.SocketType:
        if family not in (None, system.AF_INET) or type not in (None, system.SOCK_STREAM):
            raise error(errno.EAFNOSUPPORT)
        return VirtualSocket(self._network)


class _Resolver(trio.abc.HostnameResolver):
    def __init__(self, network: Network) -> None:
        self._network = network

    async def getaddrinfo(
        self, host: bytes | None, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        await trio.lowlevel.checkpoint()
        address = self._network.addresses.get((host or b"").decode())
        if address is None:
            raise system.gaierror(system.EAI_NONAME, "no such host in this world")
        return [(system.AF_INET, system.SOCK_STREAM, system.IPPROTO_TCP, "", (address, int(port)))]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        await trio.lowlevel.checkpoint()
        return self._network.host(sockaddr[0]) or sockaddr[0], str(sockaddr[1])


def install(network: Network) -> None:
    """From now on, until this Trio run ends, ``trio.socket`` knows this network and no other."""
    trio.socket.set_custom_socket_factory(_Factory(network))
    trio.socket.set_custom_hostname_resolver(_Resolver(network))

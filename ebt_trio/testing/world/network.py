"""A network of hosts in virtual time, with all that may go wrong between them: :class:`Network`."""

from __future__ import annotations

import errno
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING, Final

import trio

from ..._pulse import Pulse
from .pipes import Conditions, Connection, error
from .trace import Trace

if TYPE_CHECKING:
    from .sockets import VirtualSocket

__all__ = ["HOST", "Network"]

HOST: Final[ContextVar[str]] = ContextVar("host", default="outside")
"""On which host a task runs; what it starts runs there, too."""
CONNECT_TIMEOUT: Final = 20.0
"""After how many seconds connecting to a silent host fails."""
FIRST_PORT: Final = 40_000
BACKLOG: Final = 128

Address = tuple[str, int]


class Network:
    """Hosts with names and addresses, what listens on them, and the connections between them.

    How good a link is, and what is wrong with it, holds for two hosts in both directions, and for connections that
    there are as well as for those to come.
    """

    def __init__(self, rng: Random, trace: Trace, conditions: Conditions) -> None:
        self.rng = rng
        self.trace = trace
        self.conditions = conditions
        """of links of which nothing else is said"""
        self.addresses: dict[str, str] = {}
        self.listening: dict[Address, VirtualSocket] = {}
        self.connections: list[Connection] = []
        self._conditions: dict[frozenset[str], Conditions] = {}
        self._down: set[frozenset[str]] = set()
        self._silent: set[frozenset[str]] = set()
        self._dark: set[str] = set()
        """hosts without power"""
        self._stopped: set[str] = set()
        """hosts that stand still"""
        self._changed = Pulse()
        self._numbers = 0
        self._ports = FIRST_PORT

    # -- names

    def address(self, host: str) -> str:
        """The host's address; a new host gets the next one."""
        if host not in self.addresses:
            number = len(self.addresses) + 1
            self.addresses[host] = f"10.0.{number >> 8}.{number & 255}"
        return self.addresses[host]

    def host(self, address: str) -> str | None:
        return next((name for name, known in self.addresses.items() if known == address), None)

    def port(self) -> int:
        """One that nobody has had."""
        self._ports += 1
        return self._ports

    # -- what may be said of a link

    def set(self, a: str, b: str, conditions: Conditions) -> None:
        """How good the link is from now on."""
        self._conditions[frozenset((a, b))] = conditions

    def get(self, a: str, b: str) -> Conditions:
        return self._conditions.get(frozenset((a, b)), self.conditions)

    def between(self, a: str, b: str) -> list[Connection]:
        """The open connections."""
        self.connections = [connection for connection in self.connections if connection.is_open]
        return [connection for connection in self.connections if {a, b} == set(connection.hosts)]

    def of(self, host: str) -> list[Connection]:
        """The open connections of one host."""
        self.connections = [connection for connection in self.connections if connection.is_open]
        return [connection for connection in self.connections if host in connection.hosts]

    @property
    def is_empty(self) -> bool:
        """Nothing is on its way."""
        return all(connection.is_empty for connection in self.connections)

    def cut(self, a: str, b: str) -> None:
        """Reset what connections there are."""
        for connection in self.between(a, b):
            connection.sever()

    def truncate(self, a: str, b: str, size: int) -> None:
        """Reset them after so many bytes more, mostly in the middle of a frame."""
        for connection in self.between(a, b):
            connection.truncate(size)

    def down(self, a: str, b: str, down: bool) -> None:
        """Whether connections are reset, and refused."""
        pair = frozenset((a, b))
        if down:
            self._down.add(pair)
            self.cut(a, b)
        else:
            self._down.discard(pair)

    def silence(self, a: str, b: str, silent: bool) -> None:
        """Whether nothing comes through, and nobody is told."""
        (self._silent.add if silent else self._silent.discard)(frozenset((a, b)))
        self._hold(self.between(a, b))

    def is_silent(self, a: str, b: str) -> bool:
        return frozenset((a, b)) in self._silent or not (self._dark | self._stopped).isdisjoint((a, b))

    def _hold(self, connections: list[Connection]) -> None:
        for connection in connections:
            connection.hold(self.is_silent(*connection.hosts))
        self._changed.fire()

    # -- what may happen to a host

    def kill(self, host: str) -> None:
        """Its process dies: the system closes all that it had open."""
        self._close_ports(host)
        for connection in self.of(host):
            connection.sever()

    def stop(self, host: str, stopped: bool) -> None:
        """Whether it stands still: connections stay open, and nothing comes of it."""
        (self._stopped.add if stopped else self._stopped.discard)(host)
        self._hold(self.of(host))

    def darken(self, host: str) -> None:
        """Its power fails: nobody hears anything."""
        self._dark.add(host)
        self._close_ports(host)
        for connection in self.of(host):
            connection.lose()

    def lighten(self, host: str) -> None:
        """It is there again, and knows nothing of earlier connections."""
        if host in self._dark:
            self._dark.discard(host)
            for connection in self.of(host):
                connection.forget(host)
            self._changed.fire()

    def heal(self) -> None:
        """Whatever is wrong with links ends, and nobody stands still any more."""
        self._down.clear()
        self._silent.clear()
        self._stopped.clear()
        self._hold(self.connections)

    def _close_ports(self, host: str) -> None:
        for name in [name for name, socket in self.listening.items() if socket.host == host]:
            del self.listening[name]

    # -- connecting

    async def connect(self, socket: VirtualSocket, address: Address) -> None:
        """:raises OSError: nobody listens there, or nobody answers"""
        caller, called = socket.host, self.host(address[0])
        if called is None:
            await trio.lowlevel.checkpoint()
            raise error(errno.EHOSTUNREACH)
        with trio.move_on_after(CONNECT_TIMEOUT) as patience:
            while self.is_silent(caller, called):
                await self._changed.wait()
            there, back = self.get(caller, called), self.get(caller, called)
            await trio.sleep(there.delay)
            listener = self.listening.get(address)
            refused = listener is None or frozenset((caller, called)) in self._down or len(listener.backlog) >= BACKLOG
            if refused:
                await trio.sleep(back.delay)
            else:
                assert listener is not None
                self._join(socket, listener, caller, called)
                await trio.sleep(back.delay)
                return
        if patience.cancelled_caught:
            raise error(errno.ETIMEDOUT)
        raise error(errno.ECONNREFUSED)

    def _join(self, socket: VirtualSocket, listener: VirtualSocket, caller: str, called: str) -> None:
        self._numbers += 1
        connection = Connection(self._numbers, caller, called, lambda: self.get(caller, called), self.rng)
        self.connections.append(connection)
        connection.hold(self.is_silent(caller, called))
        socket.plug(connection, 0, listener.getsockname())
        listener.ring(connection, socket.getsockname())
        self.trace.add(f"{connection} connected")

"""A proxy for TCP and Unix sockets that does to connections what networks do to them: see :class:`Proxy`."""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Final

import trio

__all__ = ["NOW", "Faults", "Proxy", "open_proxy", "swallow"]

CHUNK: Final = 65536
QUEUE: Final = 64
"""Chunks on their way in one direction; then the sender has to wait, as with a full window."""
DRAIN: Final = 1.0
"""For so many seconds what still comes is read, so that an orderly end is one."""
NOW: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: what closes the socket then is a RST."""

_URL: Final = re.compile(r"(?:shs\+)?(tcp|unix)://(?:[^@/]*@)?(?:([^:/]+):(\d+)|(/.*))")


@dataclass
class Faults:
    """What happens to bytes on their way, in either direction. May be changed at any time, for connections that are
    open, too."""

    delay: float = 0.0
    """Seconds that every byte takes."""
    jitter: float = 0.0
    """Up to so many more, chunk by chunk; order is kept."""
    rate: float | None = None
    """Bytes per second."""
    split: int = 0
    """Chunks are cut into random ones of at most so many bytes, each of which is sent by itself."""
    merge: float = 0.0
    """For so many seconds chunks are held back, to go on in one piece."""
    hole: bool = False
    """Nothing arrives, and nobody is told: it waits, as what TCP sends again and again."""
    refuse: bool = False
    """Whoever connects is cut off at once."""
    duplicate: bool = False
    """Whoever connects is connected twice: the server gets every byte by two connections, one of which nobody hears."""
    truncate: int = 0
    """A connection ends in order after at most so many further bytes in one direction, wherever that is."""
    reset: float = 0.0
    """The chance of each chunk to become a RST for both ends."""


@dataclass
class Seen:
    """What a proxy has done, so that a test can tell that something was done."""

    connections: int = 0
    duplicates: int = 0
    resets: int = 0
    truncations: int = 0
    refusals: int = 0
    bytes: int = 0


@dataclass(eq=False)
class Connection:
    """A client, and the server's end or ends for it."""

    client: trio.SocketStream
    servers: list[trio.SocketStream] = field(default_factory=list[trio.SocketStream])
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    resetting: bool = False
    truncating: bool = False

    def reset(self) -> None:
        """RST to all ends."""
        self.resetting = True
        self.scope.cancel()

    def truncate(self) -> None:
        """An orderly end, wherever it is."""
        self.truncating = True
        self.scope.cancel()


class Proxy:
    """Stands before a server: see :func:`open_proxy`.

    :param target: the URL of the server, as a listener gives it
    :param rng: chooses where to cut, and so on
    """

    def __init__(self, target: str, rng: Random) -> None:
        self.target = target
        """May be changed: where to connect to from now on."""
        self.faults = Faults()
        self.seen = Seen()
        self.url = ""
        """For who is to come by way of the proxy, in the form of ``target``, with the same key in it."""
        self._rng = rng
        self._open: set[Connection] = set()
        self._changed = trio.Event()

    def set(self, **faults: float | bool | None) -> None:
        """From now on these faults, and no others."""
        self.faults = Faults(**faults)  # type: ignore[arg-type]  # whatever they are, they have the types of the fields
        self._changed.set()
        self._changed = trio.Event()

    def reset(self) -> None:
        """RST to both ends of every connection."""
        for connection in tuple(self._open):
            connection.reset()

    def truncate(self) -> None:
        """Every connection ends now, in order, wherever it is."""
        for connection in tuple(self._open):
            self.seen.truncations += 1
            connection.truncate()

    def __len__(self) -> int:
        """How many connections are open."""
        return len(self._open)

    # -- connections ------------------------------------------------------------------------------------------------

    async def serve(self, listener: trio.SocketListener) -> None:
        """Pass on what comes, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._accepted, await listener.accept())

    async def _accepted(self, client: trio.SocketStream) -> None:
        connection = Connection(client)
        self.seen.connections += 1
        if self.faults.refuse:
            self.seen.refusals += 1
            connection.resetting = True
        else:
            self._open.add(connection)
        try:
            with connection.scope:
                if not connection.resetting:
                    await self._connect(connection)
            if connection.truncating:
                await self._drain(connection)
        finally:
            self._open.discard(connection)
            self.seen.resets += connection.resetting
            for stream in (client, *connection.servers):
                if connection.resetting and stream.socket.family != socket.AF_UNIX:
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
                stream.socket.close()

    async def _drain(self, connection: Connection) -> None:
        """To close while there is something to be read would be a RST."""
        with trio.move_on_after(DRAIN):
            async with trio.open_nursery() as nursery:
                for stream in (connection.client, *connection.servers):
                    await _end(stream)
                    nursery.start_soon(swallow, stream)

    async def _connect(self, connection: Connection) -> None:
        try:
            connection.servers.append(await _dial(self.target))
            if self.faults.duplicate:
                self.seen.duplicates += 1
                connection.servers.append(await _dial(self.target))
                self._rng.shuffle(connection.servers)
        except OSError:
            connection.reset()
            return
        async with trio.open_nursery() as nursery:
            for server in connection.servers[1:]:
                nursery.start_soon(swallow, server)
            async with trio.open_nursery() as pumps:
                pumps.start_soon(self._pump, connection, connection.client, list(connection.servers))
                pumps.start_soon(self._pump, connection, connection.servers[0], [connection.client])
            nursery.cancel_scope.cancel()

    async def _pump(self, connection: Connection, source: trio.SocketStream, sinks: list[trio.SocketStream]) -> None:
        """One direction, until its end."""
        send, receive = trio.open_memory_channel[tuple[float, bytes]](QUEUE)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._deliver, connection, receive, sinks)
                last = 0.0
                while data := await source.receive_some(CHUNK):
                    faults = self.faults
                    last = max(last, trio.current_time() + faults.delay + faults.jitter * self._rng.random())
                    await send.send((last, bytes(data)))
                await send.send((last, b""))
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            connection.reset()

    async def _deliver(
        self,
        connection: Connection,
        receive: trio.MemoryReceiveChannel[tuple[float, bytes]],
        sinks: list[trio.SocketStream],
    ) -> None:
        while True:
            due, data = await receive.receive()
            await trio.sleep_until(due)
            ended = not data
            if data and self.faults.merge:
                data, ended = await self._merged(receive, data)
            await self._beyond_the_hole()
            if self._rng.random() < self.faults.reset:
                connection.reset()
                await trio.lowlevel.checkpoint()
            limit = self.faults.truncate and self._rng.randint(0, self.faults.truncate)
            if 0 < limit <= len(data):
                await self._send(sinks, data[:limit])
                self.seen.truncations += 1
                connection.truncate()
                await trio.lowlevel.checkpoint()
            await self._send(sinks, data)
            if ended:
                for sink in sinks:
                    await _end(sink)
                return

    async def _merged(self, receive: trio.MemoryReceiveChannel[tuple[float, bytes]], data: bytes) -> tuple[bytes, bool]:
        """What comes within a while, in one piece; and whether the end has come."""
        pieces = [data]
        with trio.move_on_after(self.faults.merge):
            while pieces[-1]:
                pieces.append((await receive.receive())[1])
        return b"".join(pieces), not pieces[-1]

    async def _beyond_the_hole(self) -> None:
        while self.faults.hole:
            await self._changed.wait()

    async def _send(self, sinks: list[trio.SocketStream], data: bytes) -> None:
        while data:
            faults = self.faults
            size = len(data)
            if faults.split:
                size = min(size, self._rng.randint(1, faults.split))
            if faults.rate is not None:
                size = min(size, max(1, int(faults.rate / 20)))
            piece, data = data[:size], data[size:]
            for sink in tuple(sinks):
                try:
                    await sink.send_all(piece)
                except trio.BrokenResourceError:
                    if sink is sinks[0]:
                        raise
                    sinks.remove(sink)  # the second of two: nobody hears it anyway
            self.seen.bytes += size
            if faults.rate is not None:
                await trio.sleep(size / faults.rate)
            await self._beyond_the_hole()


async def _end(stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError, OSError):  # gone already
        await stream.send_eof()


async def swallow(stream: trio.SocketStream) -> None:
    """Read until the end, for nothing."""
    try:
        while await stream.receive_some(CHUNK):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def _dial(url: str) -> trio.SocketStream:
    match = _URL.fullmatch(url)
    assert match is not None, f"not a URL of a TCP or Unix socket: {url}"
    if match[1] == "unix":
        return await trio.open_unix_socket(match[4])
    return await trio.open_tcp_stream(match[2], int(match[3]))


@asynccontextmanager
async def open_proxy(target: str, seed: int = 0, *, path: str | os.PathLike[str] = "") -> AsyncGenerator[Proxy, None]:
    """A proxy before ``target`` for the length of the block; all its connections end with it.

    :param path: where to listen, for a Unix socket; TCP takes a free port
    """
    proxy = Proxy(target, Random(seed))
    match = _URL.fullmatch(target)
    assert match is not None, f"not a URL of a TCP or Unix socket: {target}"
    if match[1] == "unix":
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        await sock.bind(os.fspath(path))
        sock.listen(1024)
        listener = trio.SocketListener(sock)
        proxy.url = f"{target[: match.start(4)]}{os.fspath(path)}"
    else:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        proxy.url = f"{target[: match.start(2)]}127.0.0.1:{listener.socket.getsockname()[1]}"
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(proxy.serve, listener)
        yield proxy
        nursery.cancel_scope.cancel()

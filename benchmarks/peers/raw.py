"""The raw limit: the same bytes through Trio's sockets and cbor2, without a protocol.

Messages travel in frames ``[[feed, first, [payload, …]], …]`` of 64 KiB, notes in maps of 2,000; who receives them puts
them into lists and dicts. Nothing is checked, nobody decides anything. ``python -m benchmarks.peers.raw``
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import cbor2
import trio

from benchmarks.peers.commands import Commands, paced
from benchmarks.peers.names import age, named, stamped

FRAME = 65536
NOTES = 2000


def framed(frame: Any) -> bytes:
    body: bytes = cbor2.dumps(frame)
    return len(body).to_bytes(4, "big") + body


class Raw(Commands):
    """One end of a socket; the commands are those of ``ours.py``."""

    def __init__(self) -> None:
        super().__init__()
        self._log: dict[str, list[bytes]] = {}
        self._notes: dict[str, int] = {}
        self._bytes = 0
        self._stream: trio.SocketStream | None = None

    def sent(self) -> int:
        return self._bytes

    async def do_open(self, feeds: int, size: int, head: int = 0, ahead: int = 0, **_: Any) -> None:
        for number, feed in enumerate(named(feeds)):
            # each payload an object of its own, as it would be
            self._log[feed] = [bytes(bytearray(size)) for _ in range(head + (number < ahead))]
        gc.collect()

    async def do_listen(self, url: str) -> str:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.nursery.start_soon(self._accept, listener)
        return f"tcp://127.0.0.1:{listener.socket.getsockname()[1]}"

    async def _accept(self, listener: trio.SocketListener) -> None:
        async with listener:
            self._stream = await listener.accept()
        await self._receive(self._stream)

    async def do_connect(self, url: str) -> None:
        self._stream = await trio.open_tcp_stream("127.0.0.1", int(url.rsplit(":", 1)[1]))
        self.nursery.start_soon(self._receive, self._stream)

    async def do_send(self) -> None:
        """All messages that are there."""
        frame: list[tuple[str, int, list[bytes]]] = []
        room = FRAME
        for feed, payloads in self._log.items():
            at = 0
            while at < len(payloads):
                end, some = at, 0
                while end < len(payloads) and some < room:
                    some += len(payloads[end])
                    end += 1
                frame.append((feed, at + 1, payloads[at:end]))
                at = end
                room -= some
                if room <= 0:
                    await self._send(frame)
                    frame, room = [], FRAME
        if frame:
            await self._send(frame)

    async def do_notes(self) -> None:
        """What is there of each feed."""
        rest: Iterator[tuple[str, list[bytes]]] = iter(self._log.items())
        while some := {feed: len(payloads) for feed, payloads in islice(rest, NOTES)}:
            await self._send(some)

    async def do_produce(self, count: int, per_second: float, size: int, together: bool = False) -> None:
        feed = next(iter(self._log))
        payloads = self._log[feed]

        async def produce(due: int) -> None:
            fresh = [stamped(size) for _ in range(due)]
            first = len(payloads) + 1
            payloads.extend(fresh)
            for part in [fresh[at : at + 300] for at in range(0, due, 300)] if together else [[one] for one in fresh]:
                await self._send([(feed, first, part)])
                first += len(part)

        await paced(count, per_second, produce)

    async def _send(self, frame: Any) -> None:
        assert self._stream is not None
        data = framed(frame)
        self._bytes += len(data)
        await self._stream.send_all(data)

    async def _receive(self, stream: trio.SocketStream) -> None:
        buffer = bytearray()
        while chunk := await stream.receive_some(FRAME):
            buffer += chunk
            at = 0
            while len(buffer) - at >= 4:
                end = at + 4 + int.from_bytes(buffer[at : at + 4], "big")
                if end > len(buffer):
                    break
                self._received(cbor2.loads(bytes(buffer[at + 4 : end])))
                at = end
            del buffer[:at]

    def _received(self, frame: dict[str, int] | Sequence[tuple[str, int, list[bytes]]]) -> None:
        if isinstance(frame, dict):
            self._notes.update(frame)
            self.arrived.add(len(frame))
            return
        for feed, _first, payloads in frame:
            self._log.setdefault(feed, []).extend(payloads)
            self.arrived.add(len(payloads))
            if self.arrived.timed:
                self.arrived.ages.extend(map(age, payloads))


if __name__ == "__main__":
    trio.run(Raw().run)

"""Callers that want to harm a node, each kind in its own way: :data:`KINDS`. ``python hostile.py`` is many of them."""

from __future__ import annotations

import argparse
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from random import Random
from typing import Final

import trio
from children import Parent
from proxy import NOW, swallow

from ebt_trio import FeedId, PeerId
from ebt_trio.core.types import Run
from ebt_trio.frames import Bye, Frame, Hello, Messages, Notes, Ping, Resume, encode, wrap

__all__ = ["KINDS", "Door"]

NAMES: Final = 1_000_000
"""Of feeds that nobody has."""
PACE: Final = 0.01
"""Seconds between two blows of one of them."""
SLOW: Final = 0.1
"""Likewise, of one that is slow on purpose."""
BACK_AFTER: Final = 0.2
"""Seconds until one that was thrown out is back."""


class Door:
    """Where they knock: a node's TCP port without encryption.

    :param feed: one that the node has
    """

    def __init__(self, host: str, port: int, feed: FeedId, rng: Random) -> None:
        self.feed = feed
        self.rng = rng
        self._place = (host, port)
        self._numbers = count()

    async def open(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(*self._place)

    def id(self) -> PeerId:
        """A new one, whatever it looks like."""
        return PeerId(self.rng.randbytes(32).hex()[:43])

    def greeting(self, *more: Frame) -> bytes:
        """HELLO and RESUME, and what comes next."""
        hello = Hello(self.id(), instance=self.rng.randbytes(8), store=self.rng.randbytes(16), acks=True)
        return pack(hello, Resume(), *more)

    def names(self, size: int) -> list[FeedId]:
        """The next of a million."""
        return [FeedId(f"{next(self._numbers) % NAMES:043d}") for _ in range(size)]


def pack(*frames: Frame) -> bytes:
    return b"".join(wrap(encode(frame)) for frame in frames)


async def trickle(stream: trio.SocketStream, data: bytes) -> None:
    for number in range(len(data)):
        await stream.send_all(data[number : number + 1])
        await trio.sleep(SLOW)


async def slow_hello(door: Door, stream: trio.SocketStream) -> None:
    """A HELLO, byte by byte, and the next one when that was too slow."""
    await trickle(stream, door.greeting())


async def slow_frame(door: Door, stream: trio.SocketStream) -> None:
    """A session, and in it a frame that never ends."""
    await stream.send_all(door.greeting(Notes()))
    await trickle(stream, wrap(encode(Messages([Run(door.feed, 1, [bytes(900_000)])]))))


async def random_bytes(door: Door, stream: trio.SocketStream) -> None:
    """Noise: at once, or in a session."""
    if door.rng.random() < 0.5:
        await stream.send_all(door.greeting(Notes()))
    while True:
        await stream.send_all(door.rng.randbytes(door.rng.randint(1, 5000)))
        await trio.sleep(PACE)


async def note_flood(door: Door, stream: trio.SocketStream) -> None:
    """News of a million feeds, each time of others."""
    await stream.send_all(door.greeting())
    while True:
        await stream.send_all(pack(Notes(dict.fromkeys(door.names(1000), 14))))
        await trio.sleep(PACE)


async def hello_flood(door: Door, stream: trio.SocketStream) -> None:
    """Somebody else each time: up and away, with or without an end; or one HELLO behind the other."""
    rng = door.rng
    await stream.send_all(door.greeting(*([Notes()] if rng.random() < 0.5 else [])))
    what = rng.randrange(4)
    if what == 0:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
    elif what == 1:
        await stream.send_eof()
    elif what == 2:
        await stream.send_all(door.greeting() * 10)
        await trio.sleep(PACE)


async def huge_frames(door: Door, stream: trio.SocketStream) -> None:
    """Frames that are as large as allowed, or say that they are larger, of all that could be dear."""
    await stream.send_all(door.greeting())
    rng = door.rng
    large: list[bytes] = [
        pack(Messages([Run(door.names(1)[0], 1 << 40, [b""] * 60_000)])),
        pack(Messages([Run(feed, 1, [bytes(900)]) for feed in door.names(1000)])),
        pack(Messages([Run(door.names(1)[0], 1, [bytes(1_000_000)])])),
        pack(Notes(dict.fromkeys(door.names(10_000), -1))),
        wrap(bytes([0x82]) * 1_000_000),
        b"\x5a\x7f\xff\xff\xff" + bytes(100_000),
    ]
    while True:
        await stream.send_all(rng.choice(large))
        await trio.sleep(10 * PACE)


async def deaf(door: Door, stream: trio.SocketStream) -> None:
    """Wants everything, and reads nothing."""
    await stream.send_all(door.greeting(Notes({door.feed: 0}), Notes()))
    await trio.sleep_forever()


async def ping_flood(door: Door, stream: trio.SocketStream) -> None:
    """PINGs without end; or a BYE behind which it goes on."""
    await stream.send_all(door.greeting(Notes()))
    while True:
        await stream.send_all(pack(*map(Ping, range(200))))
        if door.rng.random() < 0.02:
            await stream.send_all(pack(Bye(0, "see you"), *map(Ping, range(200))))
        await trio.sleep(PACE)


Kind = Callable[[Door, trio.SocketStream], Awaitable[None]]

KINDS: Final[dict[str, Kind]] = {
    "slow hello": slow_hello,
    "slow frame": slow_frame,
    "random bytes": random_bytes,
    "note flood": note_flood,
    "hello flood": hello_flood,
    "huge frames": huge_frames,
    "deaf": deaf,
    "ping flood": ping_flood,
}
HEARING: Final = {"note flood", "slow frame", "ping flood", "huge frames", "slow hello"}
"""Who takes in what the node says: else they would all be deaf."""


async def attack(kind: str, door: Door, came: Counter[str]) -> None:
    """For ever: whoever is thrown out comes back."""
    while True:
        try:
            async with await door.open() as stream, trio.open_nursery() as nursery:
                came[kind] += 1
                if kind in HEARING:
                    nursery.start_soon(hear_out, stream, nursery.cancel_scope)
                await KINDS[kind](door, stream)
                nursery.cancel_scope.cancel()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await trio.sleep(PACE if kind == "hello flood" else BACK_AFTER)


async def hear_out(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """When the node has had enough, so have we."""
    await swallow(stream)
    scope.cancel()


async def tell_when_all_came(parent: Parent, came: Counter[str]) -> None:
    while len(came) < len(KINDS):  # noqa: ASYNC110 - nobody else wants to know
        await trio.sleep(0.05)
    parent.say("all came")


async def main(host: str, port: int, feed: str, each: int) -> None:
    came: Counter[str] = Counter()
    parent = Parent()
    async with trio.open_nursery() as nursery:
        for number, kind in enumerate(each * list(KINDS)):
            nursery.start_soon(partial(attack, kind, Door(host, port, FeedId(feed), Random(number)), came))
        nursery.start_soon(tell_when_all_came, parent, came)
        async for _ in parent.orders():
            parent.say("came", **came)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("feed", help="one that the node has")
    parser.add_argument("each", type=int, help="how many of each kind")
    trio.run(main, *vars(parser.parse_args()).values())

"""A whole session as a target: real peers, one of which gets whatever is made up, under virtual time.

An input is a byte of choices, and a byte stream of frames. The choices: behind a good handshake, or from the start;
over a link of frames, or a byte stream; and what comes after.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from random import Random
from typing import Final

import anyio
import trio
from mutate import Mutator
from sizes import Sizes, swallowed
from table import Broken, Target, refused
from trio.testing import MockClock, memory_stream_pair
from wire_targets import AUTHOR, frame_seeds, pieces, signed_payloads

from ebt_transports import FramedTransport
from ebt_trio import EBT, EBTError, FeedId, Identity, Limits, PeerId
from ebt_trio.abc import Transport
from ebt_trio.core.types import Run
from ebt_trio.errors import RemoteProtocolError
from ebt_trio.feeds.signed import SignedFormat
from ebt_trio.frames import Ack, Bye, Frame, Hello, Messages, Notes, Ping, Pong, Resume, Start, encode
from ebt_trio.framing import FrameSplitter, wrap
from ebt_trio.testing import connected, link

__all__ = ["TARGETS"]

LIMITS: Final = Limits(named_feeds=300, remembered_peers=20, keepalive=2.0, hello_timeout=1.0)
"""Small, so that what grows up to a limit is there soon, and what grows beyond it is seen."""
PATIENCE: Final = 60.0
"""Seconds of virtual time for one input."""
LOOK_EVERY: Final = 50
"""After so many sessions the honest peer has to be in sync."""
FORGET_EVERY: Final = 500
MEASURE_EVERY: Final = 500

# The byte of choices.
FROM_THE_START, STREAM, NO_END, CUT, DEAF = 1, 2, 4, 8, 16


# -- inputs


def good_frames(feed: str, payloads: Sequence[bytes]) -> list[Frame]:
    """What a peer may say about a feed, and some of what it may not."""
    id = FeedId(feed)
    last = len(payloads)
    return [
        Notes({id: last << 1}),
        Notes({id: last << 1 | 1, FeedId("alice"): -1, FeedId("nobody"): 77}),
        Notes({}),
        Start({id: 2}),
        Ack({FeedId("alice"): 1, id: 1}),
        Messages([Run(id, 1, payloads)]),
        Messages([Run(id, sequence, [payload]) for sequence, payload in enumerate(payloads, 1)]),
        Messages([Run(id, 2, payloads[1:]), Run(FeedId("unasked"), 1, [b"\x01"])]),
        Ping(7),
        Pong(1),
        Bye(0, "done"),
        Bye(200, "?"),
    ]


def seeds(feed: str, payloads: Sequence[bytes]) -> list[bytes]:
    """Scripts of frames: in a good order, and in any."""
    frames = [encode(frame) for frame in good_frames(feed, payloads)]
    greeting = [encode(frame) for frame in greetings("mallory")]
    rng = Random(1)
    found: list[bytes] = []
    for choices in range(32):
        opening = greeting if choices & FROM_THE_START else []
        some = frames[: rng.randrange(2, len(frames))] if choices % 3 else rng.sample(frames, 5)
        found.append(bytes((choices,)) + b"".join(map(wrap, [*opening, *some])))
    odd = [frame for frame in frame_seeds() if len(frame) < 200]
    found += [bytes((at % 32,)) + b"".join(map(wrap, odd[at : at + 3])) for at in range(0, len(odd), 3)]
    return found


def greetings(name: str) -> list[Frame]:
    return [Hello(PeerId(name), store=b"s" * 16, instance=b"i" * 8, acks=True), Resume()]


# -- what they meet


class World:
    """A peer under attack, and an honest one that is to notice nothing of it."""

    def __init__(self, victim: EBT, honest: EBT, feed: str) -> None:
        self.victim = victim
        self.honest = honest
        self.feed = FeedId(feed)
        """Followed by both; anybody may bring it."""
        self.tried = 0

    async def attack(self, data: bytes) -> None:
        """One session that is fed the input; it ends in order, or by an error of the tree."""
        choices, script = (data[0], data[1:]) if data else (0, b"")
        self.tried += 1
        greeting = [] if choices & FROM_THE_START else [encode(frame) for frame in greetings(f"m{self.tried % 40}")]
        with trio.move_on_after(PATIENCE) as patience:
            if choices & STREAM:
                await self._by_stream(choices, b"".join(map(wrap, greeting)) + script)
            else:
                await self._by_frames(choices, [*greeting, *frames_in(script)])
        if patience.cancelled_caught:
            raise Broken(f"not over after {PATIENCE:g} seconds")
        if len(self.victim.sessions) > 1:
            raise Broken(f"sessions are left: {self.victim.sessions}")

    async def _by_frames(self, choices: int, frames: Sequence[bytes]) -> None:
        near, far = link()

        async def say() -> None:
            for frame in frames:
                await far.send(frame)
            if not choices & NO_END:
                await far.send_eof()

        async def listen() -> None:
            while not choices & DEAF:
                await far.receive()

        await self._session(near, choices, say, listen)
        far.cut()

    async def _by_stream(self, choices: int, script: bytes) -> None:
        near, far = memory_stream_pair()
        rng = Random(len(script))

        async def say() -> None:
            at = 0
            while at < len(script):
                step = rng.choice((1, 7, 100, 5000))
                await far.send_all(script[at : at + step])
                at += step
            if not choices & NO_END:
                await far.send_eof()

        async def listen() -> None:
            while not choices & DEAF and await far.receive_some():
                pass

        await self._session(FramedTransport(near), choices, say, listen)
        await far.aclose()

    async def _session(self, near: Transport, choices: int, *roles: Callable[[], Awaitable[None]]) -> None:
        async def play(role: Callable[[], Awaitable[None]]) -> None:
            with suppress(EBTError, anyio.EndOfStream, trio.BrokenResourceError, trio.ClosedResourceError):
                await role()

        async with trio.open_nursery() as nursery:
            for role in roles:
                nursery.start_soon(play, role)
            try:
                async with self.victim.session(near) as session:
                    with trio.move_on_after(0.05 if choices & CUT else 10):
                        await session.wait_closed()
            except EBTError as error:
                refused(error)
            nursery.cancel_scope.cancel()

    async def look(self) -> None:
        """The honest peer is in sync, within seconds."""
        message = await self.victim.append(self.tried)
        with trio.move_on_after(10) as patience:
            await self.honest.wait_for({self.victim.feed: message.sequence})
        if patience.cancelled_caught:
            raise Broken(f"the honest peer has {self.honest.clock} where {message.sequence} messages are to be had")

    async def forget(self) -> None:
        """What attackers have brought of the feed goes, so that the store stays as it is."""
        for ebt in (self.victim, self.honest):
            if self.feed in ebt.forks:
                ebt.resolve(self.feed, "ours")
            ebt.forget(self.feed)
            await ebt.flush()
            ebt.follow(self.feed)


def frames_in(script: bytes) -> list[bytes]:
    """The frames of a stream; what is behind the last, if anything, is one, too."""
    splitter = FrameSplitter()
    splitter.feed(script)
    found: list[bytes] = []
    with suppress(RemoteProtocolError):
        while (frame := splitter.next_frame(1 << 20)) is not None:
            found.append(frame)
    rest = script[sum(len(wrap(frame)) for frame in found) :]
    return [*found, rest] if rest else found


# -- going through many


@asynccontextmanager
async def world(signed: bool) -> AsyncGenerator[World, None]:
    me, other = (Identity(bytes([3]) * 32), Identity(bytes([4]) * 32)) if signed else ("alice", "bob")
    feed = AUTHOR if signed else "carol"
    async with EBT(me, limits=replace(LIMITS, feed_bytes=20_000)) as victim, EBT(other, limits=LIMITS) as honest:
        honest.follow(victim.feed)
        for ebt in (victim, honest):
            ebt.follow(feed)
        async with connected(victim, honest, delay=0.001):
            yield World(victim, honest, feed)


async def _walk(signed: bool, inputs: Iterable[bytes]) -> None:
    sizes = Sizes()
    async with world(signed) as attacked:
        await attacked.look()
        for data in inputs:
            await attacked.attack(data)
            if attacked.tried % LOOK_EVERY == 0:
                await attacked.look()
            if attacked.tried % FORGET_EVERY == 0:
                await attacked.forget()
            if attacked.tried % MEASURE_EVERY == 0:
                sizes.look()
        await attacked.look()
    sizes.check()


def walk(signed: bool, inputs: Iterable[bytes]) -> None:
    """All inputs at one and the same pair of peers."""
    with swallowed():
        trio.run(_walk, signed, inputs, clock=MockClock(autojump_threshold=0))


def branches() -> list[bytes]:
    """The author's messages, and another second one, which the author has signed as well."""
    good = signed_payloads()[:3]
    other = SignedFormat(Identity(bytes([1]) * 32)).encode(AUTHOR, 2, "another", good[0])
    frames = [encode(Messages([Run(AUTHOR, 1, good)])), encode(Messages([Run(AUTHOR, 2, [other])]))]
    notes = encode(Notes({AUTHOR: 3 << 1}))
    return [b"\x00" + b"".join(map(wrap, [notes, encode(Notes({})), *order])) for order in (frames, frames[::-1])]


def _target(name: str, signed: bool, scripts: Callable[[], Sequence[bytes]]) -> Target:
    return Target(
        name,
        lambda data: walk(signed, [data]),
        scripts,
        lambda seeds, rng: Mutator(seeds, rng, parts=pieces),
        walk=partial(walk, signed),
        few=250,
    )


TARGETS: Final = (
    _target("session", False, lambda: seeds("carol", [b"\x01", b"\x61a", b"\x58\x64" + bytes(100), b"\xa0"])),
    _target("session-signed", True, lambda: [*seeds(AUTHOR, signed_payloads()[:4]), *branches()]),
)

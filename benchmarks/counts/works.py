"""The works that are counted: peers in one process, over streams in memory, in simulated time, from a fixed seed."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
from trio.testing import MockClock, memory_stream_pair

from benchmarks.counts.counter import Counter
from benchmarks.peers.names import name, named
from benchmarks.peers.ours import fill
from ebt_transports import FramedTransport
from ebt_trio import EBT, Identity, MemoryStore, PlainFormat, SignedFormat
from ebt_trio.abc import Format

SIZE = 200
QUIET = 3.0
"""Simulated seconds after which nothing is to be done any more: longer than any deadline of the protocol."""
IDLE = 600.0
SEED = bytes(range(32))


@dataclass(frozen=True)
class Work:
    """``run`` does it once and returns how many units of it there were."""

    name: str
    what: str
    unit: str
    run: Callable[[Counter], Awaitable[int]]


def counted(work: Work) -> tuple[Counter, int]:
    """Do it, in a loop that takes turns in the same order each time."""
    loop: Any = trio._core._run  # pyright: ignore[reportPrivateUsage] - there is no public way
    loop._ALLOW_DETERMINISTIC_SCHEDULING = True
    loop._r.seed(0)
    counter = Counter()
    return counter, trio.run(work.run, counter, clock=MockClock(autojump_threshold=0))


# -- peers -------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def peers(count: int, feeds: int, heads: Sequence[int]) -> AsyncGenerator[list[EBT], None]:
    """So many, of which each follows the same feeds and has of all as many messages as ``heads`` says for it."""
    names = named(feeds)
    async with AsyncExitStack() as stack:
        found: list[EBT] = []
        for number, head in zip(range(count), heads, strict=True):
            store = MemoryStore()
            format: Format = PlainFormat()
            await store.open(format.name)
            await fill(store, format, names, [head] * feeds, SIZE)
            await store.close()
            peer = EBT(name("peer", number), store, rng=random.Random(number))
            found.append(await stack.enter_async_context(peer))
        yield found


@asynccontextmanager
async def joined(*pairs: tuple[EBT, EBT]) -> AsyncGenerator[None, None]:
    """A session for each pair, over a stream in memory."""
    async with AsyncExitStack() as stack:
        for one, other in pairs:
            for peer, stream in zip((one, other), memory_stream_pair(), strict=True):
                await stack.enter_async_context(peer.session(FramedTransport(stream)))
        yield


async def all_there(found: Sequence[EBT], wanted: int) -> None:
    """Wait until it is quiet.

    :raises RuntimeError: some peer has not got so many messages of the first feed
    """
    await trio.sleep(QUIET)
    for peer in found:
        if len(await peer.read(named(1)[0], 1, wanted + 1)) != wanted:
            raise RuntimeError("messages are missing: what was counted is not the whole work")


# -- works -------------------------------------------------------------------------------------------------------------


async def bulk(counter: Counter, *, feeds: int, head: int) -> int:
    async with peers(2, feeds, (head, 0)) as both:
        with counter.over(*both):
            async with joined((both[0], both[1])):
                await trio.sleep(QUIET)
        await all_there(both, head)
    return feeds * head


async def signed(counter: Counter, *, head: int) -> int:
    identity = Identity(SEED)
    async with (
        EBT(identity, format=SignedFormat(identity, clock=lambda: 1.7e9), rng=random.Random(0)) as alice,
        EBT(Identity(SEED[::-1]), rng=random.Random(1)) as bob,
    ):
        bob.follow(alice.feed)
        await alice.append_many([bytes(SIZE)] * head)
        with counter.over(alice, bob):
            async with joined((alice, bob)):
                await trio.sleep(QUIET)
        if len(await bob.read(alice.feed, 1, head)) != head:
            raise RuntimeError("messages are missing: what was counted is not the whole work")
    return head


async def live(
    counter: Counter, *, count: int, others: int = 1, chain: bool = False, feeds: int = 1, history: int = 1
) -> int:
    """Messages of the first feed, one after the other; the unit is a delivery."""
    async with peers(1 + others, feeds, [history] * (1 + others)) as found:
        ends = [(found[at if chain else 0], found[at + 1]) for at in range(others)]
        async with joined(*ends):
            await trio.sleep(QUIET)
            with counter.over(*found):
                for _ in range(count):
                    await found[0].append(bytes(SIZE), feed=named(1)[0])
                    await trio.sleep(0.01)
                await trio.sleep(QUIET)
            await all_there(found, history + count)
    return count * others


async def burst(counter: Counter, *, count: int) -> int:
    async with peers(2, 1, (1, 1)) as both, joined((both[0], both[1])):
        await trio.sleep(QUIET)
        with counter.over(*both):
            await both[0].append_many([bytes(SIZE)] * count, feed=named(1)[0])
            await trio.sleep(QUIET)
        await all_there(both, 1 + count)
    return count


async def handshake(counter: Counter, *, feeds: int, later: bool = False) -> int:
    """Two peers that have the same meet, for the first time, or once more."""
    async with peers(2, feeds, (1, 1)) as both:
        if later:
            async with joined((both[0], both[1])):
                await trio.sleep(QUIET)
        with counter.over(*both):
            async with joined((both[0], both[1])):
                await trio.sleep(QUIET)
    return feeds


async def idle(counter: Counter, *, feeds: int) -> int:
    """Ten minutes without anything new."""
    async with peers(2, feeds, (1, 1)) as both, joined((both[0], both[1])):
        await trio.sleep(QUIET)
        with counter.over(*both):
            await trio.sleep(IDLE)
    return 1


async def appends(counter: Counter, *, count: int) -> int:
    """Nobody is there to hear it."""
    async with peers(1, 1, (1,)) as [alone]:
        with counter.over(alone):
            for _ in range(count):
                await alone.append(bytes(SIZE), feed=named(1)[0])
    return count

"""Forks under difficulties: changes of mind, late starts, peers that withhold, stores that fail, other processes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from ebt_trio import (
    EBT,
    FeedId,
    Fork,
    ForkDetected,
    Identity,
    MemoryStore,
    Message,
    PeerId,
    SQLiteStore,
    StoreError,
    What,
)
from ebt_trio.abc import Change, Changes, Store
from ebt_trio.core.types import Run
from ebt_trio.feeds.signed import SignedFormat
from ebt_trio.frames import Hello, Messages, Notes, Ping, Pong, Resume, decode, encode
from ebt_trio.limits import Limits
from ebt_trio.testing import connected, link

ALICE, BOB, CAROL, DAVE = (Identity(bytes([number]) * 32) for number in (1, 2, 3, 4))
FEED = FeedId(ALICE.id)


def branch(name: str, count: int, common: Sequence[bytes] = ()) -> list[bytes]:
    writer = SignedFormat(ALICE, clock=lambda: 1.0)
    payloads = list(common)
    while len(payloads) < count:
        previous = payloads[-1] if payloads else None
        payloads.append(writer.encode(FEED, len(payloads) + 1, name, previous))
    return payloads


COMMON = branch("common", 3)
LEFT, RIGHT = branch("left", 20, COMMON), branch("right", 20, COMMON)


async def filled(payloads: Sequence[bytes], first: int = 1, store: Store | None = None) -> Store:
    store = store or MemoryStore()
    await store.open("signed")
    await store.append([Run(FEED, first, payloads, late=first > 1)])
    await store.close()
    return store


@asynccontextmanager
async def holder(identity: Identity, payloads: Sequence[bytes], first: int = 1) -> AsyncGenerator[EBT, None]:
    async with EBT(identity, await filled(payloads, first)) as ebt:
        ebt.follow(FEED)
        yield ebt


async def held(ebt: EBT) -> list[bytes]:
    return [message.payload for message in await ebt.read(FEED)]


async def meet(ebt: EBT, other: EBT) -> None:
    """Until the fork is found."""
    async with ebt.events() as events, connected(ebt, other):
        async for event in events:
            if event.what is What.FORKED:
                return


async def test_a_change_of_mind_within_a_session(autojump_clock: trio.testing.MockClock) -> None:
    async with holder(BOB, LEFT[:6]) as bob, holder(CAROL, RIGHT[:10]) as carol, bob.events() as events:
        async with connected(bob, carol, delay=0.01):
            async for event in events:
                if event.what is What.FORKED:
                    break
            bob.resolve(FEED, "ours")
            async for event in events:
                if event.what is What.INVALID:
                    break
            bob.resolve(FEED, "theirs")
            await bob.flush()
            with trio.fail_after(10):
                await bob.wait_for({FEED: 10})
        assert await held(bob) == RIGHT[:10]


async def test_a_late_start_is_no_way_around_the_proof(autojump_clock: trio.testing.MockClock) -> None:
    """It could begin behind what tells the branches apart."""
    async with EBT(BOB, await filled(LEFT[12:15], 13)) as bob, holder(CAROL, RIGHT[:16]) as carol:
        bob.follow(FEED, last=3)
        await meet(bob, carol)
        bob.resolve(FEED, "theirs")
        async with holder(DAVE, LEFT) as dave, connected(bob, dave, delay=0.01), connected(bob, carol, delay=0.05):
            await bob.flush()
            with trio.fail_after(60):
                await bob.wait_for({FEED: 16})
            await trio.sleep(60)
        assert await held(bob) == RIGHT[:16]


async def test_who_withholds_what_he_claims_stops_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """He gives the beginning of the branch that is not kept, always at once, and nothing of what follows."""
    async with holder(BOB, LEFT[:6]) as bob, holder(CAROL, RIGHT[:10]) as carol:
        await meet(bob, carol)
        near, far = link()

        async def withhold() -> None:
            said = (Hello(PeerId(DAVE.id), instance=b"i" * 8, acks=True), Resume(), Notes({FEED: 21}), Notes())
            for frame in said:
                await far.send(encode(frame))
            while True:
                match decode(await far.receive(), Limits()):
                    case Ping(n):
                        await far.send(encode(Pong(n)))
                    case Notes(notes) if notes.get(FEED, -1) >= 0:
                        note = notes[FEED]
                        await far.send(encode(Notes({FEED: 21})))
                        if not note & 1 and note >> 1 < 5:
                            await far.send(encode(Messages([Run(FEED, (note >> 1) + 1, LEFT[note >> 1 : 5])])))
                    case _:
                        pass

        async with trio.open_nursery() as nursery, bob.session(near):
            nursery.start_soon(withhold)
            await trio.sleep(1)
            async with connected(bob, carol, delay=0.05):
                bob.resolve(FEED, "theirs")
                await bob.flush()
                with trio.fail_after(60):
                    await bob.wait_for({FEED: 10})
                await trio.sleep(300)
                assert await held(bob) == RIGHT[:10]
            nursery.cancel_scope.cancel()


async def test_add_goes_on_with_other_feeds(autojump_clock: trio.testing.MockClock) -> None:
    hello = SignedFormat(CAROL).encode(FeedId(CAROL.id), 1, "hello", None)
    async with holder(BOB, LEFT[:6]) as bob:
        fork, other = (
            Message(FEED, 7, RIGHT[6], SignedFormat()),
            Message(FeedId(CAROL.id), 1, hello, SignedFormat()),
        )
        with pytest.raises(ForkDetected):
            await bob.add([fork, other])
        assert bob.clock == {FEED: 6, CAROL.id: 1}
        with pytest.raises(ForkDetected, match="stands still"):
            await bob.add([Message(FEED, 7, LEFT[6], SignedFormat())])
        assert bob.clock[FEED] == 6


@pytest.mark.parametrize("own", [False, True])
async def test_another_process_changes_its_mind(own: bool, tmp_path: Path) -> None:
    """From ours to theirs, beside a node that runs; also for one's own feed."""
    path = tmp_path / "db"
    identity = ALICE if own else BOB
    async with (
        EBT(identity, await filled(LEFT[:6], store=SQLiteStore(path))) as ebt,
        holder(CAROL, RIGHT[:10]) as carol,
    ):
        ebt.follow(FEED)
        await meet(ebt, carol)
        await ebt.flush()
        ebt.resolve(FEED, "ours")
        await ebt.flush()
        other = SQLiteStore(path)
        await other.open("signed")
        (fork,) = await other.forks()
        await other.update(Change(forks=[replace(fork, kept="theirs")], forget=[FEED]), keep_peers=9)
        await other.close()
        async with connected(ebt, carol):
            with trio.fail_after(120):
                await ebt.wait_for({FEED: 10})
        assert await held(ebt) == RIGHT[:10]
        assert FEED in ebt.follows


class Stumbling(MemoryStore):
    """Somebody else writes into it, and ``forks`` fails once after that."""

    def __init__(self) -> None:
        super().__init__()
        self.news = trio.Event()
        self.fails = 0

    async def wait_changes(self) -> Changes:
        await self.news.wait()
        self.news = trio.Event()
        self.fails = 1
        return Changes(forks=True)

    async def forks(self) -> Sequence[Fork]:
        if self.fails:
            self.fails -= 1
            raise StoreError("out of order")
        return await super().forks()


async def test_news_of_another_process_survive_a_failing_store(autojump_clock: trio.testing.MockClock) -> None:
    store = Stumbling()
    async with EBT(BOB, await filled(LEFT[:6], store=store)) as bob:
        bob.follow(FEED)
        await store.update(Change(forks=[Fork(FEED, 6, (LEFT[5],), 7, (RIGHT[6],))]), keep_peers=9)
        store.news.set()
        await trio.sleep(10)
        assert bob.status(FEED).forked


class Reluctant(MemoryStore):
    """Does not take follows and the like for a while."""

    reluctant = False

    async def update(self, change: Change, *, keep_peers: int) -> None:
        if self.reluctant:
            raise StoreError("not now")
        await super().update(change, keep_peers=keep_peers)


async def test_a_decision_that_is_not_written_yet_has_the_last_word(autojump_clock: trio.testing.MockClock) -> None:
    store = Reluctant()
    async with EBT(BOB, await filled(LEFT[:6], store=store)) as bob, holder(CAROL, RIGHT[:7]) as carol:
        bob.follow(FEED)
        await meet(bob, carol)
        await bob.flush()
        store.reluctant = True
        bob.resolve(FEED, "ours")
        bob._driver.forks.load(await store.forks())
        assert bob.forks[FEED].kept == "ours"
        store.reluctant = False
        await bob.flush()
        assert [fork.kept for fork in await store.forks()] == ["ours"]

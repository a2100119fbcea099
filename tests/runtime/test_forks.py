"""An author who signs two histories: found, proved, stopped, reported, and resolved; the rest goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from ebt_trio import (
    EBT,
    Event,
    FeedId,
    Fork,
    ForkDetected,
    Identity,
    InvalidMessage,
    LocalProtocolError,
    MemoryStore,
    SQLiteStore,
    What,
)
from ebt_trio.abc import Store
from ebt_trio.core.types import Run
from ebt_trio.feeds.signed import SignedFormat
from ebt_trio.testing import connected

ALICE, BOB, CAROL, DAVE, ERIN = (Identity(bytes([number]) * 32) for number in (1, 2, 3, 4, 6))
FEED, BOBS = FeedId(ALICE.id), FeedId(BOB.id)


def branch(name: str, count: int, common: Sequence[bytes] = ()) -> list[bytes]:
    """Alice's feed: the common messages, and then ``name`` up to message ``count``."""
    writer = SignedFormat(ALICE, clock=lambda: 1.0)
    payloads = list(common)
    while len(payloads) < count:
        payloads.append(
            writer.encode(FEED, len(payloads) + 1, f"{name} {len(payloads) + 1}", payloads[-1] if payloads else None)
        )
    return payloads


COMMON = branch("common", 3)
LEFT, RIGHT = branch("left", 20, COMMON), branch("right", 20, COMMON)


async def filled(payloads: Sequence[bytes], store: Store | None = None) -> Store:
    store = store or MemoryStore()
    await store.open("signed")
    await store.append([Run(FEED, 1, payloads)])
    await store.close()
    return store


@asynccontextmanager
async def holder(identity: Identity, payloads: Sequence[bytes]) -> AsyncGenerator[EBT, None]:
    """A peer that holds some of Alice's messages, and follows her."""
    async with EBT(identity, await filled(payloads)) as ebt:
        ebt.follow(FEED)
        yield ebt


async def held(ebt: EBT) -> list[bytes]:
    return [message.payload for message in await ebt.read(FEED)]


async def forked(events: Any) -> Event:
    async for event in events:
        if event.what is What.FORKED:
            return event
    raise AssertionError("no fork")


async def grow(ebt: EBT, payloads: Sequence[bytes]) -> None:
    """The author has signed more, somewhere else."""
    from ebt_trio import Message

    first = ebt.clock.get(FEED, 0)
    await ebt.add([Message(FEED, n, payloads[n - 1], SignedFormat()) for n in range(first + 1, len(payloads) + 1)])


@pytest.mark.parametrize("more", [1, 5])
async def test_found_by_a_continuation(more: int, autojump_clock: trio.testing.MockClock) -> None:
    async with holder(BOB, LEFT[:6]) as bob, holder(CAROL, RIGHT[: 6 + more]) as carol, bob.events() as events:
        async with connected(bob, carol) as (session, _):
            event = await forked(events)
            assert (event.feed, event.peer) == (FEED, CAROL.id)
            fork = bob.forks[FEED]
            assert fork == Fork(FEED, 6, (LEFT[5],), 7, (RIGHT[6],))
            SignedFormat().check_fork(fork)
            assert bob.status(FEED).forked
            assert bob.status(FEED).followed
            assert FEED in bob.follows
            # nothing else is disturbed
            carol.follow(BOBS)
            await bob.append("mine")
            await carol.wait_for({BOBS: 1})
            assert session.is_ready
        assert await held(bob) == LEFT[:6]


async def test_branches_of_one_length_are_found_as_soon_as_one_goes_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Peers compare how far they are, not what they have."""
    async with (
        holder(BOB, COMMON) as bob,
        holder(CAROL, COMMON) as carol,
        holder(DAVE, COMMON) as dave,
        connected(bob, dave, delay=0.01),
        connected(carol, dave, delay=0.01),
    ):
        await dave.wait_synced()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(grow, bob, LEFT[:4])
            nursery.start_soon(grow, carol, RIGHT[:4])
            await dave.wait_for({FEED: 4})
        await trio.sleep(30)
        assert [len(ebt.forks) for ebt in (bob, carol, dave)] == [0, 0, 0]
        await grow(bob, LEFT[:5])
        await trio.sleep(1)
        forks = [*bob.forks.values(), *carol.forks.values(), *dave.forks.values()]
        assert len(forks) == 1  # at dave, or, if he has it from bob, at carol
        SignedFormat().check_fork(forks[0])


@pytest.mark.parametrize("signed", [True, False])
async def test_the_very_same_sequences_are_compared(signed: bool, autojump_clock: trio.testing.MockClock) -> None:
    from ebt_trio.core.types import PeerId
    from ebt_trio.frames import Hello, Messages, Notes, Resume, encode
    from ebt_trio.testing import link

    async with holder(BOB, LEFT[:6]) as bob, bob.events() as events:
        near, far = link()
        other = RIGHT[4] if signed else RIGHT[4][:-1] + b"x"
        async with bob.session(near), trio.open_nursery() as nursery:

            async def drain() -> None:
                while True:
                    await far.receive()

            nursery.start_soon(drain)
            for frame in (
                Hello(PeerId(CAROL.id), "", b"s" * 16, b"i" * 8, 1 << 20, True, 1),
                Resume(b""),
                Notes({FEED: 6 << 1}),
                Notes(),
                Messages([Run(FEED, 5, [LEFT[4]])]),
                Messages([Run(FEED, 5, [other])]),
            ):
                await far.send(encode(frame))
            async for event in events:
                if event.what in (What.FORKED, What.INVALID):
                    break
            if signed:
                assert event.what is What.FORKED
                assert bob.forks[FEED] == Fork(FEED, 5, (LEFT[4],), 5, (RIGHT[4],))
            else:
                assert (event.what, event.peer, event.feed) == (What.INVALID, CAROL.id, FEED)
                assert not bob.forks
            nursery.cancel_scope.cancel()


async def test_a_forked_feed_stands_still(autojump_clock: trio.testing.MockClock) -> None:
    async with holder(BOB, LEFT[:6]) as bob, holder(CAROL, RIGHT[:7]) as carol, EBT(DAVE) as dave:
        async with bob.events() as events, connected(bob, carol):
            await forked(events)
            dave.follow(FEED)
            async with connected(bob, dave) as (_, session):
                await session.wait_synced()
                await trio.sleep(10)
                assert not dave.clock  # nothing is passed on
                await grow(carol, RIGHT[:10])
                await trio.sleep(10)
                assert bob.clock[FEED] == 6  # and nothing is taken
            assert len(bob.forks) == 1
            assert bob.progress().fraction == 1.0
            await bob.wait_synced()
        bob.follow(FEED)  # following it again is no way around
        async with connected(bob, carol):
            await trio.sleep(10)
        assert bob.clock[FEED] == 6
        assert FEED in bob.follows
        assert len(bob.follows) == len(list(bob.follows)) == 2
        bob.unfollow(FEED)
        assert bob.follows == {BOBS}


async def test_should_replicate_is_no_way_around(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT(BOB, await filled(LEFT[:6]), should_replicate=lambda feed, peer: True) as bob:
        async with holder(CAROL, RIGHT[:7]) as carol, bob.events() as events, connected(bob, carol):
            await forked(events)
            await grow(carol, RIGHT[:8])
            await trio.sleep(10)
            assert bob.clock[FEED] == 6
        assert FEED in bob.follows


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_fork_survives_a_restart(kind: str, tmp_path: Path) -> None:
    store = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "db")
    await filled(LEFT[:6], store)
    async with EBT(BOB, store) as bob, holder(CAROL, RIGHT[:7]) as carol:
        bob.follow(FEED)
        async with bob.events() as events, connected(bob, carol):
            await forked(events)
        fork = bob.forks[FEED]
    async with EBT(BOB, store) as bob, holder(CAROL, RIGHT[:9]) as carol:
        assert dict(bob.forks) == {FEED: fork}
        assert bob.status(FEED).forked
        assert FEED in bob.follows
        async with connected(bob, carol) as (session, _):
            await session.wait_synced()
            assert bob.clock[FEED] == 6
            bob.resolve(FEED, "theirs")
            await bob.wait_for({FEED: 9})
            assert await held(bob) == RIGHT[:9]
    async with EBT(BOB, store) as bob:
        assert bob.forks[FEED].kept == "theirs"
        assert not bob.status(FEED).forked
        assert FEED in bob.follows
        assert await held(bob) == RIGHT[:9]


async def test_keep_ours(autojump_clock: trio.testing.MockClock) -> None:
    async with holder(BOB, LEFT[:6]) as bob, holder(CAROL, RIGHT[:7]) as carol, holder(DAVE, LEFT[:9]) as dave:
        async with bob.events() as events, connected(bob, carol) as (session, _):
            await forked(events)
            bob.resolve(FEED, "ours")
            bob.resolve(FEED, "ours")
            async for event in events:  # who has the other branch is refused, and the session goes on
                if event.what is What.INVALID:
                    break
            assert (event.peer, event.feed) == (CAROL.id, FEED)
            async with connected(bob, dave):
                await bob.wait_for({FEED: 9})
            assert session.is_ready
            carol.follow(BOBS)
            await bob.append("still here")
            await carol.wait_for({BOBS: 1})
        assert await held(bob) == LEFT[:9]
        assert bob.forks[FEED].kept == "ours"
        assert not bob.status(FEED).forked
        bob.resolve(FEED, "theirs")  # a change of mind
        await bob.flush()
        async with connected(bob, carol):
            await bob.wait_for({FEED: 7})
        assert await held(bob) == RIGHT[:7]
        with pytest.raises(LocalProtocolError, match="deleted already"):
            bob.resolve(FEED, "ours")


async def test_keep_theirs_is_not_taken_in_by_ours(autojump_clock: trio.testing.MockClock) -> None:
    """Others still have our branch, and are nearer."""
    async with (
        holder(BOB, LEFT[:6]) as bob,
        holder(CAROL, RIGHT[:10]) as carol,
        holder(DAVE, LEFT[:15]) as dave,
        holder(ERIN, LEFT[:5]) as erin,
    ):
        async with bob.events() as events, connected(bob, carol, delay=0.05):
            await forked(events)
        async with (
            connected(bob, erin, delay=0.001),
            connected(bob, dave, delay=0.001),
            connected(bob, carol, delay=0.05),
        ):
            bob.resolve(FEED, "theirs")
            with trio.fail_after(60):
                await bob.wait_for({FEED: 10})
            await trio.sleep(60)
            assert await held(bob) == RIGHT[:10]
        assert len(bob.forks) == 1


async def test_the_author_finds_her_own(autojump_clock: trio.testing.MockClock) -> None:
    """A key used on two stores: one of them was restored from a backup."""
    async with EBT(ALICE, await filled(COMMON)) as alice, holder(BOB, LEFT[:6]) as bob:
        await alice.append_many(["again", "and again"])
        mine = await held(alice)
        async with alice.events() as events, connected(alice, bob):
            await forked(events)
            for _ in range(2):
                with pytest.raises(ForkDetected, match="two branches"):
                    await alice.append("more")
            alice.resolve(FEED, "ours")
            await trio.sleep(1)  # until Bob has shown that what he claims to have is the other branch
            message = await alice.append("more")
        assert (await held(alice))[:5] == mine
        assert message.sequence == 6
        alice.resolve(FEED, "theirs")
        with pytest.raises(ForkDetected, match="not been fetched"):
            await alice.append("too early")
        await alice.flush()
        async with connected(alice, bob):
            await alice.wait_for({FEED: 6})
            message = await alice.append("on theirs")
            await bob.wait_for({FEED: 7})
        assert (await held(alice))[:6] == LEFT[:6]
        assert (await held(bob)) == await held(alice)
        assert FEED in alice.follows


async def test_the_rest_of_the_network_is_undisturbed(autojump_clock: trio.testing.MockClock) -> None:
    """Who has seen one branch only keeps it, and everybody keeps everything else."""
    async with (
        holder(BOB, LEFT[:6]) as bob,
        holder(CAROL, LEFT[:6]) as carol,
        holder(DAVE, RIGHT[:6]) as dave,
        holder(ERIN, RIGHT[:6]) as erin,
    ):
        peers = [bob, carol, dave, erin]
        for ebt in peers:
            for other in peers:
                ebt.follow(other.feed)
        async with connected(bob, carol), connected(carol, dave), connected(dave, erin):
            await grow(erin, RIGHT[:8])
            for ebt in peers:
                await ebt.append_many(range(5))
            for ebt in peers:
                await ebt.wait_for({other.feed: 5 for other in peers})
            await dave.wait_for({FEED: 8})
            await trio.sleep(10)
        assert [len(ebt.forks) for ebt in peers] == [0, 1, 0, 0]
        assert await held(bob) == LEFT[:6]
        assert await held(erin) == RIGHT[:8]


async def test_messages_from_elsewhere_can_fork(autojump_clock: trio.testing.MockClock) -> None:
    async with holder(BOB, LEFT[:6]) as bob:
        from ebt_trio import Message

        with pytest.raises(ForkDetected):
            await bob.add([Message(FEED, 7, RIGHT[6], SignedFormat())])
        assert FEED in bob.forks
        bob.resolve(FEED, "ours")
        with pytest.raises((ForkDetected, InvalidMessage)):
            await bob.add([Message(FEED, 7, RIGHT[6], SignedFormat())])
        assert await held(bob) == LEFT[:6]


async def test_what_cannot_be_resolved(autojump_clock: trio.testing.MockClock) -> None:
    async with holder(BOB, LEFT[:6]) as bob, holder(CAROL, RIGHT[:7]) as carol:
        with pytest.raises(LocalProtocolError, match="has not forked"):
            bob.resolve(FEED, "ours")
        async with bob.events() as events, connected(bob, carol):
            await forked(events)
        with pytest.raises(LocalProtocolError, match="'ours' or 'theirs'"):
            bob.resolve(FEED, "both")  # type: ignore[arg-type]


@pytest.mark.parametrize("keep", ["ours", "theirs"])
async def test_another_process_decides(keep: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    from ebt_trio.abc import Change

    path = tmp_path / "db"
    async with (
        EBT(BOB, await filled(LEFT[:6], SQLiteStore(path))) as bob,
        holder(CAROL, RIGHT[:7]) as carol,
        holder(DAVE, LEFT[:8]) as dave,
    ):
        bob.follow(FEED)
        await bob.flush()
        async with bob.events() as events, connected(bob, carol):
            await forked(events)
            await bob.flush()
            other = SQLiteStore(path)
            await other.open("signed")
            (fork,) = await other.forks()
            await other.update(
                Change(forks=[replace(fork, kept=keep)], forget=[FEED] if keep == "theirs" else []), keep_peers=9
            )
            await other.close()
            async with connected(bob, dave):
                wanted = LEFT[:8] if keep == "ours" else RIGHT[:7]
                with trio.fail_after(120):
                    await bob.wait_for({FEED: len(wanted)})
                assert await held(bob) == wanted
        assert bob.forks[FEED].kept == keep


async def test_another_process_finds_a_fork(tmp_path: Path) -> None:
    path = tmp_path / "db"
    async with EBT(BOB, await filled(LEFT[:6], SQLiteStore(path))) as bob:
        bob.follow(FEED)
        await bob.flush()
        async with (
            EBT(BOB, SQLiteStore(path)) as other,
            holder(CAROL, RIGHT[:7]) as carol,
            bob.events() as events,
            connected(other, carol),
        ):
            with trio.fail_after(120):
                event = await forked(events)
        assert (event.feed, event.peer) == (FEED, None)
        assert bob.status(FEED).forked

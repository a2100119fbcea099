"""What is remembered of a peer while it shakes hands."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from ebt_trio import EBT, FeedId, MemoryStore, RemoteProtocolError, StoreError
from ebt_trio.testing import connected


async def test_digests_are_ready_when_a_session_has_ended(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In portions, and not while it lasts: what changes again and again is hashed once."""
    monkeypatch.setattr("ebt_trio._saving.CLOCK_ROWS", 3)
    feeds = [FeedId(f"feed {number}") for number in range(10)]
    async with EBT("alice") as alice, EBT("bob") as bob:
        for feed in feeds:
            alice.follow(feed)
            bob.follow(feed)
        async with connected(alice, bob) as (session, _):
            await session.wait_ready()
            await session.wait_synced()
            await trio.sleep(10)  # all is saved
            assert [stale(peer) for peer in (alice, bob)] == [24, 24]  # with the two own ones, told and heard
        await trio.sleep(1)
        assert [stale(peer) for peer in (alice, bob)] == [0, 0]


def stale(peer: EBT) -> int:
    [memory] = peer._driver.core._room.memories._memories.values()
    return memory.told.stale.count(1) + memory.heard.stale.count(1)


async def test_what_was_dropped_in_mid_handshake_is_read_again(autojump_clock: trio.testing.MockClock) -> None:
    """Others may say HELLO meanwhile, so many that nothing of this one is kept in memory: RESUME has promised it."""
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        alice.follow("bob")
        for peer in (alice, bob):
            await peer.append_many(range(3))
        async with connected(alice, bob, delay=0.1) as (session, _):
            await session.wait_ready()
            await session.wait_synced()
        await trio.sleep(10)  # all is saved
        async with connected(alice, bob, delay=0.1) as (session, other):
            await trio.sleep(0.15)  # HELLO has come
            alice._driver.core._room.memories._memories.clear()
            await session.wait_ready()
            with trio.fail_after(2):
                await session.wait_synced()
            assert [status.acknowledged for status in alice.status("bob").peers] == [3]
            assert other.statistics().notes_sent == 0  # all is remembered


async def test_what_was_dropped_and_cannot_be_read_ends_the_session(autojump_clock: trio.testing.MockClock) -> None:
    store = Failing()
    async with EBT("alice", store) as alice, EBT("bob") as bob:
        alice.follow("bob")
        await bob.append("x")
        async with connected(alice, bob, delay=0.1) as (session, _):
            await session.wait_ready()
            await session.wait_synced()
        await trio.sleep(10)
        with pytest.raises(RemoteProtocolError, match="internal error"):
            with trio.fail_after(60):
                await again(alice, bob, store)


class Failing(MemoryStore):
    fails = False

    async def recall(self, *args, **options):  # type: ignore[no-untyped-def]
        if self.fails:
            raise StoreError("cannot be read")
        return await super().recall(*args, **options)


async def again(alice: EBT, bob: EBT, store: Failing) -> None:
    async with connected(alice, bob, delay=0.1) as (session, _):
        await trio.sleep(0.15)
        alice._driver.core._room.memories._memories.clear()
        store.fails = True
        await session.wait_closed()

"""What is in the store: loaded at the start, and noticed when another process changes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from ebt_trio import EBT, HandshakeError, MemoryStore, SQLiteStore
from ebt_trio._persisted import _load_follows
from ebt_trio.abc import Transport
from ebt_trio.core.types import FeedId, Run
from ebt_trio.testing import connected, link


async def test_everything_is_there_again(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore()
    async with EBT("alice", store) as alice:
        alice.follow("bob", last=3)
        alice.follow("carol")
        alice.unfollow("carol")
        alice.block("mallory")
        alice.block("mallory", origin="bob")
        alice.block("trent")
        alice.unblock("trent")
        await alice.append_many(range(3))
    async with EBT("alice", store) as alice:
        assert alice.clock == {"alice": 3}
        assert alice.follows == {"alice", "bob"}
        assert alice.blocks == {("mallory", None), ("mallory", "bob")}


async def test_more_feeds_than_a_page(autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebt_trio._persisted.PAGE", 7)
    store = MemoryStore()
    feeds = [f"feed{number}" for number in range(50)]
    async with EBT("alice", store) as alice:
        for feed in feeds:
            alice.follow(feed)
            await alice.append(1, feed=feed)
    async with EBT("alice", store) as alice:
        assert alice.clock == dict.fromkeys(feeds, 1)
        assert alice.follows == {"alice", *feeds}


async def refused(ebt: EBT, transport: Transport) -> None:
    with pytest.raises(HandshakeError, match="blocked"):
        async with ebt.session(transport):
            await trio.sleep_forever()


async def test_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "alice.db"
    with trio.fail_after(120):
        async with EBT("alice", SQLiteStore(path)) as node, EBT("bob") as bob, EBT("alice", SQLiteStore(path)) as tool:
            bob.follow("alice")
            near, far = link()
            async with node.session(near) as session, trio.open_nursery() as nursery:
                nursery.start_soon(refused, bob, far)
                await session.wait_ready()
                await tool.append_many(["from", "the", "tool"])
                await bob.wait_for({"alice": 3})
                tool.follow("bob")
                await tool.flush()
                await bob.append("x")
                await node.wait_for({"bob": 1})
                await tool.wait_for({"bob": 1})
                tool.unfollow("bob")
                tool.block("carol")
                await tool.flush()
                while "bob" in node.follows or not node.blocks:  # noqa: ASYNC110 - there is no event for it
                    await trio.sleep(0.01)
                tool.unblock("carol")
                tool.forget("bob")
                await tool.flush()
                while node.blocks or "bob" in node.clock:  # noqa: ASYNC110
                    await trio.sleep(0.01)
                tool.block("bob")
                await tool.flush()
                assert "blocked" in str(await session.wait_closed())


async def test_what_we_decide_is_not_undone_by_what_the_store_still_says(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Another process changes follows while ours are not written yet."""
    store = MemoryStore()
    async with EBT("alice", store) as alice:
        alice.follow("bob")
        await alice.flush()
        alice.unfollow("bob")
        alice.follow("carol")
        await _load_follows(alice._driver)
        assert alice.follows == {"alice", "carol"}


async def test_only_the_newest_messages(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob, EBT("carol") as carol:
        await alice.append_many(range(1, 101))
        bob.follow("alice", last=10)
        async with connected(alice, bob) as (session, _):
            await bob.wait_for({"alice": 100})
            assert [message.content for message in await bob.read("alice")] == list(range(91, 101))
            await alice.append(101)
            await session.wait_synced()
            assert (await bob.get("alice", 101)).content == 101
        carol.follow("alice")
        async with bob.subscribe(live=False) as messages:
            assert [message.sequence async for message in messages] == list(range(91, 102))
        async with carol.events() as events, connected(bob, carol):
            async for event in events:
                if event.what.value == "late":
                    assert (event.peer, event.feed) == ("bob", "alice")
                    break
        assert dict(carol.clock) == {}
        async with connected(alice, carol):
            await carol.wait_for({"alice": 101})
            assert len(await carol.read("alice", limit=1000)) == 101


async def test_a_store_that_lost_its_beginning_says_start(autojump_clock: trio.testing.MockClock) -> None:
    """The core learns of it when the messages cannot be read."""
    store = MemoryStore()
    async with EBT("alice", store) as alice, EBT("bob") as bob:
        await alice.append_many(range(10))
        bob.follow("alice", last=3)
        alice._driver.tail.drop(FeedId("alice"))
        payloads = [message.payload for message in await alice.read("alice", 6)]
        store._feeds.drop(FeedId("alice"))  # as if pruned behind our back
        await store.append([Run(FeedId("alice"), 6, payloads, late=True)])
        async with connected(alice, bob):
            await bob.wait_for({"alice": 10})
        assert [message.content for message in await bob.read("alice")] == [7, 8, 9]


async def test_reconnecting_with_nothing_new_sends_no_notes(autojump_clock: trio.testing.MockClock) -> None:
    stores = [MemoryStore(), MemoryStore()]
    for attempt in range(3):
        async with EBT("alice", stores[0]) as alice, EBT("bob", stores[1]) as bob:
            alice.follow("bob")
            bob.follow("alice")
            if not attempt:
                await alice.append_many(range(10))
                await bob.append_many(range(10))
            async with connected(alice, bob) as (ours, theirs):
                await ours.wait_synced()
                await theirs.wait_synced()
            if attempt:
                assert ours.statistics().notes_sent == theirs.statistics().notes_sent == 0
                assert ours.statistics().frames_sent <= 5  # HELLO, RESUME, an empty NOTES, PING or PONG, BYE
            assert alice.clock == bob.clock == {"alice": 10, "bob": 10}

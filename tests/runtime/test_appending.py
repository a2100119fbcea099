"""Appending: group commit, cancellation, who may append, other writers, and a store that fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from ebt_trio import (
    EBT,
    FeedBehind,
    Identity,
    Limits,
    LocalProtocolError,
    MemoryStore,
    Message,
    PlainFormat,
    SQLiteStore,
    StoreError,
)
from ebt_trio.abc import Change, Range
from ebt_trio.core.types import FeedHead, FeedId, Run
from ebt_trio.errors import ForkDetected, InvalidMessage
from ebt_trio.testing import connected, link


class Disk(MemoryStore):
    """A store that can be slow, or fail, on command; counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.failing = False
        self.failing_reads = False
        self.failing_close = False
        self.hold: trio.Event | None = None
        self.hold_reads: trio.Event | None = None
        self.appends: list[list[Run]] = []
        self.updates: list[Change] = []
        self.reads = 0

    async def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
        self.appends.append(list(runs))
        if self.hold is not None:
            await self.hold.wait()
        if self.failing:
            raise StoreError("disk full")
        return await super().append(runs)

    async def update(self, change: Change, *, keep_peers: int) -> None:
        if self.failing:
            raise StoreError("disk full")
        self.updates.append(change)
        await super().update(change, keep_peers=keep_peers)

    async def read(self, ranges: Sequence[Range], max_bytes: int) -> Sequence[Sequence[bytes]]:
        self.reads += 1
        if self.hold_reads is not None:
            await self.hold_reads.wait()
        if self.failing_reads:
            raise StoreError("cannot read")
        return await super().read(ranges, max_bytes)

    async def close(self) -> None:
        await super().close()
        if self.failing_close:
            raise StoreError("cannot close")


async def test_append_returns_the_message() -> None:
    async with EBT("alice") as alice:
        message = await alice.append({"n": 1})
        assert (message.feed, message.sequence, message.content) == ("alice", 1, {"n": 1})
        assert message == await alice.get("alice", 1)
        assert [m.sequence for m in await alice.append_many(["a", "b"])] == [2, 3]
        assert await alice.append_many([]) == ()
        assert (await alice.append("x", feed="other")).feed == "other"
        assert alice.clock == {"alice": 3, "other": 1}


async def test_concurrent_appends_share_a_commit() -> None:
    disk = Disk()
    async with EBT("alice", disk) as alice:
        messages: list[Message] = []

        async def append(number: int) -> None:
            messages.append(await alice.append(number))

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(append, number)
        assert len(disk.appends) <= 2
        assert sorted(message.sequence for message in messages) == list(range(1, 101))
        for message in messages:
            assert (await alice.get("alice", message.sequence)).content == message.content


async def test_append_is_cancellable_while_what_is_before_it_in_a_batch_is_looked_at() -> None:
    """It is in no queue any more then, and not handed to the store either."""
    disk = Disk()
    me, other = Identity.generate(), Identity.generate()
    async with EBT(other) as author:
        messages = [await author.append(number) for number in range(2)]
    async with EBT(me, disk) as alice:
        await alice.add(messages[:1])
    async with EBT(me, disk) as alice, trio.open_nursery() as nursery:
        disk.hold, disk.hold_reads = trio.Event(), trio.Event()
        nursery.start_soon(alice.append, "being written")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(alice.add, messages[1:])
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_while_reading, scope, disk.hold, disk.hold_reads)
            await alice.append("never")
        assert scope.cancelled_caught
        await alice.flush()
        assert alice.clock == {me.id: 1, other.id: 2}


async def _cancel_while_reading(scope: trio.CancelScope, hold: trio.Event, hold_reads: trio.Event) -> None:
    await trio.testing.wait_all_tasks_blocked()
    hold.set()
    await trio.testing.wait_all_tasks_blocked()
    assert hold_reads.statistics().tasks_waiting == 1
    try:
        scope.cancel()
    finally:
        hold_reads.set()


async def test_append_is_cancellable_until_it_is_handed_to_the_store(autojump_clock: trio.testing.MockClock) -> None:
    disk = Disk()
    async with EBT("alice", disk) as alice, trio.open_nursery() as nursery:
        disk.hold = trio.Event()
        nursery.start_soon(alice.append, "being written")
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1) as queued:
            await alice.append("never")
        assert queued.cancelled_caught
        disk.hold.set()
    async with EBT("alice", disk) as alice:
        disk.hold = trio.Event()
        with trio.move_on_after(1) as handed_over:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_set_later, disk.hold, 2)
                message = await alice.append("written")
        assert message.sequence == 2
        assert handed_over.cancel_called
        assert [m.content for m in await alice.read("alice")] == ["being written", "written"]


async def _set_later(event: trio.Event, seconds: float) -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)
    event.set()


async def test_content_and_sizes_are_checked() -> None:
    async with EBT("alice", limits=Limits(frame=5000)) as alice:
        with pytest.raises(LocalProtocolError, match="cannot encode"):
            await alice.append(object())
        with pytest.raises(LocalProtocolError, match="frame"):
            await alice.append(b"x" * 5000)
        with pytest.raises(LocalProtocolError):
            await alice.append_many(["good", object()])
        with pytest.raises(LocalProtocolError, match="feed id"):
            await alice.append("x", feed="")
        assert dict(alice.clock) == {}
        await alice.append("still works")


async def test_a_restored_backup_cannot_fork(autojump_clock: trio.testing.MockClock) -> None:
    """Bob has our messages, we have lost them: appending waits until they have been fetched back."""
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        await alice.append_many(["one", "two"])
        async with connected(alice, bob):
            await bob.wait_for({"alice": 2})
        await bob.append("not of interest")
        async with EBT("alice") as restored, connected(restored, bob, delay=0.05) as (session, _):
            await session.wait_ready()
            # until the note has come; the messages take another 0.1 s
            while not (peers := restored.status("alice").peers) or not peers[0].acknowledged:  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert dict(restored.clock) == {}
            with pytest.raises(FeedBehind, match="2 messages"):
                await restored.append("a fork")
            await restored.wait_for({"alice": 2})
            assert (await restored.append("three")).sequence == 3


async def test_two_processes_append_to_one_feed(tmp_path: Path) -> None:
    """Neither takes the other's sequence, or loses its own message."""
    path = tmp_path / "alice.db"
    async with EBT("alice", SQLiteStore(path)) as one, EBT("alice", SQLiteStore(path)) as other:
        sequences: list[int] = []

        async def append(ebt: EBT, name: str) -> None:
            for _ in range(50):
                sequences.append((await ebt.append(name)).sequence)

        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(append, one, "one")
                nursery.start_soon(append, other, "other")
            await one.wait_for({"alice": 100})
        assert sorted(sequences) == list(range(1, 101))
        contents = [message.content for message in await one.read("alice")]
        assert (contents.count("one"), contents.count("other")) == (50, 50)


async def test_add(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("source") as source, EBT("alice") as alice:
        messages = [*await source.append_many(range(10)), *await source.append_many("ab", feed="other")]
        assert await alice.add(messages[2:4]) == 0  # a gap
        assert await alice.add([*messages[1:3], messages[0], messages[5], messages[10]]) == 4
        assert alice.clock == {"source": 3, "other": 1}
        assert await alice.add(messages) == 8
        assert await alice.add(messages) == 0
        assert [m.content for m in await alice.read("source")] == list(range(10))


async def test_notify(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore()
    async with EBT("alice", store) as alice, EBT("bob") as bob:
        bob.follow("alice")
        async with connected(alice, bob):
            await store.append([Run(FeedId("alice"), 1, [b"\x01", b"\x02"])])
            alice.notify("alice", 2)
            await bob.wait_for({"alice": 2})


# -- a failing store


async def test_append_tells_of_a_failing_store_and_works_afterwards() -> None:
    disk = Disk()
    async with EBT("alice", disk) as alice, alice.events() as events:
        disk.failing = True
        with pytest.raises(StoreError, match="disk full"):
            await alice.append("lost")
        assert (await anext(events)).what.value == "store failed"
        disk.failing = False
        assert (await alice.append("kept")).sequence == 1


async def test_what_a_failing_store_did_not_take_is_fetched_again(autojump_clock: trio.testing.MockClock) -> None:
    disk = Disk()
    async with EBT("alice") as alice, EBT("bob", disk) as bob:
        bob.follow("alice")
        await alice.append_many(range(100))
        disk.failing = True
        async with connected(alice, bob, delay=0.01) as (session, _):
            await trio.sleep(20)
            assert dict(bob.clock) == {}
            assert session.is_ready
            disk.failing = False
            await bob.wait_for({"alice": 100})


async def test_one_bad_run_does_not_fail_the_others(autojump_clock: trio.testing.MockClock) -> None:
    class Picky(PlainFormat):
        def validate(self, run: Run, previous: bytes | None) -> None:
            if run.feed == "bad":
                raise InvalidMessage("bad from the start")

    async with EBT("alice") as alice, EBT("bob", format=Picky()) as bob:
        for feed in ("bad", "good", "better"):
            alice.follow(feed)
            bob.follow(feed)
            await alice.append_many(range(10), feed=feed)
        async with bob.events() as events, connected(alice, bob) as (session, _):
            await bob.wait_for({"good": 10, "better": 10})
            async for event in events:
                if event.what.value == "invalid":
                    assert (event.peer, event.feed, event.detail) == ("alice", "bad", "bad from the start")
                    break
            await trio.sleep(30)
            assert bob.clock == {"good": 10, "better": 10}
            assert session.is_ready


async def test_a_fork_is_reported_as_one(autojump_clock: trio.testing.MockClock) -> None:
    class Suspicious(PlainFormat):
        def validate(self, run: Run, previous: bytes | None) -> None:
            raise ForkDetected("two messages 1")

    async with EBT("alice") as alice, EBT("bob", format=Suspicious()) as bob:
        bob.follow("alice")
        await alice.append(1)
        async with bob.events() as events, connected(alice, bob):
            whats = []
            async for event in events:
                whats.append(event.what.value)
                if "forked" in whats and "invalid" in whats:
                    break


async def test_a_format_is_given_the_payload_before(autojump_clock: trio.testing.MockClock) -> None:
    class Chained(PlainFormat):
        """Each payload ends with the first byte of the one before."""

        needs_previous = True

        def encode(self, feed: FeedId, sequence: int, content: Any, previous: bytes | None) -> bytes:
            return bytes([content]) + (previous or b"?")[:1]

        def validate(self, run: Run, previous: bytes | None) -> None:
            for payload in run.payloads:
                if payload[1:] != (previous or b"?")[:1]:
                    raise InvalidMessage(f"expected {previous!r} before {payload!r}")
                previous = payload

        def decode(self, feed: FeedId, sequence: int, payload: bytes) -> Any:
            return payload[0]

    store = MemoryStore()
    async with EBT("alice", store, format=Chained()) as alice, EBT("bob", format=Chained()) as bob:
        bob.follow("alice")
        async with connected(alice, bob):
            async with trio.open_nursery() as nursery:
                for number in range(10):
                    nursery.start_soon(alice.append, number)
            await alice.append_many(range(50))
            await bob.wait_for({"alice": 60})
    async with EBT("alice", store, format=Chained()) as alice:  # nothing is in memory now
        await alice.append(7)
        chain = [message.payload for message in await alice.read("alice")]
        Chained().validate(Run(FeedId("alice"), 1, chain), None)


async def test_reads_that_fail_are_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    disk = Disk()
    async with EBT("alice", disk) as alice:
        await alice.append_many(range(10))
    async with EBT("alice", disk) as alice, EBT("bob") as bob:  # nothing is in memory now
        bob.follow("alice")
        disk.failing_reads = True
        async with connected(alice, bob):
            await trio.sleep(1.5)
            assert dict(bob.clock) == {}
            assert disk.reads < 10
            disk.failing_reads = False
            await bob.wait_for({"alice": 10})


async def test_live_forwarding_does_not_read_the_store(autojump_clock: trio.testing.MockClock) -> None:
    disk = Disk()
    async with EBT("alice", disk) as alice, EBT("bob") as bob:
        bob.follow("alice")
        async with connected(alice, bob):
            for number in range(20):
                await alice.append(number)
                await bob.wait_for({"alice": number + 1})
        assert disk.reads == 0


async def test_follows_are_saved_when_the_store_works_again(autojump_clock: trio.testing.MockClock) -> None:
    disk = Disk()
    async with EBT("alice", disk) as alice:
        disk.failing = True
        alice.follow("bob")
        alice.follow("carol", last=5)
        alice.block("mallory")
        with pytest.raises(StoreError, match="disk full"):
            await alice.flush()
        alice.unfollow("bob")
        await trio.sleep(10)
        disk.failing = False
        await trio.sleep(10)
        assert [change.follow for change in disk.updates] == [{"carol": 5}]
        assert [list(change.unfollow) for change in disk.updates] == [["bob"]]
    async with EBT("alice", disk) as alice:
        assert alice.follows == {"alice", "carol"}
        assert alice.blocks == {("mallory", None)}


async def test_a_store_that_fails_on_the_way_out() -> None:
    disk = Disk()
    with pytest.raises(StoreError, match="disk full"):  # noqa: PT012 - the block belongs to it
        async with EBT("alice", disk) as alice:
            alice.follow("bob")
            disk.failing = True
    disk.failing, disk.failing_close = False, True
    with pytest.raises(StoreError, match="cannot close"):
        async with EBT("alice", disk):
            pass
    with pytest.raises(ValueError, match="mine") as caught:
        async with EBT("alice", disk):
            raise ValueError("mine")
    assert any("cannot close" in note for note in caught.value.__notes__)


async def test_a_store_that_breaks_the_contract_ends_the_ebt_and_nobody_waits_for_ever() -> None:
    class Broken(MemoryStore):
        async def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
            await trio.lowlevel.checkpoint()
            return []

    with pytest.raises(ValueError, match="zip"):  # noqa: PT012 - the block belongs to it
        async with EBT("alice", Broken()) as alice:
            with pytest.raises(StoreError):
                await alice.append("x")
            await trio.sleep_forever()


async def test_forget(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        await alice.append_many(range(5))
        async with connected(alice, bob) as (session, _):
            await bob.wait_for({"alice": 5})
            bob.forget("alice")
            assert "alice" not in bob.follows
            await bob.flush()
            assert dict(bob.clock) == {}
            with pytest.raises(LocalProtocolError, match="not stored"):
                await bob.get("alice", 1)
            await alice.append("not for bob")
            await session.wait_synced()
            assert dict(bob.clock) == {}
            bob.follow("alice")
            await bob.wait_for({"alice": 6})
            assert len(await bob.read("alice")) == 6


async def test_our_own_feed_stays() -> None:
    async with EBT("alice") as alice:
        assert alice.follows == {"alice"}
        for refused in (alice.unfollow, alice.forget, alice.block):
            with pytest.raises(LocalProtocolError):
                refused("alice")
        with pytest.raises(LocalProtocolError):
            alice.follow("bob", last=0)


async def test_outside_of_its_block_an_ebt_says_no(autojump_clock: trio.testing.MockClock) -> None:
    alice = EBT("alice")
    with pytest.raises(LocalProtocolError, match="not open"):
        alice.follow("bob")
    async with alice:
        pass
    near, _ = link()
    with pytest.raises(LocalProtocolError, match="not open"):
        await alice.append("x")
    with pytest.raises(LocalProtocolError, match="not open"):
        alice.session(near)
    with pytest.raises(LocalProtocolError, match="once"):
        async with alice:
            pass
    with pytest.raises(LocalProtocolError, match="str"):
        EBT(5)  # type: ignore[arg-type]


async def test_who_waits_when_the_ebt_is_left_is_told(autojump_clock: trio.testing.MockClock) -> None:
    outcomes: list[str] = []

    async def wait(alice: EBT) -> None:
        with pytest.raises(LocalProtocolError, match="not open"):
            await alice.wait_for({"bob": 1})
        outcomes.append("wait_for")

    async def listen(alice: EBT) -> None:
        async with alice.subscribe() as messages:
            with pytest.raises(LocalProtocolError, match="not open"):
                await anext(messages)
        outcomes.append("subscribe")

    async def events(alice: EBT) -> None:
        async with alice.events() as events:
            async for _ in events:
                pass
        async with alice.progress_changes() as changes:
            async for _ in changes:
                pass
        outcomes.append("events")

    async with trio.open_nursery() as nursery, EBT("alice") as alice:
        for waiting in (wait, listen, events):
            nursery.start_soon(waiting, alice)
        await trio.sleep(1)
    assert sorted(outcomes) == ["events", "subscribe", "wait_for"]

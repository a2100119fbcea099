"""subscribe, events, progress, statistics, wait_synced: what a user sees while peers talk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio

from ebt_trio import EBT, MemoryStore, Progress, SessionClosed, StoreError, TransportError, What
from ebt_trio._events import BACKLOG
from ebt_trio.core.types import Range
from ebt_trio.testing import connected, link

# -- subscribe


async def test_subscribe_delivers_all_in_order_then_live(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice", MemoryStore()) as alice:
        await alice.append_many(range(1000))
        async with alice.subscribe() as messages:
            for number in range(1000):
                assert (await anext(messages)).content == number
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.append_many, ["live"])
                assert (await anext(messages)).content == "live"
            await alice.append("later feed", feed="other")
            assert (await anext(messages)).feed == "other"


async def test_subscribe_to_some_feeds_after_a_clock(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice:
        for feed in ("a", "b", "c"):
            await alice.append_many(range(1, 11), feed=feed)
        seen: dict[str, list[int]] = {"a": [], "b": []}
        async with alice.subscribe("a", "b", after={"a": 7, "b": 20}, live=False) as messages:
            async for message in messages:
                seen[message.feed].append(message.content)
        assert seen == {"a": [8, 9, 10], "b": []}


async def test_subscribe_ends_with_what_was_there(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice:
        await alice.append_many(range(500))
        count = 0
        async with alice.subscribe(live=False) as messages:
            await alice.append("too late")
            await alice.append("too late", feed="too")
            async for message in messages:
                count += 1
                if count % 100 == 0:
                    await alice.append("much too late")
                assert message.content == count - 1
        assert count == 500


async def test_subscribe_is_fair(autojump_clock: trio.testing.MockClock) -> None:
    """A long feed does not keep a short one waiting."""
    async with EBT("alice") as alice:
        await alice.append_many([bytes(100)] * 20_000, feed="long")
        for number in range(10):
            await alice.append("x", feed=f"short {number}")
        async with alice.subscribe(live=False) as messages:
            first = [(await anext(messages)).feed for _ in range(2000)]
        counts = Counter(first)
        assert sum(counts[feed] for feed in counts if feed != "long") == 10


async def test_subscribe_takes_turns_with_more_feeds_than_fit_a_turn(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice:
        for number in range(100):
            await alice.append_many(range(300), feed=f"feed {number:02}")
        done: list[str] = []
        begun: set[str] = set()
        async with alice.subscribe(live=False) as messages:
            async for message in messages:
                begun.add(message.feed)
                if message.content == 299:
                    assert len(begun) == 100, "one was finished before all had begun"
                    done.append(message.feed)
        assert len(done) == 100


async def test_subscribe_under_way_when_messages_come_in(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        await alice.append_many(range(3000))
        async with bob.subscribe("alice") as messages, connected(alice, bob, delay=0.01):
            for number in range(3000):
                message = await anext(messages)
                assert (message.sequence, message.content) == (number + 1, number)


async def test_subscribe_goes_on_after_a_failed_read() -> None:
    class Disk(MemoryStore):
        failing = False

        async def read(self, ranges: Sequence[Range], max_bytes: int) -> Sequence[Sequence[bytes]]:
            if self.failing:
                raise StoreError("cannot read")
            return await super().read(ranges, max_bytes)

    disk = Disk()
    async with EBT("alice", disk) as alice:
        await alice.append_many(range(10))
    async with EBT("alice", disk) as alice, alice.subscribe() as messages:
        disk.failing = True
        with pytest.raises(StoreError, match="cannot read"):
            await anext(messages)
        disk.failing = False
        assert [(await anext(messages)).content for _ in range(10)] == list(range(10))


# -- events and progress


async def test_events_tell_the_story(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        await alice.append("x")
        async with bob.events() as events:
            async with connected(alice, bob):
                await bob.wait_for({"alice": 1})
                await alice.wait_synced()  # which has bob acknowledge
            story = []
            async for event in events:
                story.append((event.what, event.peer, event.feed))
                if event.what is What.DISCONNECTED:
                    break
    assert story[0] == (What.CONNECTED, "alice", None)
    assert (What.GRAFTED, "alice", "alice") in story
    assert (What.SYNCED, "alice", None) in story
    assert str(event) == "disconnected, peer alice"


async def test_events_are_lossy_and_say_so(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, alice.events() as events:
        for number in range(BACKLOG + 50):
            alice._driver.report(What.FAILED, str(number))
        first, second = await anext(events), await anext(events)
        assert (first.detail, first.lost) == ("50", 50)
        assert (second.detail, second.lost) == ("51", 0)


async def test_progress_for_a_bar(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        assert bob.progress() == Progress(0, 0, 0, 0, 0, 0, 1.0)
        await alice.append_many([bytes(200)] * 20_000)
        seen: list[Progress] = []
        near, far = link(delay=0.02, capacity=1)
        async with alice.session(near), bob.session(far) as session, bob.progress_changes() as changes:
            await session.wait_ready()
            async for progress in changes:
                seen.append(progress)
                if progress.fraction == 1.0:
                    break
            assert bob.clock == {"alice": 20_000}
            assert session.progress().fraction == 1.0
        fractions = [progress.fraction for progress in seen]
        assert fractions == sorted(fractions)
        assert len(fractions) > 3
        assert 20_000 <= max(progress.total for progress in seen) <= 20_001  # with one unknown feed
        assert seen[-1].recv == 0


async def test_statistics_add_up(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        await alice.append_many(range(100))
        async with connected(alice, bob) as (ours, theirs):
            await ours.wait_synced()
        mine, yours = ours.statistics(), theirs.statistics()
        assert (mine.messages_sent, yours.messages_received) == (100, 100)
        assert (mine.frames_sent, mine.bytes_sent) == (yours.frames_received, yours.bytes_received)
        assert 100 < mine.bytes_sent < 2000
        assert alice.statistics().messages_sent == 100
        assert alice.statistics().frames_sent == mine.frames_sent
        async with connected(alice, bob) as (again, _):
            await again.wait_synced()
        assert alice.statistics().frames_sent == mine.frames_sent + again.statistics().frames_sent


async def test_status(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        await alice.append("x")
        async with connected(alice, bob) as (session, _):
            await session.wait_synced()
            ours, theirs = alice.status("alice"), bob.status("alice")
            assert (ours.sequence, ours.peers[0].peer, ours.peers[0].acknowledged) == (1, "bob", 1)
            assert (theirs.sequence, theirs.owner) == (1, "alice")
        assert bob.status("nobody knows").sequence == 0


# -- wait_synced


async def test_wait_synced_returns_under_live_traffic(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob, trio.open_nursery() as nursery:
        alice.follow("bob")
        bob.follow("alice")

        async def talk(ebt: EBT) -> None:
            while True:
                await ebt.append("blah")
                await trio.sleep(0.003)

        async with connected(alice, bob, delay=0.1) as (session, _):
            await session.wait_ready()
            nursery.start_soon(talk, alice)
            nursery.start_soon(talk, bob)
            for _ in range(5):
                await trio.sleep(0.5)
                promised, began = alice.clock["alice"], trio.current_time()
                await alice.wait_synced()
                assert bob.clock["alice"] >= promised
                assert trio.current_time() - began < 1.0
            nursery.cancel_scope.cancel()


async def test_wait_synced_does_not_wait_for_held_acks(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        async with connected(alice, bob, delay=0.01) as (session, _):
            await session.wait_synced()
            await trio.sleep(5)
            began = trio.current_time()
            await alice.append("x")
            await alice.wait_synced()
            assert bob.clock == {"alice": 1}
            assert trio.current_time() - began < 0.2


async def test_wait_synced_without_sessions(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice:
        await alice.append("x")
        await alice.wait_synced()
        assert trio.current_time() == 0


async def test_a_session_that_never_gets_ready_does_not_hold_up_the_ebt(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob, trio.open_nursery() as nursery:

        async def silent() -> None:
            near, _ = link()
            with pytest.raises(Exception, match="HELLO"):
                async with alice.session(near):
                    await trio.sleep_forever()

        nursery.start_soon(silent)
        bob.follow("alice")
        await alice.append("x")
        async with connected(alice, bob):
            await trio.testing.wait_all_tasks_blocked()
            assert len(alice.sessions) == 2
            await alice.wait_synced()
            assert bob.clock == {"alice": 1}


async def test_waiting_on_a_session_that_breaks(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, trio.open_nursery() as nursery:
        near, _ = link(delay=10)
        outcomes: list[str] = []

        async def watch(name: str, wait: Callable[[], Awaitable[object]]) -> None:
            try:
                await wait()
            except SessionClosed as exc:
                outcomes.append(f"{name}: {exc.reason.code}")

        with pytest.raises(TransportError):  # noqa: PT012 - the block belongs to it
            async with alice.session(near) as session:
                nursery.start_soon(watch, "ready", session.wait_ready)
                nursery.start_soon(watch, "synced", session.wait_synced)
                await trio.sleep(1)
                near.cut()
                await trio.sleep_forever()
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(outcomes) == ["ready: None", "synced: None"]

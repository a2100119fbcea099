"""Defects of the reference that are too much work: counted in events, frames and calls, never in seconds.

The numbers are those of the list in ``docs/scenarios.md``. "Seen to fail" says what was broken to see the test bite.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from ebt_trio.core.types import FeedId
from ebt_trio.testing.simulation import Simulation


class Calls:
    """Counts calls of Python functions of the core inside a ``with`` block."""

    def __enter__(self) -> Calls:
        self.count = 0
        self._before = sys.getprofile()
        sys.setprofile(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(self._before)

    def _called(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and "/core/" in frame.f_code.co_filename:
            self.count += 1


# -- 22: an idle scan of all feeds × peers


@pytest.mark.parametrize("feeds", [1, 300])
def test_22_an_idle_peer_does_nothing(feeds: int) -> None:
    """In sync with five peers: no deadline, no event, no call, whether there is one feed or hundreds.

    Seen to fail: Ownership._settle leaves a deadline.
    """
    sim = Simulation(check=False, trace=False)
    names = [f"f{number}" for number in range(feeds)]
    hub = sim.peer("hub", follow=names)
    for feed in names:
        hub.append(1, feed=feed)
    for number in range(5):
        sim.peer(f"p{number}", follow=names)
        sim.connect("hub", f"p{number}")
    sim.settle()
    assert sim.differences() == []
    for peer in sim.peers.values():
        assert peer.core.next_deadline() is None
    events = sim.events
    with Calls() as calls:
        sim.run(3600.0)
    assert sim.events == events
    assert calls.count == 0


def test_22_a_change_costs_what_it_concerns(sim: Simulation) -> None:
    """One message in a network with hundreds of idle feeds takes as many calls as in one with ten.

    Seen to fail: Storing._advance looks at all feeds.
    """
    costs: list[int] = []
    for feeds in (10, 300):
        sim = Simulation(check=False, trace=False)
        names = [f"f{number}" for number in range(feeds)]
        hub = sim.peer("hub", follow=names)
        for number in range(5):
            sim.peer(f"p{number}", follow=names)
            sim.connect("hub", f"p{number}")
        for _ in range(3):
            hub.append(1, feed="f0")
            sim.settle()
        with Calls() as calls:
            hub.append(1, feed="f0")
            sim.settle()
        costs.append(calls.count)
    assert costs[1] <= costs[0] * 1.1


# -- 25: the note storm


@pytest.mark.parametrize("latency", [0.005, 0.04, 0.2])
def test_25_no_note_storm(latency: float) -> None:
    """100 messages per second; alice and bob have them from the author, the link between them carries only notes.

    Whatever the latency and however long: no sequence is told twice, so there are never two notes per message.
    Seen to fail: Hearing._note answers every lazy note that is below our head (behind without told and cursor).
    """
    sim = Simulation(latency=0.01, check=False)
    author = sim.peer("author")
    for name in ("alice", "bob"):
        sim.peer(name, follow=["author"])
        sim.connect("author", name)
    sim.connect("alice", "bob", latency=latency)
    sim.settle()
    for _ in range(4):
        sim.count_anew()
        for _ in range(300):
            author.append()
            sim.run(0.01)
        for way in ("alice>bob", "bob>alice"):
            notes = sim.said(way, "notes")
            assert len(notes) == len(set(notes)) <= 300
        assert sim.duplicates() == 0
    sim.settle()
    assert sim.differences() == []


# -- 26: one read in flight per feed and peer; 20: nothing is buffered that the link does not take


def test_26_reads_are_ranges(sim: Simulation) -> None:
    """5,000 messages are read in ranges of up to 512, not one by one: the time of a read does not bound the rate.

    Seen to fail: RANGE_MESSAGES = 1.
    """
    sim.batch = 5000
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(5000)
    read, reads = alice.store.read, 0

    def counted(feed: FeedId, first: int, limit: int) -> list[bytes]:
        nonlocal reads
        reads += 1
        return read(feed, first, limit)

    alice.store.read = counted  # type: ignore[method-assign]
    sim.connect("alice", "bob")
    sim.settle()
    assert bob.clock == {"alice": 5000}
    assert reads <= 10


def test_20_a_slow_link_is_sent_no_more_than_it_takes(sim: Simulation) -> None:
    """20,000 messages for a link that takes ten per second: what is not asked for by the transport stays in the store.

    Seen to fail: the simulated writer asks for more before the last frame has gone (End.wake without busy_until).
    """
    sim.batch = 10
    alice = sim.peer("alice")
    sim.peer("bob", follow=["alice"])
    sim.connect("alice", "bob", rate=10)
    sim.run(1.0)
    for _ in range(200):
        alice.append(100)
        sim.run(0.05)
    assert sim.now == pytest.approx(11.0)
    assert sim.frames["payloads"] <= 10 * 10 + 2 * sim.batch
    link = alice.core.link(next(iter(alice.ends)))
    assert link is not None
    assert len(link.ready) + len(link.pending) + len(link.held) + len(link.owed) <= 2  # per feed, not per message


# -- 29: draining a long queue is super-linear


def test_29_work_per_message_does_not_grow(sim: Simulation) -> None:
    """Sixteen times the messages take sixteen times the calls, sender and receiver together.

    Seen to fail: outgoing.commit does something for each message that was sent before.
    """
    costs: dict[int, int] = {}
    for messages in (1000, 16_000):
        sim = Simulation(check=False, trace=False)
        alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
        alice.append(messages)
        with Calls() as calls:
            sim.connect("alice", "bob")
            sim.settle()
        assert bob.clock == {"alice": messages}
        costs[messages] = calls.count
    assert costs[16_000] <= 16 * costs[1000]

"""Defects of the reference around messages: early ones, failed ones, deep ones; and around consent.

The numbers are those of the list in ``docs/scenarios.md``. "Seen to fail" says what was broken to see the test bite.
"""

from __future__ import annotations

import sys

import pytest

from ebt_trio.core.actions import What
from ebt_trio.core.config import Config
from ebt_trio.core.types import FeedId, Run
from ebt_trio.testing.simulation import Simulation

ALICE, FEED = FeedId("alice"), FeedId("feed")


# -- 5: a message before its note


@pytest.mark.parametrize("first", [1, 2, 4, 9], ids=["next", "gap of one", "gap", "far ahead"])
def test_5_a_message_before_its_note(seeded: Simulation, first: int) -> None:
    """Messages of a feed come before any note about it: taken if next, else dropped; then the session goes on as ever.

    Seen to fail: Hearing._run raises heard without ``highest``; or it does nothing about a gap.
    """
    sim = seeded
    sim.peer("bob", follow=["feed"])
    alice = sim.peer("alice", follow=["feed"])
    link = sim.connect("alice", "bob")
    link.a.send_raw("messages", [Run(FEED, first, [b"feed:%d" % first])])
    sim.run(0.5)
    alice.append(12, feed="feed")
    sim.settle()
    assert sim.peers["bob"].clock == alice.clock
    assert alice.clock[FEED] >= 12


# -- 9: a failed read stalls the feed


def test_9_a_failed_read_is_tried_again(seeded: Simulation) -> None:
    """In mid-transfer a read fails; once the store can be read again the feed goes on, unasked.

    Seen to fail: Storing.read_failed forgets the feed without putting it off (caught by the invariant "push", too).
    """
    sim = seeded
    sim.batch = 4
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(100)
    sim.connect("alice", "bob", rate=200)
    sim.run(0.4)
    alice.unreadable.add(ALICE)
    sim.run(sim.rng.uniform(0.1, 1.2))
    sim.count_anew()
    alice.unreadable.clear()
    sim.run(2.0)
    assert bob.clock == {"alice": 100}
    assert sim.said("bob>alice", "notes") == []


# -- 14: any append error blocks an innocent peer


def test_14_errors_of_our_own_store_are_nobodys_fault(seeded: Simulation) -> None:
    """The disk fails for a while, duplicates arrive: nothing is blocked, refused or penalised, here or after a restart.

    Seen to fail: Storing.append_failed refuses the feed from that peer whatever the error is.
    """
    sim = seeded
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(5)
    link = sim.connect("alice", "bob")
    sim.settle()
    link.a.send_raw("messages", [Run(ALICE, 2, [b"alice:2", b"alice:3"])])
    bob.store_broken = True
    alice.append(3)
    sim.run(sim.rng.uniform(0.5, 8.0))
    bob.store_broken = False
    sim.settle()
    assert bob.clock == {"alice": 8}
    assert not bob.core.blocks
    assert not bob.store.blocks
    assert bob.reports[What.INVALID] == bob.reports[What.STALLED] == 0


# -- 11, 12, 13: consent


def test_11_unfollow_is_told_and_ends_the_stream(seeded: Simulation) -> None:
    """300 messages under way, then unfollow: the remote stops within a round trip.

    Seen to fail: Room.decline says nothing.
    """
    sim = seeded
    sim.batch = 1
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(300)
    link = sim.connect("alice", "bob", rate=200, jitter=0.0)
    sim.run(4 * link.latency + 0.3)
    bob.unfollow("alice")
    before = sim.frames["payloads"]
    sim.settle()
    assert before < 300
    assert sim.frames["payloads"] <= before + 200 * link.latency + 2
    alice.append(5)
    sim.settle()
    assert sim.frames["payloads"] <= before + 200 * link.latency + 2


def test_12_block_ends_sending(seeded: Simulation) -> None:
    """300 messages under way to bob, whom alice then blocks from her feed: not one more is sent.

    Seen to fail: Following.block does not decline (the invariants find it, too).
    """
    sim = seeded
    sim.batch = 1
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(300)
    link = sim.connect("alice", "bob", rate=200)
    sim.run(4 * link.latency + 0.3)
    alice.block("bob", origin="alice")
    before = sim.frames["payloads"]
    sim.settle()
    assert sim.frames["payloads"] == before < 300
    assert bob.clock.get(ALICE, 0) == before


def test_13_unblock_works_while_connected(seeded: Simulation) -> None:
    """Blocked in mid-transfer, unblocked at any moment after it: the rest comes over the same session.

    Seen to fail: Following.unblock does not welcome the feed again.
    """
    sim = seeded
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(100)
    link = sim.connect("alice", "bob", rate=200)
    sim.run(4 * link.latency + 0.2)
    alice.block("bob", origin="alice")
    sim.run(sim.rng.choice([0.0, 0.01, 0.1, 1.0]))
    alice.unblock("bob", origin="alice")
    sim.settle()
    assert link.open
    assert bob.clock == {"alice": 100}


# -- 16, 17: what a remote can do to the core


def test_16_anything_before_anything(sim: Simulation) -> None:
    """Messages, notes, ACKs and STARTs for feeds that nobody spoke of change nothing and raise nothing.

    Seen to fail: Hearing.acks looks the feed up as if it were known.
    """
    alice = sim.peer("alice", follow=["feed"])
    sim.peer("mallory")
    link = sim.connect("alice", "mallory")
    sim.peers["mallory"].mute()
    for _ in range(2):
        for feed in ("feed", "unknown", "__proto__", ""):
            link.b.send_raw("messages", [Run(FeedId(feed), 7, [b""]), Run(FeedId(feed), 3, [])])
            link.b.send_raw("acks", {FeedId(feed): 2**62 - 1})
            link.b.send_raw("start", {FeedId(feed): 2**62 - 1})
            link.b.send_raw("notes", {FeedId(feed): -1})
            link.b.send_raw("notes", {FeedId(feed): 2**63 - 1})
            link.b.send_raw("acks", {FeedId(feed): 0})
        sim.run(5.0)
    assert alice.clock == {}
    sim.peer("bob", follow=["feed"]).append(3, feed="feed")
    sim.connect("alice", "bob")
    sim.run(60.0)
    assert alice.clock == {"feed": 3}


def test_17_names_are_not_remembered_without_bound() -> None:
    """A peer names ten thousand feeds, a hundred are remembered; the others are declined as well, and work if wanted.

    Seen to fail: Config.strangers is not looked at.
    """
    sim = Simulation(latency=0.01, config=Config(strangers=100))
    alice = sim.peer("alice", follow=["feed"])
    sim.peer("mallory")
    link = sim.connect("alice", "mallory")
    sim.peers["mallory"].mute()
    for number in range(100):
        link.b.send_raw("notes", {FeedId(f"__proto__{number}/{i}"): 1 for i in range(100)})
        sim.run(0.1)
    assert len(alice.core.feeds) <= 100 + 2
    assert len(alice.core.link(link.a.session).told) <= 100 + 2
    alice.save()
    assert sum(map(len, alice.store.clocks.values())) <= 100 + 2
    declined = [entry for line in sim.said("alice>mallory", "notes") for entry in line.split() if "declined" in entry]
    assert len(declined) == len(set(declined)) == 10_000

    bob = sim.peer("bob", follow=["another"])
    bob.append(3, feed="another")
    sim.connect("alice", "bob")
    sim.run(2.0)
    assert alice.clock == {}
    alice.follow("another")
    sim.run(2.0)
    assert alice.clock == {"another": 3}


def test_17_the_hook_is_asked_about_every_stranger() -> None:
    sim = Simulation(config=Config(strangers=0))
    alice = sim.peer("alice", should_replicate=lambda feed, peer: feed == "bob")
    bob = sim.peer("bob", follow=["other"])
    bob.append(2)
    sim.connect("alice", "bob")
    sim.settle()
    assert alice.clock == {"bob": 2}
    assert sim.said("alice>bob", "notes")[2:] == ["bob=0,eager other=declined"]


# -- 21: recursion


def test_21_three_thousand_messages_do_not_nest(sim: Simulation) -> None:
    """A store that answers at once, a message a frame: the stack stays as deep as it was.

    Seen to fail: a Wake is answered at once, from within handle (End.wake calls _pump).
    """
    sim = Simulation(latency=0.001, store_delay=0.0, batch=1)
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(3000)
    depth, limit = 0, sys.getrecursionlimit()
    frame = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(depth + 60)
    try:
        sim.connect("alice", "bob")
        sim.settle()
    finally:
        sys.setrecursionlimit(limit)
    assert bob.clock == {"alice": 3000}

"""Who says what, and how often: answers, announcements, and exact counts of traffic."""

from __future__ import annotations

from collections import Counter

import pytest

from ebt_trio.core.types import FeedId
from ebt_trio.testing.simlink import End
from ebt_trio.testing.simulation import Simulation


@pytest.mark.parametrize("messages", [0, 1, 7, 64, 500])
def test_exact_counts_between_two_peers(steady: Simulation, messages: int) -> None:
    """M messages: M payloads, and five NOTES frames with four entries, whatever M is.

    Each side's initial notes are one frame and an empty one; the fifth declines the feed that only its author follows.
    """
    sim = steady
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    if messages:
        alice.append(messages)
    sim.connect("alice", "bob")
    sim.settle()
    assert sim.said("alice>bob", "notes") == [f"alice={messages},lazy", "", "bob=declined"]
    assert sim.said("bob>alice", "notes") == ["bob=0,lazy alice=0,eager", ""]
    assert sim.frames["payloads"] == messages
    assert sim.frames["acks"] == (messages > 0)
    assert sim.frames["note entries"] == 4
    assert bob.store.feeds == alice.store.feeds


def test_exact_counts_live(steady: Simulation) -> None:
    """In sync, then M messages one by one: M payloads, no note at all; ACKs are coalesced."""
    sim = steady
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    sim.connect("alice", "bob")
    sim.settle()
    sim.count_anew()
    for _ in range(50):
        alice.append()
        sim.run(0.01)
    sim.settle()
    assert bob.clock == {"alice": 50}
    assert sim.frames["payloads"] == 50
    assert sim.frames["notes"] == 0
    assert sim.frames["acks"] <= 2


def test_payloads_are_exact_in_any_order(seeded: Simulation) -> None:
    """Both ways at once, with jitter: every message is sent once."""
    sim = seeded
    alice, bob = sim.peer("alice", follow=["bob"]), sim.peer("bob", follow=["alice"])
    alice.append(sim.rng.randint(0, 40) + 1)
    bob.append(sim.rng.randint(0, 40) + 1)
    sim.connect("alice", "bob")
    for peer in (alice, bob, alice):
        sim.run(sim.rng.uniform(0.0, 0.3))
        peer.append(sim.rng.randint(1, 5))
    sim.settle()
    assert alice.clock == bob.clock == {"alice": alice.clock["alice"], "bob": bob.clock["bob"]}
    assert sim.frames["payloads"] == sum(alice.clock.values())
    assert sim.duplicates() == 0


def test_local_append_before_the_first_note(seeded: Simulation) -> None:
    """Between the connection and the first note: what is announced and sent is right, nothing comes twice."""
    sim = seeded
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    link = sim.connect("alice", "bob")
    sim.run(sim.rng.uniform(0.0, 3 * link.latency))
    alice.append(2)
    sim.run(sim.rng.uniform(0.0, 2 * link.latency))
    alice.append()
    sim.settle()
    assert bob.clock == {"alice": 3}
    assert sim.frames["payloads"] == 3


def test_append_while_lazy(sim: Simulation) -> None:
    """carol gets alice's messages from alice; bob, whom she told lazy, tells her where he is, and sends nothing."""
    for name in ("alice", "bob", "carol"):
        sim.peer(name, follow=["alice"])
    for pair in (("alice", "bob"), ("bob", "carol"), ("carol", "alice")):
        sim.connect(*pair)
    sim.settle()
    sim.count_anew()
    sim.peers["alice"].append()
    sim.settle()
    assert sim.said("alice>carol", "messages") == ["alice:1-1"]
    assert sim.said("bob>carol", "messages") == []
    # the first announcement in a session goes at once, so the two cross
    assert sim.said("bob>carol", "notes") == sim.said("carol>bob", "notes") == ["alice=1,lazy"]
    sim.count_anew()
    sim.peers["alice"].append()
    sim.settle()
    # later ones are held; who holds longer has heard it by then, and owes an ACK at most
    assert sim.said("bob>carol", "notes") == ["alice=2,lazy"]
    assert sim.said("carol>bob", "notes") == []
    assert sim.said("carol>bob", "acks") == ["alice=2"]


def test_in_sync_then_append_says_a_lazy_note(sim: Simulation) -> None:
    """A peer that is lazy for the feed hears of a message that only we have; it asks, and gets it."""
    alice = sim.peer("alice", follow=["feed"])
    bob = sim.peer("bob", follow=["feed"])
    alice.append(feed="feed")
    bob.append(feed="feed")
    sim.connect("alice", "bob")
    sim.settle()
    sim.count_anew()
    alice.append(feed="feed")
    sim.settle()
    assert sim.said("alice>bob", "notes") == ["feed=2,lazy"]
    assert sim.said("bob>alice", "notes") == ["feed=1,eager"]
    assert sim.said("alice>bob", "messages") == ["feed:2-2"]
    assert bob.clock == {"feed": 2}


def script(sim: Simulation) -> End:
    """alice follows ``feed`` and has 5 of it; bob's end of their link, ready for a script, initial notes over."""
    sim.peer("alice", follow=["feed"]).append(5, feed="feed")
    bob = sim.peer("bob")
    link = sim.connect("alice", "bob")
    bob.mute()
    sim.settle()
    link.b.send_raw("notes", {})
    sim.settle()
    assert sim.said("alice>bob", "notes") == ["alice=0,lazy feed=5,lazy", ""]
    sim.count_anew()
    return link.b


@pytest.mark.parametrize("note", [-1, 0, 1, 2 << 1, 2 << 1 | 1, 5 << 1, 5 << 1 | 1, 9 << 1, 9 << 1 | 1])
def test_reply_to_any_note_exactly_once(sim: Simulation, note: int) -> None:
    """About a feed that was not spoken of: -1, once, and none to a -1. The same note again changes nothing."""
    bob = script(sim)
    for _ in range(3):
        bob.send_raw("notes", {FeedId("unknown"): note})
        sim.run(1.0)
    assert sim.said("alice>bob", "notes") == ([] if note == -1 else ["unknown=declined"])


@pytest.mark.parametrize("note", [-1, 0, 1, 2 << 1, 2 << 1 | 1, 5 << 1, 5 << 1 | 1])
def test_no_reply_to_a_note_about_what_was_told(sim: Simulation, note: int) -> None:
    """Our initial note was the reply already, wherever the other side is."""
    bob = script(sim)
    for _ in range(3):
        bob.send_raw("notes", {FeedId("feed"): note})
        sim.run(1.0)
    assert sim.said("alice>bob", "notes") == []


@pytest.mark.parametrize("note", [9 << 1, 9 << 1 | 1])
def test_reply_to_a_claim_is_to_ask(sim: Simulation, note: int) -> None:
    """Who claims more is asked for it, once; after a stall_timeout, as the only candidate, once more."""
    bob = script(sim)
    for _ in range(3):
        bob.send_raw("notes", {FeedId("feed"): note})
        sim.run(0.5)
    assert sim.said("alice>bob", "notes") == ["feed=5,eager"]
    sim.run(3.0)
    assert sim.said("alice>bob", "notes") == ["feed=5,eager"] * 2


def test_revoked_decline_is_answered_once(sim: Simulation) -> None:
    """-1 ends what was told: the next note is answered again, with ours."""
    bob = script(sim)
    for _ in range(3):
        bob.send_raw("notes", {FeedId("feed"): -1})
        sim.run(1.0)
    bob.send_raw("notes", {FeedId("feed"): 0 << 1})
    sim.run(1.0)
    assert sim.said("alice>bob", "notes") == ["feed=5,lazy"]
    assert sim.said("alice>bob", "messages") == ["feed:1-5"]


def test_all_notes_are_answered_once_in_any_order(seeded: Simulation) -> None:
    """Two peers with many feeds, some shared: per feed and side one note or one -1, plus what asks for messages."""
    sim = seeded
    feeds = [f"f{number}" for number in range(12)]
    alice = sim.peer("alice", follow=[feed for feed in feeds if sim.rng.random() < 0.6])
    bob = sim.peer("bob", follow=[feed for feed in feeds if sim.rng.random() < 0.6])
    for peer in (alice, bob):
        for feed in sorted(peer.store.follows):
            peer.append(sim.rng.randint(1, 3), feed=feed)
    sim.connect("alice", "bob")
    sim.settle()
    said = {
        way: Counter(entry.split("=")[0] for line in sim.said(way, "notes") for entry in line.split())
        for way in ("alice>bob", "bob>alice")
    }
    for feed in alice.core.follows | bob.core.follows:
        shared = feed in alice.core.follows and feed in bob.core.follows
        for way in said:
            assert said[way][feed] <= 1 + shared, (feed, way)
            assert said[way][feed] >= 1
    assert sim.differences() == []

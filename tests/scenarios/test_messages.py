"""Messages that are wrong, lost, or just bytes."""

from __future__ import annotations

from ebt_trio.core.actions import What
from ebt_trio.core.types import FeedId, PeerId, Run
from ebt_trio.testing.simstore import payload_of
from ebt_trio.testing.simulation import Simulation


def genuine(run: Run, peer: PeerId) -> bool:
    """What a format would say: are these the author's?"""
    return all(payload == payload_of(run.feed, run.first + i) for i, payload in enumerate(run.payloads))


def test_fork(seeded: Simulation) -> None:
    """mallory holds another fourth message of alice's: bob keeps the true three, and gets the true fourth from carol.

    mallory's own feed still comes from mallory: the session, and everything else on it, is not to blame.
    """
    sim = seeded
    bob = sim.peer("bob", follow=["alice", "mallory"])
    bob.validate = genuine
    carol, mallory = sim.peer("carol", follow=["alice"]), sim.peer("mallory", follow=["alice"])
    for peer in (bob, carol, mallory):
        peer.append(3, feed="alice")
    mallory.append(2, feed="alice", fork="forked")
    mallory.append(5)
    link = sim.connect("bob", "mallory")
    sim.settle()
    assert bob.clock == {"alice": 3, "mallory": 5}
    assert bob.reports[What.INVALID] == 1
    assert link.open
    sim.connect("bob", "carol")
    carol.append(3, feed="alice")
    sim.settle()
    assert bob.clock == {"alice": 6, "mallory": 5}
    assert bob.store.feeds[FeedId("alice")] == carol.store.feeds[FeedId("alice")]


def test_invalid_message_stops_one_feed_from_one_peer(sim: Simulation) -> None:
    """-1 for that feed, to that peer; asked from nobody again until told so."""
    bob, mallory = sim.peer("bob", follow=["alice"]), sim.peer("mallory", follow=["alice"])
    bob.validate = genuine
    mallory.append(1, feed="alice", fork="!")
    sim.connect("bob", "mallory")
    sim.settle()
    assert sim.said("bob>mallory", "notes")[-1] == "alice=declined"
    sim.count_anew()
    mallory.append(1, feed="alice")
    sim.settle()
    assert sim.frames.total() == 0

    # undone on request: mallory has seen the light
    mallory.forget("alice")
    mallory.append(2, feed="alice")
    mallory.follow("alice")
    bob.unblock("mallory", origin="alice")
    sim.settle()
    assert bob.clock == {"alice": 2}


def test_invalid_among_valid_messages(seeded: Simulation) -> None:
    """What came before the bad message stays; honest peers deliver what comes after."""
    sim = seeded
    bob = sim.peer("bob", follow=["alice"])
    bob.validate = genuine
    mallory, carol = sim.peer("mallory", follow=["alice"]), sim.peer("carol", follow=["alice"])
    carol.append(120, feed="alice")
    mallory.append(70, feed="alice")
    mallory.append(1, feed="alice", fork="!")
    mallory.append(49, feed="alice")
    for server in sim.rng.sample(["mallory", "carol"], 2):
        sim.connect("bob", server)
        sim.run(sim.rng.uniform(0, 0.3))
    sim.settle()
    assert bob.clock == {"alice": 120}
    assert bob.store.feeds == carol.store.feeds


def test_message_lost_in_a_write_error_is_fetched_again(seeded: Simulation) -> None:
    """Our disk is full in mid-transfer: no peer is blamed, and all comes when there is room again."""
    sim = seeded
    sim.batch = 16
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(200)
    sim.connect("alice", "bob", rate=400)
    sim.run(sim.rng.uniform(0.1, 0.4))
    bob.store_broken = True
    sim.run(sim.rng.uniform(0.1, 20.0))
    alice.append(10)
    assert bob.clock.get("alice", 0) < 210
    assert bob.reports[What.STALLED] == bob.reports[What.INVALID] == 0
    bob.store_broken = False
    sim.settle()
    assert bob.clock == {"alice": 210}
    assert bob.store.feeds == alice.store.feeds


def test_write_error_as_it_is_said(sim: Simulation) -> None:
    """One message fails to be stored: asked for again from where the store is, once."""
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(2)
    sim.connect("alice", "bob")
    sim.settle()
    sim.count_anew()
    bob.store_broken = True
    alice.append()
    sim.run(0.0205)  # it has arrived, the store has not answered yet
    sim.after(0.001, setattr, bob, "store_broken", False)
    sim.settle()
    assert sim.said("bob>alice", "notes") == ["alice=2,eager"]
    assert sim.said("alice>bob", "messages") == ["alice:3-3", "alice:3-3"]
    assert bob.clock == {"alice": 3}


def test_read_error_is_tried_again(seeded: Simulation) -> None:
    """The sender cannot read just now: nobody reconnects or asks again, it sends when it can."""
    sim = seeded
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(5)
    alice.reads_broken = True
    sim.connect("alice", "bob")
    sim.run(sim.rng.uniform(0.5, 1.5))
    assert bob.clock == {}
    alice.reads_broken = False
    sim.run(1.5)
    assert bob.clock == {"alice": 5}
    assert sim.frames["payloads"] == 5


def test_binary_payloads(seeded: Simulation) -> None:
    """Every byte, the empty payload, a long one; unchanged through a third peer."""
    sim = seeded
    payloads = [bytes(range(256)), b"", b"\x00", b"\xff\xfe\x80", b"\xf6", sim.rng.randbytes(100_000)]
    sim.peer("alice").append(payloads=payloads)
    sim.peer("bob", follow=["alice"])
    carol = sim.peer("carol", follow=["alice"])
    sim.connect("alice", "bob")
    sim.connect("bob", "carol")
    sim.settle()
    assert carol.store.feeds[FeedId("alice")] == payloads
    assert sim.frames["payloads"] == 2 * len(payloads)

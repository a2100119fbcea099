"""Who wants what, and when they change their minds: follow, unfollow, decline."""

from __future__ import annotations

from collections import Counter

import pytest

from ebt_trio.core import events as ev
from ebt_trio.core.types import FeedId
from ebt_trio.testing.simulation import Simulation


def test_follow_before_and_after_connect(seeded: Simulation) -> None:
    """Bob gets alice's feed, whenever he begins to follow it; nobody has to reconnect."""
    sim = seeded
    alice, bob = sim.peer("alice"), sim.peer("bob")
    alice.append(4)
    moment = sim.rng.uniform(0.0, 0.4)
    sim.at(moment, bob.follow, "alice")
    sim.at(0.2, sim.connect, "alice", "bob")
    sim.settle()
    assert bob.clock == {"alice": 4}
    assert sim.frames["payloads"] == 4
    alice.append()
    sim.settle()
    assert bob.clock == {"alice": 5}


@pytest.mark.parametrize("followed_at", [0.0, 0.01, 0.04, 0.05, 0.06, 0.07, 0.3])
def test_follow_at_each_step_of_the_first_exchange(sim: Simulation, followed_at: float) -> None:
    """Before the session is up, while notes fly, after a -1 has been sent, after it has arrived."""
    alice, bob = sim.peer("alice"), sim.peer("bob")
    alice.append(4)
    sim.connect("alice", "bob")
    sim.run(followed_at)
    bob.follow("alice")
    sim.settle()
    assert bob.clock == {"alice": 4}
    assert sim.frames["payloads"] == 4


def test_follow_while_a_clock_loads(seeded: Simulation) -> None:
    """The store is read page by page, and so is what is remembered of a peer: a follow in between counts."""
    sim = seeded
    feeds = [f"f{number}" for number in range(6)]
    alice, bob = sim.peer("alice", follow=feeds), sim.peer("bob", follow=feeds[:3])
    for feed in feeds:
        alice.append(3, feed=feed)
    sim.connect("alice", "bob")
    sim.settle()
    sim.link("alice", "bob").cut()
    sim.settle()

    alice.append(1, feed="f4")
    bob.crash()
    bob.store.follows.pop(FeedId("bob"))
    follows, bob.store.follows = bob.store.follows, {}
    pages = [bob.store.head(feed) for feed in bob.store.feeds]
    stored, bob.store.feeds = bob.store.feeds, {}
    bob.restart()  # with nothing loaded yet
    bob.store.feeds = stored
    sim.connect("alice", "bob")  # recalls what is remembered; the session is not up yet
    steps = [
        *((bob.handle, (ev.Loaded([head]),)) for head in pages),
        *((bob.follow, (feed,)) for feed in follows),
        (bob.follow, ("f4",)),
        (bob.follow, ("f5",)),
    ]
    for step, arguments in steps[: len(pages)] + sim.rng.sample(steps[len(pages) :], len(steps) - len(pages)):
        step(*arguments)
    sim.settle()
    assert bob.clock == {"f0": 3, "f1": 3, "f2": 3, "f4": 4, "f5": 3}
    assert Counter(feed for _, feed, _ in sim.payloads) == Counter(f0=3, f1=3, f2=3, f4=4, f5=3)
    assert sim.duplicates() == 0


def test_follow_later(sim: Simulation) -> None:
    """Bob said no, and changes his mind while connected: a note goes out, the answer claims, he asks, all comes."""
    alice, bob = sim.peer("alice"), sim.peer("bob")
    alice.append(2)
    sim.connect("alice", "bob")
    sim.settle()
    assert sim.said("bob>alice", "notes") == ["bob=0,lazy", "", "alice=declined"]
    alice.append()
    sim.settle()
    sim.count_anew()
    bob.follow("alice")
    sim.settle()
    assert sim.said("bob>alice", "notes") == ["alice=0,eager"]  # the author: asked at once
    assert sim.said("alice>bob", "notes") == ["alice=3,lazy"]
    assert sim.said("alice>bob", "messages") == ["alice:1-3"]
    assert bob.clock == {"alice": 3}


def test_follow_later_through_a_third(seeded: Simulation) -> None:
    """The same between two peers neither of which is the author."""
    sim = seeded
    sim.peer("alice")
    sim.peer("bob", follow=["alice"])
    carol = sim.peer("carol")
    sim.peers["alice"].append(5)
    sim.connect("alice", "bob")
    sim.connect("bob", "carol")
    sim.run(sim.rng.uniform(0.0, 1.0))
    carol.follow("alice")
    sim.settle()
    assert carol.clock == {"alice": 5}
    assert sim.frames["payloads"] == 10


def test_unfollow_in_mid_transfer(seeded: Simulation) -> None:
    """-1 stops the stream; what was in flight is dropped; a follow takes it up where it was."""
    sim = seeded
    sim.batch = 4
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(300)
    link = sim.connect("alice", "bob", rate=500)
    while bob.clock.get("alice", 0) < 20:
        sim.run(0.01)
    bob.unfollow("alice")
    sim.settle()
    kept = bob.clock["alice"]
    assert 20 <= kept < 300
    sent = sim.frames["payloads"]
    assert sent < kept + 500 * (2 * link.latency + 0.5) + 8
    alice.append()
    sim.settle()
    assert sim.frames["payloads"] == sent
    assert bob.clock == {"alice": kept}
    bob.follow("alice")
    sim.settle()
    assert bob.clock == {"alice": 301}


def test_unfollow_as_it_is_said(sim: Simulation) -> None:
    """Every session is told -1, also those that were lazy; nobody answers."""
    alice = sim.peer("alice")
    sim.peer("bob", follow=["alice"])
    carol = sim.peer("carol", follow=["alice"])
    alice.append()
    for pair in (("alice", "bob"), ("bob", "carol"), ("carol", "alice")):
        sim.connect(*pair)
    sim.settle()
    sim.count_anew()
    carol.unfollow("alice")
    sim.settle()
    alice.append()
    sim.settle()
    assert sim.said("carol>alice", "notes") == ["alice=declined"]
    assert sim.said("carol>bob", "notes") == ["alice=declined"]
    assert sim.said("alice>carol", "notes") == sim.said("bob>carol", "notes") == []
    assert sim.said("alice>carol", "messages") == sim.said("bob>carol", "messages") == []
    assert carol.clock == {"alice": 1}


def test_decline_once_remembered_and_revoked(sim: Simulation) -> None:
    """-1 is the answer to the first note, once; the next session needs neither note; a follow revokes it."""
    alice, bob = sim.peer("alice"), sim.peer("bob")
    alice.append()
    sim.connect("alice", "bob")
    sim.settle()
    assert sim.said("alice>bob", "notes") == ["alice=1,lazy", "", "bob=declined"]
    assert sim.said("bob>alice", "notes") == ["bob=0,lazy", "", "alice=declined"]
    for _ in range(2):
        sim.link("alice", "bob").cut()
        sim.settle()
        alice.append()  # of no interest to bob
        sim.count_anew()
        sim.connect("alice", "bob")
        sim.settle()
        assert sim.frames == Counter(notes=2)
    bob.follow("alice")
    sim.settle()
    assert bob.clock == {"alice": 3}


def test_decline_is_never_answered(seeded: Simulation) -> None:
    """Any number of peers that follow nothing in common: one note and one -1 for each feed and link, then silence."""
    sim = seeded
    names = ["alice", "bob", "carol"]
    for name in names:
        sim.peer(name).append(2)
    for pair in (("alice", "bob"), ("bob", "carol"), ("carol", "alice")):
        sim.connect(*pair)
    sim.settle()
    assert sim.frames["payloads"] == 0
    assert sim.frames["note entries"] == 2 * 6
    for name in names:
        sim.peers[name].append()
    sim.settle()
    assert sim.frames["note entries"] == 2 * 6


def test_partial_log(seeded: Simulation) -> None:
    """The newest ten only, from somebody who has all; and from there to others who want no more either."""
    sim = seeded
    sim.peer("alice").append(50)
    bob, carol = sim.peer("bob"), sim.peer("carol")
    bob.follow("alice", last=10)
    carol.follow("alice", last=5)
    sim.connect("alice", "bob")
    sim.settle()
    assert bob.store.head(FeedId("alice")) == ("alice", 41, 50)
    sim.connect("bob", "carol")
    sim.settle()
    assert carol.store.head(FeedId("alice")) == ("alice", 46, 50)
    sim.peers["alice"].append()
    sim.settle()
    assert bob.clock == carol.clock == {"alice": 51}
    assert sim.frames["payloads"] == 11 + 6
    assert bob.store.feeds[FeedId("alice")][0] == b"alice:41"


def test_partial_log_cannot_serve_what_it_lacks(seeded: Simulation) -> None:
    """Who wants the whole feed learns with a START that this peer has not got it, and gets it elsewhere."""
    sim = seeded
    sim.peer("alice").append(50)
    bob, carol = sim.peer("bob"), sim.peer("carol", follow=["alice"])
    bob.follow("alice", last=10)
    sim.connect("alice", "bob")
    sim.settle()
    sim.connect("bob", "carol")
    sim.settle()
    assert sim.said("bob>carol", "start") == ["alice=41"]
    assert carol.clock == {}
    sim.connect("alice", "carol")
    sim.settle()
    assert carol.store.head(FeedId("alice")) == ("alice", 1, 50)
    assert sim.said("bob>carol", "messages") == []

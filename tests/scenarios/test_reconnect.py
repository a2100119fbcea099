"""Sessions that end and begin again: what is left out of the initial notes, and what must not be."""

from __future__ import annotations

from collections import Counter

import pytest

from ebt_trio.testing.simpeer import SimPeer
from ebt_trio.testing.simstore import SimStore
from ebt_trio.testing.simulation import Simulation


def two_friends(sim: Simulation, messages: int = 3) -> tuple[SimPeer, SimPeer]:
    """Each follows the other; in sync, not connected any more, nothing counted yet."""
    alice, bob = sim.peer("alice", follow=["bob"]), sim.peer("bob", follow=["alice"])
    alice.append(messages)
    bob.append(messages)
    sim.connect("alice", "bob")
    sim.settle()
    sim.link("alice", "bob").cut()
    sim.settle()
    assert alice.clock == bob.clock == {"alice": messages, "bob": messages}
    sim.count_anew()
    return alice, bob


def reconnect(sim: Simulation) -> None:
    sim.count_anew()
    sim.connect("alice", "bob")
    sim.settle()
    sim.link("alice", "bob").cut()
    sim.settle()


def test_reconnect_first_second_third(sim: Simulation) -> None:
    """The first session exchanges all; from the second on, one empty NOTES each way, and nothing else."""
    alice, bob = sim.peer("alice", follow=["bob"]), sim.peer("bob", follow=["alice"])
    alice.append(3)
    bob.append(3)
    sim.connect("alice", "bob")
    sim.settle()
    assert sim.said("alice>bob", "notes") == ["alice=3,lazy bob=0,eager", ""]
    assert sim.said("bob>alice", "notes") == ["bob=3,lazy alice=0,eager", ""]
    assert sim.frames["payloads"] == 6
    sim.link("alice", "bob").cut()
    sim.settle()
    for _ in ("second", "third"):
        reconnect(sim)
        assert sim.said("alice>bob", "notes") == [""]
        assert sim.said("bob>alice", "notes") == [""]
        assert sim.frames == Counter(notes=2)


def test_reconnect_is_silent_whatever_happened_before(seeded: Simulation) -> None:
    """An abrupt cut in mid-transfer, then a session that ends in sync: the next one says nothing."""
    sim = seeded
    alice, bob = sim.peer("alice", follow=["bob"]), sim.peer("bob", follow=["alice"])
    alice.append(50)
    bob.append(20)
    for _ in range(3):
        link = sim.connect("alice", "bob", rate=200)
        sim.run(sim.rng.uniform(0, 0.5))
        link.cut(notice=(sim.rng.random(), sim.rng.random()))
        sim.run(1.0)
    reconnect(sim)
    assert alice.clock == bob.clock == {"alice": 50, "bob": 20}
    reconnect(sim)
    assert sim.frames == Counter(notes=2)


def test_reconnect_with_news(sim: Simulation) -> None:
    """Only what is new is said, and only new messages are sent."""
    alice, bob = two_friends(sim)
    alice.append()
    reconnect(sim)
    assert bob.clock == {"alice": 4, "bob": 3}
    assert sim.said("alice>bob", "notes") == ["alice=4,lazy", ""]
    assert sim.said("bob>alice", "notes") == ["", "alice=3,eager"]
    assert sim.said("alice>bob", "messages") == ["alice:4-4"]
    assert sim.said("bob>alice", "messages") == []


def test_link_dropped_after_sync_then_append(seeded: Simulation) -> None:
    """What is appended while the link is down goes over another way, or arrives when the link is back."""
    sim = seeded
    for name in ("alice", "bob", "carol"):
        sim.peer(name, follow=["alice"])
    for pair in (("alice", "bob"), ("bob", "carol"), ("carol", "alice")):
        sim.connect(*pair)
    sim.peers["alice"].append(3)
    sim.settle()
    sim.link("carol", "alice").cut(notice=sim.rng.choice([0.0, (0.5, 0.0), (0.0, 0.5)]))
    sim.run(1.0)
    sim.peers["alice"].append()
    sim.settle()
    assert sim.peers["carol"].clock == {"alice": 4}
    sim.link("alice", "bob").cut()
    sim.peers["alice"].append()
    sim.run(1.0)
    assert sim.peers["bob"].clock == sim.peers["carol"].clock == {"alice": 4}
    sim.connect("alice", "carol")
    sim.settle()
    assert sim.peers["bob"].clock == sim.peers["carol"].clock == {"alice": 5}


@pytest.mark.parametrize("same_store", [True, False], ids=["same store, empty", "new store"])
def test_lost_state(sim: Simulation, same_store: bool) -> None:
    """Amnesia: the peer has forgotten messages and clocks, and gets all again, its own feed too."""
    alice, bob = two_friends(sim)
    bob.crash()
    bob.store = SimStore(bob.store.id if same_store else b"another store 16", follows=bob.store.follows)
    bob.restart()
    assert bob.clock == {}
    reconnect(sim)
    assert bob.clock == {"alice": 3, "bob": 3}
    assert sim.frames["payloads"] == 6
    assert sim.duplicates() == 0
    reconnect(sim)
    assert sim.frames == Counter(notes=2)
    assert alice.store.feeds == bob.store.feeds


def test_restored_backup(seeded: Simulation) -> None:
    """Messages and clocks of yesterday, consistent with each other: the digest shows it, and what is missing comes."""
    sim = seeded
    alice, bob = two_friends(sim)
    bob.save()
    backup = bob.store.copy()
    alice.append(4)
    bob.append(2)
    reconnect(sim)
    assert bob.clock == {"alice": 7, "bob": 5}
    bob.crash()
    bob.store = backup
    bob.restart()
    assert bob.clock == {"alice": 3, "bob": 3}
    reconnect(sim)
    assert bob.clock == {"alice": 7, "bob": 5}
    assert sim.frames["payloads"] == 6
    reconnect(sim)
    assert sim.frames == Counter(notes=2)


def test_partial_clock(seeded: Simulation) -> None:
    """Only a part of what was heard was saved before a crash: all is said again, nothing is lost."""
    sim = seeded
    feeds = [f"f{number}" for number in range(8)]
    alice, bob = sim.peer("alice", follow=feeds), sim.peer("bob", follow=feeds)
    for feed in feeds:
        alice.append(sim.rng.randint(1, 5), feed=feed)
    reconnect(sim)
    assert alice.clock == bob.clock
    (rows,) = bob.store.clocks.values()
    for feed in sim.rng.sample(feeds, 4):
        del rows[feed]
    bob.crash()
    bob.restart()
    alice.append(1, feed="f0")
    reconnect(sim)
    assert bob.clock == alice.clock
    assert sim.frames["payloads"] == 1
    reconnect(sim)
    assert sim.frames == Counter(notes=2)


def test_wrapped_clock(sim: Simulation) -> None:
    """What is remembered belongs to a peer's store, not to its name alone: another device under the name gets all."""
    _, bob = two_friends(sim)
    first = bob.store
    bob.crash()
    bob.store = SimStore(b"another device 1", follows=dict(first.follows))
    bob.restart()
    reconnect(sim)
    assert bob.clock == {"alice": 3, "bob": 3}
    assert sim.said("alice>bob", "notes") == ["alice=3,lazy bob=3,eager", ""]
    for store in (first, bob.store):
        bob.crash()
        bob.store = store
        bob.restart()
        reconnect(sim)
        assert sim.frames == Counter(notes=2)


def test_clocks_survive_restarts_of_both(sim: Simulation) -> None:
    """The clock that comes from the store is worth as much as the one that never left the process."""
    alice, bob = two_friends(sim)
    for peer in (alice, bob):
        peer.crash()
        peer.restart()
    reconnect(sim)
    assert sim.frames == Counter(notes=2)

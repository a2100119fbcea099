"""Blocks: of a peer by ourselves, of a peer by an author, lifted without a reconnect."""

from __future__ import annotations

from ebt_trio.core.actions import What
from ebt_trio.testing.simulation import Simulation


def test_block_before_connect(seeded: Simulation) -> None:
    """A blocked peer is refused at the door: no note, no message; after unblock the next session works."""
    sim = seeded
    alice, bob = sim.peer("alice", follow=["bob"]), sim.peer("bob", follow=["alice"])
    alice.append(3)
    alice.block("bob")
    link = sim.connect("alice", "bob")
    sim.settle()
    assert not link.open
    assert sim.said("alice>bob", "notes") == sim.said("alice>bob", "messages") == []
    assert bob.clock == {}
    alice.unblock("bob")
    sim.connect("alice", "bob")
    sim.settle()
    assert bob.clock == {"alice": 3}


def test_block_while_connected(seeded: Simulation) -> None:
    """The session ends at once, in mid-transfer, and no message follows."""
    sim = seeded
    sim.batch = 4
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(300)
    link = sim.connect("alice", "bob", rate=500)
    while bob.clock.get("alice", 0) < 20:
        sim.run(0.01)
    sent = sim.frames["payloads"]
    alice.block("bob")
    sim.settle()
    assert not link.open
    assert alice.reports[What.BLOCKED] == 1
    assert sim.frames["payloads"] == sent
    alice.append()
    sim.settle()
    assert bob.clock["alice"] <= sent < 300


def test_block_by_an_author(seeded: Simulation) -> None:
    """alice blocks carol: bob, who knows it, gives carol nothing of alice's feed, and everything of his own."""
    sim = seeded
    alice = sim.peer("alice")
    bob = sim.peer("bob", follow=["alice", "carol"])
    carol = sim.peer("carol", follow=["alice", "bob"])
    bob.block("carol", origin="alice")
    alice.append(3)
    bob.append(2)
    carol.append(1)
    sim.connect("alice", "bob")
    sim.connect("bob", "carol")
    sim.settle()
    alice.append()
    bob.append()
    sim.settle()
    assert bob.clock == {"alice": 4, "bob": 3, "carol": 1}
    assert carol.clock == {"bob": 3, "carol": 1}
    assert not [line for line in sim.said("bob>carol", "messages") if "alice" in line]
    assert not [line for line in sim.said("bob>carol", "notes") if "alice=" in line and "declined" not in line]


def test_block_by_an_author_while_connected(seeded: Simulation) -> None:
    """-1 and no further message, in mid-transfer; other feeds go on."""
    sim = seeded
    sim.batch = 4
    bob, carol = sim.peer("bob", follow=["alice"]), sim.peer("carol", follow=["alice", "bob"])
    bob.append(300, feed="alice")
    bob.append(100)
    link = sim.connect("bob", "carol", rate=500)
    while carol.clock.get("alice", 0) < 20:
        sim.run(0.01)
    sent = sum(1 for _, feed, _ in sim.payloads if feed == "alice")
    bob.block("carol", origin="alice")
    sim.settle()
    assert link.open
    assert carol.clock["bob"] == 100
    assert carol.clock["alice"] == sent < 300
    assert sum(1 for _, feed, _ in sim.payloads if feed == "alice") == sent
    assert "alice=declined" in sim.said("bob>carol", "notes")


def test_unblock_then_recovery_without_reconnect(seeded: Simulation) -> None:
    """A fresh note after unblock: what was appended meanwhile comes over the same session."""
    sim = seeded
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append(3)
    link = sim.connect("alice", "bob")
    sim.run(sim.rng.uniform(0.0, 0.5))
    alice.block("bob", origin="alice")
    sim.run(sim.rng.uniform(0.0, 0.5))
    alice.append(4)
    sim.run(sim.rng.uniform(0.0, 0.5))
    alice.unblock("bob", origin="alice")
    sim.settle()
    assert link.open
    assert bob.clock == {"alice": 7}


def test_block_and_unblock_as_it_is_said(sim: Simulation) -> None:
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    alice.append()
    sim.connect("alice", "bob")
    sim.settle()
    sim.count_anew()
    alice.block("bob", origin="alice")
    alice.append()
    sim.settle()
    assert sim.said("alice>bob", "notes") == ["alice=declined"]
    assert sim.said("bob>alice", "notes") == []
    alice.unblock("bob", origin="alice")
    sim.settle()
    assert sim.said("alice>bob", "notes") == ["alice=declined", "alice=2,lazy"]
    assert sim.said("bob>alice", "notes") == ["alice=1,eager"]
    assert sim.said("alice>bob", "messages") == ["alice:2-2"]
    assert bob.clock == {"alice": 2}


def test_receiving_side_blocks_a_third_party_as_well(seeded: Simulation) -> None:
    """A block on (target, origin) closes both ways: we neither send target that feed nor take it from there."""
    sim = seeded
    bob, carol = sim.peer("bob", follow=["alice"]), sim.peer("carol", follow=["alice"])
    bob.append(3, feed="alice")
    carol.block("bob", origin="alice")
    sim.connect("bob", "carol")
    sim.settle()
    assert carol.clock == {}
    carol.unblock("bob", origin="alice")
    sim.settle()
    assert carol.clock == {"alice": 3}

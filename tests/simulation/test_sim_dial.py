"""Simulated peers that dial as the runtime does, and links that are lost without a word."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ebt_trio._dial import Backoff
from ebt_trio.core.types import FeedId, PeerId
from ebt_trio.testing.simdial import Dialler
from ebt_trio.testing.simulation import SimPeer, Simulation


def pair(**options: float) -> tuple[Simulation, SimPeer, SimPeer]:
    sim = Simulation(latency=0.02, **options)  # type: ignore[arg-type]
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    return sim, alice, bob


def at(sim: Simulation, what: str) -> list[float]:
    return [float(line.split(" ")[0]) for line in sim.trace if what in line]


# -- lost links


@pytest.mark.parametrize("idle", [0.0, 10.0, 45.0, 1000.0])
def test_a_lost_link_is_noticed_after_twice_the_keepalive(idle: float) -> None:
    """At most 60 s after it was lost, at least 30 s: as much silence, a PING, and as much again."""
    sim, alice, bob = pair()
    link = sim.connect("alice", "bob")
    sim.run(1.0 + idle)
    link.lose()
    lost_at = sim.now
    noticed: dict[str, float] = {}
    while sim.now < lost_at + 70:
        sim.run(0.25)
        for peer in (alice, bob):
            if not peer.ends:
                noticed.setdefault(peer.id, sim.now - lost_at)
    assert len(noticed) == 2
    assert all(29.9 <= after <= 60.5 for after in noticed.values()), noticed
    if idle == 0.0:
        assert all(after >= 59 for after in noticed.values()), "the last was heard just before"
    if idle == 45.0:
        assert all(44 <= after < 46 for after in noticed.values()), "a PING was answered 15 s ago"
    assert link.lost
    assert not link.open
    sim.settle()


def test_what_is_sent_into_a_lost_link_is_lost_and_comes_later() -> None:
    sim, alice, bob = pair()
    link = sim.connect("alice", "bob")
    alice.append()
    sim.run(10.0)
    before = sim.frames["messages"]
    link.lose()
    alice.append()
    sim.run(5.0)
    assert sim.frames["messages"] == before + 1, "she does not know"
    assert bob.clock == {"alice": 1}
    sim.connect("alice", "bob")
    sim.settle()
    assert bob.clock == {"alice": 2}


def test_a_silent_crash_is_noticed_later() -> None:
    sim, alice, bob = pair(keepalive=5.0)
    sim.connect("alice", "bob")
    sim.run(1.0)
    alice.crash(silent=True)
    sim.run(4.0)
    assert bob.ends
    assert not alice.ends
    sim.run(7.0)
    assert not bob.ends


def test_a_bye_into_a_lost_link_ends_one_side() -> None:
    sim, alice, bob = pair(keepalive=5.0)
    link = sim.connect("alice", "bob")
    sim.run(1.0)
    link.lose()
    link.a.close("done")
    assert not alice.ends
    sim.run(1.0)
    assert bob.ends
    sim.settle()
    assert not bob.ends


def test_a_bye_that_is_lost_on_its_way() -> None:
    sim, alice, bob = pair(keepalive=5.0)
    link = sim.connect("alice", "bob")
    sim.run(1.0)
    link.a.close("done")
    link.lose()
    sim.run(1.0)
    assert not alice.ends
    assert bob.ends
    sim.settle()
    assert not bob.ends


# -- dialling


def test_a_session_is_kept_up() -> None:
    sim, alice, bob = pair()
    bob.dial("alice")
    sim.run(1.0)
    for _ in range(3):
        alice.append()
        sim.link("alice", "bob").cut()
        sim.run(1.0)
    assert bob.clock == {"alice": 3}
    assert len(at(sim, "connect")) == 4
    sim.settle()


def test_waits_are_those_of_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers: each wait is half to all of what doubles from 0.1 to 30 s; and begins anew after a session."""
    sim, alice, bob = pair()
    alice.crash()
    calls: list[float] = []
    original = Dialler._call

    def call(self: Dialler, life: int) -> None:
        calls.append(sim.now)
        original(self, life)

    monkeypatch.setattr(Dialler, "_call", call)
    bob.dial("alice")
    sim.run(200.0)
    waits = [Backoff.SHORTEST]
    while waits[-1] < Backoff.LONGEST:
        waits.append(min(2 * waits[-1], Backoff.LONGEST))
    for (before, after), wait in zip(pairwise(calls), waits, strict=False):
        assert wait / 2 <= after - before <= wait
    assert len(calls) > len(waits)
    alice.restart()
    sim.run(40.0)
    sim.link("alice", "bob").cut()
    sim.run(0.15)
    assert bob.ends


def test_an_island_finds_others_by_remembered_addresses() -> None:
    """Whose neighbours are gone calls others that it remembers, until it has as many sessions as it wants."""
    sim = Simulation(3)
    names = [f"p{number}" for number in range(12)]
    for name in names:
        sim.peer(name, follow=["p0"])
    for a, b in pairwise(names):
        sim.connect(a, b)
    for name in names:
        sim.peers[PeerId(name)].dial(*names, links=1)
    sim.run(2.0)
    for name in names[1:10:2]:
        sim.peers[PeerId(name)].crash()
    sim.peers[PeerId("p0")].append()
    sim.run(120.0)
    live = [peer for peer in sim.peers.values() if peer.up]
    assert all(peer.ends for peer in live)
    for peer in live:
        peer.dial(*names, links=3)
    sim.run(120.0)
    assert [peer.clock for peer in live] == [{"p0": 1}] * len(live)
    assert all(len({end.other.peer.id for end in peer.ends.values()}) >= 3 for peer in live)


def test_who_comes_back_dials_again_once() -> None:
    sim, alice, bob = pair()
    bob.dial("alice")
    sim.run(1.0)
    bob.crash()
    bob.restart()
    alice.append()
    sim.settle()
    assert bob.clock == {"alice": 1}
    assert len(at(sim, "connect")) == 2


def test_dialling_is_seeded() -> None:
    def run(seed: int) -> list[str]:
        sim = Simulation(seed)
        for name in "abcdef":
            sim.peer(name, follow=["a"]).dial(*"abcdef", links=2)
        sim.peers[PeerId("a")].append()
        sim.run(5.0)
        sim.peers[PeerId("c")].crash()
        sim.run(50.0)
        assert all(peer.store.head(FeedId("a")).head == 1 for peer in sim.peers.values() if peer.up)
        return sim.trace

    assert run(1) == run(1) != run(2)

"""Sources that stop delivering: who is asked next, when, and what is never given up."""

from __future__ import annotations

import re
from itertools import pairwise

from ebt_trio.core.actions import What
from ebt_trio.testing.simpeer import SimPeer
from ebt_trio.testing.simulation import Simulation

STALL_TIMEOUT = 3.0
GRAFT_DELAY = 0.1


def client_of(sim: Simulation, *servers: str, messages: int, rate: float = 0.0) -> SimPeer:
    """A client of servers that all hold ``messages`` of the feed; connected, nothing exchanged yet."""
    for server in servers:
        sim.peer(server, follow=["feed"]).append(messages, feed="feed")
    client = sim.peer("client", follow=["feed"])
    for server in servers:
        sim.connect("client", server, rate=rate)
    return client


def source(peer: SimPeer) -> str:
    owner = peer.core.status("feed").owner
    assert owner is not None
    return owner


def asked(sim: Simulation) -> list[tuple[float, str]]:
    """When the client asked whom for the feed."""
    found = (re.match(r"(\S+) client>(\S+) notes .*feed=\d+,eager", line) for line in sim.trace)
    return [(float(match[1]), match[2]) for match in found if match]


def test_source_freezes_in_mid_transfer(seeded: Simulation) -> None:
    """Within a stall_timeout the other server is asked for the rest; what the frozen one sent late does no harm."""
    sim = seeded
    sim.batch = 8
    client = client_of(sim, "one", "two", messages=400, rate=400)
    while client.clock.get("feed", 0) < 100:
        sim.run(0.01)
    frozen = source(client)
    link = sim.link("client", frozen)
    link.freeze()
    began = sim.now
    while client.clock["feed"] < 400:
        sim.run(0.05)
        assert sim.now < began + STALL_TIMEOUT + 3.0
    assert source(client) != frozen
    link.thaw()
    sim.settle()
    assert client.store.feeds == sim.peers["one"].store.feeds
    assert client.reports[What.STALLED] == 1


def test_source_freezes_after_sync_and_a_new_message_comes(seeded: Simulation) -> None:
    """The others announce it, the source does not: after a graft_delay somebody else is asked."""
    sim = seeded
    client = client_of(sim, "one", "two", messages=3)
    sim.settle()
    frozen = source(client)
    sim.link("client", frozen).freeze()
    other = "one" if frozen == "two" else "two"
    for server in ("one", "two"):
        sim.peers[server].append(1, feed="feed")
    began = sim.now
    while client.clock["feed"] < 4:
        sim.run(0.01)
        assert sim.now < began + GRAFT_DELAY + 1.5
    assert source(client) == other


def test_frozen_source_as_it_is_said(sim: Simulation) -> None:
    """The same, word by word: announced, waited for, then lazy to the one and eager to the other."""
    client = client_of(sim, "one", "two", messages=3)
    sim.settle()
    frozen = source(client)
    other = "one" if frozen == "two" else "two"
    sim.link("client", frozen).freeze()
    sim.count_anew()
    sim.peers[other].append(1, feed="feed")
    start = sim.now
    sim.run(0.9)
    story = [f"{float(line.split()[0]) - start:.3f} {line.partition(' ')[2]}" for line in sim.trace]
    assert story == [
        f"0.000 {other} appends feed:4-4",
        f"0.000 {other}>client notes feed=4,lazy",
        f"0.120 client>{frozen} notes feed=3,lazy",
        f"0.120 client>{other} notes feed=3,eager",
        f"0.140 {other}>client messages feed:4-4",
        f"0.161 client>{frozen} notes feed=4,lazy",
    ]


def test_rotation_when_each_stalls_in_turn(seeded: Simulation) -> None:
    """b → c → d → b: each gets its stall_timeout, then the one whose turn was longest ago."""
    sim = seeded
    client = client_of(sim, "b", "c", "d", messages=5)
    for server in "bcd":
        sim.peers[server].reads_broken = True
    sim.run(45.0)
    turns = asked(sim)
    order = [server for _, server in turns]
    assert sorted(order[:3]) == ["b", "c", "d"]
    assert order[3:6] == order[:3]
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(turns)]
    assert all(abs(gap - STALL_TIMEOUT) < 0.01 for gap in gaps[:3])
    assert all(gap > STALL_TIMEOUT + 0.01 for gap in gaps[3:6])  # deadlines double with each strike
    for server in "bcd":
        sim.peers[server].reads_broken = False
    sim.settle()
    assert client.clock == {"feed": 5}


def test_nothing_to_rotate_to(seeded: Simulation) -> None:
    """The only source stalls: it keeps the feed, is asked again by and by, and delivers when it can."""
    sim = seeded
    client = client_of(sim, "only", messages=5)
    sim.link("client", "only").freeze()
    sim.link("client", "only").thaw()
    sim.peers["only"].reads_broken = True
    sim.run(30.0)
    assert client.clock == {}
    assert source(client) == "only"
    assert {server for _, server in asked(sim)} == {"only"}
    assert 2 <= len(asked(sim)) <= 6
    assert client.core.progress().recv == 0  # a penalised claim is not believed
    sim.peers["only"].reads_broken = False
    sim.settle()
    assert client.clock == {"feed": 5}


def test_everybody_frozen_then_one_thaws(seeded: Simulation) -> None:
    """However long nothing works: the first that can deliver does."""
    sim = seeded
    client = client_of(sim, "b", "c", "d", messages=5)
    sim.run(0.01)
    for server in "bcd":
        sim.link("client", server).freeze()
    sim.run(100.0)
    sim.link("client", sim.rng.choice("bcd")).thaw()
    sim.run(2.0)
    assert client.clock == {"feed": 5} or client.core.next_deadline() is not None
    sim.run(300.0)
    assert client.clock == {"feed": 5}

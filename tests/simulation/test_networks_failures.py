"""Failures of networks: they do what they say, messages get through all the same, and misses are told apart."""

from __future__ import annotations

from random import Random

import pytest

from ebt_trio.testing.networks import Network, latencies, overlay
from ebt_trio.testing.networks.aftermath import Aftermath, aftermath, open_links
from ebt_trio.testing.networks.bulk import join
from ebt_trio.testing.networks.failures import (
    SILENT,
    busiest,
    churn,
    drawn,
    drop,
    freeze,
    kill,
    links_of,
    lossy,
    part,
    slow,
)
from ebt_trio.testing.networks.redial import Redialler
from ebt_trio.testing.networks.workloads import one_sender

PEERS = 60


def network(seed: int = 1, *, kind: str = "regular") -> Network:
    """With a tree for the first peer's feed."""
    rng = Random(seed)
    edges = overlay(kind, PEERS, 5, rng)
    made = Network(edges, latencies("uniform", edges, rng, peers=PEERS), peers=PEERS, seed=seed)
    made.play(one_sender(3))
    made.recording.begin()
    return made


def line() -> Network:
    return Network([(0, 1), (1, 2), (2, 3)], [0.02] * 3, peers=4, seed=1)


def play(made: Network, messages: int, rest: float = 20.0) -> list[Aftermath]:
    made.play(one_sender(messages), rest=rest)
    return aftermath(made)


# -- what is told apart


def test_nobody_fails() -> None:
    made = line()
    [first, found] = play(made, 2)
    assert first.at_once < first.after_graft == 1.0  # whom to ask has to be learned
    assert found.as_dict() == {
        "at_once": 1.0, "after_graft": 1.0, "after_stall": 1.0, "finally_": 1.0, "last": pytest.approx(0.063),
        "rmr": 0.0, "cut_off": 0, "bugs": 0, "reached": 3, "of_connected": 1.0,
    }  # fmt: skip


def test_who_is_cut_off_is_no_bug() -> None:
    made = line()
    kill(made, [2])
    [found] = play(made, 1)
    assert (found.reached, found.cut_off, found.bugs) == (1, 1, 0)
    assert found.finally_ == 0.5
    assert found.of_connected == 1.0
    assert open_links(made) == [(0, 1)]


def test_who_is_connected_and_has_nothing_is_a_bug() -> None:
    """A peer says and does nothing any more, but all believe that it lives."""
    made = line()
    made.peers[2].mute()
    made.play(one_sender(1))
    made.peers[2].up = True
    [found] = aftermath(made)
    assert (found.reached, found.cut_off, found.bugs) == (1, 0, 2)
    assert found.of_connected == pytest.approx(1 / 3)
    assert found.finally_ == pytest.approx(1 / 3)


def test_when_it_was_there() -> None:
    """The second of four freezes, for seconds; the last two hear of it late."""
    made = line()
    made.play(one_sender(1))
    made.recording.begin()
    thaw = freeze(made, 2)
    assert open_links(made) == [(0, 1)]
    made.sim.after(2.0, thaw)
    [found] = play(made, 1)
    assert found.at_once == found.after_graft == pytest.approx(1 / 3)
    assert found.after_stall == found.finally_ == 1.0
    assert 2.0 < found.last < 2.2


def test_by_when() -> None:
    """The shortest ways from the first are 20, 40 and 60 ms: 'at once' is within 120 ms, then 220 ms, then 3 s."""
    made = line()
    made.play(one_sender(1))
    [track] = made.recording.tracks
    for peer, took in [(1, 0.119), (2, 0.219), (3, 2.999)]:
        track.stored[peer] = track.sent + took
    [found] = aftermath(made)
    assert (found.at_once, found.after_graft, found.after_stall) == pytest.approx((1 / 3, 2 / 3, 1.0))
    for peer, took in [(1, 0.121), (2, 0.221), (3, 3.001)]:
        track.stored[peer] = track.sent + took
    [found] = aftermath(made)
    assert (found.at_once, found.after_graft, found.after_stall) == pytest.approx((0.0, 1 / 3, 2 / 3))


# -- what fails


def test_dead_peers_send_and_get_nothing() -> None:
    made = network()
    victims = drawn(made, 0.5, Random(1), spare=[0])
    assert len(victims) == 30
    assert 0 not in victims
    kill(made, victims)
    made.play(one_sender(3))
    assert made.live == [peer for peer in range(PEERS) if peer not in victims]
    assert all(made.recording.traffic.by_peer[victim] == 0 for victim in victims)
    assert all(not set(edge) & set(victims) for edge in open_links(made))
    assert made.measures().live == 30


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("silently", [False, True])
def test_survivors_get_every_message(seed: int, silently: bool) -> None:
    made = network(seed)
    made.peers[0].append()
    kill(made, drawn(made, 0.4, Random(seed), spare=[0]), silently=silently)
    made.sim.run(1.0)
    found = play(made, 4)
    assert all(one.bugs == 0 for one in found)
    assert found[-1].after_graft == found[-1].finally_
    assert found[0].last < made.sim.config.stall_timeout
    assert found[-1].rmr == 0.0


def test_silent_losses_are_noticed_late() -> None:
    made = line()
    drop(made, [(1, 2)], silently=True)
    made.sim.run(SILENT - 1)
    assert len(made.peers[1].ends) == 2
    assert links_of(made, 1) == [(0, 1)]
    made.sim.run(2)
    assert len(made.peers[1].ends) == 1
    drop(made, [(0, 1), (1, 2)])
    made.sim.run(0.1)
    assert len(made.peers[1].ends) == 0


def test_links_are_called_again() -> None:
    made = line()
    redial = Redialler(made, Random(1))
    drop(made, [(1, 2)], redial=redial)
    made.sim.run(1.0)
    assert redial.made == 1
    assert open_links(made) == [(0, 1), (2, 3), (1, 2)]


def test_the_dead_do_not_call() -> None:
    made = line()
    redial = Redialler(made, Random(1))
    kill(made, [0], redial=redial)  # had called 1
    made.sim.settle(limit=300.0)  # or calls would go on for ever
    assert redial.made == 0


def test_the_lonely_call_whom_they_remember() -> None:
    made = network(3)
    redial = Redialler(made, Random(1), addresses=30, least=5)
    made.peers[0].append()
    kill(made, drawn(made, 0.8, Random(3), spare=[0]), redial=redial)
    found = play(made, 3, rest=60.0)
    assert [one.finally_ for one in found] == [1.0] * 4
    assert redial.made > 10
    without = network(3)
    without.peers[0].append()
    kill(without, drawn(without, 0.8, Random(3), spare=[0]))
    assert play(without, 3)[0].finally_ < 1.0


def test_only_the_lonely_call() -> None:
    made = line()
    redial = Redialler(made, Random(1), addresses=3, least=1)
    kill(made, [1], redial=redial)
    made.sim.run(10.0)
    assert sorted(open_links(made)) in ([(0, 2), (2, 3)], [(0, 3), (2, 3)])


def test_halves_part_and_meet() -> None:
    made = network(kind="two-clusters")
    redial = Redialler(made, Random(1))
    meet = part(made, range(30), redial)
    made.play(one_sender(2))
    found = aftermath(made)
    assert [(one.reached, one.cut_off, one.bugs) for one in found] == [(29, 30, 0)] * 2
    meet()
    made.sim.run(40.0)
    assert [one.finally_ for one in aftermath(made)] == [1.0] * 2
    assert redial.made == 2


def test_peers_come_and_go() -> None:
    made = network(2)
    redial = Redialler(made, Random(2))
    churn(made, Random(3), redial, each=0.5, down=5.0, until=made.sim.now + 20, spare=[0])
    made.sim.run(2.75)
    assert sum(not peer.up for peer in made.peers) == 5
    assert [one.finally_ for one in play(made, 15, rest=60.0)] == [1.0] * 15
    assert all(peer.up for peer in made.peers)
    assert len(open_links(made)) == len(made.edges)


def test_a_frozen_source_costs_nobody_else_anything() -> None:
    made = network(1)
    victim = busiest(made, 0, spare=[0])
    thaw = freeze(made, victim)
    found = play(made, 4)
    assert all((one.cut_off, one.bugs, one.reached) == (1, 0, PEERS - 2) for one in found)
    assert found[0].last < 1.0
    thaw()
    made.sim.run(5.0)
    assert all(one.finally_ == 1.0 for one in aftermath(made))


def test_busiest() -> None:
    made = line()
    made.play(one_sender(1))
    assert busiest(made, 0) == 0
    assert busiest(made, 0, spare=[0]) == 1


@pytest.mark.parametrize("silently", [False, True])
def test_links_are_lost_all_the_time(silently: bool) -> None:
    made = network(2)
    redial = Redialler(made, Random(2))
    lossy(made, Random(3), redial, each=0.2, until=made.sim.now + 10, silently=silently)
    found = play(made, 10, rest=100.0)
    assert [one.finally_ for one in found] == [1.0] * 10
    assert redial.made > 30


def test_slow_links() -> None:
    made = network(2)
    before = sum(link.latency for link in made.links.values())
    chosen = slow(made, 0.1, Random(1), factor=10.0)
    assert len(chosen) == 15
    assert sum(link.latency for link in made.links.values()) > before * 1.5
    assert [one.finally_ for one in play(made, 3)] == [1.0] * 3


# -- a joiner


def test_neighbours_serve_evenly() -> None:
    found = join(feeds=200, each=50, seed=1)
    assert found.complete
    assert found.duplicates == 0.0
    assert sum(found.shares) == pytest.approx(1.0)
    assert all(0.15 < share < 0.25 for share in found.shares)
    assert 1.0 <= found.ratio == found.seconds / found.ideal < 1.5
    assert found.ideal == pytest.approx(2.0)


def test_a_slow_neighbour_serves_less() -> None:
    found = join(feeds=200, each=50, slower=10.0, seed=1)
    assert found.complete
    assert found.shares[0] < 0.06
    assert found.ideal == pytest.approx(10_000 / 4100)
    assert found.ratio < 1.6


def test_a_neighbour_that_freezes_costs_one_timeout() -> None:
    found = join(feeds=600, each=50, freezing=True, seed=1)
    assert found.complete
    assert found.ideal == pytest.approx(6.75)
    assert 2.0 < found.seconds - found.ideal < 3.5


def test_a_narrow_downlink() -> None:
    found = join(feeds=50, each=20, downlink=100.0, seed=1)
    assert found.complete
    assert found.ideal == pytest.approx(10.0)
    assert 1.0 <= found.ratio < 1.1
    assert found.duplicates <= 0.03


def test_what_comes_twice() -> None:
    """Links of 10 messages per second, one of 0.05: what waits there is asked for elsewhere, and comes twice."""
    found = join(feeds=100, each=10, rate=10.0, slower=200.0, seed=1)
    assert found.complete
    assert found.duplicates == pytest.approx(0.05)


def test_giving_up() -> None:
    found = join(feeds=10, each=50, rate=10.0, seed=1, limit=2.0)
    assert not found.complete
    assert found.seconds < 2.5

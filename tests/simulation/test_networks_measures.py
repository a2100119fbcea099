"""What is measured, against networks that are small enough to count by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from random import Random

import pytest

from ebt_trio.core.types import FeedId, PeerId, Run
from ebt_trio.testing.networks import WORKLOADS, Network, Recording, latencies, measure, overlay
from ebt_trio.testing.networks.measures import delivered
from ebt_trio.testing.networks.paths import component, distances
from ebt_trio.testing.networks.workloads import all_at_once, long_tail, one_sender, senders_of, steady_rate

LINE = ["a", "b", "c", "d"]
EDGES = [(0, 1), (1, 2), (2, 3)]
FEED = FeedId("a")


def send(recording: Recording, now: float, sender: str, receiver: str, *sequences: int, new: int, took: float) -> None:
    """A frame with these messages of a's."""
    run = Run(FEED, sequences[0], [b"x"] * len(sequences))
    recording.sent(now, PeerId(sender), PeerId(receiver), "messages", [run], 100)
    recording.arrived(now + took, PeerId(receiver), PeerId(sender), run, new)
    if new:
        recording.stored(now + took, PeerId(receiver), FEED, run.last - new + 1, run.last)


def by_hand() -> Recording:
    """One message reaches b and c, and b twice; the second all, c by way of b, d by way of c."""
    recording = Recording(LINE)
    recording.stored(1.0, PeerId("a"), FEED, 1, 1)
    send(recording, 1.0, "a", "b", 1, new=1, took=0.5)
    recording.sent(1.2, PeerId("b"), PeerId("a"), "notes", {FEED: 2, FeedId("b"): 1}, 10)
    recording.asked(1.2, PeerId("b"), PeerId("a"), FEED, True)
    recording.asked(1.2, PeerId("b"), PeerId("c"), FEED, False)
    send(recording, 1.5, "b", "c", 1, new=1, took=0.5)
    send(recording, 2.0, "c", "b", 1, new=0, took=0.5)
    recording.stored(6.0, PeerId("a"), FEED, 2, 2)
    send(recording, 6.0, "a", "b", 2, new=1, took=0.25)
    send(recording, 6.25, "b", "c", 1, 2, new=1, took=0.25)
    recording.sent(6.5, PeerId("c"), PeerId("b"), "acks", {FEED: 2}, 5)
    send(recording, 6.5, "c", "d", 2, new=1, took=0.25)
    return recording


def test_the_measures_of_a_line() -> None:
    found = measure(by_hand(), until=20.0, degrees=[1, 2, 2, 1], distances=distances(4, EDGES, [0.25, 0.25, 0.25]))
    assert (found.peers, found.live, found.messages) == (4, 4, 2)
    assert found.reliability == pytest.approx((2 / 3 + 1) / 2)
    assert found.reliability_least == pytest.approx(2 / 3)
    assert found.rmr_first == pytest.approx(4 / 2 - 1)  # b, c, b again, and c again with the second
    assert found.rmr_most == found.rmr_first
    assert found.rmr == pytest.approx(7 / 5 - 1)
    assert found.ldh == 2.5
    assert found.ldh_most == 3
    assert found.delivery == pytest.approx((0.5 + 1.0 + 0.25 + 0.5 + 0.75) / 5)
    assert found.delivery_last == pytest.approx((1.0 + 0.75) / 2)
    assert found.stretch_first == pytest.approx(1.5 / 0.75)
    assert found.stretch_first_last == pytest.approx(1.0 / 0.5)
    assert found.stretch == found.stretch_last == 1.0
    assert found.notes == pytest.approx(2 / 8)
    assert found.acks == pytest.approx(1 / 8)
    assert found.frames == pytest.approx(8 / 8)
    assert found.bytes == pytest.approx(615 / 8)
    assert found.peer_load == pytest.approx(2 / (1 / 6 * 7))  # a: 2 of 7 at 1/6; b: 3 at 2/6; c: 2 at 2/6
    assert found.link_load == pytest.approx(4 / (7 / 3))
    assert found.formed is None
    assert found.grafts == pytest.approx(3 / 4)
    json.dumps(found.as_dict())


def test_who_does_not_live_does_not_count() -> None:
    found = measure(by_hand(), until=20.0, live=[0, 1, 2])
    assert found.live == 3
    assert found.reliability == found.reliability_least == 1.0
    assert found.rmr == pytest.approx(7 / 5 - 1)
    assert found.delivery_last == pytest.approx((1.0 + 0.5) / 2)
    assert found.stretch == found.peer_load == found.link_load == 0.0
    assert found.notes == pytest.approx(2 / (3 + 4))  # d sent some, too, before it died
    assert measure(by_hand(), until=20.0, live=[0, 1]).notes == pytest.approx(2 / (3 + 4))
    survivors = measure(by_hand(), until=20.0, live=[1, 2, 3])
    assert survivors.reliability == pytest.approx((2 / 3 + 1) / 2)
    with pytest.raises(ValueError, match="nothing"):
        measure(by_hand(), until=20.0, live=[2])
    with pytest.raises(ValueError, match="nothing"):
        measure(Recording(LINE), until=20.0)


def test_the_share_by_a_time() -> None:
    track = by_hand().track("a", 1)
    assert delivered(track, [0, 1, 2, 3], 1.4) == 0.0
    assert delivered(track, [0, 1, 2, 3], 1.5) == pytest.approx(1 / 3)
    assert delivered(track, [1, 2]) == 1.0
    assert delivered(track, [0]) == 1.0
    with pytest.raises(KeyError):
        by_hand().track("a", 3)


def test_when_the_tree_has_formed() -> None:
    recording = Recording(LINE)
    for sequence, now in enumerate([1.0, 2.0, 3.0, 9.0], 1):
        recording.stored(now, PeerId("a"), FEED, sequence, sequence)
    assert measure(recording, until=20.0).formed == 0.0
    recording.asked(1.5, PeerId("b"), PeerId("a"), FEED, True)
    assert measure(recording, until=20.0).formed == 0.5
    recording.asked(3.5, PeerId("b"), PeerId("a"), FEED, True)
    assert measure(recording, until=20.0).formed == 2.5
    assert measure(recording, until=10.0).formed is None
    recording.asked(9.5, PeerId("b"), PeerId("a"), FEED, True)
    assert measure(recording, until=20.0).formed is None


def test_the_first_time_counts() -> None:
    """A peer that was restored from a backup stores a message again."""
    recording = by_hand()
    recording.stored(9.0, PeerId("b"), FEED, 1, 2)
    assert recording.track("a", 1).stored[1] == 1.5
    assert recording.track("a", 2).stored[1] == 6.25


def test_beginning_forgets() -> None:
    recording = by_hand()
    recording.begin()
    send(recording, 30.0, "a", "b", 2, new=0, took=0.1)
    recording.stored(31.0, PeerId("b"), FEED, 3, 3)
    recording.stored(32.0, PeerId("a"), FEED, 3, 3)
    found = measure(recording, until=40.0)
    assert (found.messages, found.reliability, found.rmr) == (1, 0.0, 0 - 1)
    assert found.delivery_last == 0.0
    assert recording.traffic.payloads == 1


# -- paths


def test_shortest_ways() -> None:
    ways = distances(4, [(0, 1), (1, 2), (0, 2)], [1.0, 1.0, 3.0])
    assert ways(0) == [0.0, 1.0, 2.0, float("inf")]
    assert ways(2) == [2.0, 1.0, 0.0, float("inf")]


def test_parts() -> None:
    assert component([0], EDGES, {0, 1, 2, 3}) == {0, 1, 2, 3}
    assert component([0], EDGES, {0, 1, 3}) == {0, 1}
    assert component([0, 3], EDGES, {0, 1, 3}) == {0, 1, 3}
    assert component([2], EDGES, {0, 1, 3}) == set()


# -- who sends when


def test_workloads() -> None:
    assert one_sender(3, gap=2.0, sender=7) == [(0.0, 7), (2.0, 7), (4.0, 7)]
    assert all_at_once([1, 2], 2) == [(0.0, 1), (0.0, 2), (1.0, 1), (1.0, 2)]
    rate = steady_rate(range(50), 200.0, 3.0, Random(1))
    assert len(rate) == 600
    assert rate[-1][0] == pytest.approx(2.995)
    assert len(senders_of(rate)) == 50
    tail = long_tail(range(1000), 3000, Random(1))
    assert tail == sorted(tail)
    assert tail[-1][0] == pytest.approx(300, rel=0.1)
    counts = sorted((sum(peer == one for _, peer in tail) for one in senders_of(tail)), reverse=True)
    assert counts[0] > 3000 * 0.15
    assert 200 < len(counts) < 1000


@pytest.mark.parametrize("kind", WORKLOADS)
def test_workloads_by_name_come_from_the_seed(kind: str) -> None:
    posts = WORKLOADS[kind](range(5, 10), 20, Random(3))
    assert posts == sorted(posts, key=lambda post: post[0])
    assert set(senders_of(posts)) <= set(range(5, 10))
    assert len(posts) == (100 if kind == "all" else 20)
    assert posts == WORKLOADS[kind](range(5, 10), 20, Random(3))


# -- the real core


def network(seed: int, *, jitter: float = 0.0, feeds: Iterable[int] = (0,)) -> Network:
    rng = Random(seed)
    edges = overlay("regular", 40, 5, rng)
    return Network(edges, latencies("uniform", edges, rng, peers=40), peers=40, seed=seed, jitter=jitter, feeds=feeds)


@pytest.mark.parametrize("seed", range(3))
def test_a_tree(seed: int) -> None:
    """On steady links each message comes once to everybody, from the first on, and soon nearly by the shortest way."""
    run = network(seed)
    run.play(one_sender(12))
    found = run.measures()
    assert found.reliability_least == 1.0
    assert found.rmr == found.rmr_most == 0.0
    assert found.ldh_most < 9
    assert 1.0 <= found.stretch < 1.1 < found.stretch_first < 3.0
    assert found.stretch_last >= 1.0
    assert found.notes < 2.0
    assert found.formed is not None
    assert found.formed < 6.0
    assert run.recording.traffic.payloads == 12 * 39


def test_many_senders() -> None:
    run = network(1, feeds=range(40))
    run.play(WORKLOADS["all"](range(40), 3, Random(1)))
    found = run.measures()
    assert found.messages == 120
    assert found.reliability_least == 1.0
    assert found.rmr == 0.0
    assert found.peer_load < 3.0


def test_the_same_seed_gives_the_same_measures() -> None:
    def run(seed: int) -> object:
        made = network(seed, jitter=0.02)
        made.play(one_sender(6))
        return made.measures()

    first = run(5)
    assert run(5) == first
    assert run(6) != first

"""Overlays and latencies: connected, of the kind they claim to be, the same for the same seed everywhere."""

from __future__ import annotations

from collections import Counter
from random import Random
from statistics import mean, median
from zlib import crc32

import pytest

from ebt_trio.testing.networks import LATENCIES, OVERLAYS, Edge, latencies, overlay

SHAPES = [(20, 5), (100, 4), (51, 6), (1000, 5), (12, 3)]
FINGERPRINTS = {
    "regular": 3252082938,
    "erdos-renyi": 339988693,
    "small-world": 3380374322,
    "power-law": 2843533770,
    "grid": 4017973152,
    "two-clusters": 1290812634,
}
"""Of 1,000 peers with degree 5 from seed 7; networkx 3.2.1, 3.3, 3.4.2 and 3.6.1 draw the same."""


def neighbours(edges: list[Edge]) -> Counter[int]:
    return Counter(end for edge in edges for end in edge)


def reached(edges: list[Edge]) -> set[int]:
    """From peer 0."""
    beside: dict[int, list[int]] = {}
    for a, b in edges:
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    found, edge = {0}, [0]
    while edge:
        for b in beside[edge.pop()]:
            if b not in found:
                found.add(b)
                edge.append(b)
    return found


@pytest.mark.parametrize("kind", OVERLAYS)
@pytest.mark.parametrize(("peers", "degree"), SHAPES)
@pytest.mark.parametrize("seed", [0, 1])
def test_everybody_is_connected_once(kind: str, peers: int, degree: int, seed: int) -> None:
    edges = overlay(kind, peers, degree, Random(seed))
    assert edges == sorted(set(edges))
    assert all(0 <= a < b < peers for a, b in edges)
    assert reached(edges) == set(range(peers))


@pytest.mark.parametrize("kind", OVERLAYS)
def test_the_seed_decides(kind: str) -> None:
    edges = overlay(kind, 1000, 5, Random(7))
    assert crc32(repr(edges).encode()) == FINGERPRINTS[kind]
    assert kind == "grid" or overlay(kind, 1000, 5, Random(8)) != edges


@pytest.mark.parametrize("kind", ["erdos-renyi", "small-world", "power-law", "two-clusters"])
@pytest.mark.parametrize("degree", [4, 5])
def test_the_degree_is_what_was_asked_on_average(kind: str, degree: int) -> None:
    edges = overlay(kind, 1000, degree, Random(3))
    assert 2 * len(edges) / 1000 == pytest.approx(degree, abs=0.08)  # one who is left over gets a link more


def test_regular() -> None:
    assert set(neighbours(overlay("regular", 100, 5, Random(1))).values()) == {5}


def test_a_ring() -> None:
    assert set(neighbours(overlay("regular", 50, 2, Random(1))).values()) == {2}
    assert overlay("regular", 2, 1, Random(1)) == [(0, 1)]


def test_grid() -> None:
    # 0 1 2
    # 3 4 5
    # 6 7
    assert overlay("grid", 8, 5, Random(0)) == [
        (0, 1), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (3, 6), (4, 5), (4, 7), (6, 7),
    ]  # fmt: skip


def test_two_clusters() -> None:
    edges = overlay("two-clusters", 100, 5, Random(1))
    bridge = [(a, b) for a, b in edges if a < 50 <= b]
    assert len(bridge) == 2
    assert len({end for edge in bridge for end in edge}) == 4
    inside = neighbours([edge for edge in edges if edge not in bridge])
    assert set(inside.values()) == {5}


def test_a_power_law_has_hubs() -> None:
    assert max(neighbours(overlay("power-law", 1000, 5, Random(1))).values()) > 40
    assert max(neighbours(overlay("erdos-renyi", 1000, 5, Random(1))).values()) < 20


def test_a_small_world_is_mostly_near() -> None:
    steps = [min(b - a, 1000 - b + a) for a, b in overlay("small-world", 1000, 5, Random(1))]
    assert 0.88 < mean(step <= 3 for step in steps) < 0.95
    assert max(steps) > 300


@pytest.mark.parametrize(
    ("kind", "peers", "degree", "says"),
    [
        ("torus", 10, 3, "no overlay"),
        ("regular", 5, 5, "cannot have 5"),
        ("regular", 5, 3, "even"),
        ("regular", 10, 1, "pairs"),
        ("regular", 10, 0, "cannot have 0"),
        ("grid", 1, 1, "1 peers"),
        ("two-clusters", 10, 5, "two clusters"),
    ],
)
def test_what_cannot_be(kind: str, peers: int, degree: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        overlay(kind, peers, degree, Random(0))


# -- latencies

EDGES = [(a, b) for a in range(200) for b in range(a + 1, 200, 7)]


@pytest.mark.parametrize("kind", LATENCIES)
def test_each_link_has_one_from_the_seed(kind: str) -> None:
    found = latencies(kind, EDGES, Random(1), peers=200)
    assert len(found) == len(EDGES)
    assert min(found) >= 0.010
    assert found == latencies(kind, EDGES, Random(1), peers=200)
    if kind != "constant":
        assert found != latencies(kind, EDGES, Random(2), peers=200)


def test_ranges() -> None:
    assert set(latencies("constant", EDGES, Random(1), peers=200, low=1, high=3)) == {2}
    even = latencies("uniform", EDGES, Random(1), peers=200, low=1, high=3)
    assert 1 <= min(even) < 1.01
    assert 2.99 < max(even) <= 3
    assert mean(even) == pytest.approx(2, rel=0.02)
    tail = latencies("long-tail", EDGES, Random(1), peers=200)
    assert median(tail) == pytest.approx(0.0159, rel=0.1)
    assert 0.4 < max(tail) <= 1.0


def test_by_cluster() -> None:
    found = dict(zip(EDGES, latencies("by-cluster", EDGES, Random(1), peers=200), strict=True))
    near = [late for (a, b), late in found.items() if a // 50 == b // 50]
    far = [late for (a, b), late in found.items() if a // 50 != b // 50]
    assert max(near) <= 0.015 < 0.030 <= min(far) <= max(far) <= 0.050
    there = [late for (a, b), late in found.items() if (a // 50, b // 50) == (0, 3)]
    assert max(there) / min(there) < 1.11
    assert max(far) / min(far) > 1.11


@pytest.mark.parametrize(
    ("kind", "low", "high", "says"),
    [("normal", 0.01, 0.05, "called"), ("uniform", 0.0, 1, "no sense"), ("uniform", 2, 1, "no sense")],
)
def test_no_such_latencies(kind: str, low: float, high: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        latencies(kind, EDGES, Random(0), peers=200, low=low, high=high)

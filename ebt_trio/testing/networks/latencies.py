"""How long links take, one way, in seconds: of the kinds that the literature uses, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from .overlays import Edge

TAIL: Final = 1.5
"""Exponent of the long tail; the mean is then three times the least, and there is no variance."""
TAIL_MAX: Final = 20.0
"""The longest, in units of ``high``."""
CLUSTERS: Final = 4
"""So many regions are far from each other; two of them are one half of ``two-clusters``."""


def latencies(
    kind: str, edges: Sequence[Edge], rng: Random, *, peers: int, low: float = 0.010, high: float = 0.050
) -> list[float]:
    """The one-way latency of each link, in seconds, in the order of ``edges``.

    :param kind: one of :data:`LATENCIES`
    :param rng: decides all that is not given
    :param peers: how many there are, for ``by-cluster``: neighbours in number are neighbours on the map
    :param low: the least, in seconds
    :param high: the most, in seconds; only ``long-tail`` goes beyond
    :raises ValueError: no such kind, or no such range
    """
    if kind not in LATENCIES:
        raise ValueError(f"no latencies are called {kind!r}: there are {', '.join(LATENCIES)}")
    if not 0 < low <= high:
        raise ValueError(f"latencies from {low} to {high} seconds make no sense")
    return LATENCIES[kind](edges, rng, peers, low, high)


def constant(edges: Sequence[Edge], rng: Random, peers: int, low: float, high: float) -> list[float]:
    """The mean of the range, everywhere."""
    return [(low + high) / 2 for _ in edges]


def uniform(edges: Sequence[Edge], rng: Random, peers: int, low: float, high: float) -> list[float]:
    """Any value of the range is as likely as any other."""
    return [rng.uniform(low, high) for _ in edges]


def long_tail(edges: Sequence[Edge], rng: Random, peers: int, low: float, high: float) -> list[float]:
    """Most are near ``low``, a few are many times as long (Pareto)."""
    return [min(low * rng.paretovariate(TAIL), high * TAIL_MAX) for _ in edges]


def by_cluster(edges: Sequence[Edge], rng: Random, peers: int, low: float, high: float) -> list[float]:
    """Four regions: near ``low`` within one, and in the upper half of the range between two, each pair its own."""
    near, middle = low + (high - low) / 8, (low + high) / 2
    apart = [[rng.uniform(middle, high) for _ in range(CLUSTERS)] for _ in range(CLUSTERS)]
    found: list[float] = []
    for a, b in edges:
        here, there = sorted((a * CLUSTERS // peers, b * CLUSTERS // peers))
        far = min(high, max(middle, apart[here][there] * rng.uniform(0.95, 1.05)))
        found.append(rng.uniform(low, near) if here == there else far)
    return found


LATENCIES: Final[Mapping[str, Callable[[Sequence[Edge], Random, int, float, float], list[float]]]] = {
    "constant": constant,
    "uniform": uniform,
    "long-tail": long_tail,
    "by-cluster": by_cluster,
}

"""A row of a table: a network to be run with a seed, what is wanted of it, and what others have published."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ebt_trio.testing.networks import Edge, Network, latencies, overlay

Figures = dict[str, float | None]
Run = Callable[[int], Figures]
"""From a seed to figures that depend on nothing else. What begins with ``cost`` may depend on the machine."""


@dataclass(frozen=True, slots=True)
class Target:
    """Of the mean over seeds."""

    most: float | None = None
    least: float | None = None

    def reached(self, value: float | None) -> bool:
        """Nothing is no figure: None reaches nothing."""
        if value is None:
            return False
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    def __str__(self) -> str:
        bounds = [
            f"≤ {self.most:g}" if self.most is not None else "",
            f"≥ {self.least:g}" if self.least is not None else "",
        ]
        return ", ".join(bound for bound in bounds if bound)


@dataclass(frozen=True, slots=True)
class Case:
    """One row."""

    name: str
    peers: int
    run: Run
    targets: Mapping[str, Target] = field(default_factory=dict[str, Target])


@dataclass(frozen=True, slots=True)
class Published:
    """A row of others, as they published it."""

    name: str
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that have figures in common."""

    name: str
    title: str
    what: str
    """What was done, and what the figures are."""
    figures: Mapping[str, str]
    """From the name of a figure to the head of its column, in order."""
    cases: Sequence[Case]
    published: Sequence[Published] = ()


def links(
    kind: str, peers: int, seed: int, *, late: str = "uniform", degree: int = 5
) -> tuple[list[Edge], list[float]]:
    """An overlay and its latencies: the same for whatever is tried on it."""
    rng = Random(f"{kind} {late} {peers} {degree} {seed}")
    edges = overlay(kind, peers, degree, rng)
    return edges, latencies(late, edges, rng, peers=peers)


def network(peers: int, seed: int, *, kind: str = "regular", late: str = "uniform", **options: Any) -> Network:
    """Peers of degree 5, 10 to 50 ms apart, if nothing else is said."""
    edges, delays = links(kind, peers, seed, late=late)
    return Network(edges, delays, peers=peers, seed=seed, **options)


def chosen(found: Mapping[str, Any], table: Mapping[str, str]) -> Figures:
    """Those figures that are columns."""
    return {name: found[name] for name in table if name in found}

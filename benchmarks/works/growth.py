"""What costs grow with: each size doubled five times. ``benchmarks.counts`` has the same curves in exact counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks.lab import OURS, Case, Lab
from benchmarks.works import bulk, handshake, live, many

DOUBLED = 6


@dataclass(frozen=True)
class Curve:
    """``figure`` of ``run``, times ``share`` of the size where it is not per unit already."""

    name: str
    what: str
    noun: str
    first: int
    run: Callable[..., Mapping[str, float]]
    option: str
    figures: Mapping[str, str]
    """The figure → how it is called per unit."""
    each: float = 0
    """If not 0: the figure is divided by the size, and multiplied by this."""

    def measure(self, lab: Lab, kind: str, *, steps: int) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for size in (self.first << step for step in range(steps)):
            figures = self.run(lab, kind, **{self.option: size})
            for figure, called in self.figures.items():
                value = figures[figure] * (self.each / size if self.each else 1)
                found[f"{size:,} {self.noun}: {called}"] = value
        return found


def curves(quick: bool) -> Iterator[Curve]:
    scale = 8 if quick else 1
    cpu, message = "CPU, µs per message", {bulk.CPU: "CPU, µs per message"}
    second = 500 if quick else 2000
    yield Curve("messages", "bulk, one feed", "messages", 3200 // scale, partial(bulk.bulk, feeds=1), "head", message)
    yield Curve(
        "feeds", "bulk, feeds of one message", "feeds", 640 // scale, partial(bulk.bulk, head=1), "feeds", message
    )
    handshakes = {handshake.FIRST: "first, CPU, µs per feed", handshake.LATER: "later, CPU, µs per feed"}
    yield Curve("handshake", "handshakes", "feeds", 3200 // scale, handshake.handshake, "feeds", handshakes, each=1e3)
    fan_out = partial(many.fan_out, count=50 if quick else 200, per_second=50)
    yield Curve("peers", "live, one to many, 50 per second", "peers", 1, fan_out, "peers", {many.EACH: many.EACH})
    beside = partial(live.live, count=second, per_second=second)
    yield Curve("idle-feeds", "live, beside idle feeds", "feeds", 640 // scale, beside, "feeds", {bulk.CPU: cpu})
    yield Curve("history", "live, behind messages", "before", 640 // scale, beside, "head", {bulk.CPU: cpu})


def cases(quick: bool) -> Iterator[Case]:
    for curve in curves(quick):
        yield Case(
            f"growth-{curve.name}",
            f"{curve.what}, of {curve.noun} doubled five times",
            partial(curve.measure, steps=DOUBLED),
            kinds=(OURS,),
            rounds=1 if quick else 3,
        )

"""Peers that share a process, all signed and encrypted: beside gossipsub, which is what a user of Python would take.

One process, so that the author can know what has been delivered: it makes the next message when fewer than 16 are on
their way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import combinations

from benchmarks.lab import GOSSIPSUB, OURS, Case, Lab, Target
from benchmarks.processes import Meter
from benchmarks.works.bulk import SHS, SIZE
from benchmarks.works.live import P50, P99
from benchmarks.works.many import EACH

IN_FLIGHT = 16
RMR = "RMR: payloads too many, per delivery"


def mesh(lab: Lab, kind: str, *, peers: int, count: int, together: bool = False) -> Mapping[str, float]:
    """Each joined with each."""
    with lab.several(kind, 1) as [worker]:
        names = worker.ask("open", peer=0, feeds=1, size=SIZE, signed=True, head=1, counted=False)
        worker.ask("open", peer=1, feeds=1, size=SIZE, signed=True, names=names, peers=peers - 1)
        urls = [worker.ask("listen", url=SHS, peer=number) for number in range(peers)]
        for one, other in combinations(range(peers), 2):
            worker.ask("connect", url=urls[one], peer=other)
        Meter(worker).settle()
        work = {"in_flight": IN_FLIGHT, "size": SIZE, "together": together}
        worker.ask("windowed", count=max(count // 10, 1), **work)
        Meter(worker).settle()
        worker.ask("timed")
        received = worker.ask("received")
        meter = Meter(worker)
        worker.ask("windowed", count=count, **work)
        meter.settle()
        deliveries = count * (peers - 1)
        cpu = meter.cpu() / deliveries * 1e6
        ages = worker.ask("ages")
        found = {EACH: cpu, P50: ages["p50"] * 1e6, P99: ages["p99"] * 1e6}
        return found if peers == 2 else found | {RMR: (worker.ask("received") - received) / deliveries - 1}


def cases(quick: bool) -> Iterator[Case]:
    for peers, what, targets in (
        (2, "two peers", {EACH: Target(GOSSIPSUB, 1 / 25, 100.0)}),
        (5, "five peers, each joined with each", {RMR: Target("", 0.05)}),
    ):
        count = (200 if quick else 2000) // (peers - 1)
        kind = f"messages of {SIZE} bytes, {IN_FLIGHT} on their way, signed, encrypted, one process"
        work = partial(mesh, peers=peers, count=count)
        case = Case(
            f"mesh-{peers}",
            f"{what}, {count:,} {kind}, one call for each",
            work,
            kinds=(OURS, GOSSIPSUB),
            targets=targets,
        )
        yield case
        if quick and peers > 2:
            continue
        yield replace(
            case,
            name=f"{case.name}-together",
            what=f"{what}, {count:,} {kind}, one call for as many as there is room for",
            run=partial(work, together=True),
            kinds=(OURS,),
            beside=case.name,
        )

"""Many peers around one: what a live message costs, what a feed costs in memory, and what nothing costs.

Those around it share a process, each with a store of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial

from benchmarks.lab import GOSSIPSUB, OURS, REFERENCE, Case, Lab, Target
from benchmarks.processes import Meter, Worker
from benchmarks.works.bulk import SHS, SIZE, TCP
from benchmarks.works.live import P50, P99

EACH = "CPU of all, µs per delivery"
HEAP = "heap bytes per feed and further peer"
IDLE = "idle CPU of the one, % of a core"


def fan_out(
    lab: Lab, kind: str, *, peers: int, count: int, per_second: float, signed: bool = False
) -> Mapping[str, float]:
    with lab.pair(kind) as (hub, crowd):
        more = {"signed": True} if signed else {}
        names = hub.ask("open", peer=0, feeds=1, size=SIZE, head=1, **more)
        crowd.ask("open", peer=1, feeds=1, size=SIZE, head=0 if signed else 1, peers=peers, names=names, **more)
        crowd.ask("connect", url=hub.ask("listen", url=SHS if signed else TCP))
        made = peers * signed * (kind == OURS)  # who are not the author get its first message, too
        crowd.ask("until", count=made)
        Meter(hub, crowd).settle()
        crowd.ask("timed")
        meter = Meter(hub, crowd)
        crowd.start("until", count=made + count * peers)
        hub.ask("produce", count=count, per_second=per_second, size=SIZE)
        crowd.finish()
        meter.settle()
        ages = crowd.ask("ages")
        cpu = meter.cpu() / (count * peers) * 1e6
        return {EACH: cpu, P50: ages["p50"] * 1e6, P99: ages["p99"] * 1e6}


def memory(lab: Lab, kind: str, *, feeds: int, peers: int, idle: float) -> Mapping[str, float]:
    """The growth from one peer to ``peers``; then, when what was to be saved is saved, what doing nothing costs."""
    with lab.pair(kind) as (hub, crowd):
        hub.start("open", peer=0, feeds=feeds, size=SIZE)
        crowd.start("open", peer=1, feeds=feeds, size=SIZE, peers=peers)
        hub.finish()
        crowd.finish()
        hub.ask("heap")
        url = hub.ask("listen", url=TCP)
        crowd.ask("connect", url=url, peer=0)
        _quiet(hub, crowd)
        before = hub.ask("heap")
        for peer in range(1, peers):
            crowd.ask("connect", url=url, peer=peer)
            Meter(hub, crowd).settle(0.5, window=0.5, most=0.02)  # each says its HELLO in time
        _quiet(hub, crowd)
        after = hub.ask("heap", last=True)
        time.sleep(1)
        meter = Meter(hub)
        time.sleep(idle)
        return {HEAP: (after - before) / feeds / (peers - 1), IDLE: meter.cpu() / meter.seconds() * 100}


def _quiet(*workers: Worker) -> None:
    """Clocks of peers are saved about once a second, some at a time: quiet is what is quiet for longer."""
    Meter(*workers).settle(1, window=2, most=0.02, patience=300)


def cases(quick: bool) -> Iterator[Case]:
    for peers in (10,) if quick else (1, 10, 50):
        count = 200 if quick else 1000
        yield Case(
            f"fan-out-{peers}",
            f"1 to {peers} peers, {count:,} messages of {SIZE} bytes, 100 per second",
            partial(fan_out, peers=peers, count=count, per_second=100),
            kinds=(OURS, REFERENCE),
        )
    if not quick:
        count = 200
        yield Case(
            "fan-out-10-shs",
            f"1 to 10 peers, {count:,} messages of {SIZE} bytes, 20 per second, signed, encrypted",
            partial(fan_out, peers=10, count=count, per_second=20, signed=True),
            kinds=(OURS, GOSSIPSUB),
            rounds=3,
        )
    feeds, peers, idle = (5_000, 3, 3.0) if quick else (100_000, 10, 30.0)
    yield Case(
        f"memory-{feeds}",
        f"{feeds:,} feeds, {peers} peers, nothing to do",
        partial(memory, feeds=feeds, peers=peers, idle=idle),
        kinds=(OURS, REFERENCE),
        targets={} if quick else {HEAP: Target("", 64), IDLE: Target("", 1)},
        rounds=1,
    )

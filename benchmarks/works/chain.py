"""Five processes in a row, each joined with the next: what it costs to pass messages on."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

from benchmarks.lab import OURS, REFERENCE, Case, Lab
from benchmarks.processes import Meter, Worker
from benchmarks.works.bulk import SIZE, TCP
from benchmarks.works.live import P50, P99

PEERS = 5
CPU = "CPU of all, µs per message"
LAST = "time until the last has it, µs per message"
WIRE = "wire bytes per message and hop, both ways"


@contextmanager
def row(lab: Lab, kind: str, heads: Mapping[int, int], rest: int) -> Generator[list[Worker], None, None]:
    """Not joined yet; ``heads`` says how many messages some have, the others have ``rest``."""
    with lab.several(kind, PEERS) as workers:
        for number, worker in enumerate(workers):
            worker.ask("open", peer=number, feeds=1, size=SIZE, head=heads.get(number, rest))
        yield workers


def join(workers: list[Worker]) -> None:
    for one, other in pairwise(workers):
        other.ask("connect", url=one.ask("listen", url=TCP))


def bulk(lab: Lab, kind: str, *, count: int) -> Mapping[str, float]:
    with row(lab, kind, {0: count}, 0) as workers:
        meter = Meter(*workers)
        join(workers)
        workers[-1].ask("until", count=count)
        seconds = meter.seconds()
        meter.settle()
        sent = sum(meter.sent()) / count / (PEERS - 1)
        return {CPU: meter.cpu() / count * 1e6, LAST: seconds / count * 1e6, WIRE: sent}


def live(lab: Lab, kind: str, *, count: int, per_second: float) -> Mapping[str, float]:
    with row(lab, kind, {}, 1) as workers:
        join(workers)
        warm = count // 10
        for made, number in ((warm, warm), (warm + count, count)):
            Meter(*workers).settle(0.4)
            workers[-1].ask("timed")
            meter = Meter(*workers)
            workers[-1].start("until", count=made)
            workers[0].ask("produce", count=number, per_second=per_second, size=SIZE)
            workers[-1].finish()
        meter.settle()
        ages = workers[-1].ask("ages")
        sent = sum(meter.sent()) / count / (PEERS - 1)
        cpu = meter.cpu() / count * 1e6
        return {CPU: cpu, P50: ages["p50"] * 1e6, P99: ages["p99"] * 1e6, WIRE: sent}


def cases(quick: bool) -> Iterator[Case]:
    count, rate = (5_000, 500) if quick else (20_000, 500)
    yield Case(
        "chain-bulk",
        f"{PEERS} peers in a row, 1 x {count:,} messages of {SIZE} bytes, memory, plain, TCP",
        partial(bulk, count=count),
        kinds=(OURS, REFERENCE),
    )
    seconds = 1 if quick else 4
    yield Case(
        "chain-live",
        f"{PEERS} peers in a row, {rate} messages of {SIZE} bytes per second, one call for each",
        partial(live, count=rate * seconds, per_second=rate),
        kinds=(OURS, REFERENCE),
    )

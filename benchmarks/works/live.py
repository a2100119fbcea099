"""Live: two peers are connected, one makes messages at a steady pace, or many at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from benchmarks.lab import OURS, RAW, REFERENCE, Case, Lab, Target
from benchmarks.processes import Meter
from benchmarks.works.bulk import CPU, SHS, SIZE, TCP, WIRE

P50, P99 = "latency until stored, p50, µs", "latency until stored, p99, µs"


def live(
    lab: Lab,
    kind: str,
    *,
    count: int,
    per_second: float,
    together: bool = False,
    signed: bool = False,
    url: str = TCP,
    feeds: int = 1,
    head: int = 1,
) -> Mapping[str, float]:
    with lab.pair(kind) as (alice, bob):
        more = {"signed": True} if signed else {}
        names = alice.ask("open", peer=0, feeds=feeds, size=SIZE, head=head, **more)
        bob.ask("open", peer=1, feeds=feeds, size=SIZE, head=0 if signed else head, names=names, **more)
        bob.ask("connect", url=alice.ask("listen", url=url))
        if signed:
            bob.ask("until", count=1)
        warm = max(count // 10, 1)
        made = int(signed)
        for number, timed in ((warm, False), (count, True)):
            made += number
            Meter(alice, bob).settle(0.4)
            if timed:
                bob.ask("timed")
            meter = Meter(alice, bob)
            bob.start("until", count=made)
            alice.ask("produce", count=number, per_second=per_second, size=SIZE, together=together)
            bob.finish()
        meter.settle()
        found = {CPU: meter.cpu() / count * 1e6, WIRE: meter.sent()[0] / count}
        ages = bob.ask("ages")
        if ages:
            found |= {P50: ages["p50"] * 1e6, P99: ages["p99"] * 1e6}
        return found


def cases(quick: bool) -> Iterator[Case]:
    seconds = 1 if quick else 3
    both = f"feed of one author, messages of {SIZE} bytes"
    for rate, targets in (
        (1000, {WIRE: Target("", SIZE + 2 + 53 + 16)}),
        (5000, {CPU: Target(REFERENCE, 1.0), P50: Target(REFERENCE, 2.0)}),
    ):
        if quick and rate == 1000:
            continue
        work = partial(live, count=rate * seconds, per_second=rate)
        yield Case(
            f"live-{rate}", f"{both}, {rate:,} per second in ticks of 1 ms, one call for each", work, targets=targets
        )
        yield Case(
            f"live-{rate}-together",
            f"{both}, {rate:,} per second in ticks of 1 ms, one call for each tick",
            partial(work, together=True),
            kinds=(OURS, RAW),
            beside=f"live-{rate}",
            targets=targets,
        )
    burst = 10_000
    yield Case(
        "live-burst",
        f"{both}, {burst:,} at once, in one call",
        partial(live, count=burst, per_second=0, together=True),
        targets={CPU: Target(REFERENCE, 0.5)},
    )
    if not quick:
        yield Case(
            "live-5000-shs",
            f"{both}, 5,000 per second, one call for each, signed, SHS; the others plain",
            partial(live, count=5000 * seconds, per_second=5000, signed=True, url=SHS),
            kinds=(OURS,),
            beside="live-5000",
        )

"""Handshake: two peers follow the same feeds, and one has a new message of ten of them.

What the first session leaves to be done for the next one, digests of what was told and heard, is measured by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from benchmarks.lab import OURS, RAW, REFERENCE, Case, Lab, Target
from benchmarks.processes import Meter
from benchmarks.works.bulk import SIZE, TCP

NEW = 10
AROUND = {OURS: 62, REFERENCE: 85}
"""Bytes around a content, where its message goes alone: the id of author or feed, the sequence, what frames them."""
FIRST, LATER = "first: CPU of both ends, ms", "later: CPU of both ends, ms"
END = "end of the session: CPU of both ends, ms"
FIRST_WIRE, LATER_WIRE = "first: wire kB, both ways", "later: wire kB beyond messages"
FIRST_TIME, LATER_TIME = "first: ms until the messages are there", "later: ms until the messages are there"


PEAK = "peak memory of one node, MB"


def handshake(lab: Lab, kind: str, *, feeds: int) -> Mapping[str, float]:
    with lab.pair(kind) as (alice, bob):
        alice.start("open", peer=0, feeds=feeds, size=SIZE, head=1, ahead=NEW)
        bob.start("open", peer=1, feeds=feeds, size=SIZE, head=1)
        alice.finish()
        bob.finish()
        where = alice.ask("listen", url=TCP)
        Meter(alice, bob).settle(0)
        meter = Meter(alice, bob)
        bob.ask("connect", url=where)
        if kind == RAW:
            for one, other in ((alice, bob), (bob, alice)):
                other.start("until", count=feeds)
                one.ask("notes")
                other.finish()
            return {FIRST: meter.cpu() * 1e3, FIRST_WIRE: sum(meter.sent()) / 1e3}
        bob.ask("until", count=NEW)
        first = meter.seconds()
        meter.settle()
        found = {FIRST: meter.cpu() * 1e3, FIRST_WIRE: sum(meter.sent()) / 1e3, FIRST_TIME: first * 1e3}
        meter = Meter(alice, bob)
        bob.ask("close")
        meter.settle(0.5)
        found[END] = meter.cpu() * 1e3
        alice.ask("extend", feeds=NEW, size=SIZE)
        Meter(alice, bob).settle(0.5)
        meter = Meter(alice, bob)
        bob.ask("connect", url=where)
        bob.ask("until", count=2 * NEW)
        later = meter.seconds()
        meter.settle()
        beyond = sum(meter.sent()) - NEW * (SIZE + AROUND[kind])
        found[PEAK] = max(worker.ask("peak") for worker in (alice, bob)) / 1e6
        return found | {LATER: meter.cpu() * 1e3, LATER_WIRE: beyond / 1e3, LATER_TIME: later * 1e3}


def cases(quick: bool) -> Iterator[Case]:
    for feeds in (10_000,) if quick else (10_000, 100_000, 1_000_000):
        targets = {
            FIRST: Target(REFERENCE, 0.40),
            FIRST_WIRE: Target(REFERENCE, 1.05),
            LATER: Target(REFERENCE, 0.40),
            LATER_WIRE: Target("", 2.0),
        }
        yield Case(
            f"handshake-{feeds}",
            f"{feeds:,} feeds followed by both, {NEW} with a new message",
            partial(handshake, feeds=feeds),
            kinds=(OURS, REFERENCE, RAW),
            targets={100_000: targets, 1_000_000: {PEAK: Target("", 2000)}}.get(feeds, {}),
            rounds=1 if feeds == 1_000_000 else 0,
        )

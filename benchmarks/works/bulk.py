"""Bulk: one peer has messages, the other has none of them, and connects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from benchmarks.lab import OURS, RAW, REFERENCE, Case, Lab, Target
from benchmarks.processes import Meter

TCP = "tcp://127.0.0.1:0"
SHS = "shs+tcp://127.0.0.1:0"
SIZE = 200
CPU = "CPU of both ends, µs per message"
WIRE = "wire bytes per message, forward"
UNIX = "unix://{folder}/socket"
SHAPES = ((1, 50_000, 0.20), (1000, 50, 0.30), (10_000, 5, 0.60))
"""Feeds, messages of each, and how much of the reference's CPU time ours may take."""


def bulk(
    lab: Lab, kind: str, *, feeds: int, head: int, sqlite: bool = False, signed: bool = False, url: str = TCP
) -> Mapping[str, float]:
    count = feeds * head
    with lab.folder() as folder, lab.pair(kind) as (alice, bob):
        files = [str(folder / name) for name in ("one.db", "other.db")] if sqlite and kind == OURS else [None, None]
        more = {"signed": True} if signed else {}
        alice.start("open", peer=0, feeds=feeds, size=SIZE, head=head, database=files[0], **more)
        names = alice.finish()
        bob.ask("open", peer=1, feeds=feeds, size=SIZE, database=files[1], names=names, **more)
        where = alice.ask("listen", url=url.format(folder=folder))
        meter = Meter(alice, bob)
        bob.ask("connect", url=where)
        if kind == RAW:
            alice.start("send")
        bob.ask("until", count=count)
        seconds = meter.seconds()
        if kind == RAW:
            alice.finish()
        meter.settle()
        return {
            CPU: meter.cpu() / count * 1e6,
            "time, µs per message": seconds / count * 1e6,
            WIRE: meter.sent()[0] / count,
        }


def cases(quick: bool) -> Iterator[Case]:
    scale = 5 if quick else 1
    for feeds, head, most in SHAPES:
        shape = f"{max(feeds // scale, 1)} x {head // scale if feeds == 1 else head}"
        work = partial(bulk, feeds=max(feeds // scale, 1), head=head // scale if feeds == 1 else head)
        what = f"{shape} messages of {SIZE} bytes"
        targets = {CPU: Target(REFERENCE, most)}
        if feeds == 1:
            targets[WIRE] = Target("", SIZE + 2 + 4)
        name = f"bulk-{feeds}"
        yield Case(name, f"{what}, memory, plain, TCP", work, targets=targets)
        if feeds == 1 or not quick:
            yield Case(
                f"{name}-sqlite",
                f"{what}, SQLite at both ends, plain, TCP; the others in memory",
                partial(work, sqlite=True),
                kinds=(OURS, REFERENCE) if feeds == 1 else (OURS,),
                beside=name,
                targets={CPU: Target(REFERENCE, 0.80)} if feeds == 1 else {},
            )
            for kind, link, url in (("signed", "TCP", TCP), ("shs", "SHS over TCP", SHS)):
                yield Case(
                    f"{name}-{kind}",
                    f"{what}, memory, signed, {link}; the others plain",
                    partial(work, signed=True, url=url),
                    kinds=(OURS,),
                    beside=name,
                )
        if not quick:
            yield Case(
                f"{name}-unix",
                f"{what}, memory, plain, Unix sockets; raw over TCP",
                partial(work, url=UNIX),
                kinds=(OURS, REFERENCE),
                beside=name,
            )

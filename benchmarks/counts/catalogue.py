"""Which works are counted against the record, and which curves must not rise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.counts.counter import BYTES, CALLS, LINES, Counter
from benchmarks.counts.works import Work, appends, bulk, burst, counted, handshake, idle, live, signed

WORKS = (
    Work("bulk", "one feed of 2,000 messages", "message", partial(bulk, feeds=1, head=2000)),
    Work("bulk-many", "200 feeds of 5 messages", "message", partial(bulk, feeds=200, head=5)),
    Work("bulk-signed", "one signed feed of 500 messages", "message", partial(signed, head=500)),
    Work("append", "300 messages, nobody there", "message", partial(appends, count=300)),
    Work("live", "100 messages to one peer", "delivery", partial(live, count=100)),
    Work("live-burst", "1,000 messages at once", "message", partial(burst, count=1000)),
    Work("fan-out", "30 messages to each of 5 peers", "delivery", partial(live, count=30, others=5)),
    Work("chain", "30 messages through a chain of 5", "delivery", partial(live, count=30, others=4, chain=True)),
    Work("handshake", "1,000 feeds, for the first time", "feed", partial(handshake, feeds=1000)),
    Work("handshake-later", "1,000 feeds, once more", "feed", partial(handshake, feeds=1000, later=True)),
    Work("idle", "300 feeds, two peers, nothing new", "ten minutes", partial(idle, feeds=300)),
)

RISE = 1.10
"""How much more a unit of the work may cost than at any smaller size."""
RISING = (CALLS, LINES, BYTES)


@dataclass(frozen=True)
class Curve:
    """Work whose size is doubled five times: what a unit of it costs may fall, as fixed costs do, but not rise."""

    name: str
    what: str
    unit: str
    sizes: Sequence[int]
    run: Callable[..., Awaitable[int]]
    size: str
    """The option of ``run`` that is doubled."""

    def points(self) -> list[Mapping[str, float]]:
        """Figures per unit, for each size."""
        found: list[Mapping[str, float]] = []
        for size in self.sizes:
            counter, units = counted(Work(self.name, self.what, self.unit, partial(self._run, size)))
            found.append({figure: value / units for figure, value in counter.figures().items()})
        return found

    async def _run(self, size: int, counter: Counter) -> int:
        return await self.run(counter, **{self.size: size})

    def rises(self, points: Sequence[Mapping[str, float]]) -> list[str]:
        """What rises, for people."""
        found: list[str] = []
        for figure in RISING:
            costs = [point[figure] for point in points]
            for size, cost, before in zip(self.sizes[1:], costs[1:], _lowest(costs), strict=False):
                if cost > before * RISE + 0.01:
                    found.append(f"{self.name}: {figure} per {self.unit} {before:.2f} -> {cost:.2f} at {size:,}")
        return found


def _lowest(costs: Sequence[float]) -> list[float]:
    """The lowest so far."""
    return [min(costs[: at + 1]) for at in range(len(costs))]


def doubled(first: int) -> list[int]:
    """Six sizes."""
    return [first << step for step in range(6)]


CURVES = (
    Curve("messages", "bulk, one feed of n messages", "message", doubled(125), partial(bulk, feeds=1), "head"),
    Curve("feeds", "bulk, n feeds of one message", "message", doubled(15), partial(bulk, head=1), "feeds"),
    Curve("handshake", "n feeds, first handshake", "feed", doubled(25), handshake, "feeds"),
    Curve("handshake-later", "n feeds, later handshake", "feed", doubled(25), partial(handshake, later=True), "feeds"),
    Curve("peers", "live, n peers around one", "delivery", doubled(1), partial(live, count=3), "others"),
    Curve("chain", "live, a chain of n links", "delivery", doubled(1), partial(live, count=2, chain=True), "others"),
    Curve("idle-feeds", "live, beside n - 1 idle feeds", "delivery", doubled(25), partial(live, count=10), "feeds"),
    Curve("history", "live, behind n messages", "delivery", doubled(100), partial(live, count=10), "history"),
    Curve("idle", "ten minutes, n feeds, nothing new", "ten minutes", doubled(25), idle, "feeds"),
)

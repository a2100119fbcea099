"""A peer that has nothing joins some that hold everything: how evenly, how fast, and how often twice it is served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Final

from ebt_trio.core.types import FeedId, PeerId, Run
from ebt_trio.testing.simulation import SimLink, Simulation
from ebt_trio.testing.watch import Watch

JOINER: Final = "joiner"


@dataclass(frozen=True, slots=True)
class Bulk:
    """What one joiner got."""

    messages: int
    complete: bool
    seconds: float
    """From the connection until it had everything."""
    ideal: float
    """How long that takes at best, in seconds, with links and downlink in full use all the time."""
    ratio: float
    """``seconds / ideal``."""
    shares: list[float]
    """Of the messages, by neighbour: who brought them first."""
    duplicates: float
    """Messages that came again / messages."""

    def as_dict(self) -> dict[str, Any]:
        """By name, for JSON."""
        return asdict(self)


class _Joining(Watch):
    def __init__(self) -> None:
        self.first: dict[str, int] = {}
        self.again = 0
        self.last = 0.0
        self.had = 0
        self.reached: Callable[[], None] | None = None
        self.half = 0

    def arrived(self, now: float, receiver: PeerId, sender: PeerId, run: Run, new: int) -> None:
        if receiver == JOINER:
            self.first[sender] = self.first.get(sender, 0) + new
            self.again += len(run.payloads) - new

    def stored(self, now: float, peer: PeerId, feed: FeedId, first: int, last: int) -> None:
        if peer != JOINER:
            return
        self.had += last - first + 1
        self.last = now
        if self.reached is not None and self.had >= self.half:
            reached, self.reached = self.reached, None
            reached()


def join(
    *,
    feeds: int = 1000,
    each: int = 50,
    neighbours: int = 5,
    rate: float = 1000.0,
    slower: float = 1.0,
    freezing: bool = False,
    downlink: float = 0.0,
    seed: int = 0,
    limit: float = 3600.0,
) -> Bulk:
    """Let a peer join.

    :param feeds: so many feeds there are, of ``each`` messages
    :param neighbours: so many peers hold them all, each linked with the joiner only, 10 to 50 ms away
    :param rate: messages per second over each link
    :param slower: one of the links is so many times slower
    :param freezing: one of the neighbours freezes when the joiner has half of it
    :param downlink: messages per second that the joiner can take over all links together; 0: any number
    :param seed: decides the rest
    :param limit: give up after so many simulated seconds
    """
    rng = Random(seed)
    watch = _Joining()
    sim = Simulation(seed, latency=(0.01, 0.05), check=False, trace=False, count=False, watch=watch)
    names = [f"{rng.randrange(1 << 32):08x}" for _ in range(feeds)]
    holders = [f"holder{number}" for number in range(neighbours)]
    for holder in holders:
        peer = sim.peer(holder, follow=names)
        for name in names:
            peer.append(each, feed=name)
    joiner = sim.peer(JOINER, follow=names)
    joiner.downlink = downlink
    sim.settle()
    started = sim.now
    rates = [rate / slower, *([rate] * (neighbours - 1))]
    links: list[SimLink] = [sim.connect(JOINER, holder, rate=one) for holder, one in zip(holders, rates, strict=True)]
    total = watch.half = feeds * each
    if freezing:
        watch.half = total // 2
        watch.reached = links[0].freeze
    while watch.had < total and sim.now - started < limit:
        sim.run(0.25)
    seconds = watch.last - started
    at_best = sum(rates)
    ideal = total / at_best
    if freezing:
        ideal = total / 2 / at_best + total / 2 / (at_best - rates[0])
    ideal = max(ideal, total / downlink if downlink else 0.0)
    return Bulk(
        messages=total,
        complete=watch.had == total,
        seconds=seconds,
        ideal=ideal,
        ratio=seconds / ideal,
        shares=[watch.first.get(holder, 0) / total for holder in holders],
        duplicates=watch.again / total,
    )

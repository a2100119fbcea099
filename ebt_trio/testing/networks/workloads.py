"""Who sends when: lists of (seconds from the start, number of the peer), in order, drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Final, Protocol

Post = tuple[float, int]

GAP: Final = 1.0
"""Seconds between two messages, or two rounds, where no rate is given."""
ACTIVITY: Final = 1.2
"""Exponent of a long-tail activity: the author of rank r sends in proportion to r^-1.2 (Zipf)."""


def one_sender(messages: int, *, gap: float = GAP, sender: int = 0) -> list[Post]:
    """The same peer every time."""
    return [(number * gap, sender) for number in range(messages)]


def random_senders(senders: Sequence[int], messages: int, rng: Random, *, gap: float = GAP) -> list[Post]:
    """Another peer each round, drawn anew."""
    return [(number * gap, rng.choice(senders)) for number in range(messages)]


def all_at_once(senders: Sequence[int], rounds: int, *, gap: float = GAP) -> list[Post]:
    """Every sender at the same moment, round by round."""
    return [(number * gap, sender) for number in range(rounds) for sender in senders]


def steady_rate(senders: Sequence[int], rate: float, seconds: float, rng: Random) -> list[Post]:
    """``rate`` messages per second over all senders, evenly, each of a sender drawn at random."""
    return [(number / rate, rng.choice(senders)) for number in range(round(rate * seconds))]


def long_tail(senders: Sequence[int], messages: int, rng: Random, *, rate: float = 10.0) -> list[Post]:
    """A few senders do most of it: Zipf, in an order of senders that is drawn, at random times."""
    ranked = rng.sample(list(senders), len(senders))
    weights = list(accumulate((rank + 1) ** -ACTIVITY for rank in range(len(ranked))))
    chosen = rng.choices(ranked, cum_weights=weights, k=messages)
    return list(zip(accumulate(rng.expovariate(rate) for _ in chosen), chosen, strict=True))


class _Workload(Protocol):
    def __call__(self, senders: Sequence[int], messages: int, rng: Random) -> list[Post]: ...


def _one(senders: Sequence[int], messages: int, rng: Random) -> list[Post]:
    return one_sender(messages, sender=senders[0])


def _all(senders: Sequence[int], messages: int, rng: Random) -> list[Post]:
    return all_at_once(senders, messages)


def _rate(senders: Sequence[int], messages: int, rng: Random) -> list[Post]:
    return steady_rate(senders, 200.0, messages / 200.0, rng)


WORKLOADS: Final[Mapping[str, _Workload]] = {
    "one": _one,
    "random": random_senders,
    "all": _all,
    "rate": _rate,
    "long-tail": long_tail,
}
"""By name, with what is usual: ``messages`` are rounds in ``all``."""


def senders_of(posts: Iterable[Post]) -> list[int]:
    """Whose feeds have to be followed."""
    return sorted({peer for _, peer in posts})

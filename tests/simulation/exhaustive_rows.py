"""Which rows of the ownership tables are reached, and whether each does what it says.

The condition of every :meth:`Ownership.evaluate` is computed here once more, from the words of the table; what comes
out must fit. The other transitions are told by what they leave behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from ebt_trio.core.feed import Class, Feed
from ebt_trio.core.link import Link
from ebt_trio.core.ownership import Ownership

TABLE = (
    "nobody ahead: idle",
    "no owner, room: graft",
    "no owner, full: wait",
    "no owner, all penalised: graft the oldest",
    "owner penalised, room elsewhere: move",
    "owner penalised, full elsewhere: wait",
    "owner ahead: claimed",
    "owner behind, another ahead: unclaimed",
    "owner behind, waiting: move",
    "owner behind, waiting: wait on",
    "owner behind, all ahead penalised: penalty",
)
EVENTS = (
    "stalled: our own store fails",
    "stalled: busy",
    "stalled: another is asked",
    "stalled: the only one is asked again",
    "overtaken: the first announcer",
    "overtaken: another",
    "overtaken: wait",
    "wrong verdict: grafted too early",
    "wrong verdict: but long ago",
    "wrong verdict: stalled too early",
    "improve: a win",
    "improve: a loss",
    "improve: moved",
    "adopt: from its author",
    "adopt: left to who delivers",
    "duplicate: of the owner",
    "duplicate: pruned",
    "duplicate: in flight",
    "lost: asked again",
    "lost: ignored",
    "left: the owner",
    "left: another",
)


class Rows(Counter[str]):
    """How often each was reached."""

    def missing(self) -> list[str]:
        return [row for row in (*TABLE, *EVENTS) if not self[row]]


class TableBroken(AssertionError):
    """A row did not do what the table says."""


def _row(ownership: Ownership, feed: Feed, now: float) -> tuple[str, Callable[[], bool]]:
    """The row that applies, and what must hold afterwards."""
    ahead = [link for link in ownership.links if link.claims(feed)] if feed.followed else []
    if not ahead:
        return TABLE[0], lambda: feed.class_ is Class.IDLE and feed.deadline is None and feed.mark_link is None
    owner = feed.owner
    fit = [link for link in ahead if not link.penalised(feed.number, now)]
    others = [link for link in fit if link is not owner]
    room = any(link.has_room for link in others)

    def claimed_by(candidates: list[Link]) -> Callable[[], bool]:
        return lambda: feed.class_ is Class.CLAIMED and feed.owner in candidates

    def waits() -> bool:
        return feed.class_ is Class.WAIT and feed.deadline is None and feed.owner is owner

    if owner is None:
        if not fit:
            oldest = min(ahead, key=lambda link: link.faults[feed.number].since)
            return TABLE[3], claimed_by([oldest])
        return (TABLE[1], claimed_by(others)) if room else (TABLE[2], waits)
    if owner.penalised(feed.number, now) and others:
        return (TABLE[4], claimed_by(others)) if room else (TABLE[5], waits)
    if owner in ahead:
        return TABLE[6], claimed_by([owner])
    if not others:
        return TABLE[10], lambda: feed.class_ is Class.PENALTY and feed.owner is owner
    if feed.class_ is Class.WAIT:
        return (TABLE[8], claimed_by(others)) if room else (TABLE[9], waits)
    return TABLE[7], lambda: feed.class_ is Class.UNCLAIMED and feed.owner is owner


@contextmanager
def watched(rows: Rows) -> Iterator[None]:
    """Count rows, and check them, as long as this lasts."""
    saved = {name: getattr(Ownership, name) for name in _WATCHES}
    for name, watch in _WATCHES.items():
        setattr(Ownership, name, _wrap(saved[name], watch, rows))
    try:
        yield
    finally:
        for name, method in saved.items():
            setattr(Ownership, name, method)


def _wrap(method: Callable[..., None], watch: Callable[..., Iterator[str | None]], rows: Rows) -> Callable[..., None]:
    @wraps(method)
    def watched(self: Ownership, feed: Feed, *args: Any) -> None:
        watching = watch(self, feed, *args)
        next(watching)
        method(self, feed, *args)
        row = next(watching)
        if row is not None:
            rows[row] += 1

    return watched


def _evaluate(self: Ownership, feed: Feed, now: float) -> Iterator[str | None]:
    row, holds = _row(self, feed, now)
    yield None
    if not holds():
        raise TableBroken(f"{row}: {feed} at {now}")
    yield row


def _stalled(self: Ownership, feed: Feed, now: float) -> Iterator[str | None]:
    owner = feed.owner
    assert owner is not None
    failing, stalls = feed.failing, owner.statistics.stalls
    yield None
    if owner.statistics.stalls == stalls:
        yield EVENTS[0] if failing > 0 else EVENTS[1]
    else:
        yield EVENTS[3] if feed.owner is owner else EVENTS[2]


def _overtaken(self: Ownership, feed: Feed, now: float) -> Iterator[str | None]:
    first = feed.mark_link
    yield None
    if feed.class_ is Class.WAIT:
        yield EVENTS[6]
    else:
        yield EVENTS[4] if feed.owner is first else EVENTS[5]


def _payload(self: Ownership, feed: Feed, link: Link, now: float) -> Iterator[str | None]:
    concerns, faults, delay = feed.verdict_link is link, len(link.faults), self.patience.graft_delay
    grafted = feed.verdict is not None and feed.verdict.value == "graft"
    yield None
    if not concerns:
        yield None
    elif grafted:
        yield EVENTS[7] if self.patience.graft_delay > delay or delay == 1.0 else EVENTS[8]
    else:
        assert len(link.faults) <= faults
        yield EVENTS[9]


def _improve(self: Ownership, feed: Feed, owner: Link, now: float) -> Iterator[str | None]:
    wins, rival = feed.rival_wins, feed.rival
    yield None
    if feed.owner is not owner:
        yield EVENTS[12]
    elif feed.rival_wins > wins or (feed.rival is not rival and feed.rival is not None):
        yield EVENTS[10]
    else:
        yield EVENTS[11] if rival is not None and feed.rival is None else None


def _adopt(self: Ownership, feed: Feed, link: Link, now: float) -> Iterator[str | None]:
    yield None
    yield EVENTS[13] if feed.owner is link else EVENTS[14]


def _duplicate(self: Ownership, feed: Feed, link: Link, now: float) -> Iterator[str | None]:
    owner, prunes = feed.owner, link.statistics.prunes
    yield None
    if link is owner:
        yield EVENTS[15]
    else:
        yield EVENTS[16] if link.statistics.prunes > prunes else EVENTS[17]


def _lost(self: Ownership, feed: Feed, link: Link, now: float) -> Iterator[str | None]:
    asked = feed.asked_again
    yield None
    yield EVENTS[18] if feed.asked_again and not asked else EVENTS[19]


def _leave(self: Ownership, feed: Feed, link: Link, now: float) -> Iterator[str | None]:
    owner = feed.owner
    yield None
    yield EVENTS[20] if owner is link else EVENTS[21]


_WATCHES: dict[str, Callable[..., Iterator[str | None]]] = {
    "evaluate": _evaluate,
    "_stalled": _stalled,
    "_overtaken": _overtaken,
    "payload": _payload,
    "_improve": _improve,
    "adopt": _adopt,
    "duplicate": _duplicate,
    "lost": _lost,
    "leave": _leave,
}

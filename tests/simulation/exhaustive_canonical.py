"""What of a peer's state matters for its future: so that states reached on different ways can be told to be the same.

:func:`canonical` gives a static part, and times with how far back each matters (a penalty that has ended is just
over). Counters, and what only makes things faster, are left out; every attribute of a feed and of a link is listed
here as one or the other, which ``test_exhaustive.py`` checks.
"""

from __future__ import annotations

from typing import Any

from ebt_trio.core.clock import Memory
from ebt_trio.core.config import Config
from ebt_trio.core.feed import Class, Feed, Verdict
from ebt_trio.core.link import MET, Link
from ebt_trio.core.ownership import WRONG_GRAFT_WITHIN
from ebt_trio.core.patience import STALL_SCALE_MAX
from ebt_trio.core.rivals import RIVAL_APART, SWAP_APART
from ebt_trio.testing.steps import StepPeer

FEED = {
    *("id", "number", "followed", "last", "first", "accepted", "durable", "inflight", "failing", "floor", "owner"),
    *(
        "class_",
        "since",
        "progressed",
        "entered",
        "deadline",
        "highest",
        "asked_again",
        "allowance",
        "load",
        "load_link",
    ),
    *("mark_link", "mark_sequence", "mark_time", "verdict", "verdict_link", "verdict_time"),
    *("rival", "rival_wins", "rival_time", "swapped"),
}
FEED_WITHOUT_FUTURE = {"armed"}  # an entry in the heap, checked against the deadline when its time comes
LINK = {
    *("session", "peer", "instance", "acks", "up", "memory", "told", "heard", "cursor", "flags", "pending", "held"),
    *("owed", "ready_acks", "ready", "starts", "retries", "final_due", "in_initial", "refused", "firsts", "faults"),
    *("pruned", "load", "window", "window_count", "window_since", "waiting", "delivered", "last_payload", "suspect"),
    *("spaced", "news", "noted", "open", "introduced", "changed", "unproved", "proving", "ping_due", "strangers"),
}
LINK_WITHOUT_FUTURE = {"hold", "proved", "deadline", "armed", "statistics", "open_since", "synced"}
"""Constant; the earliest of what is held back; an entry in the heap; counters; reports."""
STRIKES_ALIKE = 6
"""From so many on, neither deadline nor penalty grows."""
STALL_MAX = 3.0 * STALL_SCALE_MAX
SPACING = Config().spacing

Times = list[tuple[float, float]]
"""A time, and for how many seconds afterwards it still matters."""


def canonical(peer: StepPeer, *, remember: bool) -> tuple[tuple[Any, ...], Times]:
    """:param remember: sessions may come up again, so what is remembered between them matters"""
    room = peer.core._room
    times: Times = []
    sessions = [_link(link, times, remember) for _, link in sorted(room.sessions.items())]
    feeds = [_feed(feed, room.links, times) for feed in room.feeds]
    memories = []
    if remember:
        memories = [(key.peer, _memory(memory)) for key, memory in sorted(room.memories._memories.items())]
    patience = room.ownership.patience
    scale = patience._scale if patience._scale > 1 else 1
    if scale > 1:
        times.append((patience._scaled_at, 240.0))
    static = (
        peer.id,
        tuple(sessions),
        tuple(link.session for link in room.links),
        tuple(feeds),
        tuple(memories),
        tuple(room.blocked),
        (patience.graft_delay, scale),
        tuple((session, run.feed, run.first, run.last) for session, run in peer.appends),
        tuple((feed, *peer.store.head(feed)[1:]) for feed in peer.store.feeds),
        tuple(sorted(peer.woken)),
    )
    return static, times


def _memory(memory: Memory) -> tuple[Any, ...]:
    return tuple(memory.told.values), tuple(memory.heard.values), tuple(memory.told._log or ()), memory.in_use


def _session(link: Link | None) -> int | None:
    return None if link is None else link.session


def _link(link: Link, times: Times, remember: bool) -> tuple[Any, ...]:
    if not link.up:
        return link.session, link.peer, link.instance, False
    for held in (link.held, link.spaced, link.owed, link.retries, link.unproved):
        times.extend((time, 0.0) for time in held.values())
    times.extend((time, SPACING) for time in link.noted.values())
    for fault in link.faults.values():
        times.append((fault.until, 0.0))
    times.extend((time, STALL_MAX) for time in link.pruned.values())
    times.append((link.last_payload, STALL_MAX))
    if link.window_since is not None:
        times.append((link.window_since, 1.0))
    return (
        link.session,
        link.peer,
        link.instance,
        link.acks,
        link.memory.key if remember else None,
        tuple(link.told),
        tuple(link.heard),
        tuple(link.cursor),
        bytes(link.flags) if link.final_due else bytes(flags & ~MET for flags in link.flags),
        tuple(sorted((number, say.value) for number, say in link.pending.items())),
        tuple(link.held),
        tuple(link.spaced),
        tuple(sorted(link.news.items())),
        tuple(link.noted),
        tuple(link.owed),
        tuple(link.retries),
        (tuple(link.unproved), tuple(link.proving.items()), link.ping_due, tuple(link.strangers.items())),
        tuple(sorted(link.ready_acks)),
        tuple(link.ready),
        tuple(sorted(link.starts)),
        (link.final_due, link.in_initial, link.suspect, link.introduced, tuple(sorted(link.changed or ()))),
        (tuple(sorted(link.refused)), tuple(sorted(link.firsts.items()))),
        tuple((number, min(fault.strikes, STRIKES_ALIKE)) for number, fault in link.faults.items()),
        tuple(link.pruned),
        (link.load, link.window, link.window_since is None or link.window_count, link.window_since is None),
        tuple(link.waiting),
        tuple(sorted(link.open)),
    )


def _feed(feed: Feed, links: list[Link], times: Times) -> tuple[Any, ...]:
    class_, owner = feed.class_, feed.owner
    if feed.deadline is not None:
        times.append((feed.deadline, 0.0))
    if class_ is Class.CLAIMED:
        times.append((feed.since, float("inf")))
        times.append((feed.progressed, float("inf")))
    if class_ is Class.UNCLAIMED:
        times.append((feed.entered, float("inf")))
    if feed.mark_link is not None:
        times.append((feed.mark_time, float("inf")))
    if feed.verdict is Verdict.GRAFT:
        times.append((feed.verdict_time, WRONG_GRAFT_WITHIN))
    times.append((feed.rival_time, RIVAL_APART))
    times.append((feed.swapped, SWAP_APART))
    by_age = sorted((link.faults[feed.number].since, link.session) for link in links if feed.number in link.faults)
    return (
        (feed.id, feed.number, feed.followed, feed.last),
        (feed.first, feed.accepted, feed.durable, feed.inflight, min(feed.failing, 1), feed.floor),
        (class_.value, _session(owner), feed.deadline is None, feed.highest, feed.asked_again),
        max(0, feed.allowance - owner.delivered) if owner and class_ is Class.CLAIMED else 0,
        (feed.load, _session(feed.load_link)),
        (_session(feed.mark_link), feed.mark_sequence if feed.mark_link else 0),
        (feed.verdict, _session(feed.verdict_link)),
        (_session(feed.rival), feed.rival_wins if feed.rival else 0),
        tuple(session for _, session in by_age),
    )

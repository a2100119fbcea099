"""The invariants of the core that can be checked at one peer, after every event.

Others need the whole network (eventual delivery, quiet when idle, honest progress): :class:`Simulation` checks them.
"""

from __future__ import annotations

from ebt_trio.core.feed import Class, Feed
from ebt_trio.core.link import EAGER, WANTS, Link
from ebt_trio.core.note import DECLINED
from ebt_trio.core.ownership import LOAD_CAP
from ebt_trio.core.replicator import Replicator


class InvariantBroken(AssertionError):
    """Says which invariant, where."""


def check_invariants(core: Replicator, now: float) -> None:
    """Check everything that must hold at one peer between two events.

    :raises InvariantBroken: the name of the invariant, the feed, the state
    """
    links = core.ownership.links
    for feed in core.feeds:
        _check_heads(feed)
        _check_one_owner(feed, core)
        if feed.followed:
            _check_never_stuck(core, feed, links, now)
    loads: dict[Link, int] = dict.fromkeys(links, 0)
    for feed in core.feeds:
        if feed.load_link is not None:
            loads[feed.load_link] = loads.get(feed.load_link, 0) + feed.load
            _require(0 < feed.load <= LOAD_CAP, "load", feed, f"load {feed.load}")
    for link, load in loads.items():
        _require(link.load == load, "load", None, f"{link} has load {link.load}, its feeds {load}")
    for link in links:
        _check_ready(core, link)


def _require(condition: bool, invariant: str, feed: Feed | None, detail: str) -> None:
    if not condition:
        raise InvariantBroken(f"{invariant}: {feed}: {detail}")


def _check_heads(feed: Feed) -> None:
    _require(feed.inflight >= 0, "in order", feed, f"{feed.inflight} appends in flight")
    _require(feed.accepted >= feed.durable, "in order", feed, "durable beyond accepted")
    if feed.inflight == 0:
        _require(
            feed.accepted == max(feed.durable, feed.floor), "in order", feed, "accepted and on no way to the store"
        )


def _check_one_owner(feed: Feed, core: Replicator) -> None:
    eager = [link for link in core.ownership.links if link.flags[feed.number] & EAGER]
    _require(eager == ([feed.owner] if feed.owner else []), "one owner", feed, f"eager: {eager}")


def _check_never_stuck(core: Replicator, feed: Feed, links: list[Link], now: float) -> None:
    ahead = [link for link in links if link.claims(feed)]
    if not ahead:
        _require(feed.class_ is Class.IDLE and feed.deadline is None, "idle", feed, "a deadline with nobody ahead")
        return
    _require(feed.class_ is not Class.IDLE, "never stuck", feed, f"idle with {ahead} ahead")
    if feed.class_ is Class.WAIT:
        queues = [link for link in ahead if feed.number in link.waiting]
        _require(bool(queues), "never stuck", feed, "waits nowhere")
        for link in queues:
            _require(not link.has_room, "never stuck", feed, f"waits at {link}, which has room")
            owing = [other for other in core.feeds if other.load_link is link]
            _require(all(other.deadline is not None for other in owing), "never stuck", feed, "waits for no deadline")
        return
    _require(feed.deadline is not None, "never stuck", feed, f"{feed.class_} without a deadline, {ahead} ahead")
    deadline = core.next_deadline()
    _require(deadline is not None and deadline <= (feed.deadline or 0), "never stuck", feed, "its deadline is no timer")


def _check_ready(core: Replicator, link: Link) -> None:
    """What a peer wants and we have is about to be sent."""
    for feed in core.feeds:
        number = feed.number
        if not link.flags[number] & WANTS or link.cursor[number] >= feed.durable:
            continue
        moving = number in link.ready or number in link.retries or number in link.starts
        _require(moving or not link.shares(feed), "push", feed, f"{link} wants it and gets nothing")
        _require(link.heard[number] != DECLINED, "consent", feed, f"{link} declined and wants")

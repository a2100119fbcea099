"""The invariants of the core that can be checked at one peer, after every event.

Others need the whole network (eventual delivery, quiet when idle, honest progress): :class:`Simulation` checks them.
"""

from __future__ import annotations

from itertools import pairwise

from ebt_trio.core.clock import NONE
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
    owned = 0
    loads: dict[Link, int] = dict.fromkeys(links, 0)
    for feed in core.feeds:
        _check_heads(core, feed)
        if feed.owner is not None:
            owned += 1
            if not feed.owner.flags[feed.number] & EAGER:
                raise InvariantBroken(f"one owner: {feed}: the owner was not asked")
        if feed.followed:
            _check_never_stuck(core, feed, links)
        if feed.load_link is not None:
            loads[feed.load_link] = loads.get(feed.load_link, 0) + feed.load
            if not 0 < feed.load <= LOAD_CAP:
                raise InvariantBroken(f"load: {feed}: {feed.load}")
    eager = 0
    for link, load in loads.items():
        if link.load != load:
            raise InvariantBroken(f"load: {link} has load {link.load}, its feeds {load}")
    for link in links:
        if link.deadline != link.earliest():
            raise InvariantBroken(f"held back: {link}: until {link.earliest()}, kept as {link.deadline}")
        _check_held_back(link)
        if unwanted := [number for number in link.ready if not link.flags[number] & WANTS]:
            raise InvariantBroken(f"push: {link} gets {unwanted}, which it does not want")
        for number, flags in enumerate(link.flags):
            if flags & EAGER:
                eager += 1
            if flags & WANTS:
                _check_pushed(link, core.feeds[number])
    if eager != owned:
        raise InvariantBroken(f"one owner: {owned} feeds have an owner, {eager} are asked for")


def _check_held_back(link: Link) -> None:
    """A lazy note waits in one place, with what was news when that began; what is in order of time is."""
    if link.news.keys() != link.held.keys() | link.spaced.keys() or len(link.news) != len(link.held) + len(link.spaced):
        raise InvariantBroken(f"held back: {link}: {link.news} are held until {link.held} and {link.spaced}")
    for times in (link.held, link.spaced, link.owed, link.retries, link.unproved, link.noted):
        if len(times) > 1 and any(after < before for before, after in pairwise(times.values())):
            raise InvariantBroken(f"held back: {link}: not in order of time: {times}")


def _check_heads(core: Replicator, feed: Feed) -> None:
    calm, stands = core.heads.calm[feed.number], feed.class_ is Class.IDLE and feed.followed
    stands = stands and feed.highest <= feed.accepted
    expected = feed.durable << 1 | 1 if stands else NONE
    if core.heads.durable[feed.number] != feed.durable or (calm != expected and not (calm == NONE and feed.inflight)):
        raise InvariantBroken(f"columns: {feed}: {core.heads.durable[feed.number]}, calm at {calm}, not {expected}")
    if feed.inflight < 0:
        raise InvariantBroken(f"in order: {feed}: {feed.inflight} appends in flight")
    if feed.accepted < feed.durable:
        raise InvariantBroken(f"in order: {feed}: durable beyond accepted")
    if feed.inflight == 0 and feed.accepted != max(feed.durable, feed.floor):
        raise InvariantBroken(f"in order: {feed}: accepted, and on no way to the store")


def _check_never_stuck(core: Replicator, feed: Feed, links: list[Link]) -> None:
    ahead = [link for link in links if link.claims(feed)]
    if not ahead:
        if feed.class_ is not Class.IDLE or feed.deadline is not None:
            raise InvariantBroken(f"idle: {feed}: a deadline with nobody ahead")
    elif feed.class_ is Class.IDLE:
        raise InvariantBroken(f"never stuck: {feed}: idle with {ahead} ahead")
    elif feed.class_ is Class.WAIT:
        _check_waiting(core, feed, ahead)
    elif feed.deadline is None:
        raise InvariantBroken(f"never stuck: {feed}: {feed.class_} without a deadline, {ahead} ahead")
    else:
        deadline = core.next_deadline()
        if deadline is None or deadline > feed.deadline:
            raise InvariantBroken(f"never stuck: {feed}: its deadline is no timer")


def _check_waiting(core: Replicator, feed: Feed, ahead: list[Link]) -> None:
    queues = [link for link in ahead if feed.number in link.waiting]
    if not queues:
        raise InvariantBroken(f"never stuck: {feed}: waits nowhere")
    for link in queues:
        if link.has_room:
            raise InvariantBroken(f"never stuck: {feed}: waits at {link}, which has room")
        if any(other.deadline is None for other in core.feeds if other.load_link is link):
            raise InvariantBroken(f"never stuck: {feed}: waits at {link} for no deadline")


def _check_pushed(link: Link, feed: Feed) -> None:
    """What a peer wants and we have is about to be sent."""
    number = feed.number
    if link.cursor[number] >= feed.durable:
        return
    moving = number in link.ready or number in link.retries or number in link.starts
    if not moving and link.shares(feed):
        raise InvariantBroken(f"push: {feed}: {link} wants it and gets nothing")
    if link.heard[number] == DECLINED:
        raise InvariantBroken(f"consent: {feed}: {link} declined and wants")

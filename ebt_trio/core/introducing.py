"""Initial notes, portion by portion: a cursor over the feeds, moved on when the session can take more.

So a session that comes up costs nothing per feed at once, and nothing has to be kept of what is still to be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import ne
from sys import maxsize
from typing import Final

from .actions import Outgoing
from .clock import NONE, nothing
from .feed import Feed
from .link import MET, OFFERED, SURE, Link
from .note import DECLINED
from .room import Room
from .types import FeedId

_TOGETHER: Final = 256
"""Feeds that are introduced at once, unless there is something about one of them: so there are not more."""


def introduce(link: Link, room: Room, outgoing: Outgoing, limit: int) -> None:
    """Put the next initial notes into ``outgoing``, until there are ``limit`` in it; close them if these were the last.

    Each followed feed gets a lazy note, unless the peer knows what it would say, or something was said already. A feed
    that we don't replicate with the peer gets -1 if anything else was said of it, also when that -1 was on its way
    when the last session ended.
    """
    urgent = dict(outgoing.notes)
    limit -= len(urgent)
    notes: dict[FeedId, int] = {}
    introduced = 0
    feeds = room.feeds
    number, end = link.introduced, len(feeds)
    while number < end and introduced < limit:
        stop = min(number + _TOGETHER, number + limit - introduced, end)
        if _plain(link, room, number, stop, notes):
            introduced += stop - number
        else:
            introduced += _by_rule(link, feeds[number:stop], notes, urgent)
        number = stop
    link.introduced = number if number < end else maxsize
    if introduced:
        outgoing.notes = notes | urgent if urgent else notes
        link.statistics.notes_sent += introduced
    if link.introduced == maxsize and introduced < limit:
        link.changed = None
        link.final_due = False
        outgoing.final = True


def _plain(link: Link, room: Room, start: int, stop: int, notes: dict[FeedId, int]) -> bool:
    """Put a lazy note for each of these into ``notes``, all at once, if nothing else can come of any of them.

    It is so, and costs a tenth, when the peer remembers nothing, we follow them all, and nothing was said of them but
    lazy notes. False: nothing is done.
    """
    numbers = range(start, stop)
    calm, heads, known = room.heads.calm[start:stop], room.heads.durable[start:stop], link.heard[start:stop]
    unheard = known == nothing(len(numbers))
    if (
        link.changed is not None
        or link.news
        or link.flags.count(0, start, stop) < len(numbers)
        or ((busy := NONE in calm) and not all(feed.followed for feed in room.feeds[start:stop]))
        or (not unheard and DECLINED in known)
        or (link.refused and not link.refused.isdisjoint(numbers))
        or (link.pending and not link.pending.keys().isdisjoint(numbers))
    ):
        return False
    lazy = [head << 1 | 1 for head in heads] if busy else calm
    notes.update(zip(room.names[start:stop], lazy, strict=True))
    link.memory.told.put_all(numbers, heads)
    differs = b"\1" * len(numbers) if unheard else bytes(map(ne, known, heads))
    link.open.put_all(numbers, differs)
    return True


def _by_rule(link: Link, feeds: Sequence[Feed], notes: dict[FeedId, int], urgent: dict[FeedId, int]) -> int:
    """Likewise, one by one; returns for how many of these there is a note."""
    introduced = 0
    told, heard, flags, refused, pending = link.told, link.heard, link.flags, link.refused, link.pending
    changed, differing, open_flags = link.changed, link.open, link.open.flags
    said: list[int] = []
    values: list[int] = []
    others: list[Feed] = []
    for feed in feeds:
        number, head = feed.number, feed.durable
        known = heard[number]
        follows = feed.followed and number not in refused
        if changed is not None and follows and told[number] == head == known and number not in changed:
            continue  # nearly all, from the second session on: nothing to say, nothing differs
        if flags[number] & MET or number in pending:
            others.append(feed)
            if feed.id in urgent:
                notes[feed.id] = urgent.pop(feed.id)  # in the order of the feeds
        elif follows and (changed is None or not link.knows(feed)):
            notes[feed.id] = head << 1 | 1
            introduced += 1
            if known == DECLINED:  # who declined does not remember it
                link.memory.told.put(number, NONE)
                flags[number] |= OFFERED
                differing.discard(number)
                continue
            said.append(number)
            values.append(head)
            if link.news:
                link.unhold(number)
            differs = known != head
            if open_flags[number] != differs:
                open_flags[number] = differs
                differing.count += 1 if differs else -1
        else:
            others.append(feed)
            if follows:
                continue
            flags[number] |= SURE
            if _owes_decline(link, number):
                notes[feed.id] = DECLINED
                introduced += 1
                said.append(number)
                values.append(DECLINED)
                if known != DECLINED:
                    link.memory.heard.put(number, NONE)
    link.memory.told.put_all(said, values)
    for feed in others:
        if link.differs(feed):
            differing.add(feed.number)
        else:
            differing.discard(feed.number)
    return introduced


def _owes_decline(link: Link, number: int) -> bool:
    told, heard = link.told[number], link.heard[number]
    if heard == DECLINED and told == NONE:
        return link.changed is None  # a note that was lost may have taken back a -1 that they still remember
    return told >= 0 or heard >= 0 or (told == DECLINED and not link.remembers(number))

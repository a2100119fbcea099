"""Initial notes, portion by portion: a cursor over the feeds, moved on when the session can take more.

So a session that comes up costs nothing per feed at once, and nothing has to be kept of what is still to be said.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import maxsize

from .actions import Outgoing
from .clock import NONE
from .feed import Feed
from .link import MET, OFFERED, SURE, Link
from .note import DECLINED
from .types import FeedId


def introduce(link: Link, feeds: Sequence[Feed], outgoing: Outgoing, limit: int) -> None:
    """Put the next initial notes into ``outgoing``, until there are ``limit`` in it; close them if these were the last.

    Each followed feed gets a lazy note, unless the peer knows what it would say, or something was said already. A feed
    that we don't replicate with the peer gets -1 if anything else was said of it, also when that -1 was on its way
    when the last session ended.
    """
    urgent = dict(outgoing.notes)
    limit -= len(urgent)
    notes: dict[FeedId, int] = {}
    introduced = 0
    told, heard, flags, refused, pending = link.told, link.heard, link.flags, link.refused, link.pending
    changed, differing, open_flags = link.changed, link.open, link.open.flags
    said: list[int] = []
    values: list[int] = []
    others: list[Feed] = []
    for number in range(link.introduced, len(feeds)):
        if introduced >= limit:
            link.introduced = number
            break
        feed, known = feeds[number], heard[number]
        head = feed.durable
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
            said.append(number)
            if known == DECLINED:  # who declined does not remember it
                values.append(NONE)
                flags[number] |= OFFERED
                differing.discard(number)
                continue
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
    else:
        link.introduced = maxsize
    link.memory.told.put_all(said, values)
    for feed in others:
        if link.differs(feed):
            differing.add(feed.number)
        else:
            differing.discard(feed.number)
    if introduced:
        outgoing.notes = notes | urgent if urgent else notes
        link.statistics.notes_sent += introduced
    if link.introduced == maxsize and introduced < limit:
        link.changed = None
        link.final_due = False
        outgoing.final = True


def _owes_decline(link: Link, number: int) -> bool:
    told, heard = link.told[number], link.heard[number]
    if heard == DECLINED and told == NONE:
        return link.changed is None  # a note that was lost may have taken back a -1 that they still remember
    return told >= 0 or heard >= 0 or (told == DECLINED and not link.remembers(number))

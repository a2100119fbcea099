"""Notes that decide nothing, which is most of any handshake, many at once; see :func:`settle`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress, repeat
from operator import eq, gt, ne, not_
from typing import Final

from .clock import NONE
from .columns import in_order, joined, taken
from .feed import Feed
from .link import ANNOUNCED, MET, WANTS, Link
from .note import DECLINED
from .room import Room
from .types import FeedId

_NOBODYS: Final = Feed(-1, FeedId(""))
"""In place of a feed that is not known: not followed."""
_BUSY: Final = frozenset(flags for flags in range(256) if flags & (WANTS | ANNOUNCED))
_MET: Final = frozenset(flags for flags in range(256) if flags & MET)


def settle(room: Room, link: Link, notes: Mapping[FeedId, int]) -> Mapping[FeedId, int]:
    """Take those that decide nothing, at a quarter of what they cost one by one; returns the others, in order.

    They are as in :meth:`.Hearing._settled`. None of them is taken, and all are returned, if something else is up with
    any of the feeds, or if the order among all the notes matters.
    """
    ids = list(notes)
    numbers = in_order(room.names, room.numbers, ids) or joined(list(map(room.numbers.get, ids, repeat(-1))))
    if -1 in numbers:
        feeds = [room.feeds[number] if number >= 0 else _NOBODYS for number in numbers]
    else:
        feeds = taken(room.feeds, numbers)
    calm = [  # what decides nothing; no note is NONE
        feed.durable << 1 | 1 if feed.followed and feed.highest <= feed.durable == feed.accepted else NONE
        for feed in feeds
    ]
    others: Mapping[FeedId, int] = {}
    if calm != list(notes.values()):
        fits = list(map(eq, calm, notes.values()))
        others = dict(compress(notes.items(), map(not_, fits)))
        if True not in fits:
            return notes
        numbers, feeds = joined(list(compress(numbers, fits))), list(compress(feeds, fits))
    heads = [feed.durable for feed in feeds]
    if not _take(room, link, numbers, heads, len(others)):
        return notes
    for feed, head in zip(feeds, heads, strict=True):
        feed.highest = head
    return others


def _take(room: Room, link: Link, numbers: Sequence[int], heads: Sequence[int], others: int) -> bool:
    """Each of these has said that it holds just what we do. False: nothing is done."""
    if (
        DECLINED in taken(link.heard, numbers)
        or not _BUSY.isdisjoint(taken(link.flags, numbers))
        or any(map(gt, taken(link.cursor, numbers), heads))  # it had more
        or (link.refused and not link.refused.isdisjoint(numbers))
        or (link.news and not link.news.keys().isdisjoint(numbers))
    ):
        return False
    differing, told = link.open, taken(link.told, numbers)
    closing = sum(taken(differing.flags, numbers))  # all that is said there now
    still_open = bytes(len(numbers))
    young = told != heads  # for some our own note is still to come
    if young:
        ours = list(compress(numbers, map(ne, told, heads)))
        if (
            set(taken(link.told, ours)) != {NONE}
            or min(ours) < link.introduced
            or not _MET.isdisjoint(taken(link.flags, ours))
            or (link.pending and not link.pending.keys().isdisjoint(ours))
        ):
            return False
        closing -= sum(taken(differing.flags, ours))
        still_open = bytes(map(ne, told, heads))
    # Only when nothing differs, before or after one of the notes, does it matter in which order they are taken.
    mixed = (closing and young) or (others and (closing or young))
    if mixed and differing.count <= closing + others:
        return False
    link.memory.heard.put_all(numbers, heads)
    if young and not differing.count:
        link.open_since = room.now
    differing.put_all(numbers, still_open)
    if closing and not differing.count:
        room.check_synced(link)
    return True

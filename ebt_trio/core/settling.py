"""Notes that decide nothing, which is most of any handshake, many at once; see :func:`settle`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress, repeat
from operator import eq, gt, ne, not_
from typing import Final

from .clock import NONE, nothing
from .columns import column_of, in_order, joined, taken
from .link import ANNOUNCED, MET, WANTS, Link
from .note import DECLINED
from .room import Room
from .types import FeedId

_BUSY: Final = frozenset(flags for flags in range(256) if flags & (WANTS | ANNOUNCED))
_MET: Final = frozenset(flags for flags in range(256) if flags & MET)


def settle(room: Room, link: Link, notes: Mapping[FeedId, int]) -> Mapping[FeedId, int]:
    """Take those that decide nothing, at a tenth of what they cost one by one; returns the others, in order.

    They are lazy, say just what we hold of followed feeds on which nobody is ahead, and we have said so, or are about
    to. None of them is taken, and all are returned, if something else is up with any of the feeds, or if the order
    among all the notes matters.
    """
    ids, said = list(notes), column_of(notes.values())
    numbers = in_order(room.names, room.numbers, ids) or joined(list(map(room.numbers.get, ids, repeat(-1))))
    if -1 in numbers:
        calm = column_of([room.heads.calm[number] if number >= 0 else NONE for number in numbers])
    else:
        calm = taken(room.heads.calm, numbers)
    others: Mapping[FeedId, int] = {}
    if calm != said:
        fits = list(map(eq, calm, said))  # no note is NONE
        if True not in fits:
            return notes
        others = dict(compress(notes.items(), map(not_, fits)))
        numbers = joined(list(compress(numbers, fits)))
    return others if _take(room, link, numbers, len(others)) else notes


def _take(room: Room, link: Link, numbers: Sequence[int], others: int) -> bool:
    """Each of these has said that it holds just what we do. False: nothing is done."""
    heads, none = taken(room.heads.durable, numbers), nothing(len(numbers))
    heard, cursor = taken(link.heard, numbers), taken(link.cursor, numbers)
    if (
        (heard != none and DECLINED in heard)
        or not _BUSY.isdisjoint(taken(link.flags, numbers))
        or (cursor != none and any(map(gt, cursor, heads)))  # it had more
        or (link.refused and not link.refused.isdisjoint(numbers))
        or (link.news and not link.news.keys().isdisjoint(numbers))
    ):
        return False
    differing, told = link.open, taken(link.told, numbers)
    closing = taken(differing.flags, numbers).count(1)  # all that is said there now
    still_open = bytes(len(numbers))
    young = told != heads  # for some our own note is still to come
    if young:
        still_open = bytes(map(ne, told, heads))
        ours = joined(list(compress(numbers, still_open)))
        if (
            taken(link.told, ours) != nothing(len(ours))
            or min(ours) < link.introduced
            or not _MET.isdisjoint(taken(link.flags, ours))
            or (link.pending and not link.pending.keys().isdisjoint(ours))
        ):
            return False
        closing -= taken(differing.flags, ours).count(1)
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

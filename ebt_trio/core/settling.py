"""Notes that decide nothing, which is most of any handshake, many at once; see :func:`settle`."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import compress, repeat
from operator import gt, ne, not_
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

    They are lazy, say at most what we hold of followed feeds on which nobody is ahead, and we have said how far we are,
    or are about to. None of them is taken, and all are returned, if something else is up with any of the feeds, or if
    the order among all the notes matters.
    """
    ids, said = list(notes), column_of(notes.values())
    numbers = in_order(room.names, room.numbers, ids) or joined(list(map(room.numbers.get, ids, repeat(-1))))
    if -1 in numbers:
        calm = column_of([room.heads.calm[number] if number >= 0 else NONE for number in numbers])
    else:
        calm = taken(room.heads.calm, numbers)
    if calm == said:
        return {} if _take(room, link, numbers, taken(room.heads.durable, numbers), 0) else notes
    fits = [note <= most and note & 1 and note > 0 for note, most in zip(said, calm, strict=True)]
    if True not in fits:
        return notes
    others = dict(compress(notes.items(), map(not_, fits)))
    heads = column_of([note >> 1 for note in compress(said, fits)])
    return others if _take(room, link, joined(list(compress(numbers, fits))), heads, len(others)) else notes


def _take(room: Room, link: Link, numbers: Sequence[int], heads: array[int], others: int) -> bool:
    """Each of these has said that it holds so much, and no more than we do. False: nothing is done."""
    ours, none = taken(room.heads.durable, numbers), nothing(len(numbers))
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
    if told != ours:  # for some our own note is still to come
        still_open = bytes(map(ne, told, ours))
        young = joined(list(compress(numbers, still_open)))
        if (
            taken(link.told, young) != nothing(len(young))
            or min(young) < link.introduced
            or not _MET.isdisjoint(taken(link.flags, young))
            or (link.pending and not link.pending.keys().isdisjoint(young))
        ):
            return False
    if heads != ours:
        behind = map(ne, heads, ours)
        still_open = bytes([either | other for either, other in zip(still_open, behind, strict=True)])
    opening = 1 in still_open
    if opening:
        closing -= taken(differing.flags, joined(list(compress(numbers, still_open)))).count(1)
    # Only when nothing differs, before or after one of the notes, does it matter in which order they are taken.
    mixed = (closing and opening) or (others and (closing or opening))
    if mixed and differing.count <= closing + others:
        return False
    link.memory.heard.put_all(numbers, heads)
    if opening and not differing.count:
        link.open_since = room.now
    differing.put_all(numbers, still_open)
    if closing and not differing.count:
        room.check_synced(link)
    return True

"""What a :class:`~.memory.MemoryStore` remembers of peers: 16 bytes per peer and feed, and no object."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import count, islice

from ..core.clock import NONE, Rows
from ..core.columns import fill, joined
from ..core.types import FeedId, Remembered


class Numbering:
    """Feeds that any peer was told or heard of, numbered; shared by all peers."""

    __slots__ = ("_order", "names", "numbers")

    def __init__(self) -> None:
        self.names: list[FeedId] = []
        self.numbers: dict[FeedId, int] = {}
        self._order: list[int] = []

    def of(self, feeds: Sequence[FeedId]) -> Sequence[int]:
        """Their numbers, new ones where they have none; a range if these follow each other."""
        names, numbers = self.names, self.numbers
        fresh = dict.fromkeys(feed for feed in feeds if feed not in numbers)
        numbers.update(zip(fresh, count(len(names)), strict=False))
        names.extend(fresh)
        return joined(list(map(numbers.__getitem__, feeds))) if feeds else ()

    def behind(self, feed: FeedId | None) -> Iterator[int]:
        """The numbers of all feeds behind that one, in the order of their ids."""
        if len(self._order) < len(self.names):  # only when a peer is recalled for the first time
            self._order = sorted(range(len(self.names)), key=self.names.__getitem__)
        start = 0 if feed is None else bisect_right(self._order, feed, key=self.names.__getitem__)
        return islice(self._order, start, None)


class PeerRows:
    """The rows of one peer, by the numbers of the feeds."""

    __slots__ = ("_heard", "_numbering", "_told")

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._told = array("q")
        self._heard = array("q")

    def put(self, rows: Sequence[Remembered]) -> None:
        """Keep these rows, and nothing of those without anything in them."""
        feeds, told, heard = _columns(rows)
        numbers = self._numbering.of(feeds)
        missing = array("q", [NONE]) * (len(self._numbering.names) - len(self._told))
        self._told.extend(missing)
        self._heard.extend(missing)
        fill(self._told, numbers, told)
        fill(self._heard, numbers, heard)

    def page(self, after: FeedId | None, limit: int) -> list[Remembered]:
        """At most ``limit`` rows of feeds behind ``after``, in the order of their ids."""
        names, told, heard = self._numbering.names, self._told, self._heard
        rows: list[Remembered] = []
        for number in self._numbering.behind(after):
            if len(rows) >= limit:
                break
            said, known = (told[number], heard[number]) if number < len(told) else (NONE, NONE)
            if said != NONE or known != NONE:
                rows.append(Remembered(names[number], *(None if one == NONE else one for one in (said, known))))
        return rows


def _columns(rows: Sequence[Remembered]) -> tuple[Sequence[FeedId], Sequence[int], Sequence[int]]:
    """The three columns of the rows, NONE for nothing."""
    if isinstance(rows, Rows):
        return rows.feeds, rows.told, rows.heard
    told = [NONE if row.told is None else row.told for row in rows]
    return [row.feed for row in rows], told, [NONE if row.heard is None else row.heard for row in rows]

"""What a :class:`~.memory.MemoryStore` remembers of peers: 16 bytes per peer and feed, 40 for some, and no object."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count, filterfalse, islice

from ..core.clock import NONE, Rows
from ..core.columns import fill, in_order, joined
from ..core.types import FeedId, Remembered


class Numbering:
    """Feeds that any peer was told or heard of, numbered; shared by all peers."""

    __slots__ = ("_order", "names", "numbers")

    def __init__(self) -> None:
        self.names: list[FeedId] = []
        self.numbers: dict[FeedId, int] = {}
        self._order: list[int] = []

    def of(self, feeds: Sequence[FeedId]) -> Sequence[int]:
        """Their numbers, new ones where they have none; a range if these follow each other. None is in there twice."""
        names, numbers = self.names, self.numbers
        known = in_order(names, numbers, feeds)
        if known is not None:
            return known
        new = len(names)
        fresh = feeds if numbers.keys().isdisjoint(feeds) else list(filterfalse(numbers.__contains__, feeds))
        numbers.update(zip(fresh, count(new), strict=False))
        names.extend(fresh)
        return range(new, len(names)) if fresh is feeds else joined(list(map(numbers.__getitem__, feeds)))

    def behind(self, feed: FeedId | None) -> Iterator[int]:
        """The numbers of all feeds behind that one, in the order of their ids."""
        if len(self._order) < len(self.names):  # only when a peer is recalled for the first time
            self._order = sorted(range(len(self.names)), key=self.names.__getitem__)
        start = 0 if feed is None else bisect_right(self._order, feed, key=self.names.__getitem__)
        return islice(self._order, start, None)


_LEAST, _MOST = 1_000, 16_384
"""So many rows stay as they came where few, or many, feeds are followed."""
_PORTION = 64
"""What a few rows that come together cost as they are, in rows."""

Columns = tuple[Sequence[FeedId], Sequence[int], Sequence[int]]


class PeerRows:
    """The rows of one peer, by the numbers of the feeds; the last ones as they came, since mostly nobody reads them."""

    __slots__ = ("_heard", "_last", "_last_size", "_numbering", "_told")

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._told = array("q")
        self._heard = array("q")
        self._last: deque[Columns] = deque()
        self._last_size = 0

    def put(self, rows: Sequence[Remembered], followed: int) -> None:
        """Keep these rows, and nothing of those without anything in them.

        :param followed: so many may stay as they came, within limits; 24 bytes more for each, but nothing to look up
        """
        if not rows:
            return
        self._last.append(_columns(rows))
        self._last_size += max(len(rows), _PORTION)
        while self._last_size > min(max(followed, _LEAST), _MOST):
            self._fill()

    def _fill(self) -> None:
        """Put what came first of them in its place."""
        feeds, told, heard = self._last.popleft()
        self._last_size -= max(len(feeds), _PORTION)
        numbers = self._numbering.of(feeds)
        missing = array("q", [NONE]) * (len(self._numbering.names) - len(self._told))
        self._told.extend(missing)
        self._heard.extend(missing)
        fill(self._told, numbers, told)
        fill(self._heard, numbers, heard)

    def page(self, after: FeedId | None, limit: int) -> list[Remembered]:
        """At most ``limit`` rows of feeds behind ``after``, in the order of their ids."""
        while self._last:
            self._fill()
        names, told, heard = self._numbering.names, self._told, self._heard
        rows: list[Remembered] = []
        for number in self._numbering.behind(after):
            if len(rows) >= limit:
                break
            said, known = (told[number], heard[number]) if number < len(told) else (NONE, NONE)
            if said != NONE or known != NONE:
                rows.append(Remembered(names[number], *(None if one == NONE else one for one in (said, known))))
        return rows


def _columns(rows: Sequence[Remembered]) -> Columns:
    """The three columns of the rows, NONE for nothing; of a feed that is in them twice, what comes last."""
    if isinstance(rows, Rows):
        return rows.feeds, rows.told, rows.heard
    latest = {feed: (told, heard) for feed, told, heard in rows}
    told, heard = ([NONE if one is None else one for one in column] for column in zip(*latest.values(), strict=True))
    return list(latest), told, heard

"""What a :class:`~.memory.MemoryStore` remembers of peers: 16 bytes per peer and feed, and no object."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from ..core.types import FeedId, Remembered

_NOTHING: Final = -2
"""A sequence is >= 0, -1 is declined."""


class Numbering:
    """Feeds that any peer was told or heard of, numbered; shared by all peers."""

    __slots__ = ("_order", "names", "numbers")

    def __init__(self) -> None:
        self.names: list[FeedId] = []
        self.numbers: dict[FeedId, int] = {}
        self._order: list[int] = []

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
        names, numbers = self._numbering.names, self._numbering.numbers
        told, heard = self._told, self._heard
        room = array("q", [_NOTHING]) * (len(names) + len(rows) - len(told))  # as if all of them were new
        told.extend(room)
        heard.extend(room)
        for feed, said, known in rows:
            number = numbers.get(feed)
            if number is None:
                number = numbers[feed] = len(names)
                names.append(feed)
            told[number] = _NOTHING if said is None else said
            heard[number] = _NOTHING if known is None else known
        del told[len(names) :], heard[len(names) :]

    def page(self, after: FeedId | None, limit: int) -> list[Remembered]:
        """At most ``limit`` rows of feeds behind ``after``, in the order of their ids."""
        names, told, heard = self._numbering.names, self._told, self._heard
        rows: list[Remembered] = []
        for number in self._numbering.behind(after):
            if len(rows) >= limit:
                break
            said, known = (told[number], heard[number]) if number < len(told) else (_NOTHING, _NOTHING)
            if said != _NOTHING or known != _NOTHING:
                rows.append(Remembered(names[number], *(None if one == _NOTHING else one for one in (said, known))))
        return rows

"""Sets of feed numbers in one byte per feed: small while they are full, and nothing is left when they are empty.

A set or dict of 100,000 numbers takes 8 MB, and keeps its table when it is emptied; there is one for each session.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from .columns import fill, taken


class Marks:
    """A set of feed numbers. Whoever writes to :attr:`flags` directly keeps :attr:`count`."""

    __slots__ = ("count", "flags")

    def __init__(self, size: int) -> None:
        self.flags = bytearray(size)
        """By number: 1 if it is in the set, else 0."""
        self.count = 0

    def grow(self, missing: int) -> None:
        self.flags.extend(bytes(missing))

    def add(self, number: int) -> None:
        if not self.flags[number]:
            self.flags[number] = 1
            self.count += 1

    def discard(self, number: int) -> None:
        if self.flags[number]:
            self.flags[number] = 0
            self.count -= 1

    def put_all(self, numbers: Sequence[int], flags: bytes) -> None:
        """Set these, each to its flag."""
        self.count += flags.count(1) - taken(self.flags, numbers).count(1)
        fill(self.flags, numbers, flags)

    def __contains__(self, number: int) -> bool:
        return bool(self.flags[number])

    def __iter__(self) -> Iterator[int]:
        return marked(self.flags)

    def __len__(self) -> int:
        return self.count


def marked(flags: bytearray) -> Iterator[int]:
    """Where ``flags`` is 1, in order; at the speed of memchr where it is not."""
    number = flags.find(1)
    while number >= 0:
        yield number
        number = flags.find(1, number + 1)


def first_marked(flags: bytearray, limit: int) -> Sequence[int]:
    """The first ``limit`` of them; a range if they follow each other, as they mostly do where many are marked."""
    start = flags.find(1)
    if start < 0:
        return ()
    end = flags.find(0, start, start + limit)
    if end < 0:
        return range(start, min(start + limit, len(flags)))
    if flags.find(1, end) < 0:
        return range(start, end)
    return list(islice(marked(flags), limit))

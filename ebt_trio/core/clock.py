"""Clocks by feed number: what we told a peer, what we heard from it, with the digests of request skipping.

Both sides make the same changes in the order in which frames travel, so that the digest of what one has *heard*
equals the digest of what the other had *told* at some moment (``docs/protocol.md``, Request skipping). Digests are
needed when a session begins, and are brought up to date when one has ended: what changes meanwhile is hashed once. The
log of changes lets the teller find that moment.

A session costs 16 bytes per feed for the values and 3 for what is to be done about them; nothing else grows with the
number of feeds.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from struct import Struct
from typing import Final, overload

from .columns import column_of, fill, mark, taken
from .marks import first_marked, marked
from .note import DECLINED
from .types import FeedId, PeerKey, Remembered

NONE: Final = -2
"""Nothing was said about the feed (a sequence is >= 0, -1 is declined)."""

LOG_LENGTH: Final = 10_000
"""How many changes of a told clock can be undone in search of what the other side remembers."""

OUTDATED_MOST: Final = 1_000
"""So many older values may be in a digest while a session lasts: each has to be kept, at 100 bytes, to be taken out."""

_CHANGE: Final = 3
"""Numbers per change in the log: feed, old value, new value."""
_LOG_ROOM: Final = _CHANGE * LOG_LENGTH * 5 // 4
_MODULUS: Final = 1 << 128
_behind_name = Struct(">xq").pack
_change = Struct(f"{_CHANGE}q").pack
_begin = blake2b(digest_size=16).copy
"""A copy of an empty hash takes half as long as a new one, which has to read its parameters."""


def nothing(count: int) -> array[int]:
    """A column of so many for which nothing was said."""
    return array("q", [NONE]) * count


def entry_digest(feed: FeedId, value: int) -> int:
    """BLAKE2b-128 of (feed UTF-8, 0x00, value as signed 64-bit big-endian), as an integer (RFC 7693)."""
    hashed = _begin()
    hashed.update(feed.encode() + _behind_name(value))
    return int.from_bytes(hashed.digest(), "big")


def _sum_of_digests(feeds: Iterable[FeedId], values: Iterable[int]) -> int:
    """The sum of :func:`entry_digest` over some entries; a call for each would cost a third more."""
    digests: list[bytes] = []
    for feed, value in zip(feeds, values, strict=True):
        hashed = _begin()
        hashed.update(feed.encode() + _behind_name(value))
        digests.append(hashed.digest())
    return sum(map(int.from_bytes, digests))


class PeerClock:
    """One direction of what is remembered about a peer: feed number → NONE, DECLINED or a sequence.

    :param unsaved: by number: 1 if the store does not have it; both directions share it
    """

    __slots__ = ("_digest", "_log", "_names", "_outdated", "_unsaved", "stale", "values")

    def __init__(self, names: Sequence[FeedId], unsaved: bytearray, *, log: bool) -> None:
        self.values = nothing(len(names))
        self.stale = bytearray(len(names))
        """By number: 1 if the digest does not have the value."""
        self._names = names
        self._unsaved = unsaved
        self._digest = 0
        self._outdated: dict[int, int] = {}
        """Of the stale ones, what the digest has of them."""
        self._log: array[int] | None = array("q") if log else None

    def grow(self) -> None:
        """Make room for feeds numbered since."""
        missing = len(self._names) - len(self.values)
        if missing > 0:
            self.values.extend(nothing(missing))
            self.stale.extend(bytes(missing))

    def put(self, number: int, value: int) -> None:
        old = self.values[number]
        if old == value:
            return
        self.values[number] = value
        self._unsaved[number] = 1
        if not self.stale[number]:
            self.stale[number] = 1
            if old != NONE:
                self._outdated[number] = old
        log = self._log
        if log is not None:
            log.frombytes(_change(number, old, value))
            if len(log) > _LOG_ROOM:
                del log[: -_CHANGE * LOG_LENGTH]

    def put_all(self, numbers: Sequence[int], values: Sequence[int]) -> None:
        """:meth:`put` for many: where nothing was said before, at a fraction of what a call for each would cost.

        :param numbers: a range if they follow each other, as in :mod:`.columns`
        """
        if taken(self.values, numbers) != nothing(len(numbers)):
            self._put_each(numbers, values)
            return
        fill(self.values, numbers, values)
        mark(self.stale, numbers, 1)
        mark(self._unsaved, numbers, 1)
        if self._log is not None:
            last = numbers[-LOG_LENGTH:]
            changes = nothing(_CHANGE * len(last))
            changes[::_CHANGE] = column_of(last)
            changes[2::_CHANGE] = column_of(values[-LOG_LENGTH:])
            self._log_all(self._log, changes)

    def _put_each(self, numbers: Sequence[int], values: Sequence[int]) -> None:
        """:meth:`put` in a loop, without a call for each."""
        column, unsaved, stale, outdated = self.values, self._unsaved, self.stale, self._outdated
        changes: list[int] = []
        for number, value in zip(numbers, values, strict=True):
            old = column[number]
            if old == value:
                continue
            column[number] = value
            unsaved[number] = 1
            if not stale[number]:
                stale[number] = 1
                if old != NONE:
                    outdated[number] = old
            changes += (number, old, value)
        if self._log is not None:
            self._log_all(self._log, column_of(changes))

    @staticmethod
    def _log_all(log: array[int], changes: array[int]) -> None:
        log.extend(changes)
        if len(log) > _LOG_ROOM:
            del log[: -_CHANGE * LOG_LENGTH]

    def load(self, number: int, value: int) -> None:
        """Set what a store remembered: no change to save or to undo."""
        old = self.values[number]
        if not self.stale[number]:
            self.stale[number] = 1
            if old != NONE:
                self._outdated[number] = old
        self.values[number] = value

    @property
    def lags(self) -> bool:
        """The digest has older values of too many."""
        return len(self._outdated) > OUTDATED_MOST

    def digest(self) -> int:
        """The sum modulo 2^128 of :func:`entry_digest` over all entries."""
        self.renew(list(marked(self.stale)))
        return self._digest

    def renew(self, numbers: Sequence[int]) -> None:
        """Bring the digest up to date for these, as far as they are stale."""
        values, stale = self.values, self.stale
        stale_ones = [number for number in numbers if stale[number]]
        some = [number for number in stale_ones if values[number] != NONE]
        self.renewed(stale_ones, _sum_of_digests(taken(self._names, some), taken(values, some)))

    def renewed(self, numbers: Sequence[int], digests: int) -> None:
        """These were stale, and now their digests, which sum up to ``digests``, are in the sum."""
        outdated = self._outdated
        self._digest += digests
        mark(self.stale, numbers, 0)
        if outdated:
            for number in numbers:
                if (old := outdated.pop(number, None)) is not None:
                    self._digest -= entry_digest(self._names[number], old)
            if not outdated:
                self._outdated = {}  # an emptied one would keep its table
        self._digest %= _MODULUS

    def changed_since(self, digest: int) -> set[int] | None:
        """Which feeds changed since the clock had ``digest``; None if it never had, as far as the log goes back."""
        current = self.digest()
        changed: set[int] = set()
        if current == digest:
            return changed
        log = self._log or array("q")
        for at in range(len(log) - _CHANGE, max(len(log) - _CHANGE * LOG_LENGTH, 0) - 1, -_CHANGE):
            number, old, new = log[at : at + _CHANGE]
            name = self._names[number]
            if new != NONE:
                current -= entry_digest(name, new)
            if old != NONE:
                current += entry_digest(name, old)
            current %= _MODULUS
            changed.add(number)
            if current == digest:
                return changed
        return None


class Rows(Sequence[Remembered]):
    """Rows that are made when somebody looks: ten thousand at once would be as many objects for the garbage collector.

    It would look through the whole heap for them, again and again, while a handshake is saved. A store may take the
    columns, in which nothing is :data:`NONE`; no feed is in them twice.
    """

    __slots__ = ("feeds", "heard", "told")

    def __init__(self, feeds: Sequence[FeedId], told: Sequence[int], heard: Sequence[int]) -> None:
        self.feeds = feeds
        self.told = told
        self.heard = heard

    def __len__(self) -> int:
        return len(self.feeds)

    @overload
    def __getitem__(self, index: int) -> Remembered: ...

    @overload
    def __getitem__(self, index: slice) -> Rows: ...

    def __getitem__(self, index: int | slice) -> Remembered | Rows:
        if isinstance(index, slice):
            return Rows(self.feeds[index], self.told[index], self.heard[index])
        return _row(self.feeds[index], self.told[index], self.heard[index])

    def __iter__(self) -> Iterator[Remembered]:
        return map(_row, self.feeds, self.told, self.heard)

    def __eq__(self, other: object) -> bool:
        return list(self) == (list(other) if isinstance(other, Rows) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


def _row(feed: FeedId, told: int, heard: int) -> Remembered:
    return Remembered(feed, None if told == NONE else told, None if heard == NONE else heard)


class Memory:
    """What is remembered of a peer across sessions, in this process and, as far as saved, in the store."""

    __slots__ = ("_names", "_unsaved", "heard", "in_use", "key", "told")

    def __init__(self, key: PeerKey | None, names: Sequence[FeedId]) -> None:
        self.key = key
        self.in_use = False
        self._names = names
        self._unsaved = bytearray(len(names))
        self.told = PeerClock(names, self._unsaved, log=True)
        self.heard = PeerClock(names, self._unsaved, log=False)

    def grow(self) -> None:
        self.told.grow()
        self.heard.grow()
        self._unsaved.extend(bytes(len(self._names) - len(self._unsaved)))

    def load(self, number: int, row: Remembered) -> None:
        if row.told is not None:
            self.told.load(number, row.told)
        if row.heard is not None:
            self.heard.load(number, row.heard)

    def renew(self, limit: int) -> bool:
        """Bring at most so many entries of the digests up to date. False: all are."""
        stale = self.heard.stale if 1 in self.heard.stale else self.told.stale
        numbers = first_marked(stale, limit)
        self._renew(numbers)
        return bool(numbers)

    def heard_digest(self) -> bytes:
        """For our RESUME; empty when nothing was heard."""
        self._renew(first_marked(self.heard.stale, len(self.heard.stale)))  # what was told is compared next
        digest = self.heard.digest()
        return digest.to_bytes(16, "big") if digest else b""

    def _renew(self, numbers: Sequence[int]) -> None:
        """Bring the digests of both directions up to date: where they agree, an entry's is computed once."""
        told, heard = self.told, self.heard
        said, known = taken(told.values, numbers), taken(heard.values, numbers)
        agreed = numbers
        if said != known or NONE in said or 0 in taken(told.stale, numbers) or 0 in taken(heard.stale, numbers):
            agreed = [
                number
                for number, one, other in zip(numbers, said, known, strict=True)
                if one == other != NONE and told.stale[number] and heard.stale[number]
            ]
        digests = _sum_of_digests(taken(self._names, agreed), taken(told.values, agreed))
        told.renewed(agreed, digests)
        heard.renewed(agreed, digests)
        if agreed is not numbers:
            told.renew(numbers)
            heard.renew(numbers)

    def skippable(self, their_heard: bytes) -> set[int] | None:
        """Which feeds changed since the peer's digest; None: nothing can be left out of the initial notes."""
        if len(their_heard) != 16:
            return None
        return self.told.changed_since(int.from_bytes(their_heard, "big"))

    def copy(self, names: Sequence[FeedId]) -> Memory:
        """The same values, to be remembered by nobody."""
        other = Memory(None, names)
        other.told.values[:] = self.told.values
        other.heard.values[:] = self.heard.values
        return other

    @property
    def has_unsaved(self) -> bool:
        """The store does not have all of it."""
        return 1 in self._unsaved

    def take_unsaved(self, limit: int) -> Rows:
        """At most ``limit`` rows for the store."""
        numbers = first_marked(self._unsaved, limit)
        if not numbers:
            return Rows((), (), ())
        mark(self._unsaved, numbers, 0)
        told, heard = taken(self.told.values, numbers), taken(self.heard.values, numbers)
        rows = Rows(taken(self._names, numbers), told, heard)
        if not self.in_use or self.told.lags or self.heard.lags:
            self._renew(numbers)
        return rows


__all__ = ["DECLINED", "LOG_LENGTH", "NONE", "Memory", "PeerClock", "entry_digest"]

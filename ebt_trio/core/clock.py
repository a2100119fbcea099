"""Clocks by feed number: what we told a peer, what we heard from it, with the digests of request skipping.

Both sides make the same changes in the order in which frames travel, so that the digest of what one has *heard*
equals the digest of what the other had *told* at some moment (``docs/protocol.md``, Request skipping). Digests are
brought up to date only when asked for; the log of changes lets the teller find that moment.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

from .note import DECLINED
from .types import FeedId, PeerKey, Remembered

NONE: Final = -2
"""Nothing was said about the feed (a sequence is >= 0, -1 is declined)."""

LOG_LENGTH: Final = 10_000
"""How many changes of a told clock can be undone in search of what the other side remembers."""

_MODULUS: Final = 1 << 128


def entry_digest(feed: FeedId, value: int) -> int:
    """BLAKE2b-128 of (feed UTF-8, 0x00, value as signed 64-bit big-endian), as an integer (RFC 7693)."""
    data = feed.encode() + b"\0" + value.to_bytes(8, "big", signed=True)
    return int.from_bytes(blake2b(data, digest_size=16).digest(), "big")


class PeerClock:
    """One direction of what is remembered about a peer: feed number → NONE, DECLINED or a sequence."""

    __slots__ = ("_digest", "_log", "_names", "_undigested", "_unsaved", "values")

    def __init__(self, names: Sequence[FeedId], unsaved: set[int], *, log: bool) -> None:
        self.values = array("q", [NONE]) * len(names)
        self._names = names
        self._unsaved = unsaved
        self._digest = 0
        self._undigested: dict[int, int] = {}
        self._log: deque[tuple[int, int, int]] | None = deque(maxlen=LOG_LENGTH) if log else None

    def grow(self) -> None:
        """Make room for feeds numbered since."""
        missing = len(self._names) - len(self.values)
        if missing > 0:
            self.values.extend(array("q", [NONE]) * missing)

    def put(self, number: int, value: int) -> None:
        old = self.values[number]
        if old == value:
            return
        self.values[number] = value
        self._undigested.setdefault(number, old)
        self._unsaved.add(number)
        if self._log is not None:
            self._log.append((number, old, value))

    def load(self, number: int, value: int) -> None:
        """Set what a store remembered: no change to save or to undo."""
        self._undigested.setdefault(number, self.values[number])
        self.values[number] = value

    def _step(self, digest: int, number: int, old: int, new: int) -> int:
        name = self._names[number]
        if old != NONE:
            digest -= entry_digest(name, old)
        if new != NONE:
            digest += entry_digest(name, new)
        return digest % _MODULUS

    def digest(self) -> int:
        """The sum modulo 2^128 of :func:`entry_digest` over all entries."""
        for number, old in self._undigested.items():
            self._digest = self._step(self._digest, number, old, self.values[number])
        self._undigested.clear()
        return self._digest

    def changed_since(self, digest: int) -> set[int] | None:
        """Which feeds changed since the clock had ``digest``; None if it never had, as far as the log goes back."""
        current = self.digest()
        changed: set[int] = set()
        if current == digest:
            return changed
        for number, old, new in reversed(self._log or ()):
            current = self._step(current, number, new, old)
            changed.add(number)
            if current == digest:
                return changed
        return None


class Memory:
    """What is remembered of a peer across sessions, in this process and, as far as saved, in the store."""

    __slots__ = ("heard", "in_use", "key", "told", "unsaved")

    def __init__(self, key: PeerKey | None, names: Sequence[FeedId]) -> None:
        self.key = key
        self.in_use = False
        self.unsaved: set[int] = set()
        self.told = PeerClock(names, self.unsaved, log=True)
        self.heard = PeerClock(names, self.unsaved, log=False)

    def grow(self) -> None:
        self.told.grow()
        self.heard.grow()

    def load(self, number: int, row: Remembered) -> None:
        if row.told is not None:
            self.told.load(number, row.told)
        if row.heard is not None:
            self.heard.load(number, row.heard)

    def heard_digest(self) -> bytes:
        """For our RESUME; empty when nothing was heard."""
        digest = self.heard.digest()
        return digest.to_bytes(16, "big") if digest else b""

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

    def take_unsaved(self, limit: int, names: Sequence[FeedId]) -> list[Remembered]:
        """At most ``limit`` rows for the store."""
        taken: list[Remembered] = []
        for number in _some(self.unsaved, limit):
            self.unsaved.discard(number)
            told, heard = self.told.values[number], self.heard.values[number]
            taken.append(Remembered(names[number], None if told == NONE else told, None if heard == NONE else heard))
        return taken


def _some(numbers: Iterable[int], limit: int) -> list[int]:
    return [number for number, _ in zip(numbers, range(limit), strict=False)]


__all__ = ["DECLINED", "LOG_LENGTH", "NONE", "Memory", "PeerClock", "entry_digest"]

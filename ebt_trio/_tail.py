"""The newest payloads, kept in memory so that live forwarding does not read the store; see :class:`Tail`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from .core.types import FeedId, Run

__all__ = ["Tail"]

_SEARCH: Final = 1000
"""Whoever is further behind than so many runs reads the store, which has an index."""
_CHUNKS: Final = 100_000
"""Bounds what tiny messages cost besides their bytes."""


@dataclass(slots=True)
class _Chunk:
    feed: FeedId
    first: int
    payloads: Sequence[bytes]
    size: int


class Tail:
    """What was stored last, oldest dropped first, at most ``max_bytes`` of payloads. Works per run, not per message.

    With 0 it keeps the newest run only, for what is stored behind it: a store that does not wait is as near.
    """

    def __init__(self, max_bytes: int = 4 << 20) -> None:
        self._max_bytes = max_bytes
        self._newest: Run | None = None
        self._size = 0
        self._feeds: dict[FeedId, deque[_Chunk]] = {}
        self._order: deque[_Chunk] = deque()
        """All chunks, oldest first; a dropped feed's stay in here, emptied, until their turn comes."""

    def add(self, run: Run) -> None:
        """Take a run that has just been stored. The payloads must not change any more."""
        if not self._max_bytes:
            self._newest = run
            return
        size = sum(map(len, run.payloads))
        if size > self._max_bytes:
            self.drop(run.feed)
            return
        chunks = self._feeds.setdefault(run.feed, deque())
        if chunks and chunks[-1].first + len(chunks[-1].payloads) != run.first:
            self.drop(run.feed)  # not what follows: a gap, or something stored twice
            chunks = self._feeds.setdefault(run.feed, deque())
        chunk = _Chunk(run.feed, run.first, run.payloads, size)
        chunks.append(chunk)
        self._order.append(chunk)
        self._size += size
        while self._size > self._max_bytes or len(self._order) > _CHUNKS:
            self._forget(self._order.popleft())

    def drop(self, feed: FeedId) -> None:
        """The feed has been deleted, or rewritten."""
        if self._newest is not None and self._newest.feed == feed:
            self._newest = None
        for chunk in self._feeds.pop(feed, ()):
            self._size -= chunk.size
            chunk.size, chunk.payloads = 0, ()

    def read(self, feed: FeedId, first: int, limit: int, max_bytes: int) -> list[bytes]:
        """Payloads from ``first`` on, at least one and as many as fit; none if ``first`` is not here."""
        chunks = self._feeds.get(feed)
        if not chunks or first < chunks[0].first:
            return []
        found: list[bytes] = []
        for chunk in self._from(chunks, first):
            for payload in islice(chunk.payloads, max(first - chunk.first, 0), None):
                max_bytes -= len(payload)
                if found and (max_bytes < 0 or len(found) >= limit):
                    return found
                found.append(payload)
        return found

    def payload(self, feed: FeedId, sequence: int) -> bytes | None:
        newest = self._newest
        if newest is not None and newest.feed == feed and newest.last == sequence:
            return newest.payloads[-1]
        found = self.read(feed, sequence, 1, 0)
        return found[0] if found else None

    def _from(self, chunks: deque[_Chunk], first: int) -> list[_Chunk]:
        """The chunks from the one that has ``first`` on; live forwarding wants the last one or two."""
        wanted: list[_Chunk] = []
        for chunk in islice(reversed(chunks), _SEARCH):
            if chunk.first + len(chunk.payloads) <= first:
                break
            wanted.append(chunk)
        wanted.reverse()
        return wanted if wanted and wanted[0].first <= first else []

    def _forget(self, chunk: _Chunk) -> None:
        self._size -= chunk.size
        chunks = self._feeds.get(chunk.feed)
        if chunks and chunks[0] is chunk:
            chunks.popleft()
            if not chunks:
                del self._feeds[chunk.feed]

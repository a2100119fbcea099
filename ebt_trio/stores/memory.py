"""A store in this process's memory: for tests, demonstrations, and peers that need not remember."""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

import trio

from ..abc import BlockEntry, Change, Changes, Fork, Store
from ..core.types import MAX_SEQUENCE, FeedHead, FeedId, PeerKey, Range, Remembered, Run
from ..errors import LocalProtocolError, StoreError
from ._memory_peers import Numbering, PeerRows
from .runs import already_stored

__all__ = ["MemoryStore"]

T = TypeVar("T")


class _ByFeed(Generic[T]):
    """Something per feed, with pages in the order of the feeds; sorted again only after feeds have come or gone."""

    __slots__ = ("_order", "values")

    def __init__(self) -> None:
        self.values: dict[FeedId, T] = {}
        self._order: list[FeedId] | None = []

    def put(self, feed: FeedId, value: T) -> None:
        if feed not in self.values:
            self._order = None
        self.values[feed] = value

    def drop(self, feed: FeedId) -> None:
        if feed in self.values:
            del self.values[feed]
            self._order = None

    def page(self, after: FeedId | None, limit: int) -> Sequence[tuple[FeedId, T]]:
        if self._order is None:
            self._order = sorted(self.values)
        start = 0 if after is None else bisect_right(self._order, after)
        return [(feed, self.values[feed]) for feed in self._order[start : start + max(limit, 0)]]


@dataclass(slots=True)
class _Feed:
    first: int
    payloads: list[bytes]


class MemoryStore(Store):
    """Lives as long as the object: closed and opened again, it holds what it held. Nothing survives the process.

    No other process can change it, so :meth:`wait_changes` waits for ever. A call that is cancelled has done nothing.
    """

    immediate = True

    def __init__(self) -> None:
        self.id = secrets.token_bytes(16)
        self._format: str | None = None
        self._is_open = False
        self._feeds: _ByFeed[_Feed] = _ByFeed()
        self._follows: _ByFeed[int | None] = _ByFeed()
        self._blocks: dict[BlockEntry, None] = {}
        self._peers: OrderedDict[PeerKey, PeerRows] = OrderedDict()
        """least recently seen first"""
        self._numbering = Numbering()
        self._forks: dict[FeedId, Fork] = {}

    async def open(self, format: str) -> None:
        await trio.lowlevel.checkpoint()
        if self._is_open:
            raise LocalProtocolError("the memory store is open already")
        if self._format not in (None, format):
            raise StoreError(f"the memory store holds feeds of the format {self._format!r}, not {format!r}")
        self._format = format
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False
        await trio.lowlevel.checkpoint()

    async def heads(self, after: FeedId | None, limit: int) -> Sequence[FeedHead]:
        await self._enter()
        return [_head(feed, stored) for feed, stored in self._feeds.page(after, limit)]

    async def head(self, feed: FeedId) -> FeedHead:
        self._check_open()
        return _head(feed, self._feeds.values.get(feed))

    async def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
        self._check_open()
        return [self._append(run) for run in runs]

    def _append(self, run: Run) -> FeedHead | StoreError:
        stored, last, skip = self._feeds.values.get(run.feed), run.last, 0
        follows = run.first == (1 if stored is None else stored.first + len(stored.payloads))
        if not (follows and run.payloads and last <= MAX_SEQUENCE):  # else as it would turn out
            held = _head(run.feed, stored)
            try:
                skip = already_stored(run, held)
            except StoreError as error:
                return error
            if skip == len(run.payloads):
                return held
        if stored is None:
            stored = _Feed(run.first, list(run.payloads))  # nothing is passed over
            self._feeds.put(run.feed, stored)
        else:
            stored.payloads.extend(run.payloads[skip:] if skip else run.payloads)
        return FeedHead(run.feed, stored.first, last)

    async def read(self, ranges: Sequence[Range], max_bytes: int) -> Sequence[Sequence[bytes]]:
        self._check_open()
        results: list[Sequence[bytes]] = []
        room, something = max_bytes, False
        for feed, first, limit in ranges:
            stored = self._feeds.values.get(feed)
            found: list[bytes] = []
            if stored is not None and first >= stored.first and (room > 0 or not something):
                start = first - stored.first
                found = stored.payloads[start : start + max(limit, 0)]
                size = sum(map(len, found))
                if size > room:
                    found = found[: max(_fitting(found, room), not something)]
                    size = max(room, 0)  # full: a payload further on that would fit stays where it is
                something = something or bool(found)
                room -= size
            results.append(found)
        return results

    async def size(self, feed: FeedId) -> int:
        self._check_open()
        stored = self._feeds.values.get(feed)
        return 0 if stored is None else sum(map(len, stored.payloads))

    async def follows(self, after: FeedId | None, limit: int) -> Sequence[tuple[FeedId, int | None]]:
        await self._enter()
        return self._follows.page(after, limit)

    async def blocks(self) -> Sequence[BlockEntry]:
        await self._enter()
        return list(self._blocks)

    async def forks(self) -> Sequence[Fork]:
        await self._enter()
        return list(self._forks.values())

    async def recall(self, key: PeerKey, after: FeedId | None, limit: int) -> Sequence[Remembered]:
        await self._enter()
        rows = self._peers.get(key)
        return [] if rows is None else rows.page(after, limit)

    async def update(self, change: Change, *, keep_peers: int) -> None:
        await self._enter()
        for feed, last in change.follow.items():
            self._follows.put(feed, last)
        for feed in change.unfollow:
            self._follows.drop(feed)
        self._blocks.update(dict.fromkeys(change.block))
        for entry in change.unblock:
            self._blocks.pop(entry, None)
        for feed in change.forget:
            self._feeds.drop(feed)
        for fork in change.forks:
            if fork.kept is not None or fork.feed not in self._forks or self._forks[fork.feed].kept is None:
                self._forks[fork.feed] = fork
        for key, rows in change.remember.items():
            self._remember(key, rows)
        while len(self._peers) > max(keep_peers, 0):
            self._peers.popitem(last=False)

    def _remember(self, key: PeerKey, rows: Sequence[Remembered]) -> None:
        remembered = self._peers.get(key)
        if remembered is None:
            remembered = self._peers[key] = PeerRows(self._numbering)
        self._peers.move_to_end(key)
        remembered.put(rows, followed=len(self._follows.values))

    async def wait_changes(self) -> Changes:
        await self._enter()
        await trio.sleep_forever()

    async def _enter(self) -> None:
        await trio.lowlevel.checkpoint()
        self._check_open()

    def _check_open(self) -> None:
        if not self._is_open:
            raise LocalProtocolError("the memory store is not open")


def _fitting(payloads: Sequence[bytes], room: int) -> int:
    """How many of the payloads, from the start, have at most ``room`` bytes together."""
    return bisect_right(list(accumulate(map(len, payloads))), room)


def _head(feed: FeedId, stored: _Feed | None) -> FeedHead:
    if stored is None:
        return FeedHead(feed, 1, 0)
    return FeedHead(feed, stored.first, stored.first + len(stored.payloads) - 1)

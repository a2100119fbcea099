"""A store that fails when it is told to, and a power cut for any store: :class:`FaultyStore`."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import trio

from ...abc import BlockEntry, Change, Changes, Fork, Store
from ...core.types import FeedHead, FeedId, PeerKey, Range, Remembered, Run
from ...errors import StoreError

__all__ = ["FaultyStore"]


class FaultyStore(Store):
    """Passes everything on to ``inner``, unless something is wrong. For each start of a peer make a new one.

    :param delay: so many seconds at most a write takes
    :param notices: whether changes made by other processes are looked for, which takes turns of the loop
    """

    def __init__(self, inner: Store, *, delay: float = 0.0, notices: bool = False, rng: Random | None = None) -> None:
        self.inner = inner
        self.immediate = inner.immediate and not delay
        self.refuses_writes = self.refuses_reads = False
        """Until it is set to False, each such call raises StoreError."""
        self._delay = delay
        self._notices = notices
        self._rng = Random(0) if rng is None else rng
        self._is_cut = False

    def cut_power(self) -> None:
        """What has not been written by now never will be, whatever the rest of the program does while it ends."""
        self._is_cut = True

    async def open(self, format: str) -> None:
        if self.refuses_reads:
            await trio.lowlevel.checkpoint()
        self._check_reads()
        await self.inner.open(format)
        self.id = self.inner.id

    async def close(self) -> None:
        await self.inner.close()

    async def heads(self, after: FeedId | None, limit: int) -> Sequence[FeedHead]:
        self._check_reads()
        return await self.inner.heads(after, limit)

    async def head(self, feed: FeedId) -> FeedHead:
        self._check_reads()
        return await self.inner.head(feed)

    async def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
        await self._before_writing()
        outcomes = await self.inner.append(runs)
        await self._pause()
        return outcomes

    async def read(self, ranges: Sequence[Range], max_bytes: int) -> Sequence[Sequence[bytes]]:
        self._check_reads()
        return await self.inner.read(ranges, max_bytes)

    async def size(self, feed: FeedId) -> int:
        self._check_reads()
        return await self.inner.size(feed)

    async def follows(self, after: FeedId | None, limit: int) -> Sequence[tuple[FeedId, int | None]]:
        self._check_reads()
        return await self.inner.follows(after, limit)

    async def blocks(self) -> Sequence[BlockEntry]:
        self._check_reads()
        return await self.inner.blocks()

    async def forks(self) -> Sequence[Fork]:
        self._check_reads()
        return await self.inner.forks()

    async def recall(self, key: PeerKey, after: FeedId | None, limit: int) -> Sequence[Remembered]:
        self._check_reads()
        return await self.inner.recall(key, after, limit)

    async def update(self, change: Change, *, keep_peers: int) -> None:
        await self._before_writing()
        await self.inner.update(change, keep_peers=keep_peers)
        await self._pause()

    async def wait_changes(self) -> Changes:
        if not self._notices:
            await self.inner.follows(None, 0)  # raises if it is not open
            await trio.sleep_forever()
        return await self.inner.wait_changes()

    async def _before_writing(self) -> None:
        self._check_writes()
        await self._pause()
        self._check_writes()

    async def _pause(self) -> None:
        if self._delay:
            await trio.sleep(self._delay / 2 * self._rng.random())

    def _check_writes(self) -> None:
        if self._is_cut:
            raise StoreError("the power is off")
        if self.refuses_writes:
            raise StoreError("no space left (a fault of this world)")

    def _check_reads(self) -> None:
        if self.refuses_reads:
            raise StoreError("an I/O error (a fault of this world)")

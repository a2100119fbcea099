"""A store in one SQLite file, which several processes may use at once."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

import trio

from ..abc import BlockEntry, Change, Changes, Fork, Store
from ..core.types import FeedHead, FeedId, PeerKey, Range, Remembered, Run
from ..errors import LocalProtocolError, StoreError
from ._sqlite_file import connect, prepare, translated
from ._sqlite_read import Reader
from ._sqlite_write import Writer

__all__ = ["SQLiteStore"]

POLL_INTERVALS: Final = (0.05, 0.2)
"""Seconds between two looks for changes by others: at first, and when there have been none for a while."""

T = TypeVar("T")


class _Opened(NamedTuple):
    """Three connections: reads do not queue behind commits, and the watcher only looks whether there is news.

    One thread at a time works on each; the watcher is the event loop's own, since one look takes microseconds.
    """

    reader: Reader
    writer: Writer
    watcher: sqlite3.Connection
    reading: trio.CapacityLimiter
    writing: trio.CapacityLimiter


class SQLiteStore(Store):
    """Feeds in one file of SQLite (3.35 or newer), in WAL mode. What ``append`` has returned for survives a power cut.

    Any number of processes may use one file, on one machine. Takes up to 2^40 messages of a feed, and 2^23 feeds.

    A call that is cancelled before its work has started has done nothing; after that it finishes, and returns.

    :param path: the file; made if it is missing. Two more files stand beside it while it is open
    :param threads: work in threads. False: work in the event loop, which stands still meanwhile; for virtual clocks
    :param synchronous: ``"FULL"``, or ``"NORMAL"``: faster for single messages, and a power cut (not a crash) may undo
        the last ones: unsound for feeds that are written here
    :param busy_timeout: how long to wait for other processes that write, in seconds
    :param create: False: a missing file is a StoreError
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: bool = True,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        busy_timeout: float = 5.0,
        create: bool = True,
    ) -> None:
        if synchronous not in ("FULL", "NORMAL"):
            raise LocalProtocolError(f"synchronous is 'FULL' or 'NORMAL', not {synchronous!r}")
        self.path: Final = Path(path)
        self._threads = threads
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._create = create
        self._opened: _Opened | None = None
        self._quiet_version: int | None = None
        """the data version at which there was nothing to take"""

    async def open(self, format: str) -> None:
        """Open or make the file; see :meth:`Store.open`. When cancelled, it is not open."""
        if self._opened is not None:
            raise LocalProtocolError(f"the store at {self.path} is open already")
        self.id, self._opened = await self._run(trio.CapacityLimiter(1), lambda: self._open(format), "opening")
        self._quiet_version = None

    def _open(self, format: str) -> tuple[bytes, _Opened]:
        with ExitStack() as stack:
            writing = self._connect(stack, self._create, self._busy_timeout)
            store_id = prepare(writing, self.path, format, create=self._create, busy_timeout=self._busy_timeout)
            reading = self._connect(stack, False, self._busy_timeout)
            watching = self._connect(stack, False, 0.0)
            reading.execute("PRAGMA query_only = ON")
            reader, writer = Reader(reading, self.path), Writer(writing, self.path)
            stack.pop_all()
        return store_id, _Opened(reader, writer, watching, trio.CapacityLimiter(1), trio.CapacityLimiter(1))

    def _connect(self, stack: ExitStack, create: bool, busy_timeout: float) -> sqlite3.Connection:
        connection = connect(self.path, create=create, synchronous=self._synchronous, busy_timeout=busy_timeout)
        return stack.enter_context(closing(connection))

    async def close(self) -> None:
        """Close the file, after the calls that are at work; not cancellable. The last to close leaves one file only."""
        opened, self._opened = self._opened, None
        with trio.CancelScope(shield=True):
            if opened is None:
                await trio.lowlevel.checkpoint()
                return
            # The writer last: SQLite tidies up when the last connection goes, and the reader must not write.
            opened.watcher.close()
            try:
                await self._run(opened.reading, opened.reader.connection.close, "closing")
            finally:
                await self._run(opened.writing, opened.writer.connection.close, "closing")

    async def heads(self, after: FeedId | None, limit: int) -> Sequence[FeedHead]:
        return await self._read(lambda reader: reader.heads(after, limit))

    async def head(self, feed: FeedId) -> FeedHead:
        return await self._read(lambda reader: reader.head(feed))

    async def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
        """Store the runs; see :meth:`Store.append`."""
        return await self._write("writing", lambda writer: writer.append(runs))

    async def read(self, ranges: Sequence[Range], max_bytes: int) -> Sequence[Sequence[bytes]]:
        return await self._read(lambda reader: reader.read(ranges, max_bytes))

    async def size(self, feed: FeedId) -> int:
        return await self._read(lambda reader: reader.size(feed))

    async def follows(self, after: FeedId | None, limit: int) -> Sequence[tuple[FeedId, int | None]]:
        return await self._read(lambda reader: reader.follows(after, limit))

    async def blocks(self) -> Sequence[BlockEntry]:
        return await self._read(lambda reader: reader.blocks())

    async def forks(self) -> Sequence[Fork]:
        return await self._read(lambda reader: reader.forks())

    async def recall(self, key: PeerKey, after: FeedId | None, limit: int) -> Sequence[Remembered]:
        return await self._read(lambda reader: reader.recall(key, after, limit))

    async def update(self, change: Change, *, keep_peers: int) -> None:
        """Write a change; see :meth:`Store.update`."""
        await self._write("writing", lambda writer: writer.update(change, keep_peers))

    async def wait_changes(self) -> Changes:
        """Wait for changes by others, noticed after 50 to 200 ms; see :meth:`Store.wait_changes`.

        Others are other processes, and other stores of this process on the same file. With several waiters, each change
        goes to one of them.
        """
        pause, longest = POLL_INTERVALS
        while True:
            version = self._data_version()
            if version is None or version != self._quiet_version:
                # Nothing may come between taking the changes and returning them: what was taken would be lost.
                changes = await self._write("reading", lambda writer: writer.take_changes())
                if changes is not None:
                    return changes
                self._quiet_version = version
                pause = POLL_INTERVALS[0]
            await trio.sleep(pause)
            pause = min(pause * 1.1, longest)  # the longest after 1.7 s

    def _data_version(self) -> int | None:
        """Changes whenever another connection has committed, ours included; None: cannot tell just now."""
        watcher = self._require_open().watcher
        try:
            version: int = watcher.execute("PRAGMA data_version").fetchone()[0]
        except sqlite3.Error:
            return None
        return version

    async def _read(self, job: Callable[[Reader], T]) -> T:
        opened = self._require_open()
        return await self._run(opened.reading, lambda: job(opened.reader), "reading")

    async def _write(self, doing: str, job: Callable[[Writer], T]) -> T:
        opened = self._require_open()
        return await self._run(opened.writing, lambda: job(opened.writer), doing)

    def _require_open(self) -> _Opened:
        if self._opened is None:
            raise LocalProtocolError(f"the store at {self.path} is not open")
        return self._opened

    async def _run(self, limiter: trio.CapacityLimiter, job: Callable[[], T], doing: str) -> T:
        """Do blocking work. Cancellable until it starts; then its outcome is delivered whatever happens."""

        def work() -> T:
            with translated(self.path, doing):
                return job()

        if self._threads:
            return await trio.to_thread.run_sync(work, limiter=limiter)
        await trio.lowlevel.checkpoint()
        return work()

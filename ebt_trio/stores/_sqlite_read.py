"""What a :class:`~.sqlite.SQLiteStore` reads; blocking, on one connection of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Final

from ..abc import BlockEntry, Fork
from ..core.types import FeedHead, FeedId, PeerId, PeerKey, Range, Remembered
from ._sqlite_damage import check_heads, checked, damaged
from ._sqlite_file import NUMBER_SHIFT, transaction

__all__ = ["Reader"]

_MOST: Final = 1 << 62
_OPTIONAL: Final = (int, NoneType)


class Reader:
    """Sees what is committed, and never waits for a writer."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self._path = path

    def heads(self, after: FeedId | None, limit: int) -> Sequence[FeedHead]:
        rows = self.connection.execute(
            "SELECT feed, first, head FROM feeds WHERE feed > ? AND head > 0 ORDER BY feed LIMIT ?",
            (after or "", _limit(limit)),
        ).fetchall()
        self._check(rows, str, int, int)
        check_heads(self._path, [row[1] for row in rows], [row[2] for row in rows])
        return [FeedHead(FeedId(feed), first, head) for feed, first, head in rows]

    def head(self, feed: FeedId) -> FeedHead:
        row = self.connection.execute("SELECT first, head FROM feeds WHERE feed = ? AND head > 0", (feed,)).fetchone()
        if row is None:
            return FeedHead(feed, 1, 0)
        self._check([row], int, int)
        check_heads(self._path, row[:1], row[1:])
        return FeedHead(feed, row[0], row[1])

    def read(self, ranges: Sequence[Range], max_bytes: int) -> Sequence[Sequence[bytes]]:
        results: list[list[bytes]] = [[] for _ in ranges]
        left = max_bytes
        something = False
        with transaction(self.connection, "BEGIN"):  # one view of feeds and messages, whatever is committed meanwhile
            for wanted, found in zip(ranges, results, strict=True):
                if something and left <= 0:
                    break
                left = self._read_range(wanted, found, left, something)
                something = something or bool(found)
        return results

    def _read_range(self, wanted: Range, found: list[bytes], left: int, something: bool) -> int:
        """Gather one range into ``found``; returns how many more bytes to gather, 0 or less when it is enough."""
        row = self.connection.execute(
            "SELECT number, base, first, head FROM feeds WHERE feed = ?", (wanted.feed,)
        ).fetchone()
        if row is None:
            return left
        self._check([row], int, int, int, int)
        number, base, first, head = row
        count = min(wanted.limit, head - wanted.first + 1)
        if wanted.first < first or count <= 0:
            return left
        start = (number << NUMBER_SHIFT) + wanted.first - base
        cursor = self.connection.execute(
            "SELECT payload FROM messages WHERE id BETWEEN ? AND ? ORDER BY id", (start, start + count - 1)
        )
        try:
            for (payload,) in cursor:
                if type(payload) is not bytes:
                    raise damaged(self._path, f"feed {wanted.feed} has messages that are none, from {wanted.first} on")
                size = len(payload)
                if size > left and (something or found):
                    return 0
                left -= size
                found.append(payload)
                if left <= 0:
                    return left
        except TypeError:  # SQLite does not look whether it is a blob
            raise damaged(self._path, f"feed {wanted.feed} has a message that is none") from None
        finally:
            cursor.close()
        if len(found) != count:
            raise damaged(self._path, f"feed {wanted.feed} lacks messages from {wanted.first} on")
        return left

    def size(self, feed: FeedId) -> int:
        found: int = self.connection.execute(
            "SELECT coalesce(sum(length(payload)), 0) FROM feeds JOIN messages"
            " ON id >= number << :shift AND id < (number + 1) << :shift WHERE feed = :feed",
            {"shift": NUMBER_SHIFT, "feed": feed},
        ).fetchone()[0]
        return found

    def follows(self, after: FeedId | None, limit: int) -> Sequence[tuple[FeedId, int | None]]:
        rows = self.connection.execute(
            "SELECT feed, last FROM follows WHERE feed > ? ORDER BY feed LIMIT ?", (after or "", _limit(limit))
        ).fetchall()
        self._check(rows, str, _OPTIONAL)
        return [(FeedId(feed), last) for feed, last in rows]

    def blocks(self) -> Sequence[BlockEntry]:
        rows = self.connection.execute("SELECT target, origin FROM blocks").fetchall()
        self._check(rows, str, str)
        return [BlockEntry(PeerId(target), FeedId(origin) if origin else None) for target, origin in rows]

    def forks(self) -> Sequence[Fork]:
        rows = self.connection.execute("SELECT feed, proof, kept FROM forks").fetchall()
        self._check(rows, str, bytes, (str, NoneType))
        if not {kept for _, _, kept in rows} <= {"ours", "theirs", None}:
            raise damaged(self._path, "a fork's branch to keep is neither of the two")
        return [Fork.from_bytes(FeedId(feed), proof, kept) for feed, proof, kept in rows]

    def recall(self, key: PeerKey, after: FeedId | None, limit: int) -> Sequence[Remembered]:
        rows = self.connection.execute(
            "SELECT feed, told, heard FROM clocks WHERE peer ="
            " (SELECT number FROM peers WHERE peer = ? AND store = ? AND authenticated = ?)"
            " AND feed > ? ORDER BY feed LIMIT ?",
            (*key, after or "", _limit(limit)),
        ).fetchall()
        self._check(rows, str, _OPTIONAL, _OPTIONAL)
        return [Remembered(FeedId(feed), told, heard) for feed, told, heard in rows]

    def _check(self, rows: Sequence[Sequence[Any]], *kinds: type | tuple[type, ...]) -> None:
        checked(self._path, rows, *kinds)


def _limit(limit: int) -> int:
    return min(max(limit, 0), _MOST)

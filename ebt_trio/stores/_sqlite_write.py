"""What a :class:`~.sqlite.SQLiteStore` writes, and what others have written; blocking, on one connection of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from ..abc import BlockEntry, Change, Changes
from ..core.types import FeedHead, FeedId, PeerKey, Remembered, Run
from ..errors import StoreError
from ._sqlite_damage import Place, check_heads, checked, damaged
from ._sqlite_file import NUMBER_SHIFT, transaction
from .runs import already_stored

__all__ = ["MAX_FEEDS", "MAX_MESSAGES", "Writer"]

MAX_FEEDS: Final = (1 << (63 - NUMBER_SHIFT)) - 1
"""How many feeds one file takes, forgotten ones included."""
MAX_MESSAGES: Final = (1 << NUMBER_SHIFT) - 1
"""How many messages of one feed one file takes."""

_CHANGES_AT_ONCE: Final = 10_000

# Many rows a statement, not executemany: every step of a statement releases the GIL, and a worker thread beside a busy
# loop may wait 5 ms to get it back, for each row. It takes half the CPU time as well.
_ROWS_AT_ONCE: Final = (256, 64, 16, 4, 1)


def _bulk(statement: str, row: str) -> Mapping[int, str]:
    """For so many rows at once, in place of ``{}``."""
    return {rows: statement.format(", ".join([row] * rows)) for rows in _ROWS_AT_ONCE}


_INSERT: Final = _bulk("INSERT INTO messages VALUES {}", "(?, ?)")
_FIND: Final = _bulk("SELECT feed, number, base, first, head FROM feeds WHERE feed IN ({})", "?")
_ADVANCE: Final = _bulk(
    "INSERT INTO feeds VALUES {} ON CONFLICT (number) DO UPDATE"
    " SET base = excluded.base, first = excluded.first, head = excluded.head, changed = excluded.changed",
    "(?, ?, ?, ?, ?, ?)",
)
_REMEMBER: Final = _bulk("INSERT OR REPLACE INTO clocks VALUES {}", "(?, ?, ?, ?)")
_FORGET: Final = _bulk("DELETE FROM clocks WHERE peer = ? AND feed IN ({})", "?")


_Row = Sequence[Any]
"""number, base, first, head"""


@dataclass(slots=True)
class _Feed:
    """A row of ``feeds`` during a transaction; ``number`` 0: there is none yet."""

    number: int = 0
    base: int = 0
    first: int = 1
    head: int = 0
    is_changed: bool = False


class Writer:
    """Appends and updates, and notices what others have changed.

    Everything up to the tick ``_seen`` is our own or noted in ``_foreign_…``. Every transaction of ours looks first, so
    that what we write never hides what others wrote.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self._path = path
        self._foreign_heads: dict[FeedId, FeedHead] = {}
        self._foreign_follows = False
        self._foreign_blocks = False
        self._foreign_forks = False
        self._seen = self._tick()[0]
        self._place = Place(path)
        self._new_numbers: Iterator[int] | None = None
        """For feeds that the transaction adds."""

    def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
        """See :meth:`Store.append`."""
        feeds: dict[FeedId, _Feed] = {}
        rows: list[tuple[int, Sequence[bytes]]] = []
        outcomes: list[FeedHead | StoreError] = []
        with transaction(self.connection):
            tick = self._look() + 1
            found = self._find(dict.fromkeys(run.feed for run in runs))
            self._new_numbers = None
            for run in runs:
                try:
                    outcomes.append(self._planned(run, feeds, found, rows))
                except StoreError as error:
                    outcomes.append(error)
            if not rows:
                return outcomes
            self._insert(rows)
            changed = {name: feed for name, feed in feeds.items() if feed.is_changed}
            self._execute(
                _ADVANCE,
                [(feed.number, name, feed.base, feed.first, feed.head, tick) for name, feed in changed.items()],
            )
            self.connection.execute("UPDATE store SET tick = ?", (tick,))
            self._place.check()
        self._wrote(tick, changed)
        return outcomes

    def _planned(
        self, run: Run, feeds: dict[FeedId, _Feed], found: Mapping[str, _Row], rows: list[tuple[int, Sequence[bytes]]]
    ) -> FeedHead:
        """Find the rows for what of ``run`` is new; the head of the feed after it."""
        feed = feeds.get(run.feed)
        if feed is None:
            feed = feeds[run.feed] = self._feed(run.feed, found)
        skip = already_stored(run, FeedHead(run.feed, feed.first, feed.head))
        if skip < len(run.payloads):
            if feed.head == 0:
                feed.number = feed.number or self._new_number(run.feed)
                feed.base, feed.first = run.first - 1, run.first
            if run.last - feed.base > MAX_MESSAGES:
                raise StoreError(f"feed {run.feed}: this store takes {MAX_MESSAGES} messages of a feed; not stored")
            start = (feed.number << NUMBER_SHIFT) + run.first + skip - feed.base
            rows.append((start, run.payloads[skip:]))
            feed.head, feed.is_changed = run.last, True
        return FeedHead(run.feed, feed.first, feed.head)

    def _find(self, names: Iterable[FeedId]) -> Mapping[str, _Row]:
        """What ``feeds`` has about those that it has, unchecked."""
        rows = self._execute(_FIND, [(name,) for name in names if _is_text(name)])
        return {name: row for name, *row in rows}

    def _feed(self, name: FeedId, found: Mapping[str, _Row]) -> _Feed:
        row = found.get(name)
        if row is None:
            if not _is_text(name):
                raise StoreError(f"feed {name!r}: not a text that UTF-8 can encode; not stored")
            return _Feed()
        checked(self._path, [row], int, int, int, int)
        if row[3]:
            check_heads(self._path, row[2:3], row[3:])
        return _Feed(*row)

    def _new_number(self, feed: FeedId) -> int:
        if self._new_numbers is None:
            most = self.connection.execute("SELECT coalesce(max(number), 0) FROM feeds").fetchone()[0]
            self._new_numbers = count(most + 1)
        number = next(self._new_numbers)
        if number > MAX_FEEDS:
            raise StoreError(f"feed {feed}: this store takes {MAX_FEEDS} feeds; not stored")
        return number

    def _insert(self, rows: list[tuple[int, Sequence[bytes]]]) -> None:
        rows.sort(key=itemgetter(0))
        numbers = list(chain.from_iterable(range(start, start + len(run)) for start, run in rows))
        payloads = list(chain.from_iterable(run for _, run in rows))
        plain = set(map(type, payloads)) == {bytes}
        done = 0
        for size, statement in _INSERT.items():
            while len(payloads) - done >= size:
                values: list[Any] = [None] * (2 * size)
                values[0::2], some = numbers[done : done + size], payloads[done : done + size]
                # For bytes sqlite3 looks for an adapter, before Python 3.13, which takes longer than all the rest.
                values[1::2] = map(bytearray, some) if plain else some
                self.connection.execute(statement, values)
                done += size

    def update(self, change: Change, keep_peers: int) -> None:
        """See :meth:`Store.update`."""
        follows = bool(change.follow or change.unfollow)
        blocks = bool(change.block or change.unblock)
        forks = bool(change.forks)
        with transaction(self.connection):
            tick = self._look() + 1
            self._follow(change)
            self._block(change)
            for feed in change.forget:
                self._forget(feed, tick)
            self.connection.executemany(
                "INSERT INTO forks VALUES (?, ?, ?) ON CONFLICT (feed) DO UPDATE"
                " SET proof = excluded.proof, kept = excluded.kept WHERE excluded.kept NOTNULL OR forks.kept ISNULL",
                [(fork.feed, fork.to_bytes(), fork.kept) for fork in change.forks],
            )
            for key, rows in change.remember.items():
                self._remember(key, rows)
            self._drop_peers(keep_peers)
            if follows or blocks or forks or change.forget:
                self.connection.execute(
                    "UPDATE store SET tick = :tick, follows = iif(:follows, :tick, follows),"
                    " blocks = iif(:blocks, :tick, blocks), forks = iif(:forks, :tick, forks)",
                    {"tick": tick, "follows": follows, "blocks": blocks, "forks": forks},
                )
            else:
                tick -= 1  # nothing that concerns other processes
            self._place.check()
        self._wrote(tick, change.forget)

    def _follow(self, change: Change) -> None:
        self.connection.executemany("INSERT OR REPLACE INTO follows VALUES (?, ?)", list(change.follow.items()))
        self.connection.executemany("DELETE FROM follows WHERE feed = ?", [(feed,) for feed in change.unfollow])

    def _block(self, change: Change) -> None:
        self.connection.executemany("INSERT OR IGNORE INTO blocks VALUES (?, ?)", [_block_row(b) for b in change.block])
        self.connection.executemany(
            "DELETE FROM blocks WHERE target = ? AND origin = ?", [_block_row(entry) for entry in change.unblock]
        )

    def _forget(self, name: FeedId, tick: int) -> None:
        feed = self._feed(name, self._find([name]))
        if feed.head:
            start = feed.number << NUMBER_SHIFT
            self.connection.execute("DELETE FROM messages WHERE id BETWEEN ? AND ?", (start, start + MAX_MESSAGES))
            self.connection.execute(
                "UPDATE feeds SET base = 0, first = 1, head = 0, changed = ? WHERE number = ?", (tick, feed.number)
            )

    def _remember(self, key: PeerKey, rows: Sequence[Remembered]) -> None:
        seen: int = self.connection.execute("SELECT coalesce(max(seen), 0) + 1 FROM peers").fetchone()[0]
        number: int = self.connection.execute(
            "INSERT INTO peers (peer, store, authenticated, seen) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (peer, store, authenticated) DO UPDATE SET seen = excluded.seen RETURNING number",
            (*key, seen),
        ).fetchone()[0]
        latest = {row.feed: row for row in rows}
        kept = [row for row in latest.values() if row.told is not None or row.heard is not None]
        gone = [(row.feed,) for row in latest.values() if row.told is row.heard is None]
        self._execute(_REMEMBER, [(number, *row) for row in kept])
        self._execute(_FORGET, gone, number)

    def _drop_peers(self, keep: int) -> None:
        rows = self.connection.execute(
            "SELECT number FROM peers ORDER BY seen DESC LIMIT -1 OFFSET ?", (max(keep, 0),)
        ).fetchall()
        self.connection.executemany("DELETE FROM clocks WHERE peer = ?", rows)
        self.connection.executemany("DELETE FROM peers WHERE number = ?", rows)

    def take_changes(self) -> Changes | None:
        """What others have changed since the last call; None: nothing. Cheap when it is nothing."""
        if self._tick()[0] != self._seen:
            with transaction(self.connection, "BEGIN"):
                self._look()
        flags = self._foreign_follows, self._foreign_blocks, self._foreign_forks
        if not self._foreign_heads and not any(flags):
            return None
        heads = list(islice(self._foreign_heads.values(), _CHANGES_AT_ONCE))
        changes = Changes(heads, *flags)
        for head in heads:
            del self._foreign_heads[head.feed]
        self._foreign_follows = self._foreign_blocks = self._foreign_forks = False
        return changes

    def _look(self) -> int:
        """Inside a transaction, note what others have changed; returns the tick so far."""
        tick, follows, blocks, forks = self._tick()
        if tick != self._seen:
            rows = self.connection.execute(
                "SELECT feed, first, head FROM feeds WHERE changed > ?", (self._seen,)
            ).fetchall()
            checked(self._path, rows, str, int, int)
            self._foreign_heads.update((feed, FeedHead(feed, first, head)) for feed, first, head in rows)
            self._foreign_follows |= follows > self._seen
            self._foreign_blocks |= blocks > self._seen
            self._foreign_forks |= forks > self._seen
            self._seen = tick
        return tick

    def _tick(self) -> tuple[int, int, int, int]:
        """How many transactions there were, and at which of them follows, blocks and forks last changed."""
        rows = self.connection.execute("SELECT tick, follows, blocks, forks FROM store").fetchall()
        checked(self._path, rows, int, int, int, int)
        if len(rows) != 1:
            raise damaged(self._path, "it does not say how often it was written")
        tick, follows, blocks, forks = rows[0]
        return tick, follows, blocks, forks

    def _wrote(self, tick: int, feeds: Mapping[FeedId, object] | Sequence[FeedId]) -> None:
        """After a commit: the caller knows these heads better than what was noted of others."""
        self._seen = tick
        for feed in feeds:
            self._foreign_heads.pop(feed, None)

    def _execute(self, statements: Mapping[int, str], rows: Sequence[Sequence[Any]], *before: Any) -> list[Any]:
        """For all these rows, as many at once as there is a statement for; what is found."""
        found: list[Any] = []
        done = 0
        for size, statement in statements.items():
            while len(rows) - done >= size:
                values = chain(before, *rows[done : done + size])
                found += self.connection.execute(statement, tuple(values)).fetchall()
                done += size
        return found


def _is_text(name: FeedId) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _block_row(entry: BlockEntry) -> tuple[str, str]:
    return entry.target, entry.origin or ""

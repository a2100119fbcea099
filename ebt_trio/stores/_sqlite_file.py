"""The file of a :class:`~.sqlite.SQLiteStore`: opening it, its tables and their versions, its errors in plain words."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from .._durable import sync, sync_directory
from ..errors import StoreError
from ._sqlite_damage import RECOVER, damaged

__all__ = [
    "APPLICATION_ID",
    "NUMBER_SHIFT",
    "STEPS",
    "Step",
    "connect",
    "prepare",
    "store_error",
    "transaction",
    "translated",
]

APPLICATION_ID: Final = 0x65627431
"""Marks the file as ours ("ebt1"), in SQLite's header."""

NUMBER_SHIFT: Final = 40
"""A message's row is its feed's number << 40 | its sequence - the feed's base."""

Step = Callable[[sqlite3.Connection], None]

_VERSION_1: Final = (
    # One row. tick counts transactions; follows and blocks are the ticks at which those last changed.
    "CREATE TABLE store (id BLOB NOT NULL, format TEXT NOT NULL, tick INTEGER NOT NULL,"
    " follows INTEGER NOT NULL, blocks INTEGER NOT NULL)",
    # A forgotten feed keeps its row, with head 0, so that other processes notice.
    "CREATE TABLE feeds (number INTEGER PRIMARY KEY, feed TEXT NOT NULL UNIQUE, base INTEGER NOT NULL,"
    " first INTEGER NOT NULL, head INTEGER NOT NULL, changed INTEGER NOT NULL)",
    "CREATE INDEX feeds_changed ON feeds (changed)",
    # id: the feed's number << 40 | sequence - base. A feed's messages lie side by side, with no index beside the table.
    "CREATE TABLE messages (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)",
    "CREATE TABLE follows (feed TEXT PRIMARY KEY, last INTEGER) WITHOUT ROWID",
    # origin '': ourselves.
    "CREATE TABLE blocks (target TEXT NOT NULL, origin TEXT NOT NULL, PRIMARY KEY (target, origin)) WITHOUT ROWID",
    # seen: a counter, not a time.
    "CREATE TABLE peers (number INTEGER PRIMARY KEY, peer TEXT NOT NULL, store BLOB NOT NULL,"
    " authenticated INTEGER NOT NULL, seen INTEGER NOT NULL, UNIQUE (peer, store, authenticated))",
    "CREATE INDEX peers_seen ON peers (seen)",
    "CREATE TABLE clocks (peer INTEGER NOT NULL, feed TEXT NOT NULL, told INTEGER, heard INTEGER,"
    " PRIMARY KEY (peer, feed)) WITHOUT ROWID",
)


def _create(connection: sqlite3.Connection) -> None:
    for statement in _VERSION_1:
        connection.execute(statement)


def _add_forks(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE forks (feed TEXT PRIMARY KEY, proof BLOB NOT NULL, kept TEXT) WITHOUT ROWID")
    connection.execute("ALTER TABLE store ADD COLUMN forks INTEGER NOT NULL DEFAULT 0")  # likewise a tick


STEPS: Final[Sequence[Step]] = (_create, _add_forks)
"""``STEPS[n]`` brings a file from version n to n + 1. Steps are only ever added; each runs in the same transaction."""


def connect(path: Path, *, create: bool, synchronous: str, busy_timeout: float) -> sqlite3.Connection:
    """A connection in autocommit mode, which any thread may use, one at a time.

    :raises StoreError: there is no such file, or it cannot be opened
    """
    if path.is_dir():
        raise StoreError(f"no store at {path}: it is a directory")
    if not path.exists():
        if not create:
            raise StoreError(f"no store at {path}")
        if not path.parent.is_dir():
            raise StoreError(f"no store at {path}: the directory {path.parent} does not exist")
    elif not os.access(path, os.R_OK | os.W_OK):
        raise StoreError(f"the store at {path} cannot be written: its permissions forbid it")
    if not os.access(path.parent, os.W_OK):
        raise StoreError(f"the store at {path} cannot be written: the permissions of its directory forbid it")
    with translated(path, "opening"):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
            uri=True,
            timeout=busy_timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("PRAGMA fullfsync = ON")  # macOS: an fsync leaves it in the disk's cache
        except BaseException:
            connection.close()
            raise
        return connection


def prepare(
    connection: sqlite3.Connection,
    path: Path,
    format: str,
    *,
    create: bool,
    busy_timeout: float,
    steps: Sequence[Step] = STEPS,
) -> bytes:
    """Make the tables of a new file, bring an older one up to date, check what is there; return the store's id.

    Nothing is written to a file that is not ours. Only the first pages are read, however large the file is.

    :raises StoreError: not a store, made by a newer version, damaged, or for another format
    """
    with translated(path, "opening"):
        version = _check_ours(connection, path, create, len(steps))
        _use_wal(connection, path, busy_timeout)
        if version < len(steps):
            _migrate(connection, path, format, steps)
        rows = connection.execute("SELECT id, format FROM store").fetchall()
        connection.execute("SELECT feed, first, head FROM feeds ORDER BY changed DESC LIMIT 1").fetchall()
        connection.execute("SELECT id FROM messages ORDER BY id DESC LIMIT 1").fetchall()
        _sync_what_was_left(connection, path)
    if len(rows) != 1 or not isinstance(rows[0][0], bytes) or not isinstance(rows[0][1], str):
        raise damaged(path, "its id is missing")
    if rows[0][1] != format:
        raise StoreError(f"the store at {path} holds feeds of the format {rows[0][1]!r}, not {format!r}")
    return rows[0][0]


def _check_ours(connection: sqlite3.Connection, path: Path, create: bool, newest: int) -> int:
    """The version of the file; 0: it is empty, and may be filled."""
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    if application == APPLICATION_ID:
        if version > newest:
            raise StoreError(
                f"the store at {path} has version {version}, this program knows up to {newest}: update ebt-trio"
            )
        return version
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application or version or tables:
        raise StoreError(f"{path} is a SQLite database of another application, not a store; it was left as it is")
    if _pragma(connection, "page_count") == 0 and path.stat().st_size:
        raise StoreError(f"{path} is not a store: it has {path.stat().st_size} bytes of something else; left as it was")
    if not create:
        raise StoreError(f"no store at {path}: the file is empty")
    return 0


def _use_wal(connection: sqlite3.Connection, path: Path, busy_timeout: float) -> None:
    give_up = time.monotonic() + busy_timeout
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait here when two processes make one store at once.
            if _code(error) not in _LOCKED or time.monotonic() > give_up:
                raise
            time.sleep(0.005)
    if mode != "wal":
        raise StoreError(f"{path} is on a file system without shared memory, which SQLite's WAL mode needs: move it")


def _migrate(connection: sqlite3.Connection, path: Path, format: str, steps: Sequence[Step]) -> None:
    with transaction(connection):
        version = _pragma(connection, "user_version")  # again: another process may have been faster
        for step in steps[version:]:
            step(connection)
        if version == 0:
            row = (secrets.token_bytes(16), format)
            connection.execute("INSERT INTO store (id, format, tick, follows, blocks) VALUES (?, ?, 0, 0, 0)", row)
        if version < len(steps):
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(steps)}")


def _sync_what_was_left(connection: sqlite3.Connection, path: Path) -> None:
    """Make the log durable as it is found, before anybody is told what is in it.

    A process that was killed while it committed may have written what it had not synced: readable, but in the system's
    memory only. After a power cut a message of our own that others have heard of by then would be missing here, and the
    next one would fork the feed.
    """
    log = Path(connection.execute("PRAGMA database_list").fetchone()[2] + "-wal")
    try:
        with log.open("rb+") as file:
            sync(file.fileno())
        sync_directory(log.parent)
    except FileNotFoundError:
        pass  # nothing was left
    except OSError as error:
        raise StoreError(f"opening the store at {path} failed: {_EXPLAINED[sqlite3.SQLITE_IOERR]} ({error})") from error


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: Any = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return int(value)


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Generator[None]:
    """Commit at the end, roll back on any exception. One left over from a failed rollback is ended first."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


_LITTLE: Final = 32 << 10
"""Bytes: what SQLite adds to a file that it maps into memory."""
_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_EXPLAINED: Final = {
    sqlite3.SQLITE_BUSY: "another process holds it locked for too long; try again when that has ended",
    sqlite3.SQLITE_LOCKED: "it is locked; try again",
    sqlite3.SQLITE_FULL: "the disk is full; make room and try again",
    sqlite3.SQLITE_READONLY: "it cannot be written; check the permissions of the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the permissions of the file and its directory",
    sqlite3.SQLITE_IOERR: "the disk failed; check it and try again",
    sqlite3.SQLITE_CORRUPT: f"it is damaged. {RECOVER}",
    sqlite3.SQLITE_NOTADB: "it is not a store, or its beginning is damaged; it was left as it is",
}


def store_error(path: Path, doing: str, error: Exception) -> StoreError:
    """What happened, to which file, and what to do about it."""
    code = _code(error)
    if code == sqlite3.SQLITE_IOERR and _is_full(path):
        code = sqlite3.SQLITE_FULL  # where it maps a file into memory, SQLite does not say why that fails
    why = _EXPLAINED.get(code)
    what = f"{why} ({error})" if why else str(error)
    return StoreError(f"{doing} the store at {path} failed: {what}")


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _LITTLE
    except OSError:
        return False


def _code(error: Exception) -> int:
    extended: int = getattr(error, "sqlite_errorcode", 0)
    return extended & 0xFF


@contextmanager
def translated(path: Path, doing: str) -> Generator[None]:
    """Turn errors of SQLite into :class:`StoreError`, text that is no UTF-8 and numbers too large for it included.

    Of a damaged file even the text of an error may be no text.
    """
    try:
        yield
    except (sqlite3.Error, UnicodeError, OverflowError) as error:
        raise store_error(path, doing, error) from error

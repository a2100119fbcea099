"""SQLiteStore: the conformance kit, and what is particular to a file that several processes use."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from ebt_trio.abc import Change
from ebt_trio.core.types import FeedHead, FeedId, PeerId, PeerKey, Range, Remembered, Run
from ebt_trio.errors import LocalProtocolError, StoreError
from ebt_trio.stores import SQLiteStore, _sqlite_file, _sqlite_write
from ebt_trio.testing.stores import check_store

A, B = FeedId("a"), FeedId("b")


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncGenerator[SQLiteStore]:
    store = SQLiteStore(path, **{"threads": False, **options})
    await store.open("plain")
    try:
        yield store
    finally:
        await store.close()


async def fails(call: Callable[[], Awaitable[object]], *parts: str) -> None:
    """The call fails with a StoreError that says all of this."""
    with pytest.raises(StoreError) as caught:
        await call()
    for part in parts:
        assert part in str(caught.value)


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_conformance_in_threads(tmp_path: Path) -> None:
    await check_store(lambda name: SQLiteStore(tmp_path / name), shared=True, notices=True)


async def test_conformance_without_threads(tmp_path: Path, autojump_clock: MockClock) -> None:
    await check_store(lambda name: SQLiteStore(tmp_path / name, threads=False), shared=True, notices=True)


async def test_work_is_done_where_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[bool] = []
    append = _sqlite_write.Writer.append

    def spy(self: _sqlite_write.Writer, runs: Any) -> Any:
        where.append(threading.current_thread() is threading.main_thread())
        return append(self, runs)

    monkeypatch.setattr(_sqlite_write.Writer, "append", spy)
    for threads in (True, False):
        async with opened(tmp_path / "db", threads=threads) as store:
            await store.append([])
    assert where == [False, True]


async def test_reads_do_not_queue_behind_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, go_on = trio.Event(), threading.Event()
    token = trio.lowlevel.current_trio_token()
    insert = _sqlite_write.Writer._insert

    def slow(self: _sqlite_write.Writer, rows: Any) -> None:
        insert(self, rows)
        token.run_sync_soon(writing.set)
        go_on.wait(10)

    async with opened(tmp_path / "db", threads=True) as store:
        await store.append([Run(A, 1, [b"x"])])
        monkeypatch.setattr(_sqlite_write.Writer, "_insert", slow)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.append, [Run(A, 2, [b"y"])])
            await writing.wait()
            try:
                assert await store.read([Range(A, 1, 9)], 100) == [[b"x"]]
            finally:
                go_on.set()
        assert await store.read([Range(A, 1, 9)], 100) == [[b"x", b"y"]]


async def test_however_many_rows_few_statements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With each step of a statement a thread may have to wait for a busy loop: what is behind it would wait for all."""
    statements: list[str] = []
    names = [FeedId(f"feed {number}") for number in range(1000)]
    key = PeerKey(PeerId("bob"), b"store", True)

    async def traced(call: Awaitable[object]) -> int:
        statements.clear()
        await call
        return len(statements)

    async with opened(tmp_path / "db", threads=False) as store:
        assert store._opened is not None
        store._opened.writer.connection.set_trace_callback(statements.append)
        assert await traced(store.append([Run(name, 1, [b"x"]) for name in names])) < 60
        assert await traced(store.append([Run(name, 2, [b"y", b"z"]) for name in names])) < 60
        rows = [Remembered(name, 1, 2) for name in names]
        assert await traced(store.update(Change(remember={key: rows}), keep_peers=9)) < 40
        rows[1::2] = [Remembered(name, None, None) for name in names[1::2]]
        assert await traced(store.update(Change(remember={key: rows}), keep_peers=9)) < 40
        assert await store.recall(key, None, 2000) == sorted(rows[::2])
        assert await store.read([Range(name, 1, 9) for name in names], 10**6) == [[b"x", b"y", b"z"]] * 1000


async def test_an_append_that_has_started_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = trio.lowlevel.current_trio_token()
    insert = _sqlite_write.Writer._insert
    scope = trio.CancelScope()

    def cancelled_meanwhile(self: _sqlite_write.Writer, rows: Any) -> None:
        token.run_sync_soon(scope.cancel)
        insert(self, rows)

    monkeypatch.setattr(_sqlite_write.Writer, "_insert", cancelled_meanwhile)
    async with opened(tmp_path / "db", threads=True) as store:
        with scope:
            outcomes = await store.append([Run(A, 1, [b"x"])])
            assert outcomes == [FeedHead(A, 1, 1)]
        assert await store.head(A) == FeedHead(A, 1, 1)


# Opening and closing


async def test_one_file_is_left(tmp_path: Path) -> None:
    async with opened(tmp_path / "db") as one:
        async with opened(tmp_path / "db") as two:
            await one.append([Run(A, 1, [b"x" * 5000] * 100)])
            await two.append([Run(A, 101, [b"y"])])
        assert "db-wal" in files(tmp_path)
    assert files(tmp_path) == ["db"]


async def test_close_when_cancelled(tmp_path: Path) -> None:
    for threads in (True, False):
        store = SQLiteStore(tmp_path / "db", threads=threads)
        await store.open("plain")
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.close()
        assert files(tmp_path) == ["db"]


async def test_open_twice(tmp_path: Path) -> None:
    async with opened(tmp_path / "db") as store:
        with pytest.raises(LocalProtocolError, match="open already"):
            await store.open("plain")
        assert await store.head(A) == FeedHead(A, 1, 0)


async def test_paths_of_any_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("relative", "a b", "what?mode=ro", "100%41", "#hash", ":memory:", "é"):
        store = SQLiteStore(name, threads=False)
        assert store.path == Path(name)
        await store.open("plain")
        await store.append([Run(A, 1, [b"x"])])
        await store.close()
        assert (tmp_path / name).is_file()


async def test_missing(tmp_path: Path) -> None:
    path = tmp_path / "db"
    await fails(lambda: SQLiteStore(path, create=False).open("plain"), f"no store at {path}")
    assert files(tmp_path) == []
    below = tmp_path / "no" / "db"
    await fails(lambda: SQLiteStore(below).open("plain"), f"no store at {below}", f"{below.parent} does not exist")


@pytest.mark.parametrize("content", [b"x", b"hello\n"])
async def test_a_few_bytes_of_something_else(tmp_path: Path, content: bytes) -> None:
    """SQLite takes a file that is shorter than its header for an empty database."""
    path = tmp_path / "note.txt"
    path.write_bytes(content)
    await fails(lambda: SQLiteStore(path).open("plain"), str(path), "not a store")
    assert path.read_bytes() == content


async def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "db"
    path.touch()
    await fails(lambda: SQLiteStore(path, create=False).open("plain"), f"no store at {path}", "empty")
    async with opened(path) as store:
        assert len(store.id) == 16


async def test_directory(tmp_path: Path) -> None:
    await fails(lambda: SQLiteStore(tmp_path).open("plain"), str(tmp_path), "is a directory")


async def test_another_format(tmp_path: Path) -> None:
    async with opened(tmp_path / "db"):
        pass
    await fails(lambda: SQLiteStore(tmp_path / "db").open("signed"), str(tmp_path / "db"), "'plain'", "'signed'")
    assert files(tmp_path) == ["db"]


@pytest.mark.parametrize(
    "content", [b"These are notes of mine.\n" * 400, b"SQLite format 3\0" + b"\xff" * 5000, b"short"]
)
async def test_not_a_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "db"
    path.write_bytes(content)
    await fails(lambda: SQLiteStore(path).open("plain"), str(path), "not a store")
    assert path.read_bytes() == content
    assert files(tmp_path) == ["db"]


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE songs (title)", "PRAGMA user_version = 3", "PRAGMA application_id = 7"]
)
async def test_another_applications_database(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
    before = path.read_bytes()
    await fails(lambda: SQLiteStore(path).open("plain"), str(path), "another application")
    assert path.read_bytes() == before
    assert files(tmp_path) == ["db"]


async def test_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "db"
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    await fails(lambda: SQLiteStore(path).open("plain"), str(path), "version 99", "update ebt-trio")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not stop root")
async def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "db"
    async with opened(path):
        pass
    for forbidden, mode, usual in ((path, 0o400, 0o600), (tmp_path, 0o500, 0o700)):
        os.chmod(forbidden, mode)
        try:
            await fails(lambda: SQLiteStore(path).open("plain"), str(path), "cannot be written")
        finally:
            os.chmod(forbidden, usual)


@pytest.mark.parametrize("what", ["the file", "its directory"])
async def test_access_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    path = tmp_path / "db"
    async with opened(path):
        pass
    forbidden = path if what == "the file" else tmp_path
    monkeypatch.setattr(os, "access", lambda asked, mode: asked != forbidden)
    await fails(lambda: SQLiteStore(path).open("plain"), str(path), "cannot be written", "permissions")


async def full_store(path: Path) -> None:
    async with opened(path) as store:
        await store.append([Run(FeedId(f"feed {number}"), 1, [os.urandom(300)] * 100) for number in range(20)])


async def test_truncated(tmp_path: Path) -> None:
    path = tmp_path / "db"
    await full_store(path)
    os.truncate(path, path.stat().st_size // 2)
    await fails(lambda: SQLiteStore(path).open("plain"), str(path), "damaged", "backup")
    assert files(tmp_path) == ["db"]


async def test_missing_id(tmp_path: Path) -> None:
    path = tmp_path / "db"
    await full_store(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM store")
    await fails(lambda: SQLiteStore(path).open("plain"), str(path), "damaged", "id is missing", "backup")


async def test_missing_table(tmp_path: Path) -> None:
    path = tmp_path / "db"
    await full_store(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE feeds")
    await fails(lambda: SQLiteStore(path).open("plain"), str(path), "no such table: feeds")


async def test_damage_anywhere_is_a_store_error(tmp_path: Path) -> None:
    """Overwrite each page in turn: whatever fails, it is a StoreError, and some of it does fail."""
    path = tmp_path / "db"
    await full_store(path)
    sound = path.read_bytes()
    said: list[str] = []
    for start in range(0, len(sound), 4096 * 7):
        path.write_bytes(sound[:start] + b"\xa5" * 4096 + sound[start + 4096 :])
        try:
            async with opened(path) as store:
                for head in await store.heads(None, 100):
                    await store.read([Range(head.feed, 1, 1000)], 1 << 30)
                await store.append([Run(FeedId("feed 3"), 101, [b"x"]), Run(A, 1, [b"y"])])
                await store.update(Change(forget=[FeedId("feed 4")]), keep_peers=1)
        except StoreError as error:
            said.append(str(error))
    assert len(said) >= 5
    assert [text for text in said if str(path) not in text] == []


async def test_lost_messages_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "db"
    await full_store(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM messages WHERE id & 0xff BETWEEN 90 AND 100")
    async with opened(path) as store:
        feed = FeedId("feed 7")
        assert len((await store.read([Range(feed, 1, 89)], 1 << 30))[0]) == 89
        await fails(lambda: store.read([Range(feed, 80, 20)], 1 << 30), str(path), "damaged", "feed 7")


async def test_messages_that_are_none_are_noticed(tmp_path: Path) -> None:
    """In a damaged file even a column that is NOT NULL may have no value."""
    path = tmp_path / "db"
    await full_store(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE messages RENAME TO sound")
        connection.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, payload BLOB)")
        connection.execute("INSERT INTO messages SELECT id, iif(id & 0xff = 90, NULL, payload) FROM sound")
    async with opened(path) as store:
        await fails(lambda: store.read([Range(FeedId("feed 7"), 80, 20)], 1 << 30), str(path), "damaged", "feed 7")


# Versions


def third_step(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE follows ADD COLUMN since INTEGER")
    connection.execute("UPDATE follows SET since = 2")


def broken_step(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM messages")
    connection.execute("CREATE TABLE follows (twice)")


async def test_migration(tmp_path: Path) -> None:
    path = tmp_path / "db"
    async with opened(path) as store:
        await store.update(Change(follow={A: None}), keep_peers=1)
        made_with = store.id
    steps = (*_sqlite_file.STEPS, third_step)
    for _ in range(2):  # the second time there is nothing to do
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            found = _sqlite_file.prepare(connection, path, "plain", create=False, busy_timeout=1, steps=steps)
            assert found == made_with
            assert connection.execute("SELECT feed, since FROM follows").fetchall() == [("a", 2)]
            assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    await fails(lambda: SQLiteStore(path).open("plain"), "has version 3, this program knows up to 2")


async def test_new_files_take_every_step(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as connection:
        steps = (*_sqlite_file.STEPS, third_step)
        _sqlite_file.prepare(connection, tmp_path / "db", "plain", create=True, busy_timeout=1, steps=steps)
        assert connection.execute("SELECT feed, since FROM follows").fetchall() == []
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


async def test_failed_migration_leaves_the_old_version(tmp_path: Path) -> None:
    path = tmp_path / "db"
    async with opened(path) as store:
        await store.append([Run(A, 1, [b"x"])])
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        steps = (*_sqlite_file.STEPS, broken_step)
        with pytest.raises(StoreError, match="already exists"):
            _sqlite_file.prepare(connection, path, "plain", create=False, busy_timeout=1, steps=steps)
    async with opened(path) as store:
        assert await store.read([Range(A, 1, 9)], 100) == [[b"x"]]


# Failures at run time


async def test_disk_full(tmp_path: Path) -> None:
    async with opened(tmp_path / "db") as store:
        await store.append([Run(A, 1, [b"x"])])
        assert store._opened is not None
        writing = store._opened.writer.connection
        pages = writing.execute("PRAGMA page_count").fetchone()[0]
        writing.execute(f"PRAGMA max_page_count = {pages}")
        await fails(
            lambda: store.append([Run(B, 1, [b"y"]), Run(A, 2, [bytes(9999)])]), "disk is full", str(store.path)
        )
        await fails(lambda: store.update(Change(follow={FeedId("f" * 9999): None}), keep_peers=1), "disk is full")
        assert await store.heads(None, 9) == [FeedHead(A, 1, 1)]
        assert await store.follows(None, 9) == []
        writing.execute(f"PRAGMA max_page_count = {pages + 1000}")
        assert await store.append([Run(B, 1, [b"y"]), Run(A, 2, [bytes(9999)])]) == [
            FeedHead(B, 1, 1),
            FeedHead(A, 1, 2),
        ]


async def test_locked(tmp_path: Path) -> None:
    async with opened(tmp_path / "db", busy_timeout=0.02) as store:
        await store.append([Run(A, 1, [b"x"])])
        with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await fails(lambda: store.append([Run(A, 2, [b"y"])]), "another process holds it locked", str(store.path))
            assert await store.read([Range(A, 1, 9)], 100) == [[b"x"]], "reading goes on"
            other.execute("ROLLBACK")
            assert await store.append([Run(A, 2, [b"y"])]) == [FeedHead(A, 1, 2)]


async def test_failure_at_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        """A connection whose COMMIT fails, as when the disk does."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            self.connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self.connection, name)

        def execute(self, sql: str, *args: Any) -> Any:
            if sql == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return self.connection.execute(sql, *args)

    async with opened(tmp_path / "db") as store, opened(tmp_path / "db") as other:
        assert store._opened is not None
        writer = store._opened.writer
        with monkeypatch.context() as patch:
            patch.setattr(writer, "connection", Failing(writer.connection))
            await fails(lambda: store.append([Run(A, 1, [b"x"])]), "disk I/O error")
            await fails(lambda: store.update(Change(follow={A: None}), keep_peers=1), "disk I/O error")
            assert await store.heads(None, 9) == []
        await other.append([Run(B, 1, [b"y"])])
        assert await store.append([Run(A, 1, [b"z"])]) == [FeedHead(A, 1, 1)]
        with trio.fail_after(120):
            changes = await store.wait_changes()
        assert (list(changes.heads), changes.follows) == ([FeedHead(B, 1, 1)], False)


@pytest.mark.parametrize(
    ("code", "part"),
    [
        (sqlite3.SQLITE_BUSY, "locked"),
        (sqlite3.SQLITE_FULL, "make room"),
        (sqlite3.SQLITE_READONLY, "permissions"),
        (sqlite3.SQLITE_IOERR_FSYNC, "disk failed"),
        (sqlite3.SQLITE_CORRUPT, "backup"),
        (sqlite3.SQLITE_NOTADB, "not a store"),
    ],
)
def test_errors_say_what_to_do(code: int, part: str) -> None:
    error = sqlite3.OperationalError("said SQLite")
    error.sqlite_errorcode = code
    said = str(_sqlite_file.store_error(Path("some.db"), "writing", error))
    assert said.startswith("writing the store at some.db failed: ")
    assert part in said
    assert "said SQLite" in said


async def test_text_that_is_no_text(tmp_path: Path) -> None:
    async with opened(tmp_path / "db") as store:
        outcomes = await store.append([Run(FeedId("\ud800"), 1, [b"x"]), Run(A, 1, [b"y"])])
        assert isinstance(outcomes[0], StoreError)
        assert outcomes[1] == FeedHead(A, 1, 1)
        await fails(lambda: store.head(FeedId("\ud800")), "surrogates")


async def test_limits_of_the_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sqlite_write, "MAX_FEEDS", 2)
    monkeypatch.setattr(_sqlite_write, "MAX_MESSAGES", 3)
    async with opened(tmp_path / "db") as store:
        runs = [Run(FeedId(name), 9, [b"x"], late=True) for name in "abc"]
        outcomes = await store.append([*runs, Run(A, 10, [b"y"] * 2), Run(A, 12, [b"z"])])
        assert outcomes[:2] == [FeedHead(A, 9, 9), FeedHead(B, 9, 9)]
        assert "takes 2 feeds" in str(outcomes[2])
        assert outcomes[3] == FeedHead(A, 9, 11)
        assert "takes 3 messages" in str(outcomes[4])


def test_rows_of_feeds_do_not_meet() -> None:
    last = (_sqlite_write.MAX_FEEDS << _sqlite_file.NUMBER_SHIFT) + _sqlite_write.MAX_MESSAGES
    assert last == 2**63 - 1
    assert (_sqlite_write.MAX_FEEDS, _sqlite_write.MAX_MESSAGES) == (2**23 - 1, 2**40 - 1)


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(LocalProtocolError, match="synchronous"):
        SQLiteStore(tmp_path, synchronous="OFF")  # type: ignore[arg-type]


# Durability and several processes


@pytest.mark.parametrize(("synchronous", "level"), [("FULL", 2), ("NORMAL", 1)])
async def test_durability_settings(tmp_path: Path, synchronous: str, level: int) -> None:
    """WAL with FULL: SQLite flushes the log at each commit, so a commit that has returned survives a power cut."""
    async with opened(tmp_path / "db", synchronous=synchronous) as store:
        assert store._opened is not None
        connection = store._opened.writer.connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert connection.execute("PRAGMA fullfsync").fetchone() == (1,)


KILLED = """
import os, sys, trio
from ebt_trio.core.types import FeedId, Run
from ebt_trio.stores import SQLiteStore

async def main():
    store = SQLiteStore(sys.argv[1])
    await store.open("plain")
    for first in range(1, 100, 10):
        await store.append([Run(FeedId("a"), first, [b"%d" % i for i in range(first, first + 10)])])
        print(first + 9, flush=True)
    os._exit(9)

trio.run(main)
"""

WRITER = """
import sys, trio
from ebt_trio.core.types import FeedId, Run
from ebt_trio.stores import SQLiteStore

async def main():
    store = SQLiteStore(sys.argv[1], synchronous="NORMAL")
    await store.open("plain")
    for n in range(1, 101):
        own, shared = FeedId(sys.argv[2]), FeedId("shared")
        outcomes = await store.append([Run(own, n, [b"%d" % n]), Run(shared, n, [b"%d" % n])])
        assert outcomes[0].head == n, outcomes
        assert outcomes[1].head >= n, outcomes
    await store.close()

trio.run(main)
"""


async def test_a_killed_process_loses_nothing_that_append_returned_for(tmp_path: Path) -> None:
    path = tmp_path / "db"
    done = await trio.run_process([sys.executable, "-c", KILLED, str(path)], capture_stdout=True, check=False)
    assert done.returncode == 9
    assert "db-wal" in files(tmp_path)
    said = int(done.stdout.split()[-1])
    assert said == 100
    async with opened(path) as store:
        assert await store.read([Range(A, 1, 1000)], 1 << 20) == [[b"%d" % i for i in range(1, said + 1)]]


async def test_processes_that_make_and_fill_one_store(tmp_path: Path) -> None:
    """Each with its own feed, all with one in common; started at once, so that they also make the file at once."""
    path = tmp_path / "db"
    names = ["p", "q", "r"]
    async with trio.open_nursery() as nursery:
        for name in names:
            command = [sys.executable, "-W", "error", "-c", WRITER, str(path), name]
            nursery.start_soon(trio.run_process, command)
    assert files(tmp_path) == ["db"]
    async with opened(path) as store:
        wanted = [b"%d" % n for n in range(1, 101)]
        for name in [*names, "shared"]:
            assert await store.read([Range(FeedId(name), 1, 1000)], 1 << 20) == [wanted]


async def test_another_process_is_noticed(tmp_path: Path) -> None:
    async with opened(tmp_path / "db", threads=True) as store:
        await trio.run_process([sys.executable, "-c", WRITER, str(tmp_path / "db"), "p"])
        with trio.fail_after(120):
            changes = await store.wait_changes()
        assert set(changes.heads) == {FeedHead(FeedId("p"), 1, 100), FeedHead(FeedId("shared"), 1, 100)}


async def test_many_changes_come_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(_sqlite_write, "_CHANGES_AT_ONCE", 3)
    async with opened(tmp_path / "db") as store, opened(tmp_path / "db") as other:
        runs = [Run(FeedId(name), 1, [b"x"]) for name in "abcdefgh"]
        await other.append(runs)
        parts = [(await store.wait_changes()).heads for _ in range(3)]
        assert [len(part) for part in parts] == [3, 3, 2]
        assert sorted(head.feed for part in parts for head in part) == list("abcdefgh")


async def test_waiting_costs_no_look_at_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    looks = 0
    take = _sqlite_write.Writer.take_changes

    def spy(self: _sqlite_write.Writer) -> Any:
        nonlocal looks
        looks += 1
        return take(self)

    monkeypatch.setattr(_sqlite_write.Writer, "take_changes", spy)
    async with opened(tmp_path / "db") as store, opened(tmp_path / "db") as other:
        with trio.move_on_after(60):
            await store.wait_changes()
        assert looks == 1
        await other.append([Run(A, 1, [b"x"])])
        start = trio.current_time()
        await store.wait_changes()
        assert trio.current_time() - start <= 0.2


async def test_remembering_disturbs_no_other_process(tmp_path: Path, autojump_clock: MockClock) -> None:
    key = PeerKey(PeerId("p"), b"s" * 16, True)
    async with opened(tmp_path / "db") as store, opened(tmp_path / "db") as other:
        await other.update(Change(remember={key: [Remembered(A, 1, 1)]}), keep_peers=9)
        with trio.move_on_after(60) as scope:
            await store.wait_changes()
        assert scope.cancelled_caught


async def test_what_append_has_said_is_not_said_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    """The other's part of a feed is known from the outcome of our own append behind it."""
    async with opened(tmp_path / "db") as store, opened(tmp_path / "db") as other:
        await other.append([Run(A, 1, [b"x"]), Run(B, 1, [b"x"])])
        assert await store.append([Run(A, 1, [b"x", b"y"])]) == [FeedHead(A, 1, 2)]
        await store.update(Change(forget=[B]), keep_peers=9)
        with trio.move_on_after(60) as scope:
            await store.wait_changes()
        assert scope.cancelled_caught


async def test_reading_sees_one_state(tmp_path: Path) -> None:
    """A feed is forgotten and starts anew between looking it up and reading its messages."""
    async with opened(tmp_path / "db") as store, opened(tmp_path / "db") as other:
        await other.append([Run(A, 1, [b"old"] * 5)])
        assert store._opened is not None
        assert other._opened is not None
        writer = other._opened.writer
        connection = store._opened.reader.connection

        class Meddling:
            def __getattr__(self, name: str) -> Any:
                return getattr(connection, name)

            def execute(self, sql: str, *args: Any) -> Any:
                if sql.startswith("SELECT payload"):
                    writer.update(Change(forget=[A]), 9)
                    writer.append([Run(A, 1, [b"new"] * 3)])
                return connection.execute(sql, *args)

        store._opened.reader.connection = Meddling()  # type: ignore[assignment]
        assert await store.read([Range(A, 1, 9)], 100) == [[b"old"] * 5]
        store._opened.reader.connection = connection
        assert await store.read([Range(A, 1, 9)], 100) == [[b"new"] * 3]


def busy() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


class Answers:
    """A connection whose statements answer with these, one after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def execute(self, sql: str) -> Answers:
        if isinstance(self.answers[0], Exception):
            raise self.answers.pop(0)
        return self

    def fetchone(self) -> Any:
        return self.answers.pop(0)


def test_two_that_make_a_store_at_once_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answers: Any = Answers(busy(), busy(), ("wal",))
    _sqlite_file._use_wal(answers, Path("db"), busy_timeout=60)
    assert answers.answers == []
    answers = Answers(busy(), ("wal",))
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        _sqlite_file._use_wal(answers, Path("db"), busy_timeout=-1)


def test_file_systems_without_shared_memory() -> None:
    answers: Any = Answers(("delete",))
    with pytest.raises(StoreError, match="shared memory"):
        _sqlite_file._use_wal(answers, Path("db"), busy_timeout=1)

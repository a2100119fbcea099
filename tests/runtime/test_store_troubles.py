"""Our own store fails: a clear error, nothing acknowledged is lost, nobody is blamed, and it goes on when it can."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from ebt_trio import EBT, FeedId, SQLiteStore, StoreError, What
from ebt_trio.abc import Range
from ebt_trio.testing import connected

BLAME = {What.STALLED, What.INVALID, What.REFUSED, What.FORKED}
"""What is said of others."""


class Failing:
    """A connection on which statements fail as they do when the disk does.

    :param fails: which statements
    """

    def __init__(self, connection: sqlite3.Connection, code: int, fails: Callable[[str], bool]) -> None:
        self._connection = connection
        self._code = code
        self._fails = fails

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *args: Any) -> Any:
        if self._fails(sql):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(sql, *args)


def writing(store: SQLiteStore) -> sqlite3.Connection:
    assert store._opened is not None
    return store._opened.writer.connection


@contextmanager
def full(store: SQLiteStore) -> Generator[None]:
    (pages,) = writing(store).execute("PRAGMA page_count").fetchone()
    writing(store).execute(f"PRAGMA max_page_count = {pages}")
    yield
    writing(store).execute("PRAGMA max_page_count = 100000")


@contextmanager
def read_only(store: SQLiteStore) -> Generator[None]:
    writing(store).execute("PRAGMA query_only = ON")
    yield
    writing(store).execute("PRAGMA query_only = OFF")


@contextmanager
def locked(store: SQLiteStore) -> Generator[None]:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def failing(store: SQLiteStore, code: int, fails: Callable[[str], bool]) -> Generator[None]:
    assert store._opened is not None
    writer = store._opened.writer
    good, writer.connection = writer.connection, Failing(writer.connection, code, fails)  # type: ignore[assignment]
    yield
    writer.connection = good


def in_mid_batch(store: SQLiteStore) -> AbstractContextManager[None]:
    return failing(store, sqlite3.SQLITE_IOERR_WRITE, lambda sql: sql.startswith("UPDATE store"))


def at_commit(store: SQLiteStore) -> AbstractContextManager[None]:
    return failing(store, sqlite3.SQLITE_IOERR_FSYNC, lambda sql: sql == "COMMIT")


@contextmanager
def moved_away(store: SQLiteStore) -> Generator[None]:
    away = store.path.with_name("away")
    os.rename(store.path, away)
    yield
    os.rename(away, store.path)


@contextmanager
def replaced(store: SQLiteStore) -> Generator[None]:
    away = store.path.with_name("away")
    os.rename(store.path, away)
    store.path.write_bytes(away.read_bytes())
    yield
    os.rename(away, store.path)


@contextmanager
def without_log(store: SQLiteStore) -> Generator[None]:
    """SQLite's write-ahead log, which has the newest messages until they are moved into the file."""
    log, away = Path(f"{store.path}-wal"), store.path.with_name("away")
    os.rename(log, away)
    yield
    os.rename(away, log)


TROUBLES = {
    "full": (full, "the disk is full; make room"),
    "read-only": (read_only, "it cannot be written; check the permissions"),
    "locked": (locked, "another process holds it locked"),
    "in mid-batch": (in_mid_batch, "the disk failed; check it"),
    "at commit": (at_commit, "the disk failed; check it"),
    "moved away": (moved_away, "deleted or replaced"),
    "replaced": (replaced, "deleted or replaced"),
    "without its log": (without_log, "deleted or replaced"),
}


@asynccontextmanager
async def watched(ebt: EBT, seen: list[What]) -> AsyncGenerator[None]:
    async def watch() -> None:
        async with ebt.events() as events:
            async for event in events:
                seen.append(event.what)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", TROUBLES)
@pytest.mark.parametrize("seconds", [1, 120])
async def test_troubles(name: str, seconds: int, tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    trouble, said = TROUBLES[name]
    store = SQLiteStore(tmp_path / "store.db", threads=False, busy_timeout=0.001)
    seen: list[What] = []
    acknowledged: list[object] = []

    async def append(content: str) -> None:
        acknowledged.append((await alice.append(content)).content)

    async with EBT("alice", store) as alice, EBT("bob") as bob, EBT("carol") as carol, watched(alice, seen):
        for ebt, feed in ((alice, "bob"), (alice, "carol"), (bob, "alice"), (carol, "bob")):
            ebt.follow(feed)
        await append("before")
        async with (
            connected(alice, bob, delay=0.01) as (to_bob, of_bob),
            connected(alice, carol, delay=0.01) as (to_carol, _),
        ):
            await bob.append("before")
            await carol.wait_for({"bob": 1})
            with trouble(store):
                for number in range(3):
                    with pytest.raises(StoreError, match=said) as caught:
                        await alice.append("x" * 10_000)
                    assert str(store.path) in str(caught.value)
                    await bob.append(f"meanwhile {number}" + "x" * 10_000)
                    await carol.append(f"{number}" + "x" * 10_000)
                alice.follow("dave")
                if name != "full":  # there is room for that
                    with pytest.raises(StoreError, match=said):
                        await alice.flush()
                await trio.sleep(seconds)
                assert [message.content for message in await alice.read("alice")] == acknowledged
                assert dict(alice.clock) == {"alice": 1, "bob": 1}
                assert all(session.is_ready for session in (to_bob, of_bob, to_carol))
            with trio.fail_after(30):
                await append("after")
                await alice.wait_for({"bob": 4, "carol": 3})
                await bob.wait_for({"alice": 2})
                await carol.wait_for({"bob": 4})
            await alice.flush()
            assert not BLAME & set(seen)
            assert What.STORE_FAILED in seen
            assert to_bob.statistics().stalls == to_carol.statistics().stalls == 0
            assert all(session.is_ready for session in (to_bob, of_bob, to_carol))
    again = SQLiteStore(tmp_path / "store.db", threads=False, create=False)
    async with EBT("alice", again) as alice:
        assert [message.content for message in await alice.read("alice")] == acknowledged
        assert dict(alice.clock) == {"alice": 2, "bob": 4, "carol": 3}
        assert alice.follows == {"alice", "bob", "carol", "dave"}
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_damaged_page_stops_its_feed_only(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    path = tmp_path / "store.db"
    contents = ["x" * 3000] * 40
    async with EBT("alice", SQLiteStore(path, threads=False)) as alice:
        for feed in ("alice", "bob"):
            await alice.append_many([feed + content for content in contents], feed=feed)
    data = bytearray(path.read_bytes())
    at = [found.start() for found in re.finditer(b"bobx", data)][20]
    data[at // 4096 * 4096 : at // 4096 * 4096 + 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    store = SQLiteStore(path, threads=False)
    seen: list[What] = []
    async with EBT("alice", store) as alice, EBT("carol") as carol, watched(alice, seen):
        for feed in ("alice", "bob", "carol"):
            carol.follow(feed)
            alice.follow(feed)
        await carol.append("from carol")
        async with connected(alice, carol, delay=0.01) as (session, _):
            with trio.fail_after(10):
                await carol.wait_for({"alice": 40})
                await alice.wait_for({"carol": 1})
            await trio.sleep(120)
            assert carol.clock.get("bob", 0) < 40
            with pytest.raises(StoreError, match=r"damaged.* backup"):
                await store.read([Range(FeedId("bob"), 1, 100)], 1 << 30)
            assert (await alice.append("goes on")).sequence == 41
            await carol.wait_for({"alice": 41})
            assert session.is_ready
            assert not BLAME & set(seen)

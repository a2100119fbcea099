"""Values that SQLite keeps, and nobody has put there: a damaged file is a StoreError, and no crash."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ebt_trio import EBT, FeedId, PeerId, SQLiteStore, StoreError
from ebt_trio.abc import BlockEntry, Change
from ebt_trio.core.types import PeerKey, Range, Remembered, Run
from ebt_trio.fork import Fork

A, B = FeedId("a"), FeedId("b")
KEY = PeerKey(PeerId("bob"), b"s" * 16, False)


async def fill(path: Path) -> None:
    store = SQLiteStore(path, threads=False)
    await store.open("plain")
    await store.append([Run(A, 1, [b"x", b"y", b"z"])])
    change = Change(
        follow={A: None},
        block=[BlockEntry(PeerId("mallory"), None)],
        forks=[Fork(A, 1, (b"x",), 1, (b"y",))],
        remember={KEY: [Remembered(A, 1, 1)]},
    )
    await store.update(change, keep_peers=9)
    await store.close()


async def use(path: Path, *, writing: bool = True) -> None:
    """All that a store does."""
    store = SQLiteStore(path, threads=False)
    await store.open("plain")
    try:
        await store.heads(None, 9)
        await store.head(A)
        await store.read([Range(A, 1, 9)], 1000)
        await store.size(A)
        await store.follows(None, 9)
        await store.blocks()
        await store.forks()
        await store.recall(KEY, None, 9)
        if not writing:
            return
        (outcome,) = await store.append([Run(A, 4, [b"!"])])
        if isinstance(outcome, StoreError):
            raise outcome
        await store.update(Change(follow={B: None}, remember={KEY: [Remembered(B, 1, 1)]}), keep_peers=9)
    finally:
        await store.close()


@pytest.mark.parametrize(
    "damage",
    [
        "store SET tick = 'x'",
        "store SET tick = NULL",
        "store SET forks = x'00'",
        "store SET id = 'text'",
        "feeds SET feed = x'61'",
        "feeds SET number = 7",
        "feeds SET base = 'x'",
        "feeds SET first = 'x'",
        "feeds SET first = 9",
        "feeds SET first = 0",
        "feeds SET head = x'ff'",
        "feeds SET head = 1.5",
        "feeds SET head = 1 << 62",
        "feeds SET head = 2",
        "feeds SET head = 4",
        "messages SET payload = 7",
        "messages SET payload = 'text'",
        "follows SET feed = x'61'",
        "follows SET last = 'x'",
        "blocks SET target = x'61'",
        "forks SET proof = 7",
        "forks SET kept = 'both'",
        "forks SET kept = 1",
        "clocks SET feed = x'61'",
        "clocks SET heard = 'x'",
    ],
)
async def test_damaged_values(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "store.db"
    await fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')"
        )
    await use(path, writing=False)  # that alone changes nothing
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"UPDATE {damage}")
    with pytest.raises(StoreError, match=r"store\.db|feed a"):
        await use(path)


async def test_an_error_of_sqlite_that_is_no_text(tmp_path: Path) -> None:
    """It quotes the file, which may have anything in it."""
    path = tmp_path / "store.db"
    await fill(path)
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE messages", b"CREATE TABLE \xd4essages"))
    with pytest.raises(StoreError, match=r"opening the store at .*store\.db failed"):
        await use(path)


async def test_a_peer_on_a_damaged_store_says_so(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    await fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE messages SET payload = 7")
    async with EBT("a", SQLiteStore(path, threads=False)) as peer:
        with pytest.raises(StoreError, match=r"damaged.*backup"):
            await peer.read("a")

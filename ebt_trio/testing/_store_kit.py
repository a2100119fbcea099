"""What the checks of a store are made of."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

import trio

from ..abc import Store
from ..core.types import MAX_SEQUENCE, FeedHead, FeedId, PeerKey, Range, Remembered, Run

__all__ = [
    "LOTS",
    "ODD_IDS",
    "A",
    "B",
    "C",
    "Kit",
    "all_follows",
    "all_heads",
    "cancel_after",
    "expect",
    "listed",
    "payloads",
    "raises",
    "read_all",
    "recall_all",
    "run",
    "same",
]

A, B, C = FeedId("a"), FeedId("b"), FeedId("c")
ODD_IDS: Final = ("'; DROP TABLE feeds", "%_*", "é", "e\u0301", "🦜", "-x", "A", "a b", "x" * 256, "10", "9")
LOTS: Final = 1 << 40


@dataclass
class Kit:
    maker: Callable[[str], Store]
    patience: float

    def __post_init__(self) -> None:
        self._numbers = count(1)

    def name(self) -> str:
        return f"check-{next(self._numbers)}"

    @asynccontextmanager
    async def opened(self, name: str | None = None, *, store: Store | None = None) -> AsyncGenerator[Store]:
        store = store or self.maker(name or self.name())
        await store.open("plain")
        try:
            yield store
        finally:
            with trio.CancelScope(shield=True):
                await store.close()


def expect(kept: bool, promise: str) -> None:
    """Unlike ``assert``, not left out by ``python -O``."""
    if not kept:
        raise AssertionError(promise)


def same(got: object, wanted: object, what: str) -> None:
    expect(got == wanted, f"{what}: expected {wanted!r}, got {got!r}")


async def raises(error: type[Exception], awaitable: Awaitable[object], promise: str) -> Exception:
    try:
        result = await awaitable
    except error as caught:
        return caught
    raise AssertionError(f"{promise}: expected {error.__name__}, got {result!r}")


def payloads(feed: str, first: int, last: int) -> list[bytes]:
    return [f"{feed} {sequence}".encode() for sequence in range(first, last + 1)]


def run(feed: FeedId, first: int, last: int, *, late: bool = False) -> Run:
    return Run(feed, first, payloads(feed, first, last), late)


async def read_all(store: Store, feed: FeedId) -> list[bytes]:
    held = await store.head(feed)
    found = await store.read([Range(feed, held.first, MAX_SEQUENCE)], LOTS)
    return list(found[0])


async def all_heads(store: Store, page: int = 1000) -> list[FeedHead]:
    found: list[FeedHead] = []
    while True:
        heads = await store.heads(found[-1].feed if found else None, page)
        expect(len(heads) <= page, f"heads: expected at most {page}, got {len(heads)}")
        if not heads:
            return found
        found += heads


async def all_follows(store: Store, page: int = 1000) -> dict[FeedId, int | None]:
    found: list[tuple[FeedId, int | None]] = []
    while rows := await store.follows(found[-1][0] if found else None, page):
        expect(len(rows) <= page, f"follows: expected at most {page}, got {len(rows)}")
        found += rows
    expect(len(dict(found)) == len(found), "follows: each feed once")
    return dict(found)


async def recall_all(store: Store, key: PeerKey, page: int = 1000) -> set[Remembered]:
    found: list[Remembered] = []
    while rows := await store.recall(key, found[-1].feed if found else None, page):
        expect(len(rows) <= page, f"recall: expected at most {page}, got {len(rows)}")
        found += rows
    expect(len(set(found)) == len(found), "recall: each feed once")
    return set(found)


def listed(found: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
    return [list(run) for run in found]


async def cancel_after(steps: int, call: Callable[[], Awaitable[object]]) -> None:
    async with trio.open_nursery() as nursery:

        async def work() -> None:
            await call()

        nursery.start_soon(work)
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

"""What the checks of a store are made of."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeVar

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

T = TypeVar("T")

A, B, C = FeedId("a"), FeedId("b"), FeedId("c")
ODD_IDS: Final = ("'; DROP TABLE feeds", "%_*", "é", "e\u0301", "🦜", "-x", "A", "a b", "x" * 256, "10", "9")
LOTS: Final = 1 << 40


@dataclass
class Kit:
    maker: Callable[[str], Store]
    patience: float

    def __post_init__(self) -> None:
        self._names = (f"check-{secrets.token_hex(4)}-{number}" for number in count(1))

    def name(self) -> str:
        return next(self._names)

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
    return await _pages("heads", store.heads, lambda head: head.feed, page)


async def all_follows(store: Store, page: int = 1000) -> dict[FeedId, int | None]:
    return dict(await _pages("follows", store.follows, lambda row: row[0], page))


async def recall_all(store: Store, key: PeerKey, page: int = 1000) -> set[Remembered]:
    return set(await _pages("recall", lambda after, limit: store.recall(key, after, limit), lambda row: row.feed, page))


async def _pages(
    what: str,
    call: Callable[[FeedId | None, int], Awaitable[Sequence[T]]],
    feed_of: Callable[[T], FeedId],
    limit: int,
) -> list[T]:
    found: dict[FeedId, T] = {}
    after: FeedId | None = None
    while page := await call(after, limit):
        expect(len(page) <= limit, f"{what}: expected at most {limit}, got {len(page)}")
        for row in page:
            expect(feed_of(row) not in found, f"{what} behind {after!r}: each feed once, got {row!r} again")
            found[feed_of(row)] = row
        after = feed_of(page[-1])
    return list(found.values())


def listed(found: Sequence[Sequence[bytes]]) -> list[list[bytes]]:
    return [list(run) for run in found]


async def cancel_after(steps: int, call: Callable[[], Awaitable[object]]) -> None:
    """Cancel the call when it has given way to the event loop ``steps`` times, or after 0.1 s."""
    with trio.CancelScope(deadline=trio.current_time() + 0.1) as scope:
        canceller = _Canceller(trio.lowlevel.current_task(), steps, scope)
        trio.lowlevel.add_instrument(canceller)
        try:
            await call()
        finally:
            trio.lowlevel.remove_instrument(canceller)


class _Canceller(trio.abc.Instrument):
    def __init__(self, task: trio.lowlevel.Task, steps: int, scope: trio.CancelScope) -> None:
        self._task, self._left, self._scope = task, steps, scope
        if not steps:
            scope.cancel()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()

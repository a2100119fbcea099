"""MemoryStore: the conformance kit, what is particular to it, and that the kit notices broken stores."""

from __future__ import annotations

import copy
import tracemalloc
from array import array
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from ebt_trio.abc import BlockEntry, Change
from ebt_trio.core.clock import NONE, Rows
from ebt_trio.core.types import FeedHead, FeedId, PeerId, PeerKey, Range, Remembered, Run
from ebt_trio.errors import LocalProtocolError, SequenceGap, StoreError
from ebt_trio.stores import MemoryStore, _memory_peers
from ebt_trio.stores._memory_peers import Numbering, PeerRows
from ebt_trio.stores.runs import already_stored
from ebt_trio.testing.stores import check_store

A = FeedId("a")
KEY = PeerKey(PeerId("p"), b"s" * 16, True)


async def test_conformance(autojump_clock: MockClock) -> None:
    await check_store(lambda name: MemoryStore())


async def test_keeps_everything_while_closed() -> None:
    store = MemoryStore()
    await store.open("plain")
    await store.append([Run(A, 1, [b"x", b"y"])])
    change = Change(follow={A: 2}, block=[BlockEntry(PeerId("p"))], remember={KEY: [Remembered(A, 1, -1)]})
    await store.update(change, keep_peers=1)
    await store.close()
    await store.open("plain")
    assert await store.read([Range(A, 1, 9)], 100) == [[b"x", b"y"]]
    assert await store.follows(None, 9) == [(A, 2)]
    assert await store.blocks() == [BlockEntry(PeerId("p"))]
    assert await store.recall(KEY, None, 9) == [Remembered(A, 1, -1)]


def test_only_who_says_so_is_immediate() -> None:
    class Cautious(MemoryStore):
        pass

    class Sure(MemoryStore):
        immediate = True

    assert (MemoryStore.immediate, Cautious.immediate, Sure.immediate) == (True, False, True)


async def test_open_twice() -> None:
    store = MemoryStore()
    await store.open("plain")
    with pytest.raises(LocalProtocolError, match="open already"):
        await store.open("plain")


async def test_another_format() -> None:
    store = MemoryStore()
    await store.open("plain")
    await store.close()
    with pytest.raises(StoreError, match="holds feeds of the format 'plain', not 'signed'"):
        await store.open("signed")


async def test_wait_changes_waits_for_ever(autojump_clock: MockClock) -> None:
    store = MemoryStore()
    await store.open("plain")
    with trio.move_on_after(1e6) as scope:
        await store.wait_changes()
    assert scope.cancelled_caught


class LosesTheRest(MemoryStore):
    """Fails the other runs of an append with the first bad one."""

    async def append(self, runs: Sequence[Run]) -> Any:
        outcomes = await super().append(runs)
        bad = [isinstance(outcome, StoreError) for outcome in outcomes]
        return [outcomes[0], *([StoreError("all")] * (len(outcomes) - 1))] if any(bad) else outcomes


class IgnoresBudget(MemoryStore):
    async def read(self, ranges: Sequence[Range], max_bytes: int) -> Any:
        return await super().read(ranges, 1 << 40)


class ReadsNothingTooLarge(MemoryStore):
    """Leaves out a first payload that is larger than the budget."""

    async def read(self, ranges: Sequence[Range], max_bytes: int) -> Any:
        found = await super().read(ranges, max_bytes)
        return [[payload for payload in payloads if len(payload) <= max_bytes] for payloads in found]


class PagesTwice(MemoryStore):
    async def heads(self, after: FeedId | None, limit: int) -> Any:
        page = await super().heads(after, limit)
        return page if after is None or not page else [await self.head(after), *page][:limit]


class KeepsForgotten(MemoryStore):
    async def update(self, change: Change, *, keep_peers: int) -> None:
        change.forget = ()
        await super().update(change, keep_peers=keep_peers)


class KeepsAllPeers(MemoryStore):
    async def update(self, change: Change, *, keep_peers: int) -> None:
        await super().update(change, keep_peers=1 << 30)


class AppendsInParts(MemoryStore):
    """Cancelled in the middle, it leaves half an append."""

    async def append(self, runs: Sequence[Run]) -> Any:
        heads: list[Any] = []
        for run in runs:
            heads += await super().append([run])
            await trio.lowlevel.checkpoint()
        return heads


class Overwrites(MemoryStore):
    """Stores again what is stored already."""

    async def append(self, runs: Sequence[Run]) -> Any:
        for run in runs:
            head = await self.head(run.feed)
            if head.first <= run.first <= head.head:
                before = (await self.read([Range(run.feed, head.first, run.first - head.first)], 1 << 40))[0]
                await super().update(Change(forget=[run.feed]), keep_peers=9)
                await super().append([Run(run.feed, head.first, before, late=True)])
        return await super().append(runs)


class WaitsAfterAll(MemoryStore):
    immediate = True

    async def size(self, feed: FeedId) -> int:
        await trio.lowlevel.checkpoint()
        return await super().size(feed)


class ForgetsAtClose(MemoryStore):
    async def close(self) -> None:
        await super().close()
        self.__init__()  # type: ignore[misc]


class OneIdForAll(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.id = b"0123456789abcdef"


BROKEN = [
    LosesTheRest,
    IgnoresBudget,
    ReadsNothingTooLarge,
    PagesTwice,
    KeepsForgotten,
    KeepsAllPeers,
    AppendsInParts,
    Overwrites,
    WaitsAfterAll,
    ForgetsAtClose,
    OneIdForAll,
]


@pytest.mark.parametrize("broken", BROKEN)
async def test_the_kit_notices(broken: type[MemoryStore], autojump_clock: MockClock) -> None:
    with pytest.raises(AssertionError):
        await check_store(lambda name: broken())


async def test_the_kit_notices_stores_that_do_not_share(autojump_clock: MockClock) -> None:
    with pytest.raises(AssertionError, match="the id belongs to the data"):
        await check_store(lambda name: MemoryStore(), shared=True)


async def test_the_kit_notices_stores_that_do_not_notice(autojump_clock: MockClock) -> None:
    stores: dict[str, MemoryStore] = {}

    class Shared(MemoryStore):
        """One object's data under several objects."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.__dict__ = stores.setdefault(name, self).__dict__

        async def open(self, format: str) -> None:
            self.users = getattr(self, "users", 0)
            if self.users == 0:
                await super().open(format)
            self.users += 1

        async def close(self) -> None:
            if self._is_open:
                self.users -= 1
                if self.users == 0:
                    await super().close()

    await check_store(Shared, shared=True)
    with pytest.raises(AssertionError, match="wait_changes"):
        await check_store(Shared, shared=True, notices=True)


async def test_head_is_a_feed_head() -> None:
    store = MemoryStore()
    await store.open("plain")
    assert await store.head(A) == FeedHead(A, 1, 0)


@pytest.mark.parametrize(
    ("first", "count", "late", "skip"),
    [(4, 2, False, 0), (3, 2, False, 1), (1, 3, False, 3), (1, 2, False, 2), (9, 0, False, 0), (4, 2, True, 0)],
)
def test_how_much_is_passed_over(first: int, count: int, late: bool, skip: int) -> None:
    assert already_stored(Run(A, first, [b"x"] * count, late), FeedHead(A, 2, 3)) == skip


def test_a_gap_says_what_was_expected() -> None:
    with pytest.raises(SequenceGap, match="feed a: expected sequence 4 next, got 7"):
        already_stored(Run(A, 7, [b"x"], late=True), FeedHead(A, 1, 3))


@pytest.mark.parametrize("seed", range(30))
async def test_columns_of_rows_are_taken_like_rows(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two peers, that name the feeds in different orders; looked up at once, or when they are read."""
    random = Random(seed)
    monkeypatch.setattr(_memory_peers, "_LEAST", random.choice([0, 10, 1_000]))
    monkeypatch.setattr(_memory_peers, "_PORTION", random.choice([0, 64]))
    names = [FeedId(f"f{number}") for number in range(9)]
    stores = MemoryStore(), MemoryStore()
    for store in stores:
        await store.open("plain")
    keys = [PeerKey(PeerId(peer), b"s" * 16, True) for peer in "pq"]
    for _ in range(12):
        start = random.randrange(9)
        feeds = random.choice([random.sample(names, 4), names[start:], names])
        values = [[random.choice([NONE, NONE, -1, 0, 5]) for _ in feeds] for _ in range(2)]
        rows = Rows(feeds, *values)
        key = random.choice(keys)
        for store, given in zip(stores, (rows, list(rows)), strict=True):
            await store.update(Change(remember={key: given}), keep_peers=2)
        if random.random() < 0.2:
            assert await stores[0].recall(key, None, 99) == await stores[1].recall(key, None, 99)
    for key in keys:
        assert await stores[0].recall(key, None, 99) == await stores[1].recall(key, None, 99)


async def test_rows_written_one_by_one_take_no_more_than_many_at_once() -> None:
    """A message now and then: the same row is saved again every few seconds."""
    feed, rows = FeedId("f"), PeerRows(Numbering())
    rows.put([Remembered(feed, 0, 0)], followed=1000)
    tracemalloc.start()
    try:
        for head in range(1, 1000):
            rows.put([Remembered(feed, head, head)], followed=1000)
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()
    assert rows.page(None, 9) == [Remembered(feed, 999, 999)]


async def test_rows_of_many_feeds_take_16_bytes() -> None:
    """Of 100,000 feeds, with the names once, and what has been written last."""
    feeds = [FeedId(str(number)) for number in range(100_000)]
    numbering, columns = Numbering(), [array("q", [5]) * 2_000 for _ in range(2)]
    for _ in range(2):
        peer = PeerRows(numbering)
        tracemalloc.start()
        try:
            for start in range(0, 100_000, 2_000):
                peer.put(Rows(feeds[start : start + 2_000], *columns), followed=100_000)
            grown = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert grown < 22 * 100_000
    assert len(peer.page(None, 100_001)) == 100_000


async def test_a_copy_is_a_store_of_its_own() -> None:
    store = MemoryStore()
    await store.open("plain")
    other = copy.deepcopy(store)
    await other.append([Run(A, 1, [b"m"])])
    assert [(await one.head(A)).head for one in (store, other)] == [0, 1]

"""The stores against a plain dict: any program of appends, reads, changes and restarts, by two processes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trio.testing import MockClock

from ebt_trio.abc import BlockEntry, Change, Store
from ebt_trio.core.types import MAX_SEQUENCE, FeedHead, FeedId, PeerId, PeerKey, Range, Remembered, Run
from ebt_trio.errors import SequenceGap
from ebt_trio.stores import MemoryStore, SQLiteStore

T = TypeVar("T")

feeds = st.sampled_from([FeedId(name) for name in ("a", "é", "10", "9")])
peers = st.sampled_from([PeerKey(PeerId(peer), b"s", known) for peer in "pqr" for known in (False, True)])
firsts = st.integers(1, 12) | st.integers(MAX_SEQUENCE - 20, MAX_SEQUENCE - 8)
exact = st.sampled_from([False, False, True])
payload_lists = st.lists(st.binary(max_size=6), max_size=8)
runs = st.lists(st.builds(Run, feeds, firsts, payload_lists, st.booleans(), exact), max_size=4)
next_runs = st.lists(st.tuples(feeds, st.integers(-3, 1), payload_lists, exact), max_size=4)
ranges = st.lists(st.builds(Range, feeds, firsts, st.integers(0, 10)), max_size=4)
near_ranges = st.lists(st.tuples(feeds, st.integers(-2, 8), st.integers(0, 10)), max_size=4)
told = st.none() | st.sampled_from([-1, 0, 1, 5, MAX_SEQUENCE])
entries = st.builds(BlockEntry, st.sampled_from([PeerId("p"), PeerId("q")]), st.none() | feeds)


class Model:
    """What a store holds, as dicts."""

    def __init__(self) -> None:
        self.feeds: dict[FeedId, tuple[int, list[bytes]]] = {}
        self.follows: dict[FeedId, int | None] = {}
        self.blocks: set[BlockEntry] = set()
        self.peers: dict[PeerKey, dict[FeedId, Remembered]] = {}

    def head(self, feed: FeedId) -> FeedHead:
        first, payloads = self.feeds.get(feed, (1, []))
        return FeedHead(feed, first, first + len(payloads) - 1)

    def append(self, run: Run) -> FeedHead | None:
        """None: a gap."""
        head = self.head(run.feed).head
        start = run.first if run.late and head == 0 else head + 1
        if (run.payloads and run.first > start) or (run.exact and run.first != head + 1):
            return None
        new = {run.first + i: payload for i, payload in enumerate(run.payloads) if run.first + i >= start}
        if new:
            first, payloads = self.feeds.get(run.feed, (start, []))
            self.feeds[run.feed] = (first, payloads + [new[sequence] for sequence in sorted(new)])
        return self.head(run.feed)

    def read(self, ranges: list[Range], max_bytes: int) -> list[list[bytes]]:
        results: list[list[bytes]] = [[] for _ in ranges]
        gathered: list[bytes] = []
        for wanted, result in zip(ranges, results, strict=True):
            first, payloads = self.feeds.get(wanted.feed, (1, []))
            for sequence in range(wanted.first, wanted.first + wanted.limit):
                if not first <= sequence < first + len(payloads):
                    break
                payload = payloads[sequence - first]
                size = sum(map(len, gathered))
                if gathered and (size >= max_bytes or size + len(payload) > max_bytes):
                    return results
                gathered.append(payload)
                result.append(payload)
        return results

    def update(self, change: Change, keep_peers: int) -> None:
        self.follows.update(change.follow)
        for feed in change.unfollow:
            self.follows.pop(feed, None)
        self.blocks |= set(change.block)
        self.blocks -= set(change.unblock)
        for feed in change.forget:
            self.feeds.pop(feed, None)
        for key, rows in change.remember.items():
            remembered = self.peers.pop(key, {})
            for row in rows:
                remembered[row.feed] = row
            self.peers[key] = {f: row for f, row in remembered.items() if (row.told, row.heard) != (None, None)}
        for key in list(self.peers)[: max(len(self.peers) - keep_peers, 0)]:
            del self.peers[key]


class Stores(RuleBasedStateMachine):
    """A MemoryStore, and two SQLiteStores on one file, of which the second stands for another process."""

    @initialize()
    def start(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.model = Model()
        self.memory = MemoryStore()
        self.one, self.two = (SQLiteStore(self.directory / "db", threads=False) for _ in range(2))
        # What "one" has to hear of, since "two" did it.
        self.heads: dict[FeedId, FeedHead] = {}
        self.flags = (False, False)
        for store in (self.memory, self.one, self.two):
            self.run(lambda store=store: store.open("plain"))

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            for store in (self.memory, self.one, self.two):
                self.run(store.close)
            assert [path.name for path in self.directory.iterdir()] == ["db"]
            shutil.rmtree(self.directory)

    def run(self, call: Callable[[], Awaitable[T]]) -> T:
        return trio.run(call, clock=MockClock(autojump_threshold=0))

    def everywhere(self, call: Callable[[Store], Awaitable[Any]]) -> Any:
        """The answer of all three stores, which has to be the same."""

        async def ask() -> list[Any]:
            return [await call(store) for store in (self.memory, self.one, self.two)]

        answers = self.run(ask)
        assert answers[0] == answers[1] == answers[2]
        return answers[0]

    def do_append(self, runs: list[Run], by_other: bool) -> None:
        writer = self.two if by_other else self.one
        before = {run.feed: self.model.head(run.feed) for run in runs}
        wanted = [self.model.append(run) for run in runs]
        for store in (self.memory, writer):
            outcomes = self.run(lambda store=store: store.append(runs))
            assert [None if isinstance(outcome, SequenceGap) else outcome for outcome in outcomes] == wanted
        for feed in {feed for feed, head in before.items() if self.model.head(feed) != head}:
            if by_other:
                self.heads[feed] = self.model.head(feed)
            else:
                self.heads.pop(feed, None)  # "one" knows better

    @rule(runs=runs, by_other=st.booleans())
    def append_anything(self, runs: list[Run], by_other: bool) -> None:
        self.do_append(runs, by_other)

    @rule(offsets=next_runs, by_other=st.booleans())
    def append_near_the_head(self, offsets: list[tuple[FeedId, int, list[bytes], bool]], by_other: bool) -> None:
        runs = [
            Run(feed, max(1, self.model.head(feed).head + 1 + offset), payloads, exact=exact)
            for feed, offset, payloads, exact in offsets
        ]
        self.do_append([run for run in runs if run.last <= MAX_SEQUENCE], by_other)

    @rule(
        follow=st.dictionaries(feeds, st.none() | st.integers(1, 9), max_size=3),
        unfollow=st.lists(feeds, max_size=2),
        block=st.lists(entries, max_size=2),
        unblock=st.lists(entries, max_size=2),
        forget=st.lists(feeds, max_size=1),
        remember=st.dictionaries(peers, st.lists(st.builds(Remembered, feeds, told, told), max_size=4), max_size=3),
        keep_peers=st.integers(1, 5),
        by_other=st.booleans(),
    )
    def change(self, **fields: Any) -> None:
        self.update(**fields)

    def update(self, keep_peers: int, by_other: bool, **fields: Any) -> None:
        change = Change(**fields)
        there = [feed for feed in change.forget if self.model.head(feed).head]
        self.model.update(change, keep_peers)
        for store in (self.memory, self.two if by_other else self.one):
            self.run(lambda store=store: store.update(change, keep_peers=keep_peers))
        if by_other:
            self.heads.update((feed, FeedHead(feed, 1, 0)) for feed in there)
            follows, blocks = self.flags
            self.flags = (
                follows or bool(change.follow or change.unfollow),
                blocks or bool(change.block or change.unblock),
            )
        else:
            for feed in change.forget:
                self.heads.pop(feed, None)

    @rule(key=peers, rows=st.lists(st.builds(Remembered, feeds, told, told), max_size=4))
    def remember(self, key: PeerKey, rows: list[Remembered]) -> None:
        self.update(keep_peers=4, by_other=False, remember={key: rows})

    @rule(ranges=ranges, max_bytes=st.integers(0, 60))
    def read_anything(self, ranges: list[Range], max_bytes: int) -> None:
        assert self.everywhere(lambda store: store.read(ranges, max_bytes)) == self.model.read(ranges, max_bytes)

    @rule(offsets=near_ranges, max_bytes=st.integers(0, 60) | st.just(1 << 30))
    def read_near_the_start(self, offsets: list[tuple[FeedId, int, int]], max_bytes: int) -> None:
        ranges = [Range(feed, max(1, self.model.head(feed).first + offset), limit) for feed, offset, limit in offsets]
        assert self.everywhere(lambda store: store.read(ranges, max_bytes)) == self.model.read(ranges, max_bytes)

    @rule(key=peers, after=st.none() | feeds, limit=st.integers(0, 4))
    def recall(self, key: PeerKey, after: FeedId | None, limit: int) -> None:
        rows = self.model.peers.get(key, {})
        wanted = [rows[feed] for feed in sorted(rows) if after is None or feed > after][:limit]
        assert self.everywhere(lambda store: store.recall(key, after, limit)) == wanted

    @rule(after=st.none() | feeds, limit=st.integers(0, 4))
    def pages(self, after: FeedId | None, limit: int) -> None:
        def page(held: dict[FeedId, Any]) -> list[FeedId]:
            return [feed for feed in sorted(held) if after is None or feed > after][:limit]

        heads = [self.model.head(feed) for feed in page(self.model.feeds)]
        assert self.everywhere(lambda store: store.heads(after, limit)) == heads
        follows = [(feed, self.model.follows[feed]) for feed in page(self.model.follows)]
        assert self.everywhere(lambda store: store.follows(after, limit)) == follows

    @rule()
    def restart_the_other(self) -> None:
        self.run(self.two.close)
        self.two = SQLiteStore(self.directory / "db", threads=False, create=False)
        self.run(lambda: self.two.open("plain"))

    @rule()
    def restart_one(self) -> None:
        self.run(self.one.close)
        self.run(lambda: self.one.open("plain"))
        self.heads, self.flags = {}, (False, False)  # it starts from what it finds

    @rule()
    def notice(self) -> None:
        """``wait_changes`` says what is new, once; then it waits."""

        async def wait() -> tuple[dict[FeedId, FeedHead], tuple[bool, bool]]:
            with trio.move_on_after(1):
                changes = await self.one.wait_changes()
                return {head.feed: head for head in changes.heads}, (changes.follows, changes.blocks)
            return {}, (False, False)

        assert self.run(wait) == (self.heads, self.flags)
        self.heads, self.flags = {}, (False, False)
        assert self.run(wait) == ({}, (False, False))

    @precondition(lambda self: hasattr(self, "model"))
    @invariant()
    def same_heads_and_blocks(self) -> None:
        wanted = [self.model.head(feed) for feed in sorted(self.model.feeds)]
        assert self.everywhere(lambda store: store.heads(None, 100)) == wanted

        async def blocks(store: Store) -> set[BlockEntry]:
            found = await store.blocks()
            assert len(set(found)) == len(found)
            return set(found)

        assert self.everywhere(blocks) == self.model.blocks


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)

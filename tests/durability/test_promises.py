"""What is promised, and when: a call returns, a peer is told, only when the commit has; path by path."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from ebt_trio import EBT, MemoryStore, Message, SQLiteStore, StoreError
from ebt_trio.abc import Change, Transport
from ebt_trio.core.note import decode_note
from ebt_trio.core.types import FeedHead, FeedId, Run
from ebt_trio.frames import Ack, Messages, Notes, decode
from ebt_trio.limits import Limits
from ebt_trio.testing import connected, link

BOB = FeedId("bob")


class Gated(MemoryStore):
    """Commits when it is told to; then it may also fail."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = trio.Event()
        self.fails = False
        self.only_messages = False

    async def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
        await self._pass()
        return await super().append(runs)

    async def update(self, change: Change, *, keep_peers: int) -> None:
        if not self.only_messages:
            await self._pass()
        await super().update(change, keep_peers=keep_peers)

    async def _pass(self) -> None:
        await self.gate.wait()
        if self.fails:
            raise StoreError("the disk is full")


async def messages_of(author: str, count: int) -> Sequence[Message]:
    async with EBT(author) as other:
        return await other.append_many(range(count))


async def add(ebt: EBT) -> object:
    return await ebt.add(await messages_of("bob", 3))


async def follow(ebt: EBT) -> object:
    ebt.follow("bob")
    await ebt.flush()
    return None


PATHS: list[Any] = [
    pytest.param(lambda ebt: ebt.append("x"), id="append"),
    pytest.param(lambda ebt: ebt.append_many("xyz"), id="append_many"),
    pytest.param(add, id="add"),
    pytest.param(follow, id="flush"),
]


@pytest.mark.parametrize("call", PATHS)
@pytest.mark.parametrize("fails", [False, True])
async def test_a_call_returns_when_the_commit_has(
    call: Callable[[EBT], Awaitable[object]], fails: bool, autojump_clock: trio.testing.MockClock
) -> None:
    store = Gated()
    outcomes: list[object] = []
    async with EBT("alice", store) as alice, trio.open_nursery() as nursery:

        async def one() -> None:
            try:
                outcomes.append(await call(alice))
            except StoreError as error:
                outcomes.append(error)

        for _ in range(3):  # a group
            nursery.start_soon(one)
        await trio.sleep(100)
        early = (list(outcomes), dict(alice.clock), list(await store.heads(None, 9)))
        store.fails = fails
        store.gate.set()
        await trio.sleep(1)
        assert early == ([], {}, [])
        assert [isinstance(outcome, StoreError) for outcome in outcomes] == [fails] * 3
        assert bool(await store.heads(None, 9) or await store.follows(None, 9)) != fails
        store.fails = False


async def test_nothing_that_is_received_is_told_before_it_is_stored(autojump_clock: trio.testing.MockClock) -> None:
    store = Gated()
    store.only_messages = True
    early: list[str] = []
    async with EBT("alice", store) as alice, EBT("bob") as bob, EBT("carol") as carol:
        alice.follow("bob")
        carol.follow("bob")
        await bob.append_many(range(10))
        async with connected(alice, bob), connected(alice, carol), alice.subscribe("bob") as subscription:
            with trio.move_on_after(10):
                early.append(str(await anext(subscription)))
            with trio.move_on_after(10):
                await bob.wait_synced()
                early.append("synced")
            early += [f"held {alice.clock}"] if alice.clock else []
            early += [str(peer) for peer in (*carol.status("bob").peers, *bob.status("bob").peers) if peer.acknowledged]
            store.gate.set()
            await carol.wait_for({"bob": 10})
            await bob.wait_synced()
            assert (await store.head(BOB)).head == 10
    assert early == []


class Watched(Transport):
    """Calls ``told`` with each feed and sequence that a frame promises, before the frame is sent."""

    def __init__(self, inner: Transport, told: Callable[[FeedId, int], None]) -> None:
        self._inner = inner
        self._told = told

    async def send(self, item: bytes) -> None:
        match decode(item, Limits()):
            case Notes(notes):
                said = {feed: decode_note(note)[0] for feed, note in notes.items()}
            case Ack(acks):
                said = dict(acks)
            case Messages(runs):
                said = {run.feed: run.last for run in runs}
            case _:
                said = {}
        for feed, sequence in said.items():
            self._told(feed, sequence)
        await self._inner.send(item)

    async def receive(self) -> bytes:
        return await self._inner.receive()

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize("kind", ["memory", "sqlite", "sqlite in threads"])
async def test_what_is_told_is_in_the_store(kind: str, tmp_path: Path) -> None:
    """Looked up in the store, in the file by a connection of another, at the moment at which it is said."""
    path = tmp_path / "db"
    memory = MemoryStore()
    store = memory if kind == "memory" else SQLiteStore(path, threads="threads" in kind)
    told: list[tuple[str, int, int]] = []
    near, far = link()
    async with EBT("alice", store) as alice, EBT("bob") as bob:
        with closing(sqlite3.connect(path if kind != "memory" else ":memory:")) as other:

            def held(feed: FeedId) -> int:
                if kind == "memory":
                    stored = memory._feeds.values.get(feed)
                    return 0 if stored is None else stored.first + len(stored.payloads) - 1
                row = other.execute("SELECT head FROM feeds WHERE feed = ?", (feed,)).fetchone()
                return 0 if row is None else int(row[0])

            alice.follow("bob")
            bob.follow("alice")
            watched = Watched(near, lambda feed, sequence: told.append((feed, sequence, held(feed))))
            with trio.fail_after(60):
                async with alice.session(watched), bob.session(far):
                    for number in range(20):
                        await alice.append(number)
                        assert held(FeedId("alice")) == 2 * number + 1
                        await bob.append_many(range(3))
                        await alice.append_many(["another"])
                    await alice.wait_synced()
                    await alice.wait_for({"bob": 60})
                    await bob.wait_for({"alice": 40})
                    await bob.wait_synced()
    assert [one for one in told if one[1] > one[2]] == []
    assert {feed for feed, sequence, _ in told if sequence} == {"alice", "bob"}

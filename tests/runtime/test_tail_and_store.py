"""The tail has only what is stored, whatever came twice at once, or was rewritten by another process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from ebt_trio import EBT, Identity, MemoryStore, Message, SQLiteStore
from ebt_trio._jobs import Add
from ebt_trio.abc import Change, Range, Run, Store


class SlowToUpdate(MemoryStore):
    immediate = True

    async def update(self, change: Change, *, keep_peers: int) -> None:
        await trio.sleep(0.02)
        await super().update(change, keep_peers=keep_peers)


async def branch(author: Identity, name: str) -> Sequence[Message]:
    async with EBT(author, MemoryStore()) as peer:
        return [await peer.append(f"{name}{number}") for number in range(4)]


def forged(messages: Sequence[Message]) -> Sequence[Message]:
    return [Message(one.feed, one.sequence, one.payload[:-1] + b"X", one._format) for one in messages]


@asynccontextmanager
async def waiting(
    peer: EBT, busy: Callable[[], Awaitable[object]], *adds: Sequence[Message]
) -> AsyncGenerator[None, None]:
    """All these are to be added in one commit, in order, which waits for another one; done when the block has ended."""
    commits = peer._driver.commits
    async with trio.open_nursery() as nursery:
        nursery.start_soon(busy)
        while not commits._is_busy:
            await trio.lowlevel.checkpoint()
        for number, messages in enumerate(adds, 1):
            nursery.start_soon(peer.add, messages)
            while sum(isinstance(job, Add) for job in commits._jobs) < number:
                await trio.lowlevel.checkpoint()
        yield


@asynccontextmanager
async def another(peer: EBT, path: Path) -> AsyncGenerator[SQLiteStore, None]:
    """The peer's store, as another process has it, without one."""
    store = SQLiteStore(path, threads=False)
    await store.open(peer._driver.format.name)
    yield store
    await store.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_is_added_twice_at_once_is_in_the_tail_as_it_is_stored(kind: str, tmp_path: Path) -> None:
    author, me = Identity.generate(), Identity.generate()
    messages = await branch(author, "m")
    store: Store = SlowToUpdate() if kind == "memory" else SQLiteStore(tmp_path / "store")
    async with EBT(me, store) as peer:
        await peer.flush()
        peer.follow(str(author))
        async with waiting(peer, peer.flush, messages[:1], forged(messages[:1])):
            pass
        assert peer._driver.tail.payload(messages[0].feed, 1) in (None, messages[0].payload)
        assert await peer.add(messages[1:2]) == 1
        assert not peer.forks


async def test_what_another_process_has_rewritten_is_no_longer_in_the_tail(tmp_path: Path) -> None:
    author, me = Identity.generate(), Identity.generate()
    ours, theirs = await branch(author, "x"), await branch(author, "y")
    feed = ours[0].feed
    async with EBT(me, SQLiteStore(tmp_path / "store")) as peer:
        peer.follow(feed)
        await peer.flush()
        await peer.add(ours[:3])
        async with another(peer, tmp_path / "store") as other:
            await other.update(Change(forget=[feed]), keep_peers=10)
            await other.append([Run(feed, 1, [one.payload for one in theirs[:3]])])
        await trio.sleep(0.5)
        assert await peer.add(theirs[3:]) == 1


async def test_what_was_not_checked_is_never_stored(tmp_path: Path) -> None:
    author, me = Identity.generate(), Identity.generate()
    messages = await branch(author, "x")
    feed = messages[0].feed
    async with EBT(me, SQLiteStore(tmp_path / "store")) as peer:
        peer.follow(feed)
        await peer.flush()
        await peer.add(messages[:3])
        async with (
            another(peer, tmp_path / "store") as other,
            waiting(peer, partial(peer.append, "mine"), messages[3:], forged(messages)),
        ):
            await other.update(Change(forget=[feed]), keep_peers=10)
        (stored,) = await peer._driver.store.read([Range(feed, 1, 9)], 1 << 20)
        assert list(stored) == []

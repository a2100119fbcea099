"""Checks of a store: follows, blocks, and what is remembered of peers."""

from __future__ import annotations

from dataclasses import replace

from ..abc import BlockEntry, Change, Fork, Store
from ..core.types import MAX_SEQUENCE, FeedId, PeerId, PeerKey, Remembered
from ._store_kit import (
    ODD_IDS,
    A,
    B,
    C,
    Kit,
    all_follows,
    all_heads,
    recall_all,
    same,
)

__all__ = ["blocks", "drops_peers", "follows", "forks", "remembers"]


async def follows(kit: Kit) -> None:
    async with kit.opened() as store:
        feeds = [FeedId(name) for name in ODD_IDS]
        await store.update(Change(follow=dict.fromkeys(feeds)), keep_peers=10)
        same(await all_follows(store), dict.fromkeys(feeds), "follows")
        same(await all_follows(store, 3), dict.fromkeys(feeds), "follows in pages")
        same(list(await store.follows(None, 100)), list(await store.follows(None, 100)), "follows have a fixed order")
        await store.update(Change(follow={A: 5, feeds[1]: 7}, unfollow=[feeds[0], C]), keep_peers=10)
        wanted = {**dict.fromkeys(feeds[1:]), A: 5, feeds[1]: 7}
        same(await all_follows(store), wanted, "follows after more, fewer, and another last")
        await store.update(Change(follow={A: None}), keep_peers=10)
        same(await all_follows(store), {**wanted, A: None}, "last taken back")
        same(await all_heads(store), [], "following stores nothing")


async def blocks(kit: Kit) -> None:
    async with kit.opened() as store:
        p, q = PeerId("p"), PeerId("q")
        entries = [BlockEntry(p), BlockEntry(p, A), BlockEntry(p, B), BlockEntry(q, FeedId("q"))]
        await store.update(Change(block=entries), keep_peers=10)
        await store.update(Change(block=entries[:2]), keep_peers=10)
        blocks = await store.blocks()
        same(len(blocks), 4, "blocking twice is blocking once")
        same(set(blocks), set(entries), "blocks")
        await store.update(Change(unblock=[BlockEntry(p), BlockEntry(q)], block=[BlockEntry(q, A)]), keep_peers=10)
        same(set(await store.blocks()), {*entries[1:], BlockEntry(q, A)}, "blocks after unblocking")


async def forks(kit: Kit) -> None:
    """Only of stores that keep forks at all."""
    name = kit.name()
    fork, other = Fork(A, 3, (b"3",), 4, (b"four", b"five")), Fork(FeedId("é"), 1, (b"",), 1, (b"\xff",), "ours")
    async with kit.opened(name) as store:
        if type(store).forks is Store.forks:
            return
        same(list(await store.forks()), [], "forks of a new store")
        await store.update(Change(forks=[fork, other]), keep_peers=10)
        same({kept.feed: kept for kept in await store.forks()}, {A: fork, other.feed: other}, "forks")
        decided = replace(fork, kept="theirs")
        await store.update(Change(forks=[decided], forget=[A]), keep_peers=10)
        same({kept.feed: kept for kept in await store.forks()}, {A: decided, other.feed: other}, "a fork decided")
        same(await all_heads(store), [], "a fork stores no messages")
        await store.update(Change(forks=[fork]), keep_peers=10)
        same({kept.feed: kept for kept in await store.forks()}, {A: decided, other.feed: other}, "a decision stands")


async def remembers(kit: Kit) -> None:
    async with kit.opened() as store:
        s, t = b"s" * 16, b"t" * 16
        key = PeerKey(PeerId("p"), s, True)
        others = [PeerKey(PeerId("p"), s, False), PeerKey(PeerId("p"), t, True), PeerKey(PeerId("q"), s, True)]
        rows = {Remembered(A, 0, None), Remembered(B, -1, MAX_SEQUENCE), Remembered(C, None, 7)}
        await store.update(Change(remember={key: list(rows), others[2]: [Remembered(A, 1, 1)]}), keep_peers=10)
        same(await recall_all(store, key), rows, "recall")
        same(await recall_all(store, key, 1), rows, "recall in pages")
        same(list(await store.recall(key, None, 9)), list(await store.recall(key, None, 9)), "recall in a fixed order")
        for other in others[:2]:
            same(
                await recall_all(store, other), set[Remembered](), "peer, store and authenticated together are the key"
            )
        same(await recall_all(store, others[2]), {Remembered(A, 1, 1)}, "recall of another peer")
        changed = [Remembered(A, None, None), Remembered(B, 4, -1), Remembered(FeedId("d"), None, None)]
        await store.update(Change(remember={key: changed}), keep_peers=10)
        wanted = {Remembered(B, 4, -1), Remembered(C, None, 7)}
        same(await recall_all(store, key), wanted, "only the feeds that changed; both None drops the row")
        same(await all_heads(store), [], "remembering stores no messages")


async def drops_peers(kit: Kit) -> None:
    async with kit.opened() as store:
        keys = [PeerKey(PeerId(f"p{number}"), b"s" * 16, False) for number in range(6)]

        async def remembered() -> list[int]:
            return [number for number, key in enumerate(keys) if await store.recall(key, None, 1)]

        for key in keys[:4]:
            await store.update(Change(remember={key: [Remembered(A, 1, 1)]}), keep_peers=4)
        same(await remembered(), [0, 1, 2, 3], "as many peers as are to be kept")
        await store.update(Change(remember={keys[0]: []}), keep_peers=4)
        await store.update(Change(remember={keys[4]: [Remembered(A, 1, 1)]}), keep_peers=4)
        same(
            await remembered(), [0, 2, 3, 4], "the least recently seen peer goes first; no news mark a peer as seen too"
        )
        await store.update(Change(remember={keys[2]: [Remembered(B, 1, 1)]}), keep_peers=2)
        same(await remembered(), [2, 4], "keep_peers may shrink")
        await store.update(Change(remember={keys[1]: [Remembered(B, 2, 2)]}), keep_peers=2)
        same(await recall_all(store, keys[1]), {Remembered(B, 2, 2)}, "nothing is left of a peer that was dropped")
        await store.update(Change(follow={A: None}), keep_peers=1)
        same(await remembered(), [1], "at most keep_peers after every update")
        await store.update(Change(), keep_peers=0)
        same(await remembered(), [], "keep no peers")
        await store.update(Change(remember={keys[5]: [Remembered(C, 3, 3)]}), keep_peers=4)
        same(
            await recall_all(store, keys[5]), {Remembered(C, 3, 3)}, "nothing of a dropped peer comes up under another"
        )

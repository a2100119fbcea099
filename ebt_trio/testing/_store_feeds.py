"""Checks of a store: messages, and the store as a whole."""

from __future__ import annotations

from typing import Final

from ..abc import Change
from ..core.types import MAX_SEQUENCE, FeedHead, FeedId, PeerId, PeerKey, Range, Run
from ..errors import EBTError, SequenceGap, StoreError
from ._store_kit import (
    LOTS,
    ODD_IDS,
    A,
    B,
    C,
    Kit,
    all_follows,
    all_heads,
    expect,
    listed,
    payloads,
    raises,
    read_all,
    run,
    same,
)

__all__ = [
    "appends",
    "fails_single_runs",
    "forgets",
    "is_empty_at_first",
    "measures",
    "opens_and_closes",
    "pages_through_heads",
    "reads_ranges",
    "reads_within_a_budget",
    "starts_late",
]
NOTHING: Final[list[bytes]] = []


async def opens_and_closes(kit: Kit) -> None:
    store = kit.maker(kit.name())
    await raises(EBTError, store.head(A), "a store that was never opened")
    async with kit.opened(store=store):
        made_with = store.id
        expect(type(made_with) is bytes and len(made_with) == 16, f"id: expected 16 bytes, got {made_with!r}")
        await store.append([run(A, 1, 3)])
        await store.update(Change(follow={B: 5}), keep_peers=10)
    await store.close()  # twice is fine
    await raises(EBTError, store.append([run(A, 4, 4)]), "a closed store")
    await raises(EBTError, store.wait_changes(), "a closed store")
    error = await raises(StoreError, store.open("another format"), "open with another format than the store's")
    expect("plain" in str(error) and "another format" in str(error), f"the error names both formats: {error}")
    async with kit.opened(store=store):
        same(store.id, made_with, "id after opening again")
        same(await read_all(store, A), payloads(A, 1, 3), "messages after opening again")
        same(await all_follows(store), {B: 5}, "follows after opening again")
    async with kit.opened() as other:
        expect(other.id != made_with, "every new store has an id of its own")


async def is_empty_at_first(kit: Kit) -> None:
    async with kit.opened() as store:
        same(list(await store.heads(None, 10)), [], "heads of an empty store")
        same(await store.head(A), FeedHead(A, 1, 0), "head of an unknown feed")
        same(listed(await store.read([Range(A, 1, 10)], 100)), [NOTHING], "read of an unknown feed")
        same(list(await store.read([], 100)), [], "read of no ranges")
        same(list(await store.follows(None, 10)), [], "follows of an empty store")
        same(list(await store.blocks()), [], "blocks of an empty store")
        key = PeerKey(PeerId("p"), b"s" * 16, True)
        same(list(await store.recall(key, None, 10)), [], "recall of an unknown peer")
        await store.update(Change(), keep_peers=10)


async def appends(kit: Kit) -> None:
    async with kit.opened() as store:
        same(list(await store.append([])), [], "append of nothing")
        same(list(await store.append([Run(A, 1, [])])), [FeedHead(A, 1, 0)], "append of an empty run")
        same(await all_heads(store), [], "heads after an empty run")
        same(list(await store.append([run(A, 1, 2)])), [FeedHead(A, 1, 2)], "append")
        outcomes = await store.append([run(B, 1, 1), run(A, 3, 4), run(C, 1, 300), run(A, 5, 5), run(B, 2, 3)])
        heads = [FeedHead(B, 1, 1), FeedHead(A, 1, 4), FeedHead(C, 1, 300), FeedHead(A, 1, 5), FeedHead(B, 1, 3)]
        same(list(outcomes), heads, "for each run, in order, the feed's head after it")
        changed = [b"changed"] * 4
        outcomes = await store.append([Run(A, 3, changed), Run(A, 1, changed[:2]), Run(B, 4, [])])
        same(
            list(outcomes),
            [FeedHead(A, 1, 6), FeedHead(A, 1, 6), FeedHead(B, 1, 3)],
            "what is stored already is passed over",
        )
        same(await read_all(store, A), [*payloads(A, 1, 5), b"changed"], "only what is new is stored")
        same(await read_all(store, B), payloads(B, 1, 3), "feed b")
        same(await read_all(store, C), payloads(C, 1, 300), "feed c")
        bytes_of_all_kinds = [b"", bytes(range(256)), b"\x00", bytes(1 << 20)]
        await store.append([Run(FeedId("bytes"), 1, bytes_of_all_kinds)])
        same(await read_all(store, FeedId("bytes")), bytes_of_all_kinds, "payloads are any bytes")


async def fails_single_runs(kit: Kit) -> None:
    async with kit.opened() as store:
        outcomes = await store.append([run(A, 1, 2), run(A, 4, 5), run(B, 2, 3), run(B, 1, 1), run(A, 3, 3)])
        expect(isinstance(outcomes[1], SequenceGap), f"a gap: expected SequenceGap, got {outcomes[1]!r}")
        expect(
            isinstance(outcomes[2], SequenceGap), f"a gap in an empty feed: expected SequenceGap, got {outcomes[2]!r}"
        )
        same(
            [outcomes[0], outcomes[3], outcomes[4]],
            [FeedHead(A, 1, 2), FeedHead(B, 1, 1), FeedHead(A, 1, 3)],
            "one bad run does not fail the others",
        )
        same(await read_all(store, A), payloads(A, 1, 3), "messages beside a gap")
        outcomes = await store.append([Run(A, 3, [b"x"] * 2, exact=True), Run(A, 5, [b"x"], exact=True)])
        expect(
            all(isinstance(outcome, SequenceGap) for outcome in outcomes),
            f"exact, but not right behind the head: expected SequenceGaps, got {outcomes!r}",
        )
        outcomes = await store.append([Run(A, 4, payloads(A, 4, 4), exact=True), Run(B, 2, [b"x"], exact=True)])
        same(list(outcomes), [FeedHead(A, 1, 4), FeedHead(B, 1, 2)], "exact, and right behind the head")
        same(await read_all(store, A), payloads(A, 1, 4), "nothing of an exact run that begins elsewhere")
        outcomes = await store.append([Run(C, 0, [b"x"]), Run(C, MAX_SEQUENCE, [b"x", b"y"], late=True), run(C, 1, 1)])
        expect(
            all(isinstance(outcome, StoreError) for outcome in outcomes[:2]),
            f"sequences are from 1 to 2^62-1: expected StoreErrors, got {outcomes[:2]!r}",
        )
        same(outcomes[2], FeedHead(C, 1, 1), "a good run after bad ones")


async def starts_late(kit: Kit) -> None:
    async with kit.opened() as store:
        same(list(await store.append([run(A, 7, 9, late=True)])), [FeedHead(A, 7, 9)], "a late start")
        same(await store.head(A), FeedHead(A, 7, 9), "head after a late start")
        same(await all_heads(store), [FeedHead(A, 7, 9)], "heads after a late start")
        ranges = [Range(A, 1, 100), Range(A, 6, 100), Range(A, 7, 2), Range(A, 9, 5)]
        found = [[], [], payloads(A, 7, 8), payloads(A, 9, 9)]
        same(listed(await store.read(ranges, LOTS)), found, "what precedes the first message is not there")
        outcomes = await store.append([run(A, 1, 6), run(A, 5, 10), run(A, 12, 13, late=True), run(A, 11, 11)])
        expect(isinstance(outcomes[2], SequenceGap), f"late, but not empty: expected SequenceGap, got {outcomes[2]!r}")
        same(
            [outcomes[0], outcomes[1], outcomes[3]],
            [FeedHead(A, 7, 9), FeedHead(A, 7, 10), FeedHead(A, 7, 11)],
            "what comes before the first message is passed over",
        )
        same(await read_all(store, A), payloads(A, 7, 11), "messages after a late start")
        same(list(await store.append([run(B, 1, 2, late=True)])), [FeedHead(B, 1, 2)], "late, but from the beginning")
        same(list(await store.append([Run(C, 5, [], late=True)])), [FeedHead(C, 1, 0)], "late, but nothing")
        high = MAX_SEQUENCE - 5
        await store.append([run(C, high, high + 3, late=True)])
        same(list(await store.append([run(C, high + 4, MAX_SEQUENCE)])), [FeedHead(C, high, MAX_SEQUENCE)], "high")
        same(await read_all(store, C), payloads(C, high, MAX_SEQUENCE), "messages with high sequences")


async def reads_ranges(kit: Kit) -> None:
    async with kit.opened() as store:
        await store.append([run(A, 1, 30), run(B, 1, 5)])
        ranges = [Range(A, 1, 3), Range(B, 4, 10), Range(FeedId("unknown"), 1, 1), Range(A, 30, 1), Range(A, 31, 9)]
        found = [payloads(A, 1, 3), payloads(B, 4, 5), [], payloads(A, 30, 30), []]
        same(listed(await store.read(ranges, LOTS)), found, "for each range what is there of it")
        ranges = [Range(A, 2, 0), Range(A, MAX_SEQUENCE, MAX_SEQUENCE), Range(A, 28, MAX_SEQUENCE)]
        same(listed(await store.read(ranges, LOTS)), [[], [], payloads(A, 28, 30)], "ranges of any size")


async def reads_within_a_budget(kit: Kit) -> None:
    async with kit.opened() as store:
        await store.append([Run(A, 1, [bytes(10)] * 8), Run(B, 1, [bytes(100), bytes(10)]), Run(C, 1, [bytes(10)] * 2)])

        async def sizes(max_bytes: int, *ranges: Range) -> list[list[int]]:
            return [[len(payload) for payload in found] for found in await store.read(ranges, max_bytes)]

        all_of_a, all_of_b, all_of_c = Range(A, 1, 99), Range(B, 1, 99), Range(C, 1, 99)
        same(await sizes(30, all_of_a, all_of_c), [[10] * 3, []], "at most max_bytes, over all ranges together")
        same(await sizes(39, all_of_a), [[10] * 3], "not more than max_bytes")
        same(await sizes(100, all_of_c, all_of_a), [[10] * 2, [10] * 8], "max_bytes, exactly")
        same(await sizes(95, all_of_c, all_of_a), [[10] * 2, [10] * 7], "the budget goes on in the next range")
        for max_bytes in (1, 0):
            same(await sizes(max_bytes, all_of_b, all_of_a), [[100], []], "the first payload whatever its size")
        same(await sizes(20, Range(A, 9, 1), all_of_b), [[], [100]], "the first payload found whatever its size")
        cut = await sizes(50, all_of_c, all_of_b, all_of_a)
        expect(cut[:2] == [[10] * 2, []], f"reading stops when the next payload does not fit: got {cut!r}")


async def measures(kit: Kit) -> None:
    async with kit.opened() as store:
        same(await store.size(A), 0, "size of a feed of which nothing is stored")
        await store.append([run(A, 1, 3000), run(C, 7, 9, late=True)])
        await store.append([run(B, 1, 1), run(A, 3001, 3001)])
        for feed, first, last in ((A, 1, 3001), (B, 1, 1), (C, 7, 9)):
            same(await store.size(feed), sum(map(len, payloads(feed, first, last))), f"size of feed {feed}")


async def pages_through_heads(kit: Kit) -> None:
    async with kit.opened() as store:
        feeds = [FeedId(name) for name in (*ODD_IDS, *(f"feed {number}" for number in range(20)))]
        await store.append([run(feed, 1, number) for number, feed in enumerate(feeds, 1)])
        wanted = {FeedHead(feed, 1, number) for number, feed in enumerate(feeds, 1)}
        whole = await all_heads(store)
        same(set(whole), wanted, "heads: every feed of which something is stored")
        for page in (1, 7, len(feeds)):
            same(await all_heads(store, page), whole, f"heads in pages of {page}: once each, in a fixed order")
        same(list(await store.heads(None, 0)), [], "heads: at most none")
        for head in whole:
            same(await store.head(head.feed), head, "head")
            same(await read_all(store, head.feed), payloads(head.feed, 1, head.head), "feed ids are any text")


async def forgets(kit: Kit) -> None:
    async with kit.opened() as store:
        await store.append([run(A, 1, 50), run(B, 1, 50), run(C, 5, 6, late=True)])
        await store.update(Change(follow={A: 3}), keep_peers=10)
        await store.update(Change(forget=[A, C, FeedId("unknown")], follow={B: None}), keep_peers=10)
        same(await store.head(A), FeedHead(A, 1, 0), "head of a forgotten feed")
        same(await all_heads(store), [FeedHead(B, 1, 50)], "heads without forgotten feeds")
        same(
            listed(await store.read([Range(A, 1, 9), Range(C, 5, 9)], LOTS)),
            [NOTHING, NOTHING],
            "read of forgotten feeds",
        )
        same(await read_all(store, B), payloads(B, 1, 50), "feeds beside forgotten ones")
        same(await all_follows(store), {A: 3, B: None}, "forgetting is not unfollowing")
        same(list(await store.append([Run(C, 7, [])])), [FeedHead(C, 1, 0)], "a late start is forgotten, too")
        outcomes = await store.append([run(A, 51, 52), Run(A, 30, [b"new", b"newer"], late=True), run(C, 1, 2)])
        expect(isinstance(outcomes[0], SequenceGap), f"a forgotten feed is empty: got {outcomes[0]!r}")
        same(list(outcomes[1:]), [FeedHead(A, 30, 31), FeedHead(C, 1, 2)], "a forgotten feed starts anew")
        same(await read_all(store, A), [b"new", b"newer"], "messages of a feed that started anew")
        same(await read_all(store, C), payloads(C, 1, 2), "messages of a feed that started anew")

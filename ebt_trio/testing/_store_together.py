"""Checks of a store: cancellation, several tasks, several processes."""

from __future__ import annotations

from collections.abc import Sequence

import trio
import trio.testing

from ..abc import BlockEntry, Change, Changes, Fork, Store
from ..core.types import FeedHead, FeedId, PeerId, PeerKey, Range, Remembered
from ..errors import SequenceGap, StoreError
from ._store_kit import (
    LOTS,
    A,
    B,
    C,
    Kit,
    all_follows,
    cancel_after,
    expect,
    payloads,
    read_all,
    run,
    same,
)

__all__ = [
    "notices",
    "notices_despite_cancellation",
    "reads_while_appending",
    "shares",
    "survives_cancellation",
    "waits_or_does_not",
]


async def survives_cancellation(kit: Kit) -> None:
    """Cancel every call after 0, 1, 2… steps of the event loop: what changes is done whole or not at all."""
    async with kit.opened() as store:
        for steps in range(5):
            feed, other = FeedId(f"x{steps}"), FeedId(f"y{steps}")

            await cancel_after(steps, lambda: store.append([run(feed, 1, 300), run(other, 1, 300)]))  # noqa: B023
            heads = [(await store.head(feed)).head, (await store.head(other)).head]
            expect(heads in ([0, 0], [300, 300]), f"append, cancelled: expected nothing or all, got heads {heads}")

            change = Change(follow={feed: 1}, block=[BlockEntry(PeerId(feed))], forget=[other])
            await cancel_after(steps, lambda: store.update(change, keep_peers=10))  # noqa: B023
            followed, blocked = feed in await all_follows(store), BlockEntry(PeerId(feed)) in await store.blocks()
            expect(followed == blocked, f"update, cancelled: follows {followed}, blocks {blocked}")
            if heads[1]:
                forgotten = (await store.head(other)).head == 0
                expect(forgotten == followed, f"update, cancelled: follows {followed}, forgets {forgotten}")

            await cancel_after(steps, lambda: store.heads(None, 10))
            await cancel_after(steps, lambda: store.read([Range(feed, 1, 10)], LOTS))  # noqa: B023
            await cancel_after(steps, store.wait_changes)
        same(list(await store.append([run(A, 1, 2)])), [FeedHead(A, 1, 2)], "append after many cancelled calls")
        same(await read_all(store, A), payloads(A, 1, 2), "read after many cancelled calls")


async def waits_or_does_not(kit: Kit) -> None:
    """A store that is ``immediate`` gives way to nobody in append, read, head and size."""
    async with kit.opened("immediate") as store:
        if not store.immediate:
            return
        for call in (
            store.append([run(A, 1, 3)]),
            store.read([Range(A, 1, 3)], 1000),
            store.head(A),
            store.size(A),
        ):
            steps = call.__await__()
            waited = next(steps, steps) is not steps
            steps.close()
            expect(not waited, "append, read, head and size of an immediate store wait for nothing, as it says")


async def reads_while_appending(kit: Kit) -> None:
    async with kit.opened() as store:
        done = trio.Event()

        async def watch() -> None:
            known = 0
            while not done.is_set():
                found = (await store.read([Range(A, 1, 1000)], LOTS))[0]
                same(list(found), payloads(A, 1, len(found)), "read beside append: no gaps")
                expect(len(found) >= known, f"read beside append: {known} messages, then {len(found)}")
                known = len(found)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            nursery.start_soon(watch)
            for first in range(1, 200, 10):
                await store.append([run(A, first, first + 9)])
                found = (await store.read([Range(A, first, 10)], LOTS))[0]
                same(list(found), payloads(A, first, first + 9), "what append has returned for can be read")
            done.set()


async def shares(kit: Kit) -> None:
    name = kit.name()
    async with kit.opened(name) as one, kit.opened(name) as two:
        same(two.id, one.id, "the id belongs to the data")
        await one.append([run(A, 1, 3)])
        same(await read_all(two, A), payloads(A, 1, 3), "messages of the other store")
        same(list(await two.append([run(A, 2, 5)])), [FeedHead(A, 1, 5)], "append behind the other's messages")
        outcomes = await one.append([run(A, 4, 6), run(A, 8, 8)])
        same(outcomes[0], FeedHead(A, 1, 6), "the other's messages are passed over")
        expect(isinstance(outcomes[1], SequenceGap), f"a gap: expected SequenceGap, got {outcomes[1]!r}")
        outcomes_of_both: list[Sequence[FeedHead | StoreError]] = []

        async def append(store: Store) -> None:
            outcomes_of_both.append(await store.append([run(B, 1, 100), run(C, 1, 100)]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(append, one)
            nursery.start_soon(append, two)
        for outcomes in outcomes_of_both:
            same(list(outcomes), [FeedHead(B, 1, 100), FeedHead(C, 1, 100)], "the same appended by two at once")
        same(await read_all(one, B), payloads(B, 1, 100), "the same appended by two at once")
        await two.update(Change(follow={A: 1}, block=[BlockEntry(PeerId("p"))], forget=[B]), keep_peers=10)
        same(await all_follows(one), {A: 1}, "follows of the other store")
        same(list(await one.blocks()), [BlockEntry(PeerId("p"))], "blocks of the other store")
        same(list(await one.append([run(B, 1, 2)])), [FeedHead(B, 1, 2)], "append to what the other has forgotten")


class _Noticed:
    """Gathers what ``wait_changes`` says, until everything wanted has come."""

    def __init__(self, store: Store, patience: float) -> None:
        self.store = store
        self.patience = patience
        self.heads: dict[FeedId, FeedHead] = {}
        self.follows = self.blocks = self.forks = False

    def add(self, changes: Changes) -> None:
        self.heads.update((head.feed, head) for head in changes.heads)
        self.follows |= changes.follows
        self.blocks |= changes.blocks
        self.forks |= changes.forks

    async def until(self, *heads: FeedHead, follows: bool = False, blocks: bool = False, forks: bool = False) -> None:
        wanted = ({head.feed: head for head in heads}, follows, blocks, forks)
        with trio.move_on_after(self.patience):
            while not (
                all(self.heads.get(head.feed) == head for head in heads)
                and self.follows >= follows
                and self.blocks >= blocks
                and self.forks >= forks
            ):
                self.add(await self.store.wait_changes())
        noticed = (self.heads, self.follows, self.blocks, self.forks)
        same(noticed, wanted, "wait_changes: what the other changed, and nothing else")
        self.heads, self.follows, self.blocks, self.forks = {}, False, False, False


async def notices(kit: Kit) -> None:
    name = kit.name()
    async with kit.opened(name) as mine, kit.opened(name) as other:
        noticed = _Noticed(mine, kit.patience)
        await other.append([run(A, 1, 2), run(B, 7, 8, late=True)])
        await noticed.until(FeedHead(A, 1, 2), FeedHead(B, 7, 8))
        await mine.append([run(A, 3, 3), run(C, 1, 1)])
        await mine.update(Change(follow={A: None}, block=[BlockEntry(PeerId("p"))]), keep_peers=9)
        await other.append([run(B, 9, 9)])
        await mine.append([run(C, 2, 2)])
        await noticed.until(FeedHead(B, 7, 9))
        await other.update(Change(follow={B: None}), keep_peers=9)
        await mine.update(Change(follow={C: None}), keep_peers=9)
        await noticed.until(follows=True)
        await other.update(Change(unblock=[BlockEntry(PeerId("p"))]), keep_peers=9)
        await noticed.until(blocks=True)
        if type(other).forks is not Store.forks:
            await mine.update(Change(forks=[Fork(A, 1, (b"x",), 1, (b"y",))]), keep_peers=9)
            await other.update(Change(forks=[Fork(B, 1, (b"x",), 1, (b"y",))]), keep_peers=9)
            await noticed.until(forks=True)
        await other.update(Change(forget=[A, B]), keep_peers=9)
        await noticed.until(FeedHead(A, 1, 0), FeedHead(B, 1, 0))
        await mine.update(Change(remember={PeerKey(PeerId("p"), b"s", True): [Remembered(A, 1, 1)]}), keep_peers=9)
        await other.append([run(B, 1, 1)])
        await noticed.until(FeedHead(B, 1, 1))

        async with trio.open_nursery() as nursery:  # and while it waits
            nursery.start_soon(noticed.until, FeedHead(A, 1, 4))
            await trio.testing.wait_all_tasks_blocked(0.01)
            await other.append([run(A, 1, 4)])


async def notices_despite_cancellation(kit: Kit) -> None:
    name = kit.name()
    async with kit.opened(name) as mine, kit.opened(name) as other:
        noticed = _Noticed(mine, kit.patience)

        async def notice() -> None:
            noticed.add(await mine.wait_changes())

        for steps in range(8):
            await other.append([run(A, steps + 1, steps + 1)])
            await cancel_after(steps, notice)
            if not noticed.heads:
                await noticed.until(FeedHead(A, 1, steps + 1))
            same(noticed.heads.pop(A, FeedHead(A, 1, steps + 1)), FeedHead(A, 1, steps + 1), "a cancelled wait_changes")

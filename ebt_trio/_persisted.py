"""What the store says to the core: all of it at the start, later what other processes have changed."""

from __future__ import annotations

from typing import Final

import trio

from ._driver import Driver
from .abc import BlockEntry, Changes
from .core.actions import What
from .core.events import Block, Forgotten, Loaded, Stored, Unblock
from .core.types import FeedHead, FeedId
from .errors import EBTError

__all__ = ["load", "watch"]

PAGE: Final = 10_000
"""Rows read at a time, so that the loop never stops for long."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 30.0


async def load(driver: Driver) -> None:
    """Tell the core what the store holds, what is followed, and what is blocked.

    :raises StoreError: it cannot be read
    """
    after: FeedId | None = None
    while heads := await driver.store.heads(after, PAGE):
        driver.handle(Loaded(heads))
        after = heads[-1].feed
    driver.forks.load(await driver.store.forks())
    await _load_follows(driver)
    await _load_blocks(driver)


async def watch(driver: Driver) -> None:
    """Tell the core what other processes change in the store, until cancelled. A failing store is asked again."""
    pause = FIRST_PAUSE
    changes: Changes | None = None
    while True:
        try:
            changes = changes or await driver.store.wait_changes()
            await _apply(driver, changes)
            changes, pause = None, FIRST_PAUSE
        except EBTError as exc:
            driver.report(What.STORE_FAILED, f"changes made by other processes cannot be read: {exc}")
            await trio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


async def _apply(driver: Driver, changes: Changes) -> None:
    gone = False
    for head in changes.heads:
        gone |= await _moved(driver, head)
    if changes.forks:
        driver.forks.load(await driver.store.forks())
    if changes.follows or gone:
        await _load_follows(driver)
    if changes.blocks:
        await _load_blocks(driver)


async def _moved(driver: Driver, head: FeedHead) -> bool:
    """True: the feed has been deleted, and the core does not follow it any more; the store may."""
    driver.tail.drop(head.feed)  # it may have been deleted and begun anew, also up to where it was
    if not head.head:
        head = await driver.store.head(head.feed)  # somebody may have begun it anew meanwhile; even we ourselves
    if head.head:
        driver.handle(Stored(head.feed, head.head, head.first))
    elif head.feed in driver.core.clock:
        driver.handle(Forgotten(head.feed))
        driver.forks.forgotten(head.feed)
        return True
    return False


async def _load_follows(driver: Driver) -> None:
    """Make the core follow what the store says, but for what we decide and the store does not say yet."""
    with driver.commits.saving.pending.watch() as undecided:
        rows: dict[FeedId, int | None] = {}
        after: FeedId | None = None
        while page := await driver.store.follows(after, PAGE):
            rows.update(page)
            after = page[-1][0]
        known, own = driver.forks.follows, FeedId(driver.me)
        if own not in known:
            driver.forks.follow(own)  # at the start, and when it has been deleted to fetch another branch
        for feed, last in rows.items():
            if feed not in known and feed not in undecided:
                driver.forks.follow(feed, last)
        for feed in [feed for feed in known if feed not in rows]:
            if feed != own and feed not in undecided:
                driver.forks.unfollow(feed)


async def _load_blocks(driver: Driver) -> None:
    """Likewise."""
    with driver.commits.saving.pending.watch() as undecided:
        entries = set(await driver.store.blocks())
        known = {BlockEntry(target, origin) for target, origin in driver.core.blocks}
        for entry in entries - known - undecided:
            driver.handle(Block(entry.target, entry.origin))
        for entry in known - entries - undecided:
            driver.handle(Unblock(entry.target, entry.origin))

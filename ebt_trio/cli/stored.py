"""What a store says about feeds and blocks, in one piece, for people and for scripts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from ..abc import BlockEntry, Store
from ..core.types import FeedHead, FeedId
from .home import FORMAT, Home

__all__ = ["Feed", "opened", "read_blocks", "read_feeds"]

_PAGE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Feed:
    """One feed: messages ``first`` to ``sequence`` are stored, none if ``sequence`` is 0."""

    id: str
    first: int
    sequence: int
    followed: bool
    last: int | None
    own: bool
    forked: bool
    """Its author has signed two histories, and it stands still until 'ebt resolve'."""

    @property
    def count(self) -> int:
        return self.sequence - self.first + 1 if self.sequence else 0

    @property
    def followed_text(self) -> str:
        if self.forked:
            return "FORKED"
        if self.own:
            return "own"
        if not self.followed:
            return "no"
        return "yes" if self.last is None else f"last {self.last:,}"

    def as_json(self) -> dict[str, Any]:
        return {
            "feed": self.id,
            "first": self.first,
            "sequence": self.sequence,
            "followed": self.followed,
            "last": self.last,
            "own": self.own,
            "forked": self.forked,
        }


@asynccontextmanager
async def opened(home: Home) -> AsyncGenerator[Store]:
    """The home's store, for the length of the block."""
    store = home.open_store()
    await store.open(FORMAT)
    try:
        yield store
    finally:
        await store.close()


async def read_feeds(store: Store, own: str) -> list[Feed]:
    """All feeds that are stored or followed; the own one first, the others by id."""
    heads: dict[FeedId, FeedHead] = {}
    after: FeedId | None = None
    while page := await store.heads(after, _PAGE):
        heads.update((head.feed, head) for head in page)
        after = page[-1].feed
    follows: dict[FeedId, int | None] = {}
    after = None
    while rows := await store.follows(after, _PAGE):
        follows.update(rows)
        after = rows[-1][0]
    forked = {fork.feed for fork in await store.forks() if fork.kept is None}
    ids = {*heads, *follows, *forked, FeedId(own)}
    found: list[Feed] = []
    for feed in sorted(ids, key=lambda feed: (feed != own, feed)):
        head = heads.get(feed, FeedHead(feed, 1, 0))
        is_own = feed == own
        followed, last = is_own or feed in follows, follows.get(feed)
        found.append(Feed(feed, head.first, head.head, followed, last, is_own, feed in forked))
    return found


async def read_blocks(store: Store) -> list[BlockEntry]:
    return sorted(await store.blocks(), key=lambda entry: (entry.target, entry.origin or ""))

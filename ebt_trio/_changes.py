"""What has to be written besides messages, gathered until the next commit; see :class:`PendingChange`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .abc import BlockEntry, Change
from .core.types import FeedId, PeerKey, Remembered

__all__ = ["PendingChange"]


class PendingChange:
    """Follows, blocks, deletions and remembered clocks that the store does not have yet: the last word on each."""

    def __init__(self) -> None:
        self._follows: dict[FeedId, tuple[bool, int | None]] = {}
        self._blocks: dict[BlockEntry, bool] = {}
        self._forget: dict[FeedId, None] = {}
        self._remember: Mapping[PeerKey, Sequence[Remembered]] = {}

    def __bool__(self) -> bool:
        return bool(self._follows or self._blocks or self._forget or self._remember)

    def follow(self, feed: FeedId, last: int | None) -> None:
        self._follows[feed] = (True, last)

    def unfollow(self, feed: FeedId) -> None:
        self._follows[feed] = (False, None)

    def block(self, entry: BlockEntry, blocked: bool) -> None:
        self._blocks[entry] = blocked

    def forget(self, feed: FeedId) -> None:
        self._forget[feed] = None

    @property
    def has_clocks(self) -> bool:
        return bool(self._remember)

    def remember(self, rows: Mapping[PeerKey, Sequence[Remembered]]) -> None:
        """Only while :attr:`has_clocks` is false."""
        self._remember = rows

    def decides_follow(self, feed: FeedId) -> bool:
        """A follow or unfollow of the feed is on its way: what the store says of it is out of date."""
        return feed in self._follows

    def decides_block(self, entry: BlockEntry) -> bool:
        return entry in self._blocks

    def take(self) -> Change:
        """All of it, for one ``Store.update``; nothing is pending then. After a failure: :meth:`restore`."""
        change = Change(
            follow={feed: last for feed, (follow, last) in self._follows.items() if follow},
            unfollow=[feed for feed, (follow, _) in self._follows.items() if not follow],
            block=[entry for entry, blocked in self._blocks.items() if blocked],
            unblock=[entry for entry, blocked in self._blocks.items() if not blocked],
            forget=list(self._forget),
            remember=self._remember,
        )
        self._follows, self._blocks, self._forget, self._remember = {}, {}, {}, {}
        return change

    def restore(self, change: Change) -> None:
        """Take back what could not be written; what has been said since has the last word."""
        for feed, last in change.follow.items():
            self._follows.setdefault(feed, (True, last))
        for feed in change.unfollow:
            self._follows.setdefault(feed, (False, None))
        for entry in change.block:
            self._blocks.setdefault(entry, True)
        for entry in change.unblock:
            self._blocks.setdefault(entry, False)
        self._forget.update(dict.fromkeys(change.forget))
        self._remember = change.remember

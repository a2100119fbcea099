"""What has to be written besides messages, gathered until the next commit; see :class:`PendingChange`."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence, Set
from contextlib import contextmanager

from .abc import BlockEntry, Change, Fork
from .core.types import FeedId, PeerKey, Remembered

__all__ = ["PendingChange"]


class PendingChange:
    """Follows, blocks, deletions, forks, remembered clocks that the store does not have yet: the last word on each."""

    def __init__(self) -> None:
        self._follows: dict[FeedId, tuple[bool, int | None]] = {}
        self._blocks: dict[BlockEntry, bool] = {}
        self._forget: dict[FeedId, None] = {}
        self._forks: dict[FeedId, Fork] = {}
        self._remember: Mapping[PeerKey, Sequence[Remembered]] = {}
        self._taken = Change()
        """What is being written right now."""
        self._watches: list[set[FeedId | BlockEntry]] = []

    def __bool__(self) -> bool:
        return bool(self._follows or self._blocks or self._forget or self._forks or self._remember)

    # -- what to write

    def follow(self, feed: FeedId, last: int | None) -> None:
        self._follows[feed] = (True, last)
        self._decided(feed)

    def unfollow(self, feed: FeedId) -> None:
        self._follows[feed] = (False, None)
        self._decided(feed)

    def block(self, entry: BlockEntry, blocked: bool) -> None:
        self._blocks[entry] = blocked
        self._decided(entry)

    def forget(self, feed: FeedId) -> None:
        self._forget[feed] = None

    def fork(self, fork: Fork) -> None:
        self._forks[fork.feed] = fork

    def has_fork(self, feed: FeedId) -> bool:
        """The store does not have our last word on this fork."""
        return feed in self._forks or any(fork.feed == feed for fork in self._taken.forks)

    @property
    def has_clocks(self) -> bool:
        return bool(self._remember)

    def remember(self, rows: Mapping[PeerKey, Sequence[Remembered]]) -> None:
        """Only while :attr:`has_clocks` is false."""
        self._remember = rows

    # -- writing it

    def take(self) -> Change:
        """All of it, for one ``Store.update``. Then call :meth:`written` or :meth:`restore`."""
        self._taken = Change(
            follow={feed: last for feed, (follow, last) in self._follows.items() if follow},
            unfollow=[feed for feed, (follow, _) in self._follows.items() if not follow],
            block=[entry for entry, blocked in self._blocks.items() if blocked],
            unblock=[entry for entry, blocked in self._blocks.items() if not blocked],
            forget=list(self._forget),
            remember=self._remember,
            forks=list(self._forks.values()),
        )
        self._follows, self._blocks, self._forget, self._forks, self._remember = {}, {}, {}, {}, {}
        return self._taken

    def written(self) -> None:
        """What was taken is durable."""
        self._taken = Change()

    def restore(self) -> None:
        """What was taken could not be written; what has been said since has the last word."""
        change, self._taken = self._taken, Change()
        for feed, last in change.follow.items():
            self._follows.setdefault(feed, (True, last))
        for feed in change.unfollow:
            self._follows.setdefault(feed, (False, None))
        for entry in change.block:
            self._blocks.setdefault(entry, True)
        for entry in change.unblock:
            self._blocks.setdefault(entry, False)
        self._forget.update(dict.fromkeys(change.forget))
        for fork in change.forks:
            self._forks.setdefault(fork.feed, fork)
        self._remember = change.remember

    # -- reading beside it

    @contextmanager
    def watch(self) -> Generator[Set[FeedId | BlockEntry], None, None]:
        """For reading follows or blocks from the store in the block: those of which it may not have the last word.

        Grows while the block runs, by what is decided meanwhile.
        """
        taken = self._taken
        watch: set[FeedId | BlockEntry] = {*self._follows, *self._blocks}
        watch.update(taken.follow, taken.unfollow, taken.block, taken.unblock)
        self._watches.append(watch)
        try:
            yield watch
        finally:
            self._watches = [other for other in self._watches if other is not watch]

    def _decided(self, thing: FeedId | BlockEntry) -> None:
        for watch in self._watches:
            watch.add(thing)

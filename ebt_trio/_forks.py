"""Which feeds have forked, and what follows from it; see :class:`Forks`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from types import MappingProxyType
from typing import Any

from ._changes import PendingChange
from .abc import Format, Store
from .core.actions import What
from .core.events import Disproved, Event, Follow, Unblock, Unfollow
from .core.replicator import Replicator
from .core.types import FeedId, Range, Run, SessionId
from .errors import EBTError, ForkDetected, InvalidMessage, LocalProtocolError
from .fork import Fork, Keep

__all__ = ["Forks"]

Reporter = Callable[[What, SessionId | None, FeedId | None, str], None]


class Forks:
    """Keeps the feeds that have forked still, until the user says which branch to keep.

    The core does not follow a feed that stands still, so that nobody waits for it; the user's wish to follow it is kept
    here. After the decision only the branch that was kept is taken in.
    """

    def __init__(
        self,
        core: Replicator,
        store: Store,
        format: Format,
        pending: PendingChange,
        *,
        handle: Callable[[Event], object],
        report: Reporter,
        changed: Callable[[], None],
    ) -> None:
        self.follows: Set[FeedId] = _Follows(core.follows, self)
        """What the user wants to have replicated, feeds that stand still included."""
        self._core = core
        self._store = store
        self._format = format
        self._pending = pending
        self._handle = handle
        self._report = report
        self._changed = changed
        self._forks: dict[FeedId, Fork] = {}
        self.wished: dict[FeedId, int | None] = {}
        """Of the feeds that the core does not follow because of a fork, those that the user follows, with ``last``."""
        self._sources: dict[FeedId, set[SessionId]] = {}
        """Who has sent what we hold of a feed whose branch to keep we have not reached yet."""
        self._suspects: dict[FeedId, set[SessionId]] = {}
        """Who is refused such a feed and may be innocent."""
        self.all: Mapping[FeedId, Fork] = MappingProxyType(self._forks)

    def __bool__(self) -> bool:
        return bool(self._forks)

    def stands_still(self, feed: FeedId) -> bool:
        fork = self._forks.get(feed)
        return fork is not None and fork.kept is None

    # -- following

    def follow(self, feed: FeedId, last: int | None = None) -> None:
        """Like the core's Follow."""
        if self.stands_still(feed) or feed in self.wished:
            self.wished[feed] = last
        else:
            self._follow(feed, last)

    def _follow(self, feed: FeedId, last: int | None) -> None:
        fork = self._forks.get(feed)
        if fork is not None and not self._has_kept_branch(fork):
            last = None  # a late start could begin behind what tells the branches apart
        self._handle(Follow(feed, last))

    def unfollow(self, feed: FeedId) -> None:
        """Like the core's Unfollow."""
        self.wished.pop(feed, None)
        self._handle(Unfollow(feed))

    def forgotten(self, feed: FeedId) -> None:
        """All messages of the feed have been deleted. If that was to fetch another branch, begin."""
        if not self.stands_still(feed):
            self._go_on(feed)

    # -- finding and deciding

    def load(self, forks: Iterable[Fork]) -> None:
        """What the store says: at the start, and when another process has found or decided something."""
        for fork in forks:
            known = self._forks.get(fork.feed)
            if fork == known or self._pending.has_fork(fork.feed):
                continue  # ours has the last word
            self._forks[fork.feed] = fork
            if fork.kept is None:
                self._hold(fork.feed)
                self._report(What.FORKED, None, fork.feed, "found before; it stands still until it is resolved")
            elif known is not None:
                self._lift_refusals(fork.feed)
                self._go_on(fork.feed)  # if its messages are being deleted, it begins again then

    def found(self, fork: Fork, detail: str, run: Run, session: SessionId | None) -> bool:
        """Take in a fork that has come up. True: nobody's fault; False: whoever sent it has the branch not kept.

        :param run: what has come
        """
        feed = fork.feed
        known = self._forks.get(feed)
        if known is None:
            self._forks[feed] = fork
            self._pending.fork(fork)
            self._hold(feed)
            self._changed()
            self._report(What.FORKED, session, feed, detail)
            return True
        if known.kept is None:
            return True
        return not self._has_kept_branch(known) and self._astray(known, run, session)

    def resolve(self, feed: FeedId, keep: Keep) -> None:
        """:raises LocalProtocolError: the feed has not forked, or has been decided"""
        fork = self._forks.get(feed)
        if fork is None:
            raise LocalProtocolError(f"feed {feed} has not forked: there is nothing to resolve")
        decided = fork.decided(keep)
        if decided == fork:
            return
        self._forks[feed] = decided
        self._pending.fork(decided)
        self._lift_refusals(feed)
        if keep == "ours":
            self._go_on(feed)
            self._changed()
        else:
            self._fetch_again(feed)

    def _astray(self, fork: Fork, run: Run, session: SessionId | None) -> bool:
        """We are fetching the branch to keep; what has come does not fit what we have got so far. Which is wrong?

        Who has sent messages of the proof is right. Else the one is believed who claims to have them, and the others
        are under suspicion until somebody turns out to be wrong for certain.
        """
        assert fork.kept is not None
        feed, branch = fork.feed, fork.branch(fork.kept)
        is_right = run.first <= branch.last and run.last >= branch.first - 1  # else check_run had refused it
        if session is not None and not is_right and self._core.heard(session, feed) < branch.last:
            return False
        for source in self._sources.pop(feed, set()) - {session}:
            self._suspects.setdefault(feed, set()).add(source)
            self._handle(Disproved(source, feed, "it may have the branch that was not kept"))
        self._fetch_again(feed)
        return True

    def _lift_refusals(self, feed: FeedId, sessions: Iterable[SessionId] | None = None) -> None:
        for session in self._core.sessions if sessions is None else sessions:
            peer = self._core.peer(session)
            if peer is not None and (peer, feed) not in self._core.blocks:
                self._handle(Unblock(peer, feed))

    def _hold(self, feed: FeedId) -> None:
        if feed in self._core.follows:
            self.wished[feed] = self._core.wanted(feed)
            self._handle(Unfollow(feed))

    def _go_on(self, feed: FeedId) -> None:
        if feed in self.wished:
            self._follow(feed, self.wished.pop(feed))

    def _fetch_again(self, feed: FeedId) -> None:
        self._hold(feed)
        self._pending.forget(feed)
        self._changed()

    # -- checking

    def check_append(self, feed: FeedId, head: int) -> None:
        """:raises ForkDetected: the feed stands still, or we do not have all of the branch that was kept"""
        fork = self._forks.get(feed)
        if fork is None:
            return
        if fork.kept is None:
            raise ForkDetected(
                f"feed {feed} has two branches from message {fork.sequence} on: nothing is appended until "
                "resolve() has said which one to keep",
                fork,
            )
        if feed in self.wished or head < fork.branch(fork.kept).last:
            raise ForkDetected(f"the branch of feed {feed} that was kept has not been fetched yet", fork)

    def check_run(self, run: Run, session: SessionId | None) -> None:
        """:raises InvalidMessage: the run belongs to a branch that was not kept
        :raises ForkDetected: the feed stands still
        """
        fork = self._forks.get(run.feed)
        if fork is None:
            return
        if fork.kept is None:
            raise ForkDetected(f"feed {run.feed} has two branches, and stands still until one is kept", fork)
        if self._format.contradicts(run, fork.branch(fork.kept)):
            self._lift_refusals(run.feed, self._suspects.pop(run.feed, set()) - {session})
            raise InvalidMessage(f"feed {run.feed}: message {run.last} is of the branch that was not kept")
        if self._has_kept_branch(fork):
            self._sources.pop(run.feed, None)
            self._suspects.pop(run.feed, None)
        elif session is not None:
            self._sources.setdefault(run.feed, set()).add(session)

    async def check_held(self, run: Run) -> None:
        """What we hold already of a run should be what we hold.

        :raises InvalidMessage: it is not, and is not valid
        :raises ForkDetected: it is not, and is valid
        :raises StoreError: it cannot be read
        """
        feed = run.feed
        first = max(run.first, self._core.first(feed))
        count = min(run.last, self._core.durable(feed)) - first + 1
        if count > 0:
            theirs = Run(feed, first, run.payloads[first - run.first :])
            (held,) = await self._store.read([Range(feed, first, count)], 2 * sum(map(len, theirs.payloads)))
            self._format.compare(Run(feed, first, held), theirs)

    async def compare(self, run: Run, session: SessionId) -> str | None:
        """A run that we did not need, with what we hold. Returns what is wrong with it, if its sender is to blame."""
        try:
            await self.check_held(run)
        except InvalidMessage as error:
            return str(error)
        except ForkDetected as error:
            if error.fork is None or self.found(error.fork, str(error), run, session):
                return None
            return f"message {run.last} is of the branch that was not kept"
        except EBTError:
            return None  # our own store fails: it says so to others
        return None

    def _has_kept_branch(self, fork: Fork) -> bool:
        if fork.kept is None:
            return False
        return self._core.durable(fork.feed) >= fork.branch(fork.kept).last


class _Follows(Set[FeedId]):
    __slots__ = ("_core", "_forks")

    def __init__(self, core: Set[FeedId], forks: Forks) -> None:
        self._core = core
        self._forks = forks

    def __contains__(self, feed: object) -> bool:
        return feed in self._core or feed in self._forks.wished

    def __iter__(self) -> Iterator[FeedId]:
        yield from self._core
        yield from self._forks.wished

    def __len__(self) -> int:
        return len(self._core) + len(self._forks.wished)

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:
        return set(it)

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self))}}}"

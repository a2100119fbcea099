"""The part of :class:`~ebt_trio.EBT` that looks on and waits; see :class:`State`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from ._driver import Decide, Driver
from ._events import Event, ProgressChanges
from ._sync import wait_for, wait_synced
from .core.progress import FeedStatus, Progress
from .core.types import FeedId, PeerId
from .fork import Fork
from .session import Session
from .statistics import Statistics, Traffic

__all__ = ["State"]


class State:
    """What a peer is, what it holds, how far it is, and waiting for that; changes nothing."""

    _driver: Driver

    @property
    def id(self) -> PeerId:
        """Who we are to other peers."""
        return self._driver.me

    @property
    def feed(self) -> FeedId:
        """The id of our own feed."""
        return FeedId(self._driver.me)

    @property
    def clock(self) -> Mapping[FeedId, int]:
        """feed → sequence up to which the store holds it durably; live, read-only, without zeros."""
        return self._driver.core.clock

    @property
    def follows(self) -> Set[FeedId]:
        """The feeds that are replicated, or would be if they had not forked; live, read-only."""
        return self._driver.forks.follows

    @property
    def forks(self) -> Mapping[FeedId, Fork]:
        """The feeds whose authors have signed two histories, with the proofs; live, read-only.

        Those with ``kept`` None stand still until :meth:`~ebt_trio.EBT.resolve` has said how to go on.
        """
        return self._driver.forks.all

    @property
    def blocks(self) -> Set[tuple[PeerId, FeedId | None]]:
        """(target, origin) of every block; origin None: ours. Live, read-only."""
        return self._driver.core.blocks

    @property
    def claimed(self) -> int:
        """The most messages of our own feed that a connected peer claims to hold; 0 if none does.

        More than ``clock[feed]`` means that our store is behind (restored from a backup, say): ``append`` raises then.
        """
        return self._driver.core.claimed(self.feed)

    @property
    def sessions(self) -> Sequence[Session]:
        """The sessions there are, those still shaking hands included."""
        return tuple(self._driver.sessions.values())

    @property
    def should_replicate(self) -> Decide | None:
        """Asked ``(feed, peer)`` for a feed that a peer names and we don't follow: True follows it from then on."""
        return self._driver.should_replicate

    @should_replicate.setter
    def should_replicate(self, decide: Decide | None) -> None:
        self._driver.should_replicate = decide

    def progress(self) -> Progress:
        """How far along replication is, over all sessions; with none, complete."""
        return self._driver.core.progress()

    def status(self, feed: str) -> FeedStatus:
        """How one feed stands: our sequence, who owns it, and per connected peer what was said and asked.

        ``forked``: its author has signed two histories, and it stands still.
        """
        id = self._driver.format.check_feed(feed)
        fork, status = self._driver.forks.all.get(id), self._driver.core.status(id)
        return status if fork is None else replace(status, followed=id in self.follows, forked=fork.kept is None)

    def statistics(self) -> Statistics:
        """Counters over all sessions since the start, those that have ended included."""
        traffic = Traffic()
        traffic.add(self._driver.past)
        for session in self._driver.sessions.values():
            traffic.add(session.traffic)
        return Statistics.of(traffic, self._driver.core.statistics())

    def __repr__(self) -> str:
        return f"<EBT {self.id}, {len(self.clock)} feeds, {len(self.sessions)} sessions>"

    # -- looking on, and waiting ------------------------------------------------------------------------------------

    def events(self) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """What happens, as an async iterator: ``async with ebt.events() as events: async for event in events``.

        Who does not keep up loses the oldest ones, and is told how many. Ends when the EBT is left.
        """
        return self._driver.events.read()

    @asynccontextmanager
    async def progress_changes(self) -> AsyncGenerator[AsyncIterator[Progress], None]:
        """Progress as an async iterator, for a bar: the latest, whenever it has changed. Ends when the EBT is left."""
        yield ProgressChanges(self._driver.changed, self.progress, lambda: self._driver.is_open)

    async def wait_synced(self) -> None:
        """Wait until all that either side of any session has announced by now is durable at both ends.

        Returns under live traffic, too: what is appended later does not count. Sessions that end do not count.
        Cancelling changes nothing.

        :raises LocalProtocolError: not open
        """
        self._driver.check_open()
        for session in self.sessions:
            await session.wait_settled()
        await wait_synced(self._driver)

    async def wait_for(self, clock: Mapping[str, int] | Mapping[FeedId, int]) -> None:
        """Wait until our clock has reached ``clock``. Cancelling changes nothing.

        :raises LocalProtocolError: not feed ids, or not open
        """
        check = self._driver.format.check_feed
        await wait_for(self._driver, {check(feed): sequence for feed, sequence in clock.items()})

    # -- small print ------------------------------------------------------------------------------------------------

    def _checked(self, feed: str) -> tuple[Driver, FeedId]:
        driver = self._driver
        driver.check_open()
        # The id of a feed that is followed is one. People may give what is no str, nor hashable.
        if type(feed) is str and feed in driver.core.follows:
            return driver, FeedId(feed)
        return driver, driver.format.check_feed(feed)

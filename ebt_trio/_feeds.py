"""The part of :class:`~ebt_trio.EBT` that deals with feeds and their messages; see :class:`Feeds`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

from . import _reading
from ._jobs import Add, Flush, Write
from ._state import State
from ._subscribe import Subscription, subscribe
from .abc import BlockEntry
from .core.events import Block, Stored, Unblock
from .core.types import FeedId, PeerId
from .errors import LocalProtocolError
from .fork import Keep
from .message import Message

__all__ = ["Feeds"]


class Feeds(State):
    """Which feeds to replicate, and with whom; writing and reading them."""

    # -- what to replicate ------------------------------------------------------------------------------------------

    def follow(self, feed: str, *, last: int | None = None) -> None:
        """Replicate a feed from now on, in running sessions, too. Written by the next commit; see :meth:`flush`.

        :param last: only the newest so many messages, if nothing of the feed is stored yet; None: all
        :raises LocalProtocolError: not a feed id, or not open
        """
        driver, id = self._checked(feed)
        if last is not None and last < 1:
            raise LocalProtocolError(f"last must be at least 1, not {last}")
        if id == self.feed:
            return
        driver.forks.follow(id, last)
        driver.commits.saving.pending.follow(id, last)
        driver.commits.saving.changed()

    def unfollow(self, feed: str) -> None:
        """Replicate a feed no longer; what is stored stays. Written by the next commit; see :meth:`flush`.

        :raises LocalProtocolError: our own feed, not a feed id, or not open
        """
        driver, id = self._checked(feed)
        self._check_not_own(id, "unfollowed")
        driver.forks.unfollow(id)
        driver.commits.saving.pending.unfollow(id)
        driver.commits.saving.changed()

    def forget(self, feed: str) -> None:
        """Unfollow a feed and delete it from the store, with the next commit; see :meth:`flush`.

        :raises LocalProtocolError: our own feed, not a feed id, or not open
        """
        self.unfollow(feed)
        self._driver.commits.saving.pending.forget(FeedId(feed))

    def resolve(self, feed: str, keep: Keep) -> None:
        """Go on with a feed that has forked (see :attr:`forks`). Written by the next commit; see :meth:`flush`.

        :param keep: the branch to keep. ``"ours"``: what we hold. ``"theirs"``: our messages of the feed are deleted,
            and fetched again, without those of our branch. Who has the other branch is refused this feed
        :raises LocalProtocolError: the feed has not forked, ours is deleted already, not a feed id, or not open
        """
        driver, id = self._checked(feed)
        driver.forks.resolve(id, keep)

    def block(self, target: str, *, origin: str | None = None) -> None:
        """Have nothing to do with the peer ``target``: its sessions end, and it is sent nothing any more.

        With ``origin``: the author of that feed blocks ``target``, so the feed is never sent to it.
        Written by the next commit; see :meth:`flush`.

        :raises LocalProtocolError: ourselves, not an id, or not open
        """
        entry = self._block_entry(target, origin)
        self._driver.handle(Block(entry.target, entry.origin))
        self._driver.commits.saving.pending.block(entry, True)
        self._driver.commits.saving.changed()

    def unblock(self, target: str, *, origin: str | None = None) -> None:
        """Lift a block, also one that an invalid message of the feed ``origin`` from ``target`` has brought about.

        Goes into effect in running sessions at once. Written by the next commit; see :meth:`flush`.

        :raises LocalProtocolError: not an id, or not open
        """
        entry = self._block_entry(target, origin)
        self._driver.handle(Unblock(entry.target, entry.origin))
        self._driver.commits.saving.pending.block(entry, False)
        self._driver.commits.saving.changed()

    async def flush(self) -> None:
        """Wait until all that has been said so far, such as follows and blocks, is durable.

        Cancelling leaves it to the commit that is due anyway.

        :raises StoreError: the store failed; it is tried again later
        """
        self._driver.check_open()
        await self._driver.commits.ask(Flush())

    # -- messages ---------------------------------------------------------------------------------------------------

    async def append(self, content: Any, *, feed: str | None = None) -> Message:
        """Append a message to our own feed, or to ``feed``; it is durable when this returns.

        Appends that run at the same time share a commit. Cancellable until the message is handed to the store, and
        nothing has happened then; shielded after.

        :raises FeedBehind: a connected peer claims more of the feed than we hold: appending would fork it
        :raises ForkDetected: the feed has forked, and :meth:`resolve` has not gone on with it
        :raises LocalProtocolError: content that cannot be encoded, too large, or not open
        :raises StoreError: the store failed; nothing is stored
        """
        return (await self._append((content,), feed))[0]

    async def append_many(self, contents: Iterable[Any], *, feed: str | None = None) -> Sequence[Message]:
        """Append messages in one transaction: all or none. Otherwise like :meth:`append`."""
        return await self._append(tuple(contents), feed)

    async def add(self, messages: Iterable[Message]) -> int:
        """Store messages that came from some other source, in any order. Returns how many were new.

        They are validated. Those that do not follow what is stored, or each other, without a gap are passed over.
        Cancelling is as with :meth:`append`.

        :raises InvalidMessage: the feed's format refuses a run; those of other feeds are stored
        :raises LocalProtocolError: not feed ids, too large, or not open
        :raises StoreError: the store failed
        """
        self._driver.check_open()
        job = Add(runs=_reading.runs(self._driver, messages))
        await self._driver.commits.ask(job)
        return job.new

    def notify(self, feed: str, sequence: int) -> None:
        """Somebody else has appended to the database behind our store: ``feed`` goes up to ``sequence`` now.

        Stores that notice by themselves need no call.

        :raises LocalProtocolError: not a feed id, or not open
        """
        driver, id = self._checked(feed)
        if sequence > self.clock.get(id, 0):
            driver.handle(Stored(id, sequence, driver.core.first(id)))

    async def get(self, feed: str, sequence: int) -> Message:
        """One message.

        :raises LocalProtocolError: it is not stored, or not open
        :raises StoreError: the store failed
        """
        driver, id = self._checked(feed)
        found = await _reading.read(driver, id, sequence, 1) if sequence >= driver.core.first(id) else ()
        if not found:
            held = f"{driver.core.first(id)} to {self.clock[id]}" if id in self.clock else "nothing"
            raise LocalProtocolError(f"message {sequence} of {id} is not stored; of this feed {held} is")
        return found[0]

    async def read(self, feed: str, first: int = 1, limit: int = 1000) -> Sequence[Message]:
        """At most ``limit`` messages of a feed, from sequence ``first`` on, or from the first that is stored.

        :raises LocalProtocolError: not a feed id, or not open
        :raises StoreError: the store failed
        """
        driver, id = self._checked(feed)
        return await _reading.read(driver, id, max(first, driver.core.first(id)), limit)

    def subscribe(
        self, *feeds: str, after: Mapping[str, int] | Mapping[FeedId, int] | None = None, live: bool = True
    ) -> AbstractAsyncContextManager[Subscription]:
        """Messages as an async iterator: ``async with ebt.subscribe() as messages: async for message in messages``.

        Of each feed every message once, in order; of several feeds in turns. It reads from the store as fast as the
        consumer does, so it loses nothing and piles up nothing.

        :param feeds: which; none: all, later ones included
        :param after: where to begin, feed → the last sequence already known; None: at the beginning
        :param live: go on with new messages for ever; False: end with what there is now
        :raises LocalProtocolError: not feed ids, or not open
        """
        self._driver.check_open()
        check = self._driver.format.check_feed
        start = {check(feed): sequence for feed, sequence in (after or {}).items()}
        return subscribe(self._driver, [check(feed) for feed in feeds] or None, start, live=live)

    async def _append(self, contents: Sequence[Any], feed: str | None) -> Sequence[Message]:
        driver, id = self._checked(self.feed if feed is None else feed)
        if not contents:
            await trio.lowlevel.checkpoint()
            return ()
        job = Write(feed=id, contents=contents)
        await driver.commits.ask(job)
        return _reading.messages(driver, id, job.first, job.payloads)

    def _check_not_own(self, feed: FeedId, what: str) -> None:
        if feed == self.feed:
            raise LocalProtocolError(f"our own feed, {feed}, cannot be {what}")

    def _block_entry(self, target: str, origin: str | None) -> BlockEntry:
        self._driver.check_open()
        check = self._driver.format.check_feed
        if target == self.id and origin is None:
            raise LocalProtocolError("we cannot block ourselves")
        return BlockEntry(PeerId(check(target)), None if origin is None else check(origin))

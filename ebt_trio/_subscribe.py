"""``EBT.subscribe()``: messages from the store, at the consumer's pace; see :class:`Subscription`."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final

import trio

from ._driver import Driver
from ._pulse import Pulse
from .core.types import FeedId, Range
from .message import Message

__all__ = ["Subscription", "subscribe"]

TURN_FEEDS: Final = 64
TURN_MESSAGES: Final = 64
"""At most so many messages of one feed, then it is the next feed's turn."""
TURN_BYTES: Final = 64 << 10


class Subscription:
    """An async iterator of messages: of each feed all, in order; of several feeds in turns. For one task.

    What it keeps is a cursor per feed, and one batch of messages.
    """

    def __init__(
        self, driver: Driver, feeds: Iterable[FeedId] | None, after: Mapping[FeedId, int], *, live: bool
    ) -> None:
        self._driver = driver
        self._feeds = None if feeds is None else frozenset(feeds)
        self._cursors = dict(after)
        self._targets = None if live else dict(driver.core.clock)
        """Where to end."""
        self._batch: deque[Message] = deque()
        self._pulse = Pulse()
        self._ready: dict[FeedId, None] = {}
        """Feeds of which there is more, the next one first."""
        for feed in driver.core.clock if self._feeds is None else self._feeds:
            self.stored(feed)

    def stored(self, feed: FeedId) -> None:
        """There may be more of the feed."""
        if (self._feeds is None or feed in self._feeds) and self._cursors.get(feed, 0) < self._target(feed):
            self._ready[feed] = None
            self._pulse.fire()

    def close(self) -> None:
        """The EBT is being left: let nobody wait."""
        self._pulse.fire()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        """The next message. Cancelling loses nothing.

        :raises StoreError: it cannot be read just now
        :raises LocalProtocolError: the EBT has been left
        """
        while not self._batch:
            self._driver.check_open()
            if self._ready:
                await self._read()
            elif self._targets is None:
                await self._pulse.wait()
            else:
                await trio.lowlevel.checkpoint()
                raise StopAsyncIteration
        return self._batch.popleft()

    def _target(self, feed: FeedId) -> int:
        """Up to where there is something to deliver."""
        head = self._driver.core.durable(feed)
        return head if self._targets is None else min(head, self._targets.get(feed, 0))

    async def _read(self) -> None:
        """Fill the batch with something of each of the next feeds."""
        await trio.lowlevel.checkpoint()
        ranges: list[Range] = []
        for feed in list(islice(self._ready, TURN_FEEDS)):
            after = max(self._cursors.get(feed, 0), self._driver.core.first(feed) - 1)
            count = min(self._target(feed) - after, TURN_MESSAGES)
            if count > 0:
                ranges.append(Range(feed, after + 1, count))
            else:
                del self._ready[feed]
        for wanted, payloads in await self._payloads(ranges):
            feed = wanted.feed
            self._batch.extend(
                Message(feed, sequence, payload, self._driver.format)
                for sequence, payload in enumerate(payloads, wanted.first)
            )
            self._cursors[feed] = wanted.first + len(payloads) - 1
            self._ready.pop(feed, None)
            self.stored(feed)  # behind the others, if there is more

    async def _payloads(self, ranges: Sequence[Range]) -> list[tuple[Range, Sequence[bytes]]]:
        """What there is of the ranges, without those of which there is nothing or for which there was no room."""
        found: list[tuple[Range, Sequence[bytes]]] = []
        stored: list[Range] = []
        for wanted in ranges:
            payloads = self._driver.tail.read(wanted.feed, wanted.first, wanted.limit, TURN_BYTES)
            if payloads:
                found.append((wanted, payloads))
            else:
                stored.append(wanted)
            if len(found) * TURN_BYTES > 1 << 20:
                break
        if stored:
            results = await self._driver.store.read(stored, TURN_BYTES)
            if not any(results):
                await self._skip(stored)
            found.extend((wanted, payloads) for wanted, payloads in zip(stored, results, strict=True) if payloads)
        return found

    async def _skip(self, missing: Sequence[Range]) -> None:
        """The store no longer holds what the core thinks it holds: go on behind the gap, or wait for news."""
        for wanted in missing:
            held = await self._driver.store.head(wanted.feed)
            if held.head >= held.first > wanted.first:
                self._cursors[wanted.feed] = held.first - 1
            else:
                self._ready.pop(wanted.feed, None)


@asynccontextmanager
async def subscribe(
    driver: Driver, feeds: Iterable[FeedId] | None, after: Mapping[FeedId, int], *, live: bool
) -> AsyncGenerator[Subscription, None]:
    subscription = Subscription(driver, feeds, after, live=live)
    driver.observers.add(subscription)
    try:
        yield subscription
    finally:
        driver.observers.discard(subscription)

"""``EBT.events()`` and ``EBT.progress_changes()``: looking on without slowing anything down."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import trio

from ._pulse import Pulse
from .core.actions import Report, What
from .core.progress import Progress
from .core.types import FeedId, PeerId

__all__ = ["Event", "Events", "ProgressChanges"]

_log = logging.getLogger("ebt_trio")

BACKLOG: Final = 1000
"""So many events wait for one reader; then the oldest are lost."""
PROGRESS_EVERY: Final = 0.05
"""The least time between two values of progress_changes, in seconds."""

_LEVELS: Final = {
    What.CONNECTED: logging.INFO,
    What.DISCONNECTED: logging.INFO,
    What.BLOCKED: logging.INFO,
    What.INVALID: logging.WARNING,
    What.FORKED: logging.WARNING,
    What.TOO_LARGE: logging.WARNING,
    What.FAILED: logging.WARNING,
    What.REFUSED: logging.WARNING,
    What.STORE_FAILED: logging.WARNING,
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, from :meth:`EBT.events`."""

    what: What
    peer: PeerId | None = None
    feed: FeedId | None = None
    detail: str = ""
    """For people."""
    lost: int = 0
    """How many events right before this one were lost, because they were not taken in time."""

    def __str__(self) -> str:
        about = "".join((f", peer {self.peer}" if self.peer else "", f", feed {self.feed}" if self.feed else ""))
        return f"{self.what.value}{about}{': ' if self.detail else ''}{self.detail}"


class _Reader:
    """One reader's events, as an async iterator."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._lost = 0
        self._pulse = Pulse()
        self._closed = False

    def put(self, event: Event) -> None:
        if len(self._events) == BACKLOG:
            self._events.popleft()
            self._lost += 1
        self._events.append(event)
        self._pulse.fire()

    def close(self) -> None:
        self._closed = True
        self._pulse.fire()

    def __aiter__(self) -> _Reader:
        return self

    async def __anext__(self) -> Event:
        """Cancelling loses nothing. Ends when the EBT is left."""
        if self._events:
            await trio.lowlevel.checkpoint()
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            await self._pulse.wait()
        event = self._events.popleft()
        if self._lost:
            event, self._lost = replace(event, lost=self._lost), 0
        return event


class Events:
    """Hands every report to the log, and to whoever reads events."""

    def __init__(self) -> None:
        self._readers: set[_Reader] = set()
        self._closed = False

    def publish(self, report: Report) -> None:
        level = _LEVELS.get(report.what, logging.DEBUG)
        if not self._readers and not _log.isEnabledFor(level):
            return
        event = Event(report.what, report.peer, report.feed, report.detail)
        _log.log(level, "%s", event)
        for reader in self._readers:
            reader.put(event)

    def close(self) -> None:
        """There will be no more."""
        self._closed = True
        for reader in self._readers:
            reader.close()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncIterator[Event], None]:
        reader = _Reader()
        if self._closed:
            reader.close()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)


class ProgressChanges:
    """An async iterator of progress: the latest whenever it has changed and the consumer is ready for it."""

    def __init__(self, changed: Pulse, measure: Callable[[], Progress], is_open: Callable[[], bool]) -> None:
        self._changed = changed
        self._measure = measure
        self._is_open = is_open
        self._last: Progress | None = None

    def __aiter__(self) -> ProgressChanges:
        return self

    async def __anext__(self) -> Progress:
        if self._last is not None:
            await trio.sleep(PROGRESS_EVERY)
        else:
            await trio.lowlevel.checkpoint()
        while (progress := self._measure()) == self._last:
            if not self._is_open():
                raise StopAsyncIteration
            await self._changed.wait()
        self._last = progress
        return progress

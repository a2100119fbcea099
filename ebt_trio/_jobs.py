"""What waits for the next commit: messages that peers sent, our own, those of other sources; see :mod:`._commits`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from .core.types import FeedId, Run, SessionId

__all__ = ["Add", "Arrival", "Asked", "Flush", "Job", "Receive", "Write"]


@dataclass(slots=True, eq=False)
class Arrival:
    """Runs that have come together: one event for all that wait for them."""

    left: int = 0
    done: trio.Event = field(default_factory=trio.Event)
    """Each of them is stored, or refused."""

    def finish_one(self) -> None:
        self.left -= 1
        if not self.left:
            self.done.set()


@dataclass(slots=True, eq=False)
class Receive:
    """A run that a peer has sent. Its outcome goes to the core; nobody can withdraw it."""

    session: SessionId
    run: Run
    arrival: Arrival
    attempts: int = 0
    new: int = 0
    """How many of its messages are new, where all of it is to be stored as it is."""


@dataclass(slots=True, eq=False, kw_only=True)
class Asked:
    """One task may wait for it, and may give up until it is ``taken`` by who writes it."""

    task: trio.lowlevel.Task | None = None
    """That waits for it."""
    taken: bool = False
    is_done: bool = False
    error: Exception | None = None

    async def wait(self, withdraw: Callable[[], None]) -> None:
        """Wait until it is done. Cancelled before it is taken, calls ``withdraw``; after that cannot be cancelled.

        Who writes it passes over what is done: it may have been withdrawn since its batch was begun.
        """

        def abort(_: object) -> trio.lowlevel.Abort:
            if self.taken:
                return trio.lowlevel.Abort.FAILED
            self.is_done = True
            withdraw()
            return trio.lowlevel.Abort.SUCCEEDED

        self.task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)

    def finish(self, error: Exception | None = None) -> None:
        """It is done, or, with ``error``, cannot be. The first call counts."""
        if not self.is_done:
            self.error = self.error or error
            self.taken = self.is_done = True
            if self.task is not None:
                trio.lowlevel.reschedule(self.task)


@dataclass(slots=True, eq=False, kw_only=True)
class Write(Asked):
    """Our own next messages of a feed; which sequences they have is known when they are written."""

    feed: FeedId
    contents: Sequence[Any]
    first: int = 0
    payloads: Sequence[bytes] = ()
    attempts: int = 0


@dataclass(slots=True, eq=False, kw_only=True)
class Add(Asked):
    """Messages from some other source; ``new`` counts those that were not stored yet."""

    runs: Sequence[Run]
    new: int = 0


@dataclass(slots=True, eq=False, kw_only=True)
class Flush(Asked):
    """Done when everything before it is stored, and what has to be written besides messages is, too."""


Job = Receive | Write | Add | Flush

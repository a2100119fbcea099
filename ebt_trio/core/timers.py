"""Deadlines in a heap: an idle peer does no work per feed."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """Something with at most one time at which it wants to be looked at."""

    armed: float | None
    """Kept by :class:`Timers`: its earliest entry."""

    deadline: float | None


T = TypeVar("T", bound=Timed)


class Timers(Generic[T]):
    """Entries are not removed when a deadline moves; they are checked when their time comes."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._count = 0

    def arm(self, thing: T) -> None:
        """The thing's time may have changed."""
        due = thing.deadline
        if due is not None and (thing.armed is None or due < thing.armed):
            thing.armed = due
            self._count += 1
            heappush(self._heap, (due, self._count, thing))

    def next(self) -> float | None:
        """When the next thing is due, in earnest."""
        heap = self._heap
        while heap:
            time, _, thing = heap[0]
            if thing.armed == time:
                due = thing.deadline
                if due is not None and due <= time:
                    return time
                thing.armed = None
            heappop(heap)
            if thing.deadline is not None:
                self.arm(thing)
        return None

    def expired(self, now: float) -> Iterator[T]:
        """Each thing that is due by ``now``; armed again when the next is asked for, and not before."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            time, _, thing = heappop(heap)
            if thing.armed != time:
                continue
            due = thing.deadline
            if due is not None and due <= now:
                yield thing
            thing.armed = None
            self.arm(thing)

"""Deadlines in order of time: an idle peer does no work per feed."""

from __future__ import annotations

from collections import deque
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
        self._queue: deque[tuple[float, int, T]] = deque()
        """Those that came in order of time, as most do: a heap takes ten times as long."""
        self._heap: list[tuple[float, int, T]] = []
        """The others."""
        self._count = 0

    def arm(self, thing: T) -> None:
        """The thing's time may have changed."""
        due = thing.deadline
        if due is not None and (thing.armed is None or due < thing.armed):
            thing.armed = due
            self._count += 1
            queue = self._queue
            if not queue or queue[-1][0] <= due:
                queue.append((due, self._count, thing))
            else:
                heappush(self._heap, (due, self._count, thing))

    def next(self) -> float | None:
        """When the next thing is due, in earnest."""
        queue, heap = self._queue, self._heap
        while queue or heap:
            queued = not heap or bool(queue and queue[0] < heap[0])
            time, _, thing = queue[0] if queued else heap[0]
            if thing.armed == time:
                due = thing.deadline
                if due is not None and due <= time:
                    return time
                thing.armed = None
            if queued:
                queue.popleft()
            else:
                heappop(heap)
            if thing.deadline is not None:
                self.arm(thing)
        return None

    def expired(self, now: float) -> Iterator[T]:
        """Each thing that is due by ``now``; armed again when the next is asked for, and not before."""
        queue, heap = self._queue, self._heap
        while queue or heap:
            queued = not heap or bool(queue and queue[0] < heap[0])
            time, _, thing = queue[0] if queued else heap[0]
            if time > now:
                break
            if queued:
                queue.popleft()
            else:
                heappop(heap)
            if thing.armed != time:
                continue
            due = thing.deadline
            if due is not None and due <= now:
                yield thing
            thing.armed = None
            self.arm(thing)

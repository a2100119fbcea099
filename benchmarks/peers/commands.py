"""What all Python peers that are measured have in common: commands come in, answers go out, latencies are kept."""

from __future__ import annotations

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

import trio

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


class Arrivals:
    """How many messages have been stored, and how old they were then."""

    def __init__(self) -> None:
        self.count = 0
        self.ages: list[float] = []
        self.timed = False
        self._wanted = 0
        self._reached = trio.Event()

    def add(self, count: int) -> None:
        self.count += count
        if self._wanted and self.count >= self._wanted:
            self._reached.set()

    async def wait(self, count: int) -> None:
        if self.count < count:
            self._wanted, self._reached = count, trio.Event()
            await self._reached.wait()

    def quantiles(self) -> dict[str, float]:
        ages = sorted(self.ages)
        self.ages.clear()
        return {f"p{part}": ages[min(len(ages) * part // 100, len(ages) - 1)] for part in (50, 99)} if ages else {}


class Commands(ABC):
    """A peer's commands are its methods ``do_…``; what they need to run beside goes into ``nursery``."""

    nursery: trio.Nursery

    def __init__(self) -> None:
        self.arrived = Arrivals()

    async def run(self) -> None:
        """Until standard input ends."""
        async with trio.open_nursery() as self.nursery:
            while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
                options = json.loads(line)
                command: Callable[..., Awaitable[Any]] = getattr(self, f"do_{options.pop('do')}")
                try:
                    answer = {"result": await command(**options)}
                except Exception as exc:
                    answer = {"error": f"{type(exc).__name__}: {exc}"}
                print(json.dumps(answer), flush=True)
            os._exit(0)  # at once: nothing is to be kept, and a peer with a million feeds takes long to fold

    @abstractmethod
    def sent(self) -> int:
        """Bytes."""

    async def do_usage(self) -> dict[str, float]:
        return {"cpu": time.process_time(), "sent": self.sent()}

    async def do_peak(self) -> int:
        """Bytes of memory that the process has had at most, its code and its store included; 0 if not known."""
        if resource is None:
            return 0
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    async def do_until(self, count: int) -> None:
        await self.arrived.wait(count)

    async def do_timed(self) -> None:
        """From now on note how old messages are when they are stored."""
        self.arrived.ages.clear()
        self.arrived.timed = True

    async def do_ages(self) -> dict[str, float]:
        return self.arrived.quantiles()


async def paced(count: int, per_second: float, produce: Callable[[int], Awaitable[None]]) -> None:
    """Call ``produce`` with how many messages are due, every millisecond; all at once for ``per_second`` 0."""
    if not per_second:
        await produce(count)
        return
    began, done = trio.current_time(), 0
    while done < count:
        await trio.sleep_until(began + (done + 1) / per_second if per_second < 1000 else trio.current_time() + 0.001)
        due = min(int((trio.current_time() - began) * per_second), count)
        if due > done:
            await produce(due - done)
            done = due


async def windowed(
    arrived: Arrivals, count: int, in_flight: int, others: int, produce: Callable[[int], Awaitable[None]]
) -> None:
    """Call ``produce`` with how many messages there is room for: so many at most that not all the others have.

    Returns when they have all.
    """
    before, made = arrived.count, 0
    while made < count:
        await arrived.wait(before + (made + 1 - in_flight) * others)
        room = min(in_flight - made + (arrived.count - before) // others, count - made)
        await produce(room)
        made += room
    await arrived.wait(before + count * others)

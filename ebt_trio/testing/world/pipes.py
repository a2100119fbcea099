"""Connections that carry bytes in virtual time, with faults: :class:`Connection`, of two :class:`Pipe`."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

import trio

from ..._pulse import Pulse

__all__ = ["Conditions", "Connection", "Pipe"]

MOST_PIECES: Final = 12
"""Into so many pieces at most is cut what was sent at once."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """How good a link is, in each direction. Times in seconds, sizes in bytes."""

    delay: float = 0.01
    jitter: float = 0.0
    """up to so much is added to the delay, drawn for each piece; bytes stay in order"""
    rate: float = 0.0
    """bytes per second; 0: no limit"""
    split: int = 0
    """what is sent is cut into pieces of 1 to so many bytes, each with its own delay; 0: not at all"""
    window: int = 65536
    """so many bytes are under way, or not read yet, before a sender waits"""


def error(number: int) -> OSError:
    """What the system would raise."""
    return OSError(number, os.strerror(number))


class Pipe:
    """One direction of a connection."""

    def __init__(self, conditions: Callable[[], Conditions], rng: Random, broke: Callable[[], None]) -> None:
        self._conditions = conditions
        self._rng = rng
        self._broke = broke
        self._pieces: deque[tuple[float, bytes]] = deque()
        self.size = 0
        """bytes under way, or not read yet"""
        self._free_at = 0.0
        self._last = 0.0
        self._end: tuple[float, bool] | None = None
        """when the end arrives, and whether it is a reset"""
        self.changed = Pulse()
        self.is_held = False
        """Nothing arrives; what is sent waits on the way."""
        self.is_deaf = False
        """The receiving end is closed."""
        self.is_broken = False
        self.is_forgotten = False
        """The receiving host has been restarted: it answers with a reset."""
        self.left: int | None = None
        """Cut off after so many bytes more."""

    async def send(self, data: bytes) -> int:
        """Take some of the bytes, as soon as there is room. Cancelling leaves them all unsent."""
        await trio.lowlevel.checkpoint()
        while True:
            if self.is_forgotten:
                self._broke()
            if self._end is not None:
                raise error(errno.EPIPE)
            if self.is_broken or self.is_deaf:
                raise error(errno.ECONNRESET)
            room = self._conditions().window - self.size
            if room > 0:
                break
            await self.changed.wait()
        taken = data[:room]
        self._put(taken)
        return len(taken)

    def _put(self, data: bytes) -> None:
        if self.left is not None:
            data = data[: self.left]
            self.left -= len(data)
        conditions, rng, start, pieces = self._conditions(), self._rng, 0, 0
        while start < len(data):
            pieces += 1
            size = rng.randint(1, conditions.split) if conditions.split > 0 and pieces < MOST_PIECES else len(data)
            if conditions.rate:
                size = min(size, max(int(conditions.rate / 10), 1))  # what is slow comes bit by bit
            piece = data[start : start + size]
            start += size
            self._free_at = max(self._free_at, trio.current_time())
            if conditions.rate:
                self._free_at += len(piece) / conditions.rate
            self._pieces.append((self._arrival(), piece))
        self.size += len(data)
        if self.left == 0:
            self._end = (self._arrival(), True)  # the sender finds out when it sends again
            self.left = None
        self.changed.fire()

    def _arrival(self) -> float:
        """Never before what was sent before."""
        conditions = self._conditions()
        at = max(self._free_at, trio.current_time()) + conditions.delay + conditions.jitter * self._rng.random()
        self._last = max(self._last, at)
        return self._last

    async def receive(self, most: int) -> bytes:
        """The bytes that have arrived, at most so many; none: the end. Cancelling loses nothing."""
        await trio.lowlevel.checkpoint()
        while True:
            if self.is_deaf:
                raise error(errno.EBADF)
            if self.is_broken:
                raise error(errno.ECONNRESET)
            due = self._pieces[0][0] if self._pieces else self._end and self._end[0]
            if self.is_held or due is None:
                due = float("inf")
            if due <= trio.current_time():
                break
            with trio.move_on_at(due):
                await self.changed.wait()
        if not self._pieces:
            assert self._end is not None
            if self._end[1]:
                raise error(errno.ECONNRESET)
            return b""
        return self._take(most)

    def _take(self, most: int) -> bytes:
        now, found, size = trio.current_time(), list[bytes](), 0
        while self._pieces and size < most and self._pieces[0][0] <= now:
            due, piece = self._pieces.popleft()
            if len(piece) > most - size:
                self._pieces.appendleft((due, piece[most - size :]))
                piece = piece[: most - size]
            found.append(piece)
            size += len(piece)
        self.size -= size
        self.changed.fire()
        return b"".join(found)

    def finish(self, *, reset: bool = False) -> None:
        """Nothing more will be sent."""
        if self._end is None:
            self._end = (self._arrival(), reset)
            self.changed.fire()

    def close(self) -> bool:
        """Nobody receives any more. True: what has arrived was not read."""
        if self.is_deaf:
            return False
        self.is_deaf = True
        self.changed.fire()
        return bool(self._pieces) and self._pieces[0][0] <= trio.current_time()

    def sever(self) -> None:
        """What is on its way is lost, and both ends find out."""
        self.is_broken = True
        self._pieces.clear()
        self.changed.fire()

    def hold(self, held: bool) -> None:
        self.is_held = held
        self.changed.fire()


class Connection:
    """What two hosts have between them: one pipe from the caller, one to it."""

    def __init__(
        self, number: int, caller: str, called: str, conditions: Callable[[], Conditions], rng: Random
    ) -> None:
        self.number = number
        self.hosts = (caller, called)
        self.pipes = (Pipe(conditions, rng, self.sever), Pipe(conditions, rng, self.sever))
        """from the caller, to the caller"""
        self.is_lost = False
        """One of the hosts has lost power: nothing comes through ever again."""

    def __str__(self) -> str:
        return f"{self.hosts[0]}>{self.hosts[1]} #{self.number}"

    @property
    def is_empty(self) -> bool:
        """Nothing is on its way that will arrive."""
        return self.is_lost or all(pipe.is_deaf or pipe.is_broken or not pipe.size for pipe in self.pipes)

    @property
    def is_open(self) -> bool:
        """At least one end is not closed, and not broken."""
        return not any(pipe.is_broken for pipe in self.pipes) and not all(pipe.is_deaf for pipe in self.pipes)

    def sever(self) -> None:
        """Both ends find it reset; what is on its way is lost."""
        for pipe in self.pipes:
            pipe.sever()

    def hold(self, held: bool) -> None:
        """Whether nothing comes through, silently; what waits comes through afterwards."""
        for pipe in self.pipes:
            pipe.hold(held or self.is_lost)

    def lose(self) -> None:
        """Nothing comes through any more, silently."""
        self.is_lost = True
        self.hold(True)

    def truncate(self, size: int) -> None:
        """Cut off in each direction after so many bytes more, wherever in a frame that is."""
        for pipe in self.pipes:
            pipe.left = size if size else 1

    def forget(self, host: str) -> None:
        """That host has come back, and knows nothing of the connection: it will say so when it hears of it."""
        self.pipes[self.hosts[0] == host].is_forgotten = True

"""Joining peers in memory: :func:`connected`, and links that take their time: :func:`link`."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import trio

from .._pulse import Pulse
from ..abc import Transport
from ..ebt import EBT
from ..errors import FrameTooLarge, TransportError
from ..session import Session

__all__ = ["LinkEnd", "connected", "link"]


@asynccontextmanager
async def connected(
    a: EBT, b: EBT, *, delay: float = 0.0, jitter: float = 0.0, rng: random.Random | None = None
) -> AsyncGenerator[tuple[Session, Session], None]:
    """Join two peers in memory for the length of the block: the session of ``a`` and that of ``b``.

    Entering does not wait until they are ready. What the block raises leaves unchanged; if a session fails, the block
    is cancelled and its error leaves. Parameters as for :func:`link`.
    """
    near, far = link(delay=delay, jitter=jitter, rng=rng)
    near.address, far.address = f"memory:{b.id}", f"memory:{a.id}"
    async with a.session(near) as ours, b.session(far) as theirs:
        yield ours, theirs


def link(
    *, delay: float = 0.0, jitter: float = 0.0, rng: random.Random | None = None, capacity: int = 64
) -> tuple[LinkEnd, LinkEnd]:
    """Two transports, each the other end of the other; frames take ``delay`` to ``delay + jitter`` seconds, in order.

    :param rng: for the jitter; each direction draws from it frame by frame
    :param capacity: how many frames are on the way before ``send`` waits
    """
    rng = random.Random(0) if rng is None else rng
    there, back = _Pipe(delay, jitter, rng, capacity), _Pipe(delay, jitter, rng, capacity)
    return LinkEnd(there, back), LinkEnd(back, there)


class _Pipe:
    """One direction."""

    def __init__(self, delay: float, jitter: float, rng: random.Random, capacity: int) -> None:
        self.delay = delay
        self.jitter = jitter
        self.rng = rng
        self.capacity = capacity
        self.frames: deque[tuple[float, bytes]] = deque()
        """When each arrives, and what."""
        self.changed = Pulse()
        self.ended_at: float | None = None
        """When the end arrives, behind the last frame."""
        self.is_deaf = False
        """Nobody receives any more."""
        self.is_broken = False
        self.last = 0.0

    def arrival(self) -> float:
        """Never before what was sent before."""
        self.last = max(self.last, trio.current_time() + self.delay + self.jitter * self.rng.random())
        return self.last


class LinkEnd(Transport):
    """One end of a :func:`link`."""

    def __init__(self, outgoing: _Pipe, incoming: _Pipe) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self.address = "memory"

    async def send(self, item: bytes) -> None:
        """Send one frame; waits while the link is full. Cancelling leaves it unsent, and the link whole."""
        pipe = self._outgoing
        await trio.lowlevel.checkpoint()
        while len(pipe.frames) >= pipe.capacity and not (pipe.is_deaf or pipe.is_broken):
            await pipe.changed.wait()
        if pipe.is_deaf or pipe.is_broken or pipe.ended_at is not None:
            raise TransportError(f"the link to {self.address} is closed")
        pipe.frames.append((pipe.arrival(), bytes(item)))
        pipe.changed.fire()

    async def receive(self) -> bytes:
        """Return the next frame when it has arrived. Cancelling loses nothing."""
        pipe = self._incoming
        await trio.lowlevel.checkpoint()
        while True:
            if pipe.is_deaf or pipe.is_broken:
                raise TransportError(f"the link to {self.address} is {'closed' if pipe.is_deaf else 'broken'}")
            due = pipe.frames[0][0] if pipe.frames else pipe.ended_at
            if due is not None and due <= trio.current_time():
                break
            with trio.move_on_at(float("inf") if due is None else due):
                await pipe.changed.wait()
        if not pipe.frames:
            raise anyio.EndOfStream
        frame = pipe.frames.popleft()[1]
        pipe.changed.fire()
        if len(frame) > self.max_frame:
            raise FrameTooLarge(f"expected a frame of at most {self.max_frame} bytes, got one of {len(frame)}")
        return frame

    async def send_eof(self) -> None:
        """Nothing more will be sent; receiving goes on."""
        self._end()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close; what has been sent still arrives."""
        self._end()
        self._incoming.is_deaf = True
        self._incoming.changed.fire()
        await trio.lowlevel.checkpoint()

    def cut(self) -> None:
        """Break the link, for both ends, at once: what is on its way is lost."""
        for pipe in (self._outgoing, self._incoming):
            pipe.is_broken = True
            pipe.frames.clear()
            pipe.changed.fire()

    def _end(self) -> None:
        pipe = self._outgoing
        if pipe.ended_at is None:
            pipe.ended_at = pipe.arrival()
            pipe.changed.fire()

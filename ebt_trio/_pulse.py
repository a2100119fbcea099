"""Waking those who wait for "something has changed"; see :class:`Pulse`."""

from __future__ import annotations

import trio

__all__ = ["Pulse"]


class Pulse:
    """Wakes everybody who waits at the moment it fires, and remembers nothing. Free of charge while nobody waits.

    Check what you wait for, then ``await pulse.wait()``, then check again: no change between the two is missed,
    since there is no checkpoint between the check and the wait.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: trio.Event | None = None

    def fire(self) -> None:
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait for the next :meth:`fire`. Cancelling leaves nothing behind."""
        if self._event is None:
            self._event = trio.Event()
        await self._event.wait()

"""Large things one at a time, so that small ones never wait for many of them: :class:`Turns`."""

from __future__ import annotations

from typing import Final

import trio

__all__ = ["LARGE", "Turns"]

LARGE: Final = 4096
"""A frame of more bytes is taken when it is its turn. One live message, HELLO, RESUME, PING are below."""


class Turns:
    """A turn of the loop has room for one large frame, whatever number of sessions have one; the others wait in line.

    Small frames do not stand in line: who shakes hands, or has a message now and then, waits for one large frame in
    each turn of the loop, not for one of each session that is busy, or hostile.
    """

    def __init__(self) -> None:
        self._lock = trio.Lock()

    async def wait(self) -> None:
        """Until it is our turn, which is at once if nobody else waits. Cancelling gives it to the next one."""
        async with self._lock:  # which takes a turn of the loop in any case; the next one wakes in the next
            pass

"""Not more than so many bytes per second: :class:`Throttle`."""

from __future__ import annotations

from typing import Final

import trio

__all__ = ["Throttle"]

BURST: Final = 1.0
"""Whoever was quiet may catch up on so many seconds."""


class Throttle:
    """Lets bytes pass at a rate; a session that has to wait does not read, so that the remote has to wait.

    :param rate: bytes per second; None: as fast as they come
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._paid = float("-inf")
        """Until when the bytes that have passed are paid for."""

    def take(self, size: int) -> float:
        """So many bytes have come: until when to wait, a Trio time; in the past if there is no need to."""
        if self._rate is None:
            return float("-inf")
        self._paid = max(self._paid, trio.current_time() - BURST) + size / self._rate
        return self._paid

"""How long to wait for an owner: learned from verdicts that proved wrong, forgotten by and by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .config import Config
from .types import SessionId

GRAFT_DELAY_MAX: Final = 1.0
GRAFT_DELAY_DECAY: Final = 0.99
LAGS: Final = 2.0
"""An owner is given so many times what it has recently been late."""
STALL_SCALE_MAX: Final = 16.0
STALL_SCALE_HALF_LIFE: Final = 60.0

Arriving = Callable[[SessionId], float]
"""When something last came of what a session is still receiving; -inf where that cannot be told."""


def nothing_arriving(session: SessionId) -> float:
    return float("-inf")


class Patience:
    """Both waits are the peer's, for all feeds; times in seconds. The configured values are floors."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.graft_delay = config.graft_delay
        """How long an owner may lag behind what others announce."""
        self._most = max(config.graft_delay, GRAFT_DELAY_MAX)
        self._scale = 1.0
        self._scaled_at = 0.0

    def stall_timeout(self, now: float) -> float:
        """How long an owner that claims a feed may deliver nothing of it."""
        if self._scale <= 1.0:
            return self._config.stall_timeout
        halvings = int((now - self._scaled_at) / STALL_SCALE_HALF_LIFE)
        return self._config.stall_timeout * max(1.0, self._scale * 0.5**halvings)

    def grafted_too_early(self) -> None:
        """The old owner delivered right after it was given up as overtaken."""
        self.graft_delay = min(self.graft_delay * 2, self._most)

    def stalled_too_early(self, now: float) -> None:
        """The old owner delivered after it was given up as stalled."""
        scale = self.stall_timeout(now) / self._config.stall_timeout
        self._scale, self._scaled_at = min(scale * 2, STALL_SCALE_MAX), now

    def owner_delivered(self, late: float) -> None:
        """An owner has delivered, ``late`` seconds after somebody else had announced it."""
        if not late and self.graft_delay == self._config.graft_delay:
            return  # at the floor, as nearly always
        delay = max(self.graft_delay * GRAFT_DELAY_DECAY, self._config.graft_delay, late * LAGS)
        self.graft_delay = min(delay, self._most)

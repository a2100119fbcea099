"""What a user may tune in the core; the defaults are those of ``docs/scheduler.md``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SPACING: Final = 45
"""Between two lazy notes about a feed on a session, from either side, pass so many lazy_intervals."""


@dataclass(frozen=True, slots=True)
class Config:
    """Times in seconds."""

    stall_timeout: float = 3.0
    """How long an owner that claims a feed may deliver nothing of it."""
    graft_delay: float = 0.1
    """How long an owner may lag behind what others announce; a floor, adaptive per peer."""
    lazy_interval: float = 0.02
    """How long lazy notes are held back, on the side with the smaller id; the other side waits five times as long,
    since a symmetric hold does not stop notes from crossing. In a stream :data:`SPACING` times that comes on top."""
    ack_delay: float = 1.0
    """How long an acknowledgement is held back."""
    read_retry: float = 1.0
    """After how long a failed read is tried again."""
    notes_per_frame: int = 10_000
    strangers: int = 65_536
    """So many feeds are remembered that peers have named and nobody here follows; a name costs a peer nothing."""

    doubt_claims: bool = False
    """Peers have keys: a session whose peer has not proved its id may be anyone's. It gets nothing of a feed whose
    author blocks somebody, and its claims keep nobody from appending once they have proved empty."""

    def hold(self, smaller: bool) -> float:
        return self.lazy_interval if smaller else 5 * self.lazy_interval

    @property
    def spacing(self) -> float:
        return SPACING * self.lazy_interval

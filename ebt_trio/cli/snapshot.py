"""A node's account of itself at one moment: what the picture shows, and ``node.json`` says; see :class:`Snapshot`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import trio

from ..core.progress import Progress
from ..core.types import FeedId, PeerId, SessionId
from ..ebt import EBT
from ..statistics import Statistics

__all__ = ["PeerLine", "Rates", "Snapshot"]


@dataclass(frozen=True, slots=True)
class PeerLine:
    """One session. ``peer`` is None while its HELLO has not come."""

    session: SessionId
    peer: PeerId | None
    address: str
    progress: Progress
    statistics: Statistics

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        del found["session"]
        return found


@dataclass(frozen=True, slots=True)
class Rates:
    """Messages and bytes per second."""

    messages_in: float = 0.0
    messages_out: float = 0.0
    bytes_in: float = 0.0
    bytes_out: float = 0.0

    @classmethod
    def between(cls, old: Statistics | None, new: Statistics, seconds: float) -> Rates:
        if old is None or seconds <= 0:
            return cls()
        return cls(
            max(new.messages_received - old.messages_received, 0) / seconds,
            max(new.messages_sent - old.messages_sent, 0) / seconds,
            max(new.bytes_received - old.bytes_received, 0) / seconds,
            max(new.bytes_sent - old.bytes_sent, 0) / seconds,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Taken by :meth:`of`. ``time`` is the loop's, in seconds; ``clock`` is a live view, not a copy."""

    time: float
    id: PeerId
    network: str
    listening: Sequence[str]
    progress: Progress
    statistics: Statistics
    peers: Sequence[PeerLine]
    clock: Mapping[FeedId, int]
    claimed: int = 0
    """The most messages of our own feed that a peer claims to have."""

    @classmethod
    def of(cls, ebt: EBT, network: str, listening: Sequence[str]) -> Snapshot:
        peers = [
            PeerLine(session.id, session.peer_id, session.address, session.progress(), session.statistics())
            for session in ebt.sessions
        ]
        return cls(
            trio.current_time(),
            ebt.id,
            network,
            listening,
            ebt.progress(),
            ebt.statistics(),
            peers,
            ebt.clock,
            ebt.claimed,
        )

    def as_json(self) -> dict[str, Any]:
        """Without the clock, which anybody can read in the store."""
        return {
            "pid": os.getpid(),
            "id": self.id,
            "network": self.network,
            "listening": list(self.listening),
            "progress": asdict(self.progress),
            "statistics": asdict(self.statistics),
            "claimed": self.claimed,
            "peers": [peer.as_json() for peer in self.peers],
        }

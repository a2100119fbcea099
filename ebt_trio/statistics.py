"""Counters, of one session or of all that a peer has had; see :class:`Statistics`."""

from __future__ import annotations

from dataclasses import dataclass

from .core.link import CoreStatistics

__all__ = ["Statistics", "Traffic"]


@dataclass(slots=True)
class Traffic:
    """What went over a transport. Bytes are those of frames, without what the transport adds."""

    frames_sent: int = 0
    frames_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    def add(self, other: Traffic) -> None:
        self.frames_sent += other.frames_sent
        self.frames_received += other.frames_received
        self.bytes_sent += other.bytes_sent
        self.bytes_received += other.bytes_received


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """A snapshot. Messages, notes and ACKs are single ones, not frames; bytes are those of frames."""

    frames_sent: int = 0
    frames_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    """all that came, duplicates and unwanted ones included"""
    duplicates: int = 0
    """messages that were here already"""
    unwanted: int = 0
    """messages of feeds that are not followed"""
    gaps: int = 0
    """runs that did not follow what we have"""
    notes_sent: int = 0
    notes_received: int = 0
    acks_sent: int = 0
    acks_received: int = 0
    grafts: int = 0
    """how often a session was asked to send a feed"""
    prunes: int = 0
    """how often a session was asked to stop sending one"""
    stalls: int = 0
    """how often a session did not deliver what it claimed in time"""

    @classmethod
    def of(cls, traffic: Traffic, core: CoreStatistics) -> Statistics:
        """What went over transports, and what the core counted, in one."""
        return cls(
            frames_sent=traffic.frames_sent,
            frames_received=traffic.frames_received,
            bytes_sent=traffic.bytes_sent,
            bytes_received=traffic.bytes_received,
            messages_sent=core.messages_sent,
            messages_received=core.messages_received,
            duplicates=core.duplicates,
            unwanted=core.unwanted,
            gaps=core.gaps,
            notes_sent=core.notes_sent,
            notes_received=core.notes_received,
            acks_sent=core.acks_sent,
            acks_received=core.acks_received,
            grafts=core.grafts,
            prunes=core.prunes,
            stalls=core.stalls,
        )

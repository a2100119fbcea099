"""What comes out of :meth:`Replicator.handle` and :meth:`Replicator.next_outgoing`: what a driver has to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from .types import FeedId, PeerId, Range, Run, SessionId


@dataclass(slots=True)
class Append:
    """Check each run and store it, then say so with :class:`~.events.Appended` or :class:`~.events.AppendFailed`.

    Exactly one of the two for every run, whatever happens to the session meanwhile.
    """

    session: SessionId
    runs: Sequence[Run]


@dataclass(slots=True)
class Wake:
    """``next_outgoing(session)`` may have something."""

    session: SessionId


@dataclass(slots=True)
class Close:
    """End the session: BYE with ``code`` and ``text``; ``SessionDown`` follows when it is down."""

    session: SessionId
    code: int
    text: str


@dataclass(slots=True)
class Followed:
    """``should_replicate`` said yes to a feed that a peer named: remember it."""

    feed: FeedId


class What(Enum):
    """What may happen that a person or an application may want to know."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    GRAFTED = "grafted"
    PRUNED = "pruned"
    STALLED = "stalled"
    INVALID = "invalid"
    FORKED = "forked"
    BLOCKED = "blocked"
    SYNCED = "synced"
    LATE = "late"
    """A peer keeps the feed only from some sequence on, and we want what came before."""
    TOO_LARGE = "too large"
    FAILED = "failed"
    """A session, or an attempt to connect, ended with an error."""
    REFUSED = "refused"
    """Somebody who asked for a session was not let in."""
    STORE_FAILED = "store failed"
    """Our own store refused something; it is tried again."""


@dataclass(slots=True)
class Report:
    """Something a person or an application may want to know."""

    what: What
    peer: PeerId | None = None
    feed: FeedId | None = None
    detail: str = ""


Action = Append | Wake | Close | Followed | Report


@dataclass(slots=True)
class Outgoing:
    """What one session may send now, in this order: ``starts``, ``notes``, ``acks``, then messages.

    ``ping``: send a PING, and say so with :class:`~.events.Pinged`.

    ``notes``: one NOTES frame, if not empty. ``final``: the initial notes end here; an empty NOTES follows.
    ``ranges``: read these from the store, as much as fits, then ask ``commit_runs`` which of them to send.
    """

    starts: Mapping[FeedId, int] = field(default_factory=dict[FeedId, int])
    notes: Mapping[FeedId, int] = field(default_factory=dict[FeedId, int])
    final: bool = False
    acks: Mapping[FeedId, int] = field(default_factory=dict[FeedId, int])
    ranges: Sequence[Range] = ()
    ping: bool = False

    @property
    def speaks(self) -> bool:
        """There is something in it besides messages, and a PING."""
        return bool(self.starts or self.notes or self.final or self.acks)

    def __bool__(self) -> bool:
        return bool(self.ranges or self.ping or self.speaks)

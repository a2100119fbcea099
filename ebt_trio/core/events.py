"""What goes into :meth:`Replicator.handle`: everything that can happen to a peer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from .types import FeedHead, FeedId, PeerId, PeerKey, Run, SessionId


@dataclass(slots=True)
class Loaded:
    """A page of what the store holds, at the start. Sent before any session comes up."""

    heads: Sequence[FeedHead]


@dataclass(slots=True)
class Follow:
    """Replicate ``feed`` from now on; ``last``: only its newest that many messages, where nothing is stored yet."""

    feed: FeedId
    last: int | None = None


@dataclass(slots=True)
class Unfollow:
    feed: FeedId


@dataclass(slots=True)
class Forgotten:
    """The store no longer holds anything of ``feed`` (which is unfollowed first)."""

    feed: FeedId


@dataclass(slots=True)
class Block:
    """Without ``origin``: have nothing to do with ``target``. With it: ``target`` never gets the feed ``origin``."""

    target: PeerId
    origin: FeedId | None = None


@dataclass(slots=True)
class Unblock:
    """Lift a block; with ``origin`` also a stop after an invalid message of that feed from ``target``."""

    target: PeerId
    origin: FeedId | None = None


@dataclass(slots=True)
class SessionUp:
    """HELLO and RESUME have come. ``key`` is None when the peer's HELLO names no store: nothing is remembered then.

    ``heard_digest``: what its RESUME says it has heard from us; empty when it remembers nothing.
    ``acks``: its HELLO says that it understands ACK.
    ``proved``: the transport has proved who the peer is; else it only says so.
    """

    session: SessionId
    peer: PeerId
    instance: bytes | None = None
    key: PeerKey | None = None
    heard_digest: bytes = b""
    acks: bool = True
    proved: bool = False


@dataclass(slots=True)
class SessionDown:
    session: SessionId


@dataclass(slots=True)
class NotesReceived:
    """A NOTES frame; an empty one closes the peer's initial notes."""

    session: SessionId
    notes: Mapping[FeedId, int]


@dataclass(slots=True)
class MessagesReceived:
    session: SessionId
    runs: Sequence[Run]


@dataclass(slots=True)
class StartReceived:
    session: SessionId
    firsts: Mapping[FeedId, int]


@dataclass(slots=True)
class AcksReceived:
    session: SessionId
    acks: Mapping[FeedId, int]


@dataclass(slots=True)
class Pinged:
    """A PING goes out, and no other one is under way; all messages committed by now went out before it."""

    session: SessionId


@dataclass(slots=True)
class Ponged:
    """The answer to it has come."""

    session: SessionId


@dataclass(slots=True)
class Stored:
    """The store holds ``feed`` up to ``head``, and not by an Append: our own append, or another process.

    It enters the scheduler as a delivery by a session called ``store``: ownership stays where it is.
    """

    feed: FeedId
    head: int
    first: int = 1


@dataclass(slots=True)
class Appended:
    """Runs of an :class:`~.actions.Append` are stored: for each its feed, and up to where that is durable now."""

    heads: Sequence[tuple[FeedId, int]]


class AppendError(Enum):
    STORE = "store"
    """Our own store failed: nobody else's fault, asked for again."""
    INVALID = "invalid"
    """The feed's format refused the messages: the feed is stopped from that peer."""
    DROPPED = "dropped"
    """They are not wanted, and it is nobody's fault."""


@dataclass(slots=True)
class AppendFailed:
    """The store has not taken a run of an :class:`~.actions.Append`; it holds the feed up to ``head`` (0: nothing)."""

    session: SessionId
    feed: FeedId
    head: int
    error: AppendError
    detail: str = ""


@dataclass(slots=True)
class Disproved:
    """What the session has sent of ``feed``, and we did not need, was not valid: the feed is stopped from that peer."""

    session: SessionId
    feed: FeedId
    detail: str = ""


@dataclass(slots=True)
class ReadFailed:
    """What ``next_outgoing`` named could not be read just now; tried again later."""

    session: SessionId
    feed: FeedId


@dataclass(slots=True)
class ReadMissing:
    """The store holds ``feed`` only from ``first`` on: the peer is told with a START."""

    session: SessionId
    feed: FeedId
    first: int


@dataclass(slots=True)
class TooLarge:
    """Message ``sequence`` cannot be sent to this peer: the feed stops on that session.

    It does not fit the peer's ``max_frame``, or what ``detail`` says.
    """

    session: SessionId
    feed: FeedId
    sequence: int
    detail: str = ""


@dataclass(slots=True)
class Tick:
    """Time has passed; due when :meth:`Replicator.next_deadline` says so. Harmless at any other time."""


Event = (
    Loaded
    | Follow
    | Unfollow
    | Forgotten
    | Block
    | Unblock
    | SessionUp
    | SessionDown
    | NotesReceived
    | MessagesReceived
    | StartReceived
    | AcksReceived
    | Pinged
    | Ponged
    | Stored
    | Appended
    | AppendFailed
    | Disproved
    | ReadFailed
    | ReadMissing
    | TooLarge
    | Tick
)

__all__ = [
    "AcksReceived",
    "AppendError",
    "AppendFailed",
    "Appended",
    "Block",
    "Disproved",
    "Event",
    "Follow",
    "Forgotten",
    "Loaded",
    "MessagesReceived",
    "NotesReceived",
    "Pinged",
    "Ponged",
    "ReadFailed",
    "ReadMissing",
    "SessionDown",
    "SessionUp",
    "StartReceived",
    "Stored",
    "Tick",
    "TooLarge",
    "Unblock",
    "Unfollow",
]

"""The seams that others plug into: :class:`Transport`, :class:`Listener`, :class:`Store`, :class:`Format`.

``ebt_trio.testing.check_transport`` and ``check_store`` test an implementation against what is written here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import trio
from anyio.abc import AsyncResource, ObjectStream

from .core.types import FeedHead, FeedId, PeerId, PeerKey, Range, Remembered, Run
from .errors import StoreError
from .fork import Fork

if TYPE_CHECKING:
    from .identity import Identity

__all__ = [
    "BlockEntry",
    "Change",
    "Changes",
    "FeedHead",
    "Fork",
    "Format",
    "Listener",
    "PeerId",
    "PeerKey",
    "Range",
    "Remembered",
    "Run",
    "Scheme",
    "SecretScheme",
    "Store",
    "Transport",
]


class Transport(ObjectStream[bytes]):
    """Carries whole frames between two peers: bidirectional, ordered, reliable.

    One task at a time sends, one receives. Errors of the link are :class:`~ebt_trio.errors.TransportError`,
    or whatever anyio and Trio raise for a broken or closed resource; a session turns those into TransportErrors.
    """

    peer_id: PeerId | None = None
    """Who is at the other end, if the transport has proved it; else None."""
    address: str = ""
    """Where the other end is, for people."""
    max_frame: int = 1 << 20
    """The longest frame to take, in bytes. A session lowers it until HELLO has come. Longer ones raise
    :class:`~ebt_trio.errors.FrameTooLarge`, before they are buffered where the transport can tell."""

    arriving_at: float = float("-inf")
    """When a part of a frame last came that is not complete, in Trio's time. Who is sending something large over a slow
    link has not stalled; a transport that cannot tell leaves this alone."""

    @abstractmethod
    async def send(self, item: bytes) -> None:
        """Send one frame. When cancelled in the middle of one, the transport is broken: then only ``aclose`` works."""

    @abstractmethod
    async def receive(self) -> bytes:
        """Return the next frame. Cancelling loses nothing.

        :raises anyio.EndOfStream: the remote has closed, in order and between two frames
        :raises ~ebt_trio.errors.FrameTooLarge: a frame is longer than ``max_frame``
        """

    def receive_nowait(self) -> bytes | None:
        """A frame that has come whole by now, or None; no checkpoint. A transport that cannot tell leaves this alone.

        Who is behind takes several frames at once by this, and does for them what it else does for each.

        :raises ~ebt_trio.errors.FrameTooLarge: as :meth:`receive`
        """
        return None

    @abstractmethod
    async def send_eof(self) -> None:
        """Say that nothing more will be sent. Receiving goes on. A no-op where the medium has no half-close."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close, at once if cancelled. Closing twice is fine."""


class Listener(AsyncResource):
    """Accepts transports. Can be used with ``async with``, which closes it at the end."""

    urls: Sequence[str]
    """Where it listens, with the real port, in the form that ``connect`` takes."""

    @abstractmethod
    async def serve(
        self,
        handler: Callable[[Transport], Awaitable[Any]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled, with one task per transport in which ``handler`` runs; closes the transport after it.

        What a handler raises is not caught. Calls ``task_status.started()`` when accepting.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Stop listening; running handlers go on. Closing twice is fine."""


@runtime_checkable
class Scheme(Protocol):
    """What the entry-point group ``ebt_trio.transports`` names: transports of one URL scheme."""

    async def connect(self, url: str) -> Transport:
        """See :func:`ebt_trio.connect`, which passes the whole URL on."""
        ...

    async def listen(self, url: str) -> Listener:
        """See :func:`ebt_trio.listen`, likewise."""
        ...


@runtime_checkable
class SecretScheme(Protocol):
    """A scheme whose transports prove who both ends are, so that it needs to know who we are."""

    needs_identity: Literal[True]

    async def connect(self, url: str, *, identity: Identity, network: str) -> Transport:
        """Like :meth:`Scheme.connect`; the URL says who has to be there. Peers of other networks get no answer."""
        ...

    async def listen(self, url: str, *, identity: Identity, network: str) -> Listener:
        """Like :meth:`Scheme.listen`."""
        ...


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """``target`` is blocked by ``origin`` (None: by ourselves)."""

    target: PeerId
    origin: FeedId | None = None


@dataclass(slots=True)
class Change:
    """What to write besides messages, in one transaction; see :meth:`Store.update`."""

    follow: Mapping[FeedId, int | None] = field(default_factory=dict[FeedId, "int | None"])
    """feed → ``last`` of ``EBT.follow``"""
    unfollow: Sequence[FeedId] = ()
    block: Sequence[BlockEntry] = ()
    unblock: Sequence[BlockEntry] = ()
    forget: Sequence[FeedId] = ()
    """delete all messages of these feeds"""
    remember: Mapping[PeerKey, Sequence[Remembered]] = field(default_factory=dict[PeerKey, "Sequence[Remembered]"])
    """what was told and heard: only the feeds that changed. Both None: drop the row. Marks the peer as just seen."""
    forks: Sequence[Fork] = ()
    """keep these, each in place of what is kept of the same feed; one that is decided stays against one that is not"""


@dataclass(slots=True)
class Changes:
    """What another process has changed in the store."""

    heads: Sequence[FeedHead] = ()
    """feeds whose first or head moved; ``head`` 0: forgotten"""
    follows: bool = False
    blocks: bool = False
    forks: bool = False


class Store(ABC):
    """Where a peer's feeds live, with its follows, its blocks, and the clocks of other peers.

    Narrow on purpose, and batch-wise: no call returns everything, appends are atomic per run and safe between
    processes. Every method but ``open`` raises :class:`StoreError` when the store fails; after a failure the store can
    be used again as soon as the cause is gone. ``append`` and ``update`` are called by one task at a time; ``read``,
    ``recall`` and ``wait_changes`` by any.
    Cancelling ``append`` or ``update`` leaves it undone or done whole, never in part; ``EBT`` shields them.
    """

    id: bytes
    """16 random bytes, made with the store, for HELLO; valid from ``open`` on."""

    immediate: bool = False
    """``append``, ``read``, ``head`` and ``size`` never wait, and are no checkpoints. Then ``EBT`` appends in the task
    that asks for it, instead of handing over to the one that writes. Not inherited: each class says so of itself, since
    one that overrides a method may well wait there."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "immediate" not in cls.__dict__:
            cls.immediate = False

    @abstractmethod
    async def open(self, format: str) -> None:
        """Get ready for feeds of this format (``Format.name``); a new store records it.

        :raises StoreError: damaged, not a store, made by a newer version, or its feeds have another format
        """

    @abstractmethod
    async def close(self) -> None:
        """Release everything; closing twice is fine."""

    @abstractmethod
    async def heads(self, after: FeedId | None, limit: int) -> Sequence[FeedHead]:
        """At most ``limit`` feeds of which something is stored, in a fixed order, those behind ``after``."""

    @abstractmethod
    async def head(self, feed: FeedId) -> FeedHead:
        """What is stored of one feed."""

    @abstractmethod
    async def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
        """Store the runs, in order, in one transaction; durable on return.

        For each run: the feed's head after it, or why this run was not stored (:class:`~ebt_trio.errors.SequenceGap`);
        one bad run does not fail the others. What is stored already is passed over, but an ``exact`` run that begins
        anywhere but right behind the head is a SequenceGap, and nothing of it is stored. A run may begin beyond the
        head only if the feed is empty and the run is ``late``: then the feed starts there.

        :raises StoreError: nothing was stored (disk full, locked, I/O error)
        """

    @abstractmethod
    async def read(self, ranges: Sequence[Range], max_bytes: int) -> Sequence[Sequence[bytes]]:
        """For each range what is there of it, from its ``first`` on, without gaps: payloads, possibly none.

        Stops when ``max_bytes`` of payloads have been gathered, over all ranges together; the first payload found is
        returned whatever its size.
        """

    async def size(self, feed: FeedId) -> int:
        """How many bytes of payloads are stored of one feed. As it is here it reads them all: do better."""
        held = await self.head(feed)
        total, following = 0, held.first
        while following <= held.head:
            (found,) = await self.read([Range(feed, following, held.head - following + 1)], 1 << 20)
            if not found:
                break
            total += sum(map(len, found))
            following += len(found)
        return total

    @abstractmethod
    async def follows(self, after: FeedId | None, limit: int) -> Sequence[tuple[FeedId, int | None]]:
        """At most ``limit`` followed feeds with their ``last``, in a fixed order, those behind ``after``."""

    @abstractmethod
    async def blocks(self) -> Sequence[BlockEntry]:
        """All blocks."""

    async def forks(self) -> Sequence[Fork]:
        """All forks, one per feed. A store that keeps none does without the proofs, and without users' decisions.

        Then a fork is found again when both of its branches meet.
        """
        return ()

    @abstractmethod
    async def recall(self, key: PeerKey, after: FeedId | None, limit: int) -> Sequence[Remembered]:
        """At most ``limit`` rows of what is remembered of a peer, in a fixed order, those behind ``after``."""

    @abstractmethod
    async def update(self, change: Change, *, keep_peers: int) -> None:
        """Write a change in one transaction; durable on return. At most ``keep_peers`` peers stay remembered.

        :raises StoreError: nothing was written
        """

    @abstractmethod
    async def wait_changes(self) -> Changes:
        """Wait until another process has changed something, and say what; never returns what this object wrote itself.

        A store without a way to notice waits for ever. Cancelling loses nothing.
        """


class Format(ABC):
    """How content becomes a payload, and which payloads a feed may hold."""

    name: str
    """Recorded in the store."""
    needs_previous: bool = True
    """Whether ``encode`` and ``validate`` look at the payload before; where not, it is not read, and None is passed."""
    can_fork: bool = False
    """Whether an author can be shown to have written two histories: then what comes twice is passed to ``compare``."""

    @abstractmethod
    def check_feed(self, feed: str) -> FeedId:
        """:raises LocalProtocolError: not a feed id of this format"""

    @abstractmethod
    def encode(self, feed: FeedId, sequence: int, content: Any, previous: bytes | None) -> bytes:
        """The payload of the feed's next message; ``previous`` is the payload before it, None at sequence 1.

        :raises LocalProtocolError: the content cannot be encoded
        """

    @abstractmethod
    def decode(self, feed: FeedId, sequence: int, payload: bytes) -> Any:
        """The content of a payload.

        :raises InvalidMessage: it cannot be decoded
        """

    @abstractmethod
    def validate(self, run: Run, previous: bytes | None) -> None:
        """Check a run against the payload before it (None: there is none, or it is not stored).

        :raises InvalidMessage: the run must not be stored
        :raises ForkDetected: the run contradicts what is stored
        """

    # What follows has defaults, for formats in which any payload may stand anywhere.

    def compare(self, ours: Run, theirs: Run) -> None:
        """``theirs`` has the sequences of ``ours``, and should be the same; asked only where ``can_fork``.

        :raises InvalidMessage: ``theirs`` is wrong
        :raises ForkDetected: they differ, and both are valid
        """
        return

    def endable(self, feed: FeedId, first: int, payloads: Sequence[bytes]) -> int:
        """How many of these stored payloads may be sent, so that who gets no others can check them."""
        return len(payloads)

    def contradicts(self, run: Run, branch: Run) -> bool:
        """Whether a history with ``run`` in it cannot be the one with ``branch`` in it; False: it cannot be told."""
        start = max(run.first, branch.first)
        return any(
            run.payloads[sequence - run.first] != branch.payloads[sequence - branch.first]
            for sequence in range(start, min(run.last, branch.last) + 1)
        )

    def timestamp(self, payload: bytes) -> float | None:
        """When its author says that it was made, in seconds since 1970; None: the format does not say."""
        return None

    def message_id(self, payload: bytes) -> str | None:
        """What names the message by its content; None: the format has no such thing."""
        return None

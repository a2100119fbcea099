"""What a peer knows about one session: per feed in arrays by feed number, and what there is to say on it."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from .clock import NONE, Memory
from .feed import Feed
from .marks import Marks
from .note import DECLINED
from .types import FeedId, PeerId, SessionId

# Flags per feed
WANTS: Final = 1
"""Their mode is eager: they want what comes after the cursor."""
EAGER: Final = 2
"""Our mode is eager: this session owns the feed here."""
ANNOUNCED: Final = 4
"""An advance of ours was announced on this session already."""
MET: Final = 8
"""No initial note is due any more, though the cursor of initial notes may not have come to the feed."""
OFFERED: Final = 16
"""A note went to a peer that had declined: it remembers it if it has changed its mind meanwhile."""
SURE: Final = 32
"""The -1 that is told was said in this session, or the peer has shown that it remembers it."""

WINDOW_START: Final = 64
WINDOW_MIN: Final = 32
WINDOW_MAX: Final = 16_384
WINDOW_FAST: Final = 0.25
WINDOW_SLOW: Final = 1.0


class Say(Enum):
    """What a pending note will say."""

    EAGER = "eager"
    LAZY = "lazy"
    DECLINE = "decline"


SAY_EAGER: Final = Say.EAGER
SAY_LAZY: Final = Say.LAZY
SAY_DECLINE: Final = Say.DECLINE
# As in :mod:`.feed`.


@dataclass(slots=True)
class Fault:
    """A session claimed a feed and did not deliver."""

    strikes: int
    since: float
    until: float
    """Penalised until then."""


@dataclass(slots=True)
class CoreStatistics:
    """Counters since the start of the session, or of the peer; messages and notes are single entries, not frames."""

    messages_received: int = 0
    messages_sent: int = 0
    duplicates: int = 0
    unwanted: int = 0
    """Messages of feeds that are not followed."""
    gaps: int = 0
    notes_received: int = 0
    notes_sent: int = 0
    acks_received: int = 0
    acks_sent: int = 0
    grafts: int = 0
    prunes: int = 0
    stalls: int = 0

    def add(self, other: CoreStatistics) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Link:
    """One session, as the core sees it."""

    __slots__ = (
        "acks",
        "armed",
        "changed",
        "cursor",
        "deadline",
        "delivered",
        "faults",
        "final_due",
        "firsts",
        "flags",
        "heard",
        "held",
        "hold",
        "in_initial",
        "instance",
        "introduced",
        "last_payload",
        "load",
        "memory",
        "news",
        "noted",
        "open",
        "open_since",
        "owed",
        "peer",
        "pending",
        "ping_due",
        "proved",
        "proving",
        "pruned",
        "ready",
        "ready_acks",
        "refused",
        "retries",
        "session",
        "spaced",
        "starts",
        "statistics",
        "strangers",
        "suspect",
        "synced",
        "told",
        "unproved",
        "up",
        "waiting",
        "window",
        "window_count",
        "window_since",
    )

    def __init__(
        self,
        session: SessionId,
        peer: PeerId,
        names: Sequence[FeedId],
        memory: Memory,
        *,
        instance: bytes | None,
        proved: bool,
        acks: bool,
        hold: float,
    ) -> None:
        self.session = session
        self.peer = peer
        self.instance = instance
        self.proved = proved
        self.acks = acks
        self.hold = hold
        """How long a lazy note is held back, in seconds."""
        self.up = True
        self.memory = memory
        self.told = memory.told.values
        self.heard = memory.heard.values
        self.cursor = array("q", [NONE]) * len(names)
        """The last sequence we sent, or they asked from."""
        self.flags = bytearray(len(names))

        # To be said: nothing here is a queue of messages; each is at most one entry per feed.
        self.pending: dict[int, Say] = {}
        # In order of time, and mostly let go from the front: there a dict keeps gaps, and looks through all of them.
        self.held: OrderedDict[int, float] = OrderedDict()
        """Lazy notes held back until then, in order of time."""
        self.spaced: OrderedDict[int, float] = OrderedDict()
        """Likewise those that wait for longer, since there was a note shortly before."""
        self.news: dict[int, int] = {}
        """What is held back, in ``held`` or ``spaced``: the sequence that we had when that began."""
        self.noted: dict[int, float] = {}
        """When either side last sent a lazy note, in order of time, where that was lately."""
        self.owed: OrderedDict[int, float] = OrderedDict()
        """ACKs held back until then, in order of time."""
        self.ready_acks: dict[int, None] = {}
        self.ready: dict[int, None] = {}
        """Feeds with messages to push, the next one first."""
        self.starts: dict[int, None] = {}
        self.strangers: dict[FeedId, int] = {}
        """Feeds to be declined that are not remembered, with what was said about them."""
        self.retries: OrderedDict[int, float] = OrderedDict()
        """Feeds that could not be read, tried again then."""
        self.unproved: OrderedDict[int, float] = OrderedDict()
        """Sent to a peer that sends no ACKs, and not known to have come; a PONG is asked for then."""
        self.proving: dict[int, int] = {}
        """Up to where it had been sent when the PING under way left."""
        self.ping_due = False
        self.final_due = True
        """Our initial notes have not been closed yet."""
        self.introduced = 0
        """Feeds of higher numbers have had no initial note yet, but for those that are MET or pending."""
        self.changed: set[int] | None = None
        """All feeds but these are as the peer remembers them; None: it remembers nothing."""
        self.in_initial = True
        """Their initial notes have not been closed yet."""

        # Exceptions, few and far between
        self.refused: set[int] = set()
        """Feeds that this peer must not get (a block), or that are stopped from it (an invalid message)."""
        self.firsts: dict[int, int] = {}
        """Feeds that the peer serves only from this sequence on."""
        self.faults: dict[int, Fault] = {}
        self.pruned: dict[int, float] = {}
        """When we last told lazy to a session that had been sending."""

        # How much we ask of it
        self.load = 0
        self.window = WINDOW_START
        self.window_count = 0
        self.window_since: float | None = None
        self.waiting: dict[int, None] = {}
        self.delivered = 0
        """Payloads that came, duplicates included."""
        self.last_payload = float("-inf")
        self.suspect = False

        self.open = Marks(len(names))
        """Shared feeds on which the two sides differ, or have not both spoken, as far as they were introduced."""
        self.open_since = float("-inf")
        self.synced = False
        self.deadline: float | None = None
        """When something held back is due: the earliest of all that is held back."""
        self.armed: float | None = None
        self.statistics = CoreStatistics()

    def grow(self, count: int) -> None:
        missing = count - len(self.flags)
        self.cursor.extend(array("q", [NONE]) * missing)
        self.flags.extend(bytes(missing))
        self.open.grow(missing)
        self.memory.grow()

    def detach(self, names: Sequence[FeedId]) -> None:
        """Go on without the memory: a newer session with the same peer remembers from now on."""
        self.memory = self.memory.copy(names)
        self.told = self.memory.told.values
        self.heard = self.memory.heard.values

    def authors(self, feed: Feed) -> bool:
        """Is it this peer's own feed? The only place where a feed's id and a peer's are compared."""
        return str(feed.id) == str(self.peer)

    @property
    def authored(self) -> FeedId:
        """The id of this peer's own feed. With :meth:`authors` the only place where a feed's id and a peer's meet."""
        return FeedId(str(self.peer))

    def unmet(self, number: int) -> bool:
        """Its initial note is still to come, or to be found unnecessary."""
        return number >= self.introduced and not self.flags[number] & MET and number not in self.pending

    def in_doubt(self, number: int) -> bool:
        """The -1 that an earlier session told may not have come through."""
        return self.told[number] == DECLINED and not self.flags[number] & SURE and not self.remembers(number)

    def remembers(self, number: int) -> bool:
        """The peer has shown that it remembers what was told in earlier sessions."""
        return self.changed is not None and number not in self.changed

    def knows(self, feed: Feed) -> bool:
        """The peer has shown that it remembers what our initial note would say."""
        number = feed.number
        told = self.told[number]
        return self.remembers(number) and (told == feed.durable or (told == NONE and self.heard[number] == DECLINED))

    def differs(self, feed: Feed) -> bool:
        """The feed is shared, and the two sides differ, or have not both spoken."""
        number = feed.number
        heard, head = self.heard[number], feed.durable
        if heard == head and self.told[number] == head:
            return False  # all is said, mostly
        return (
            feed.followed  # as in shares()
            and heard != DECLINED
            and number not in self.refused
            and (heard != head or self.acks or self.told[number] == NONE)
        )

    def shares(self, feed: Feed) -> bool:
        """Both sides replicate the feed, as far as is known."""
        number = feed.number
        return feed.followed and self.heard[number] != DECLINED and number not in self.refused

    def claims(self, feed: Feed) -> bool:
        """The peer is ahead on the feed, and can serve what comes next."""
        number = feed.number
        return (
            self.heard[number] > feed.accepted
            and number not in self.refused
            and not (self.firsts and self.firsts.get(number, 0) > feed.accepted + 1 and not (feed.empty and feed.last))
        )

    def penalised(self, number: int, now: float) -> bool:
        fault = self.faults.get(number) if self.faults else None
        return fault is not None and fault.until > now

    @property
    def has_room(self) -> bool:
        return self.load < self.window

    @property
    def has_more(self) -> bool:
        """There is something to be said or sent; what waits for its time, or for an append, counts or not."""
        return bool(
            self.ready
            or self.pending
            or self.ready_acks
            or self.starts
            or self.strangers
            or self.final_due
            or self.ping_due
        )

    def count_delivery(self, count: int, now: float) -> None:
        """Adapt the window: it should hold what the peer delivers in a quarter of a second to a second."""
        self.delivered += count
        self.last_payload = now
        if self.window_since is None:
            return
        self.window_count += count
        if self.window_count < self.window:
            return
        took = now - self.window_since
        if took < WINDOW_FAST:
            self.window = min(self.window * 2, WINDOW_MAX)
        elif took > WINDOW_SLOW:
            self.window = max(self.window // 2, WINDOW_MIN)
        self.window_count = 0
        self.window_since = now

    def measure(self, now: float) -> None:
        """Start to measure how fast a full window drains; stop when nothing is asked for."""
        if self.load == 0:
            self.window_since = None
        elif self.window_since is None and self.load >= self.window:
            self.window_since = now
            self.window_count = 0

    def let_go(self, held: dict[int, float], number: int) -> None:
        """Hold something back no longer, if it was."""
        due = held.pop(number, None)
        if due is not None and due == self.deadline:
            self.deadline = self.earliest()

    def unhold(self, number: int) -> None:
        """Hold a lazy note back no longer, if it was."""
        if self.news.pop(number, None) is not None:
            self.let_go(self.held, number)
            self.let_go(self.spaced, number)

    def earliest(self) -> float | None:
        """What ``deadline`` must be, after something held back is gone; each dict is in order of time."""
        earliest: float | None = None
        for held in (self.held, self.spaced, self.owed, self.retries, self.unproved):
            for first in held.values():
                if earliest is None or first < earliest:
                    earliest = first
                break
        return earliest

    def forget(self, number: int) -> None:
        """Drop all that was to be said or sent of a feed."""
        for things in (self.pending, self.ready_acks, self.ready, self.starts, self.noted, self.proving):
            things.pop(number, None)
        self.unhold(number)
        for held in (self.owed, self.retries, self.unproved):
            self.let_go(held, number)
        self.flags[number] = self.flags[number] & ~WANTS | MET
        self.cursor[number] = NONE

    def __repr__(self) -> str:
        return f"<Link {self.session} {self.peer!r}{'' if self.up else ' down'}>"


def take(things: dict[int, Any], some: Iterable[int]) -> list[int]:
    """Take these from the start of a dict, all at once: one by one, each would look through the gaps before it."""
    numbers = list(some)
    if len(numbers) == len(things):
        things.clear()
    else:
        for number in numbers:
            del things[number]
    return numbers

"""What a peer knows about one feed, whoever is connected."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from .types import FeedId

if TYPE_CHECKING:
    from .link import Link


class Class(Enum):
    """Where a feed stands; :meth:`Ownership.evaluate` decides, and every class but IDLE has a way on."""

    IDLE = "idle"
    """Nobody is ahead."""
    CLAIMED = "claimed"
    """The owner is ahead: it has until the deadline to deliver."""
    UNCLAIMED = "unclaimed"
    """Another session is ahead, the owner is not: it has a graft_delay to catch up."""
    WAIT = "wait"
    """Every session to move to has a full window; queued there."""
    PENALTY = "penalty"
    """Only penalised sessions are ahead: looked at again when the first penalty ends."""


IDLE: Final = Class.IDLE
CLAIMED: Final = Class.CLAIMED
UNCLAIMED: Final = Class.UNCLAIMED
WAIT: Final = Class.WAIT
# For what runs once per feed and more: looking a member up in its Enum takes five times as long (Python 3.11).


class Verdict(Enum):
    """Why the feed was taken from its last owner."""

    GRAFT = "graft"
    STALL = "stall"


class Feed:
    """A feed has a number in this process; arrays per session are indexed by it."""

    __slots__ = (
        "accepted",
        "allowance",
        "armed",
        "asked_again",
        "class_",
        "deadline",
        "durable",
        "entered",
        "failing",
        "first",
        "floor",
        "followed",
        "highest",
        "id",
        "inflight",
        "last",
        "load",
        "load_link",
        "mark_link",
        "mark_sequence",
        "mark_time",
        "number",
        "owner",
        "progressed",
        "rival",
        "rival_time",
        "rival_wins",
        "since",
        "swapped",
        "verdict",
        "verdict_link",
        "verdict_time",
    )

    def __init__(self, number: int, id: FeedId) -> None:
        self.number = number
        self.id = id
        self.followed = False
        self.last: int | None = None
        """``follow(last=n)``: only the newest n messages, where nothing is stored."""

        # The two heads. Receiving checks against accepted; notes, ACKs and sending use durable.
        self.first = 1
        self.accepted = 0
        self.durable = 0
        self.inflight = 0
        """Appends handed to the store and not yet reported."""
        self.failing = 0
        """Appends that our own store has failed to do since the last that it did; -1: they have excused the owner."""
        self.floor = 0
        """A late start asked for: accepted lies here while nothing is stored."""

        # Ownership
        self.owner: Link | None = None
        self.class_ = Class.IDLE
        self.since = 0.0
        """When the owner was grafted, the feed last made progress, or a busy owner was given more time."""
        self.progressed = 0.0
        """Likewise, but for the last."""
        self.entered = 0.0
        """When the feed came into its class."""
        self.deadline: float | None = None
        self.armed: float | None = None
        """The earliest entry for this feed among the deadlines."""
        self.highest = 0
        """No session has announced more than the larger of this and ``durable``."""
        self.asked_again = False
        self.allowance = 0
        """The owner may be late until it has delivered this many payloads (of any feed)."""
        self.load = 0
        self.load_link: Link | None = None

        # The mark: the oldest announcement not yet served.
        self.mark_link: Link | None = None
        self.mark_sequence = 0
        self.mark_time = 0.0

        # The last verdict against an owner, in case it proves wrong.
        self.verdict: Verdict | None = None
        self.verdict_link: Link | None = None
        self.verdict_time = 0.0

        # A session that keeps announcing before the owner delivers.
        self.rival: Link | None = None
        self.rival_wins = 0
        self.rival_time = float("-inf")
        self.swapped = float("-inf")

    @property
    def empty(self) -> bool:
        """Nothing is stored nor on its way there: the feed may still start anywhere."""
        return self.durable == 0 and self.inflight == 0

    def __repr__(self) -> str:
        return f"<Feed {self.id!r} {self.durable}/{self.accepted} {self.class_.value} owner={self.owner}>"

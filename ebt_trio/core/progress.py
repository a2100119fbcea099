"""How far along replication is: progress for a bar, the state of one feed, and waiting until all is in sync."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .clock import NONE
from .feed import Feed
from .link import EAGER, WANTS, Link
from .note import DECLINED, Mode
from .types import FeedId, PeerId


@dataclass(frozen=True, slots=True)
class Progress:
    """Over one session, or over all (a feed counts once then, with the most that is missing). All integers >= 0."""

    feeds: int
    """feeds replicated"""
    sync: int
    """feeds fully in sync"""
    send: int
    """messages still to send"""
    recv: int
    """messages still expected"""
    total: int
    """messages that need or needed moving"""
    unknown: int
    """feeds where one side has not said where it is"""
    fraction: float
    """0.0 to 1.0; falls back only when new work arrives; 1.0 only when in sync"""


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """How one feed stands on one session."""

    peer: PeerId
    acknowledged: int | None
    """What they said they hold; None: nothing; -1: declined."""
    told: int | None
    """What we said that we hold; likewise."""
    sent: int | None
    """The last message that we sent, or they asked from."""
    ours: Mode
    """What we ask for: EAGER from the owner only."""
    theirs: Mode


@dataclass(frozen=True, slots=True)
class FeedStatus:
    feed: FeedId
    sequence: int
    followed: bool
    owner: PeerId | None
    peers: Sequence[PeerStatus]
    forked: bool = False


class Meter:
    """Turns what remains now into a fraction that falls back only for new work."""

    __slots__ = ("_remaining", "total")

    def __init__(self) -> None:
        self.total = 0
        self._remaining = 0

    def update(self, remaining: int, complete: bool) -> float:
        if remaining > self._remaining:
            self.total += remaining - self._remaining
        self._remaining = remaining
        if complete:
            return 1.0
        if not self.total:
            return 0.0
        return min((self.total - remaining) / self.total, 0.999)


@dataclass(slots=True)
class _Missing:
    send: int = 0
    recv: int = 0
    unknown: bool = False


def measure(
    links: Sequence[Link], feeds: Sequence[Feed], followed: Collection[Feed], meter: Meter, now: float
) -> Progress:
    """Progress over ``links``; costs as much as there are differences, not as there are feeds."""
    if not links:
        return Progress(0, 0, 0, 0, meter.total, 0, 1.0)
    missing: dict[int, _Missing] = {}
    for link in links:
        for number in _differing(link, followed):
            feed = feeds[number]
            told, heard = link.told[number], link.heard[number]
            entry = missing.setdefault(number, _Missing())
            if heard == NONE or told == NONE:
                entry.unknown = True
            if heard == NONE:
                continue
            entry.send = max(entry.send, feed.durable - heard)
            if not link.penalised(number, now):
                entry.recv = max(entry.recv, heard - feed.durable)
    # Most are shared on any of the sessions: only what is not, on the first, is looked for on the others.
    first, *others = links
    apart = first.refused.union(number for number, heard in enumerate(first.heard) if heard == DECLINED)
    shared = len(followed) - sum(
        feeds[number].followed and not any(link.shares(feeds[number]) for link in others) for number in apart
    )
    # Where only an ACK is owed, or a penalised claim is ahead, both sides hold all there is.
    differing = [entry for entry in missing.values() if entry.send or entry.recv or entry.unknown]
    send = sum(entry.send for entry in differing)
    recv = sum(entry.recv for entry in differing)
    unknown = sum(entry.unknown for entry in differing)
    complete = not differing and not any(link.in_initial or link.final_due for link in links)
    fraction = meter.update(send + recv + unknown, complete)
    return Progress(shared, shared - len(differing), send, recv, max(meter.total, send + recv), unknown, fraction)


def _differing(link: Link, followed: Iterable[Feed]) -> Iterator[int]:
    """Where the sides differ: also what has not been introduced yet, and is in :attr:`Link.open` only once it is."""
    yield from link.open
    if link.final_due:
        for feed in followed:
            number = feed.number
            if number >= link.introduced and number not in link.open and link.differs(feed):
                yield number


def feed_status(feed: Feed, links: Iterable[Link]) -> FeedStatus:
    number = feed.number

    def said(value: int) -> int | None:
        return None if value == NONE else value

    peers = [
        PeerStatus(
            peer=link.peer,
            acknowledged=said(link.heard[number]),
            told=said(link.told[number]),
            sent=said(link.cursor[number]),
            ours=Mode.EAGER if link.flags[number] & EAGER else Mode.LAZY,
            theirs=Mode.EAGER if link.flags[number] & WANTS else Mode.LAZY,
        )
        for link in links
    ]
    return FeedStatus(feed.id, feed.durable, feed.followed, feed.owner.peer if feed.owner else None, peers)


@dataclass(slots=True)
class SyncWait:
    """What either side of some sessions had announced when this was made; :meth:`done` once both ends hold all of it.

    A session whose initial notes are still under way counts from when they are complete. Sessions that end, feeds that
    one side lets go of, and claims that are penalised no longer count.
    """

    _feeds: Sequence[Feed]
    _young: list[Link]
    _targets: dict[Link, dict[int, int]] = field(default_factory=dict[Link, dict[int, int]])

    @classmethod
    def over(cls, links: Iterable[Link], feeds: Sequence[Feed]) -> SyncWait:
        wait = cls(feeds, [])
        for link in links:
            if link.in_initial or link.final_due:
                wait._young.append(link)
            else:
                wait._snapshot(link)
        return wait

    def _snapshot(self, link: Link) -> None:
        self._targets[link] = {number: max(link.heard[number], self._feeds[number].durable, 0) for number in link.open}

    def done(self, now: float) -> bool:
        """Cheap: looks only at what was still missing the last time."""
        for link in list(self._young):
            if not (link.up and (link.in_initial or link.final_due)):
                self._young.remove(link)
                self._snapshot(link)
        for link, targets in list(self._targets.items()):
            for number, target in list(targets.items()):
                feed = self._feeds[number]
                heard = link.heard[number]
                reached = heard >= target and feed.durable >= target
                given_up = heard > feed.durable and link.penalised(number, now)
                if reached or given_up or not link.up or not link.shares(feed):
                    del targets[number]
            if not targets:
                del self._targets[link]
        return not self._young and not self._targets

    def sessions(self) -> Sequence[Link]:
        """Where something is still missing."""
        return [*self._young, *self._targets]


ClockView = Mapping[FeedId, int]

__all__ = ["DECLINED", "FeedStatus", "Meter", "PeerStatus", "Progress", "SyncWait", "feed_status", "measure"]

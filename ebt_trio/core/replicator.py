"""One peer's protocol state, whole: ``handle(event, now) -> actions``, and what to send, pulled.

The runtime and the simulator drive this same object. Rules, in short (``docs/protocol.md``, ``docs/scheduler.md``):

- A note is answered once, with ours; later only what was not told.
- Messages are appended before they are announced; what is announced is durable.
- Nothing is queued for a peer: per feed there is a cursor, and at most one thing to be said.
- Who is asked for a feed is :class:`~.ownership.Ownership`'s business alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from random import Random
from typing import Any

from . import events as ev
from .actions import Action, Outgoing, Wake
from .config import Config
from .feed import Feed
from .following import Following
from .heads import Heads
from .hearing import Hearing
from .introducing import introduce
from .link import CoreStatistics, Link
from .meeting import Meeting
from .outgoing import commit, pull
from .ownership import Ownership
from .patience import Arriving, nothing_arriving
from .progress import FeedStatus, Meter, Progress, SyncWait, feed_status, measure
from .proving import Proving
from .room import Room
from .storing import Storing
from .types import FeedId, PeerId, PeerKey, Remembered, Run, SessionId

__all__ = ["Config", "Replicator"]


class Replicator:
    """The core of one peer. Not reentrant, not thread-safe; never raises on what a peer may cause.

    :param me: our own id
    :param rng: the only source of randomness
    :param should_replicate: asked about a feed that a peer names and that is not followed; must not raise
    :param arriving: when something last came of what a session is still receiving; -inf where that cannot be told
    """

    def __init__(
        self,
        me: PeerId,
        config: Config,
        rng: Random,
        *,
        should_replicate: Callable[[FeedId, PeerId], bool] | None = None,
        arriving: Arriving = nothing_arriving,
    ) -> None:
        self._room = room = Room(me, config, rng, should_replicate, arriving)
        self.clock: Mapping[FeedId, int] = _ClockView(room)
        """feed → durable sequence; live; no zeros."""
        self._past = CoreStatistics()
        self._meters: dict[SessionId | None, Meter] = {None: Meter()}
        following, meeting, hearing, storing = Following(room), Meeting(room), Hearing(room), Storing(room)
        self._meeting = meeting
        self._proving = proving = Proving(room)
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.Loaded: storing.loaded,
            ev.Follow: following.follow,
            ev.Unfollow: following.unfollow,
            ev.Forgotten: following.forgotten,
            ev.Block: following.block,
            ev.Unblock: following.unblock,
            ev.SessionUp: meeting.up,
            ev.SessionDown: self._down,
            ev.NotesReceived: hearing.notes,
            ev.MessagesReceived: hearing.messages,
            ev.StartReceived: hearing.start,
            ev.AcksReceived: hearing.acks,
            ev.Pinged: proving.pinged,
            ev.Ponged: proving.ponged,
            ev.Stored: storing.stored,
            ev.Appended: storing.appended,
            ev.AppendFailed: storing.append_failed,
            ev.Disproved: storing.disproved,
            ev.ReadFailed: storing.read_failed,
            ev.ReadMissing: storing.read_missing,
            ev.TooLarge: storing.too_large,
            ev.Tick: self._tick,
        }

    # -- in and out

    def handle(self, event: ev.Event, now: float) -> list[Action]:
        """Take one event in; returns what is to be done, in order."""
        room = self._room
        room.now = now
        self._handlers[type(event)](event)
        ownership = room.ownership
        if ownership.waiting.links:
            ownership.drain(now)
        if ownership.touched:
            self._look_at(ownership.touched)
            ownership.touched.clear()
        actions, room.actions = room.actions, []
        if room.woken:
            actions += [Wake(link.session) for link in room.woken if link.up]
            room.woken.clear()
        return actions

    def _look_at(self, touched: Iterable[Feed]) -> None:
        """Deadlines may have moved, and owners may have to be asked."""
        room = self._room
        put = room.heads.put
        for feed in touched:
            put(feed)
            if feed.deadline is not None and feed.deadline != feed.armed:
                room.timers.arm(feed)
            if feed.owner is not None and feed.number in feed.owner.pending:
                room.woken[feed.owner] = None

    def next_outgoing(self, session: SessionId, now: float, *, flush: bool = False) -> Outgoing:
        """What ``session`` may send now. Notes, ACKs and STARTs in it count as said from here on.

        :param flush: all ACKs owed, instead of only those that are due: for a PONG
        """
        room = self._room
        link = room.usable.get(session)
        if link is None:
            return Outgoing()
        room.now = now
        said: list[int] = []
        outgoing = pull(link, room.feeds, room.config.notes_per_frame, said, flush=flush)
        outgoing.ping, link.ping_due = link.ping_due, False
        room.track_all(link, said)
        if link.final_due:
            introduce(link, room, outgoing, room.config.notes_per_frame)
            if outgoing.final:
                room.check_synced(link)
        return outgoing

    def has_more(self, session: SessionId) -> bool:
        """Is there more to be sent, after what :meth:`next_outgoing` has just given?"""
        link = self._room.usable.get(session)
        return link is not None and link.has_more

    def commit_runs(self, session: SessionId, runs: Iterable[Run], now: float) -> list[Run]:
        """Which of these, just read, are still to be sent? They count as sent: put them into the next frame."""
        room = self._room
        link = room.usable.get(session)
        if link is None:
            return []
        room.now = now
        numbers, feeds, told = room.numbers, room.feeds, link.told
        wanted: list[Run] = []
        for run in runs:
            number = numbers.get(run.feed)
            if number is None:
                continue
            feed, before = feeds[number], told[number]
            if commit(link, feed, run.first, len(run.payloads)):
                wanted.append(run)
                if told[number] != before:  # all of it that Room.track() looks at
                    room.track(link, feed)
                if not link.acks:
                    self._proving.sent(link, feed)
        return wanted

    def next_deadline(self) -> float | None:
        """When a Tick is due, or None."""
        return self._room.timers.next()

    def _tick(self, event: ev.Tick) -> None:
        room = self._room
        for thing in room.timers.expired(room.now):
            if isinstance(thing, Feed):
                room.ownership.fire(thing, room.now)
            else:
                room.due(thing)

    def _down(self, event: ev.SessionDown) -> None:
        link = self._room.sessions.get(event.session)
        if link is not None:
            self._meeting.down(link)
            self._meters.pop(event.session, None)
            self._past.add(link.statistics)

    # -- looking in

    @property
    def follows(self) -> Set[FeedId]:
        return self._room.followed.keys()

    @property
    def blocks(self) -> Set[tuple[PeerId, FeedId | None]]:
        return self._room.blocked.keys()

    @property
    def feeds(self) -> list[Feed]:
        """All feeds by number: for invariants and tests, not to be changed."""
        return self._room.feeds

    @property
    def heads(self) -> Heads:
        """Likewise."""
        return self._room.heads

    @property
    def ownership(self) -> Ownership:
        """Likewise."""
        return self._room.ownership

    @property
    def sessions(self) -> list[SessionId]:
        """Those that still count."""
        return [link.session for link in self._room.links]

    def link(self, session: SessionId) -> Link | None:
        """A session that still counts: likewise."""
        return self._room.usable.get(session)

    def first(self, feed: FeedId) -> int:
        """The first stored sequence; 1 where nothing is stored."""
        state = self._room.known(feed)
        return 1 if state is None else state.first

    def durable(self, feed: FeedId) -> int:
        """Up to where the store holds the feed: ``clock[feed]``, or 0."""
        room = self._room
        number = room.numbers.get(feed)
        return 0 if number is None else room.feeds[number].durable

    def accepted(self, feed: FeedId) -> int:
        """Up to where the store holds the feed, or has been handed it."""
        state = self._room.known(feed)
        return 0 if state is None else state.accepted

    def wanted(self, feed: FeedId) -> int | None:
        """The ``last`` of the feed's last Follow."""
        state = self._room.known(feed)
        return None if state is None else state.last

    def shares(self, session: SessionId, feed: FeedId) -> bool:
        """Whether we take the feed from this session: it is followed, and not refused there."""
        link, state = self._room.usable.get(session), self._room.known(feed)
        return link is not None and state is not None and state.followed and state.number not in link.refused

    def peer(self, session: SessionId) -> PeerId | None:
        """Who is at the other end; None if the session is down."""
        link = self._room.usable.get(session)
        return None if link is None else link.peer

    def heard(self, session: SessionId, feed: FeedId) -> int:
        """What this session claims to hold of the feed; 0 if nothing, or if it is down."""
        link, state = self._room.usable.get(session), self._room.known(feed)
        return 0 if link is None or state is None else max(link.heard[state.number], 0)

    def claimed(self, feed: FeedId) -> int:
        """The most that any connected session claims to hold of the feed; 0 if none does.

        Without what someone claims who may be anybody, and did not deliver when asked.
        """
        room = self._room
        state = room.known(feed)
        if state is None:
            return 0
        number, most = state.number, 0
        for link in room.links:
            heard = link.heard[number]
            if heard > most and not (room.config.doubt_claims and not link.proved and link.penalised(number, room.now)):
                most = heard
        return most

    def _links(self, session: SessionId | None) -> list[Link]:
        return list(self._room.links) if session is None else [self._room.sessions[session]]

    def progress(self, session: SessionId | None = None) -> Progress:
        """Of one session, or over all."""
        room = self._room
        meter = self._meters.setdefault(session, Meter())
        return measure(self._links(session), room.feeds, room.followed.values(), meter, room.now)

    def status(self, feed: FeedId) -> FeedStatus:
        state = self._room.known(feed)
        return FeedStatus(feed, 0, False, None, ()) if state is None else feed_status(state, self._room.links)

    def statistics(self, session: SessionId | None = None) -> CoreStatistics:
        """Of one session, or of all there were."""
        total = CoreStatistics()
        if session is None:
            total.add(self._past)
        for link in self._room.sessions.values() if session is None else self._links(session):
            total.add(link.statistics)
        return total

    def sync_wait(self, session: SessionId | None = None) -> SyncWait:
        """What either side has announced by now, to be waited for."""
        return SyncWait.over(self._links(session), self._room.feeds)

    # -- request skipping

    def remembers(self, key: PeerKey) -> bool:
        """Is what was told to this peer, and heard from it, in memory?"""
        return self._room.memories.has(key)

    def recall(self, key: PeerKey, rows: Iterable[Remembered]) -> None:
        """Take in what the store remembers of a peer; in pages, before its session comes up."""
        self._room.memories.recall(key, ((self._room.intern(row.feed).number, row) for row in rows))

    def renew_digests(self, key: PeerKey, limit: int) -> bool:
        """Compute what :meth:`heard_digest` and the next SessionUp need, at most ``limit`` entries. False: all is."""
        return self._room.memories.renew(key, limit)

    def renew_idle_digests(self, limit: int) -> bool:
        """Likewise for peers without a session: when one has ended, for the next."""
        return self._room.memories.renew_idle(limit)

    def heard_digest(self, key: PeerKey | None) -> bytes:
        """For our RESUME to this peer."""
        return self._room.memories.heard_digest(key)

    def take_unsaved(self, limit: int = 10_000) -> dict[PeerKey, Sequence[Remembered]]:
        """Rows to be saved with the store; empty when all is."""
        return self._room.memories.take_unsaved(limit)


class _ClockView(Mapping[FeedId, int]):
    """feed → durable sequence, live, without zeros."""

    __slots__ = ("_room",)

    def __init__(self, room: Room) -> None:
        self._room = room

    def __getitem__(self, feed: FeedId) -> int:
        state = self._room.known(feed)
        if state is None or not state.durable:
            raise KeyError(feed)
        return state.durable

    def __iter__(self) -> Iterator[FeedId]:
        return (feed.id for feed in self._room.feeds if feed.durable)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))

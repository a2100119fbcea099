"""One peer's protocol state, whole: ``handle(event, now) -> actions``, and what to send, pulled.

The runtime and the simulator drive this same object. Rules, in short (``docs/protocol.md``, ``docs/scheduler.md``):

- A note is answered once, with ours; later only what was not told.
- Messages are appended before they are announced; what is announced is durable.
- Nothing is queued for a peer: per feed there is a cursor, and at most one thing to be said.
- Who is asked for a feed is :class:`~.ownership.Ownership`'s business alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from heapq import heappop, heappush
from random import Random
from typing import Any

from . import events as ev
from .actions import Action, Append, Close, Followed, Outgoing, Report, Wake, What
from .clock import NONE, Memory
from .config import Config
from .feed import Feed
from .link import ANNOUNCED, EAGER, WANTS, CoreStatistics, Link, Say
from .memories import Memories
from .note import DECLINED
from .outgoing import commit, pull
from .ownership import Ownership
from .progress import FeedStatus, Meter, Progress, SyncWait, feed_status, measure
from .types import FeedHead, FeedId, PeerId, PeerKey, Remembered, Run, SessionId

BYE_REPLACED = 1
BYE_BLOCKED = 5

SYNCED_AGAIN = 1.0
"""A session that was out of sync for less than this many seconds is not reported as synced again."""


class Replicator:
    """The core of one peer. Not reentrant, not thread-safe; never raises on what a peer may cause.

    :param me: our own id; feeds of that id are nobody's to push to us more than others'
    :param rng: the only source of randomness
    :param should_replicate: asked about a feed that a peer names and that is not followed; must not raise
    """

    def __init__(
        self,
        me: PeerId,
        config: Config,
        rng: Random,
        *,
        should_replicate: Callable[[FeedId, PeerId], bool] | None = None,
    ) -> None:
        self.me = me
        self.config = config
        self.should_replicate = should_replicate
        self.names: list[FeedId] = []
        self.numbers: dict[FeedId, int] = {}
        self.feeds: list[Feed] = []
        self.followed: dict[FeedId, Feed] = {}
        self.blocked: dict[tuple[PeerId, FeedId | None], None] = {}
        self.sessions: dict[SessionId, Link] = {}
        self.ownership = Ownership(config, rng, self._report_feed)
        self.memories = Memories(self.names)
        self.past = CoreStatistics()
        """Of sessions that have ended."""
        self._meters: dict[SessionId | None, Meter] = {None: Meter()}
        self._timers: list[tuple[float, int, Feed | Link]] = []
        self._timer_count = 0
        self._actions: list[Action] = []
        self._woken: dict[Link, None] = {}
        self._now = 0.0
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.Loaded: self._loaded,
            ev.Follow: self._follow,
            ev.Unfollow: self._unfollow,
            ev.Forgotten: self._forgotten,
            ev.Block: self._block,
            ev.Unblock: self._unblock,
            ev.SessionUp: self._session_up,
            ev.SessionDown: self._session_down,
            ev.NotesReceived: self._notes,
            ev.MessagesReceived: self._messages,
            ev.StartReceived: self._start,
            ev.AcksReceived: self._acks,
            ev.Stored: self._stored,
            ev.Appended: self._appended,
            ev.AppendFailed: self._append_failed,
            ev.ReadFailed: self._read_failed,
            ev.ReadMissing: self._read_missing,
            ev.TooLarge: self._too_large,
            ev.Tick: self._tick,
        }

    # -- in and out -----------------------------------------------------------------------------------------------

    def handle(self, event: ev.Event, now: float) -> list[Action]:
        """Take one event in; returns what is to be done, in order."""
        self._now = now
        self._handlers[type(event)](event)
        self.ownership.drain(now)
        touched = self.ownership.touched
        if touched:
            for feed in touched:
                self._arm(feed)
                owner = feed.owner
                if owner is not None and feed.number in owner.pending:
                    self._woken[owner] = None
            touched.clear()
        actions, self._actions = self._actions, []
        for link in self._woken:
            if link.up:
                actions.append(Wake(link.session))
        self._woken.clear()
        return actions

    def next_outgoing(self, session: SessionId, now: float, *, flush: bool = False) -> Outgoing:
        """What ``session`` may send now. Notes, ACKs and STARTs in it count as said from here on.

        :param flush: all ACKs owed, instead of only those that are due: for a PONG
        """
        link = self.sessions.get(session)
        if link is None or not link.up:
            return Outgoing()
        outgoing = pull(link, self.feeds, self.config.notes_per_frame, flush=flush)
        for feed_id in (*outgoing.notes, *outgoing.acks):
            self._track(link, self.feeds[self.numbers[feed_id]], now)
        if outgoing.final:
            self._check_synced(link, now)
        return outgoing

    def commit_run(self, session: SessionId, feed: FeedId, first: int, count: int, now: float) -> bool:
        """Are these messages, just read, still to be sent? If so they count as sent: put them into the next frame."""
        link = self.sessions.get(session)
        if link is None or not link.up:
            return False
        state = self.feeds[self.numbers[feed]]
        if not commit(link, state, first, count):
            return False
        self._track(link, state, now)
        return True

    def next_deadline(self) -> float | None:
        """When a Tick is due, or None."""
        timers = self._timers
        while timers:
            time, _, thing = timers[0]
            due = thing.due() if thing.armed == time else None
            if due is not None and due <= time:
                return time
            heappop(timers)
            if thing.armed == time:
                thing.armed = None
                self._arm(thing)
        return None

    # -- looking in -----------------------------------------------------------------------------------------------

    @property
    def clock(self) -> Mapping[FeedId, int]:
        """feed → durable sequence; live; no zeros."""
        return ClockView(self)

    @property
    def follows(self) -> Set[FeedId]:
        return self.followed.keys()

    @property
    def blocks(self) -> Set[tuple[PeerId, FeedId | None]]:
        return self.blocked.keys()

    def first(self, feed: FeedId) -> int:
        """The first stored sequence; 1 where nothing is stored."""
        number = self.numbers.get(feed)
        return 1 if number is None else self.feeds[number].first

    def accepted(self, feed: FeedId) -> int:
        """Up to where the store holds the feed, or has been handed it."""
        number = self.numbers.get(feed)
        return 0 if number is None else self.feeds[number].accepted

    def claimed(self, feed: FeedId) -> int:
        """The most that any connected session claims to hold of the feed; 0 if none does."""
        number = self.numbers.get(feed)
        if number is None:
            return 0
        return max((link.heard[number] for link in self.ownership.links), default=0)

    def progress(self, session: SessionId | None = None) -> Progress:
        """Of one session, or over all."""
        links = self.ownership.links if session is None else [self.sessions[session]]
        meter = self._meters.setdefault(session, Meter())
        return measure(links, self.feeds, self.followed.values(), meter, self._now)

    def status(self, feed: FeedId) -> FeedStatus:
        number = self.numbers.get(feed)
        if number is None:
            return FeedStatus(feed, 0, False, None, ())
        return feed_status(self.feeds[number], self.ownership.links)

    def statistics(self, session: SessionId | None = None) -> CoreStatistics:
        """Of one session, or of all there were."""
        total = CoreStatistics()
        if session is not None:
            total.add(self.sessions[session].statistics)
            return total
        total.add(self.past)
        for link in self.sessions.values():
            total.add(link.statistics)
        return total

    def sync_wait(self, session: SessionId | None = None) -> SyncWait:
        """What either side has announced by now, to be waited for."""
        links = self.ownership.links if session is None else [self.sessions[session]]
        return SyncWait.over(links, self.feeds)

    # -- request skipping -------------------------------------------------------------------------------------------

    def remembers(self, key: PeerKey) -> bool:
        """Is what was told to this peer, and heard from it, in memory?"""
        return self.memories.has(key)

    def recall(self, key: PeerKey, rows: Iterable[Remembered]) -> None:
        """Take in what the store remembers of a peer; in pages, before its session comes up."""
        self.memories.recall(key, ((self._intern(row.feed).number, row) for row in rows))

    def heard_digest(self, key: PeerKey | None) -> bytes:
        """For our RESUME to this peer."""
        return self.memories.heard_digest(key)

    def take_unsaved(self, limit: int = 10_000) -> dict[PeerKey, list[Remembered]]:
        """Rows to be saved with the store; empty when all is."""
        return self.memories.take_unsaved(limit)

    # -- feeds ------------------------------------------------------------------------------------------------------

    def _intern(self, id: FeedId) -> Feed:
        number = self.numbers.get(id)
        if number is not None:
            return self.feeds[number]
        feed = Feed(len(self.feeds), id)
        self.feeds.append(feed)
        self.names.append(id)
        self.numbers[id] = feed.number
        for link in self.sessions.values():
            link.grow(len(self.feeds))
        return feed

    def _loaded(self, event: ev.Loaded) -> None:
        for head in event.heads:
            feed = self._intern(head.feed)
            feed.first, feed.durable, feed.accepted = head.first, head.head, max(head.head, feed.accepted)

    def _follow(self, event: ev.Follow) -> None:
        feed = self._intern(event.feed)
        feed.last = event.last
        if feed.followed:
            return
        feed.followed = True
        self.followed[feed.id] = feed
        for link in list(self.ownership.links):
            self._welcome(link, feed)

    def _welcome(self, link: Link, feed: Feed) -> None:
        """Say a fresh note about a feed that is followed, or no longer blocked, from now on."""
        if feed.number in link.refused:
            return
        link.pending[feed.number] = Say.LAZY
        self._woken[link] = None
        if feed.id == link.peer and feed.id != self.me:
            self.ownership.adopt(feed, link, self._now)
        self.ownership.announced(feed, link, self._now)
        self._track(link, feed, self._now)

    def _unfollow(self, event: ev.Unfollow) -> None:
        feed = self.followed.pop(event.feed, None)
        if feed is None:
            return
        feed.followed = False
        for link in self.ownership.links:
            self._decline(link, feed)

    def _decline(self, link: Link, feed: Feed) -> None:
        """Have nothing to do with the feed on this session any more, and say so if anything else was said."""
        number = feed.number
        owes = link.told[number] >= 0 or link.heard[number] >= 0
        link.forget(number)
        self.ownership.leave(feed, link, self._now)
        link.pending.pop(number, None)
        if owes:
            link.pending[number] = Say.DECLINE
            self._woken[link] = None
        self._track(link, feed, self._now)

    def _forgotten(self, event: ev.Forgotten) -> None:
        self._unfollow(ev.Unfollow(event.feed))
        feed = self._intern(event.feed)
        feed.first, feed.durable, feed.accepted, feed.floor = 1, 0, 0, 0

    # -- blocks -----------------------------------------------------------------------------------------------------

    def _block(self, event: ev.Block) -> None:
        key = (event.target, event.origin)
        if key in self.blocked:
            return
        self.blocked[key] = None
        for link in [link for link in self.ownership.links if link.peer == event.target]:
            if event.origin is None:
                self._actions.append(Close(link.session, BYE_BLOCKED, "blocked"))
            else:
                feed = self._intern(event.origin)
                link.refused.add(feed.number)
                self._decline(link, feed)
            self._report(What.BLOCKED, link.peer, event.origin)

    def _unblock(self, event: ev.Unblock) -> None:
        self.blocked.pop((event.target, event.origin), None)
        if event.origin is None:
            return
        feed = self._intern(event.origin)
        for link in self.ownership.links:
            if link.peer == event.target and feed.number in link.refused:
                link.refused.discard(feed.number)
                if feed.followed:
                    self._welcome(link, feed)

    # -- sessions ---------------------------------------------------------------------------------------------------

    def _session_up(self, event: ev.SessionUp) -> None:
        if (event.peer, None) in self.blocked:
            self._actions.append(Close(event.session, BYE_BLOCKED, "blocked"))
            return
        smaller = self.me < event.peer
        for other in list(self.ownership.links):
            if event.instance is not None and (other.peer, other.instance) == (event.peer, event.instance):
                self._drop(other)
                if smaller:
                    self._actions.append(Close(other.session, BYE_REPLACED, "replaced by a newer session"))
        memory = self.memories.take(event.key)
        for other in self.ownership.links:
            if other.memory is memory:
                other.detach(self.names)
        link = Link(
            event.session,
            event.peer,
            self.names,
            memory,
            instance=event.instance,
            acks=event.acks,
            hold=self.config.hold(smaller),
        )
        self.sessions[event.session] = link
        self._report(What.CONNECTED, link.peer)
        changed = memory.skippable(event.heard_digest)
        self.ownership.joined(link)
        for _, origin in [key for key in self.blocked if key[0] == link.peer]:
            if origin is not None:
                link.refused.add(self._intern(origin).number)
        for feed in self.feeds:
            self._introduce(link, feed, changed)
        self._woken[link] = None

    def _introduce(self, link: Link, feed: Feed, changed: set[int] | None) -> None:
        """The initial note about a feed, unless the peer knows it: it showed that it remembers all but ``changed``."""
        number = feed.number
        told, heard = link.told[number], link.heard[number]
        known = changed is not None and number not in changed
        if feed.followed and number not in link.refused:
            if not (known and (told == feed.durable or (told == NONE and heard == DECLINED))):
                link.pending[number] = Say.LAZY
                if feed.id == link.peer and feed.id != self.me:
                    self.ownership.adopt(feed, link, self._now)
            if heard > feed.accepted:
                self.ownership.announced(feed, link, self._now)
            self._track(link, feed, self._now)
        elif told >= 0 or (told == DECLINED and not known):
            link.pending[number] = Say.DECLINE

    def _session_down(self, event: ev.SessionDown) -> None:
        link = self.sessions.get(event.session)
        if link is None:
            return
        if link.up:
            self._drop(link)
        del self.sessions[event.session]
        self._meters.pop(event.session, None)
        self.past.add(link.statistics)
        self._report(What.DISCONNECTED, link.peer)

    def _drop(self, link: Link) -> None:
        """The session counts no more: it is down, or a newer one with the same peer has come up."""
        link.up = False
        concerned = set(link.open)
        concerned.update(number for number, flags in enumerate(link.flags) if flags & EAGER)
        self.ownership.left(link, [self.feeds[number] for number in concerned], self._now)
        link.memory.in_use = False
        link.held.clear()
        link.owed.clear()
        link.retries.clear()

    def _link(self, session: SessionId) -> Link | None:
        link = self.sessions.get(session)
        return link if link is not None and link.up else None

    # -- what peers say ---------------------------------------------------------------------------------------------

    def _notes(self, event: ev.NotesReceived) -> None:
        link = self._link(event.session)
        if link is None:
            return
        if not event.notes:
            link.in_initial = False
            self._check_synced(link, self._now)
            return
        link.statistics.notes_received += len(event.notes)
        for id, note in event.notes.items():
            feed = self._intern(id)
            if note == DECLINED:
                self._declined(link, feed)
            elif not feed.followed or feed.number in link.refused:
                self._unknown(link, feed, note)
            if note != DECLINED and feed.followed and feed.number not in link.refused:
                self._note(link, feed, note >> 1, bool(note & 1))
            self._track(link, feed, self._now)

    def _declined(self, link: Link, feed: Feed) -> None:
        """Never answered; what was told is told no more, on both sides."""
        number = feed.number
        link.forget(number)
        link.memory.heard.set(number, DECLINED)
        if link.told[number] != DECLINED:
            link.memory.told.set(number, NONE)
        self.ownership.leave(feed, link, self._now)

    def _unknown(self, link: Link, feed: Feed, note: int) -> None:
        """A note for a feed that we don't replicate with this peer."""
        number = feed.number
        if (
            not feed.followed
            and number not in link.refused
            and self.should_replicate is not None
            and self.should_replicate(feed.id, link.peer)
        ):
            self._actions.append(Followed(feed.id))
            self._follow(ev.Follow(feed.id))
        elif link.told[number] != DECLINED or link.pending.get(number) is not None:
            # Until the -1 is on its way they count as heard, as they will forget what they told when it comes.
            link.memory.heard.set(number, note >> 1)
            link.pending[number] = Say.DECLINE
            self._woken[link] = None

    def _note(self, link: Link, feed: Feed, sequence: int, lazy: bool) -> None:
        number = feed.number
        if link.heard[number] == DECLINED:
            link.memory.told.set(number, NONE)
        link.memory.heard.set(number, sequence)
        told = link.told[number]
        if lazy:
            link.flags[number] &= ~WANTS
            link.ready.pop(number, None)
            behind = feed.durable > max(sequence, told, link.cursor[number])
        else:
            link.flags[number] |= WANTS
            link.cursor[number] = sequence
            link.retries.pop(number, None)
            behind = False
            if sequence < feed.durable:
                link.ready[number] = None
                self._woken[link] = None
        if told < 0 or behind:
            self._tell(link, feed)
        self._owe(link, feed)
        self.ownership.announced(feed, link, self._now)

    def _acks(self, event: ev.AcksReceived) -> None:
        link = self._link(event.session)
        if link is None:
            return
        link.statistics.acks_received += len(event.acks)
        for id, sequence in event.acks.items():
            number = self.numbers.get(id)
            if number is None or not self.feeds[number].followed or link.heard[number] == DECLINED:
                continue
            feed = self.feeds[number]
            if number in link.refused:
                continue
            link.memory.heard.set(number, sequence)
            self._owe(link, feed)
            self.ownership.announced(feed, link, self._now)
            self._track(link, feed, self._now)

    def _start(self, event: ev.StartReceived) -> None:
        """The peer has the feed only from some sequence on."""
        link = self._link(event.session)
        if link is None:
            return
        for id, first in event.firsts.items():
            number = self.numbers.get(id)
            if number is None or not self.feeds[number].followed:
                continue
            feed = self.feeds[number]
            if feed.owner is link and feed.last and feed.empty and first > 1:
                feed.floor = feed.accepted = first - 1
                self.ownership.ask(feed, link)
                self.ownership.evaluate(feed, self._now)
            elif feed.accepted + 1 < first:
                link.firsts[number] = first
                detail = f"the peer serves from {first} on, we hold {feed.durable}"
                self._report(What.LATE, link.peer, feed.id, detail)
                self.ownership.leave(feed, link, self._now)

    def _messages(self, event: ev.MessagesReceived) -> None:
        link = self._link(event.session)
        if link is None:
            return
        now = self._now
        for run in event.runs:
            count = len(run.payloads)
            link.statistics.messages_received += count
            link.count_delivery(count, now)
            number = self.numbers.get(run.feed)
            feed = None if number is None else self.feeds[number]
            if feed is None or not feed.followed or feed.number in link.refused:
                link.statistics.unwanted += count
                continue
            self._run(link, feed, run)
            self._track(link, feed, now)

    def _run(self, link: Link, feed: Feed, run: Run) -> None:
        number, now, last = feed.number, self._now, run.last
        heard = link.heard[number]
        if heard != DECLINED and last > heard:
            link.memory.heard.set(number, last)
            feed.highest = max(feed.highest, last)
            self._owe(link, feed)
        self.ownership.payload(feed, link, now)
        expected = feed.accepted + 1
        if last < expected:
            link.statistics.duplicates += len(run.payloads)
            self.ownership.duplicate(feed, link, now)
            if number in link.pending:
                self._woken[link] = None
            self.ownership.evaluate(feed, now)
        elif run.first > expected:
            link.statistics.gaps += 1
            self.ownership.lost(feed, link, now)
        else:
            known = expected - run.first
            link.statistics.duplicates += known
            payloads = run.payloads[known:] if known else run.payloads
            late = feed.empty and feed.floor > 0
            feed.accepted = last
            feed.inflight += 1
            self._actions.append(Append(link.session, Run(feed.id, expected, payloads, late)))
            self.ownership.delivered(feed, link, now)

    # -- what our store says ----------------------------------------------------------------------------------------

    def _appended(self, event: ev.Appended) -> None:
        feed = self.feeds[self.numbers[event.feed]]
        feed.inflight -= 1
        feed.failing = 0
        if not feed.durable and feed.floor:
            feed.first = feed.floor + 1
        self._advance(feed, event.head)

    def _stored(self, event: ev.Stored) -> None:
        feed = self._intern(event.feed)
        if event.head <= feed.durable:
            return
        feed.first = event.first
        if event.head > feed.accepted:
            feed.accepted = event.head
            self.ownership.delivered(feed, None, self._now)
        self._advance(feed, event.head)

    def _advance(self, feed: Feed, head: int) -> None:
        """The durable head has moved: everybody who has not declined the feed learns."""
        if head > feed.accepted:
            feed.accepted = head
            self.ownership.evaluate(feed, self._now)
        feed.durable = max(feed.durable, head)
        if not feed.followed:
            return
        for link in self.ownership.links:
            self._announce(link, feed)
            self._track(link, feed, self._now)
            if feed.inflight == 0 and link.pending.get(feed.number) is Say.EAGER:
                self._woken[link] = None

    def _announce(self, link: Link, feed: Feed) -> None:
        if not link.shares(feed):
            return
        number, head = feed.number, feed.durable
        flags, told = link.flags[number], link.told[number]
        if flags & WANTS and link.cursor[number] < head:
            link.ready[number] = None
            self._woken[link] = None
        elif max(told, link.cursor[number], link.heard[number]) < head:
            if flags & ANNOUNCED:
                self._hold(link, link.held, number, link.hold)
            else:
                link.flags[number] |= ANNOUNCED
                self._tell(link, feed)
        else:
            self._owe(link, feed)

    def _owe(self, link: Link, feed: Feed) -> None:
        """Who has what we have, and does not know that we have it, gets an ACK by and by."""
        number = feed.number
        if link.acks and link.told[number] < feed.durable <= link.heard[number] and link.shares(feed):
            self._hold(link, link.owed, number, self.config.ack_delay)

    def _append_failed(self, event: ev.AppendFailed) -> None:
        feed = self.feeds[self.numbers[event.feed]]
        feed.inflight -= 1
        feed.durable = max(feed.durable, event.head)
        feed.accepted = max(feed.durable, feed.floor)
        link = self._link(event.session)
        if event.error is ev.AppendError.INVALID:
            if link is not None:
                link.refused.add(feed.number)
                self._decline(link, feed)
                self._report(What.INVALID, link.peer, feed.id, event.detail)
        else:
            feed.failing += 1
            if link is not None:
                self.ownership.lost(feed, link, self._now)
        self.ownership.evaluate(feed, self._now)
        if feed.inflight == 0:
            for other in self.ownership.links:
                if other.pending.get(feed.number) is Say.EAGER:
                    self._woken[other] = None

    def _read_failed(self, event: ev.ReadFailed) -> None:
        link = self._link(event.session)
        if link is not None:
            number = self.numbers[event.feed]
            if link.ready.pop(number, 0) is None:
                self._hold(link, link.retries, number, self.config.read_retry)

    def _read_missing(self, event: ev.ReadMissing) -> None:
        link = self._link(event.session)
        number = self.numbers[event.feed]
        self.feeds[number].first = max(self.feeds[number].first, event.first)
        if link is not None and number in link.ready:
            self._woken[link] = None

    def _too_large(self, event: ev.TooLarge) -> None:
        link = self._link(event.session)
        if link is not None:
            number = self.numbers[event.feed]
            link.ready.pop(number, None)
            link.flags[number] &= ~WANTS
            detail = f"message {event.sequence} does not fit what the peer takes"
            self._report(What.TOO_LARGE, link.peer, event.feed, detail)

    # -- saying things ----------------------------------------------------------------------------------------------

    def _tell(self, link: Link, feed: Feed) -> None:
        """Say where we are, without a change of mode: to the owner as an ACK, which rewinds nothing there."""
        number = feed.number
        self._woken[link] = None
        if number in link.pending:
            return
        if not link.flags[number] & EAGER:
            link.pending[number] = Say.LAZY
        elif link.acks and link.told[number] >= 0:
            link.ready_acks[number] = None
        else:
            link.pending[number] = Say.EAGER

    def _hold(self, link: Link, held: dict[int, float], number: int, delay: float) -> None:
        if number not in held:
            held[number] = self._now + delay
            self._arm(link)

    def _track(self, link: Link, feed: Feed, now: float) -> None:
        """Keep the set of feeds on which this session is not in sync."""
        number = feed.number
        if link.shares(feed):
            head, told = feed.durable, link.told[number]
            if link.heard[number] != head or (told != head and (link.acks or told == NONE)):
                if not link.open:
                    link.open_since = now
                link.open.add(number)
                return
        if number in link.open:
            link.open.discard(number)
            self._check_synced(link, now)

    def _check_synced(self, link: Link, now: float) -> None:
        if link.open or link.in_initial or link.final_due or not link.up:
            return
        if not link.synced or now - link.open_since >= SYNCED_AGAIN:
            self._report(What.SYNCED, link.peer)
        link.synced = True
        link.open_since = now

    def _report(self, what: What, peer: PeerId, feed: FeedId | None = None, detail: str = "") -> None:
        self._actions.append(Report(what, peer, feed, detail))

    def _report_feed(self, what: What, link: Link, feed: Feed, detail: str) -> None:
        self._woken[link] = None
        self._report(what, link.peer, feed.id, detail)

    # -- time -------------------------------------------------------------------------------------------------------

    def _arm(self, thing: Feed | Link) -> None:
        due = thing.due()
        if due is not None and (thing.armed is None or due < thing.armed):
            thing.armed = due
            self._timer_count += 1
            heappush(self._timers, (due, self._timer_count, thing))

    def _tick(self, event: ev.Tick) -> None:
        now, timers = self._now, self._timers
        while timers and timers[0][0] <= now:
            time, _, thing = heappop(timers)
            if thing.armed != time:
                continue
            thing.armed = None
            due = thing.due()
            if due is not None and due <= now:
                if isinstance(thing, Feed):
                    self.ownership.fire(thing, now)
                else:
                    self._due(thing)
            self._arm(thing)

    def _due(self, link: Link) -> None:
        """What was held back on a session is due: said if it is still news there."""
        now = self._now
        for number in _expired(link.held, now):
            feed = self.feeds[number]
            heard = max(link.told[number], link.cursor[number], link.heard[number])
            if link.shares(feed) and heard < feed.durable:
                self._tell(link, feed)
            self._owe(link, feed)
        for number in _expired(link.owed, now):
            feed = self.feeds[number]
            if link.shares(feed) and link.told[number] < feed.durable:
                link.ready_acks[number] = None
                self._woken[link] = None
        for number in _expired(link.retries, now):
            link.ready[number] = None
            self._woken[link] = None


def _expired(held: dict[int, float], now: float) -> list[int]:
    """Take what is due by now from a dict in order of time."""
    expired: list[int] = []
    for number, due in held.items():
        if due > now:
            break
        expired.append(number)
    for number in expired:
        del held[number]
    return expired


class ClockView(Mapping[FeedId, int]):
    """feed → durable sequence, live, without zeros."""

    __slots__ = ("_core",)

    def __init__(self, core: Replicator) -> None:
        self._core = core

    def __getitem__(self, feed: FeedId) -> int:
        durable = self._core.feeds[self._core.numbers[feed]].durable
        if not durable:
            raise KeyError(feed)
        return durable

    def __iter__(self) -> Iterator[FeedId]:
        return (feed.id for feed in self._core.feeds if feed.durable)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))


__all__ = ["ClockView", "Config", "Memory", "Replicator", "FeedHead", "Sequence"]

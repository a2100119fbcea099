"""What one peer knows, and the ways in which its parts leave something to be said.

The handlers (:mod:`.following`, :mod:`.meeting`, :mod:`.hearing`, :mod:`.storing`) share one Room; the
:class:`~.replicator.Replicator` is its front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from random import Random
from typing import Final

from .actions import Action, Report, What
from .clock import NONE
from .config import Config
from .feed import Feed
from .heads import Heads
from .link import ANNOUNCED, EAGER, OFFERED, SAY_DECLINE, SAY_EAGER, SAY_LAZY, WANTS, Link, Say, take
from .memories import Memories
from .note import DECLINED
from .ownership import Ownership
from .patience import Arriving, nothing_arriving
from .timers import Timers
from .types import FeedId, PeerId, SessionId

SYNCED_AGAIN: Final = 1.0
"""A session that was out of sync for less than this many seconds is not reported as synced again."""


ACKS_TOGETHER: Final = 0.1
"""With an ACK that is due go those that would be so many ack_delays later: one frame instead of dozens."""


class Room:
    """State and speech; decides nothing about ownership (that is :class:`~.ownership.Ownership`)."""

    def __init__(
        self,
        me: PeerId,
        config: Config,
        rng: Random,
        should_replicate: Callable[[FeedId, PeerId], bool] | None,
        arriving: Arriving = nothing_arriving,
    ) -> None:
        self.me = me
        self.config = config
        self.spacing = config.spacing
        self.should_replicate = should_replicate
        self.now = 0.0
        self.names: list[FeedId] = []
        self.numbers: dict[FeedId, int] = {}
        self.feeds: list[Feed] = []
        self.heads = Heads()
        self.followed: dict[FeedId, Feed] = {}
        self.strangers = 0
        """How many feeds are known only because a peer has named them."""
        self.blocked: dict[tuple[PeerId, FeedId | None], None] = {}
        self.sessions: dict[SessionId, Link] = {}
        """All that the runtime has, also those that a newer one has replaced (not up)."""
        self.usable: dict[SessionId, Link] = {}
        """Those that still count."""
        self.ownership = Ownership(config, rng, self.report_about, arriving)
        self.memories = Memories(self.names)
        self.timers: Timers[Feed | Link] = Timers()
        self.actions: list[Action] = []
        self.woken: dict[Link, None] = {}

    # -- finding things

    @property
    def links(self) -> list[Link]:
        """Usable sessions."""
        return self.ownership.links

    def known(self, id: FeedId) -> Feed | None:
        number = self.numbers.get(id)
        return None if number is None else self.feeds[number]

    def intern(self, id: FeedId) -> Feed:
        """The feed of that id, numbered now if it is new."""
        number = self.numbers.get(id)
        if number is None:
            self.intern_all([id])
            number = self.numbers[id]
        return self.feeds[number]

    def intern_all(self, ids: Iterable[FeedId]) -> None:
        """Number these, which are new, once each. All at once: every session has to make room for them."""
        fresh: list[FeedId] = []
        for id in ids:
            feed = Feed(len(self.feeds), id)
            self.feeds.append(feed)
            self.names.append(id)
            self.numbers[id] = feed.number
            fresh.append(id)
        self.heads.grow(len(fresh))
        for link in self.sessions.values():
            link.grow(len(self.feeds))
            if link.strangers:
                for id in fresh:
                    if id in link.strangers:  # its -1 has not left yet, and is one like any other from now on
                        number = self.numbers[id]
                        link.memory.heard.put(number, link.strangers.pop(id))
                        link.pending[number] = SAY_DECLINE

    def may_be(self, link: Link, peer: PeerId) -> bool:
        """Is this the peer, as far as anybody can know?"""
        return link.peer == peer or (self.config.doubt_claims and not link.proved)

    # -- leaving things to be said

    def wake(self, link: Link) -> None:
        self.woken[link] = None

    def say(self, link: Link, feed: Feed, say: Say) -> None:
        link.pending[feed.number] = say
        self.woken[link] = None

    def tell(self, link: Link, feed: Feed) -> None:
        """Say where we are, without a change of mode: to the owner as an ACK, which rewinds nothing there."""
        number = feed.number
        if link.unmet(number):
            return  # its initial note comes anyway
        self.woken[link] = None
        if number in link.pending:
            return
        if not link.flags[number] & EAGER:
            link.pending[number] = SAY_LAZY
            self.noted(link, number)
        elif link.acks and link.told[number] >= 0:
            link.ready_acks[number] = None
        else:
            link.pending[number] = SAY_EAGER

    def hold(self, link: Link, held: dict[int, float], number: int, delay: float) -> None:
        """Put off until later, if it is not put off already."""
        if number not in held:
            held[number] = due = self.now + delay
            if link.deadline is None or due < link.deadline:
                link.deadline = due
                self.timers.arm(link)

    def noted(self, link: Link, number: int) -> None:
        """Either side says where it is: for a while that will do."""
        link.noted.pop(number, None)
        link.noted[number] = self.now

    def hold_note(self, link: Link, feed: Feed) -> None:
        """There is news for a session, to be said by and by; in a stream, with what comes until then."""
        number = feed.number
        if number in link.news:
            return
        link.news[number] = feed.durable
        if link.noted.get(number, float("-inf")) + self.spacing > self.now:
            self.hold(link, link.spaced, number, self.spacing + link.hold)
        else:
            self.hold(link, link.held, number, link.hold)

    def reconsider(self, link: Link, feed: Feed) -> None:
        """The other side has spoken, while we held back what we have."""
        number = feed.number
        news = link.news[number]
        if self.believed(link, feed):
            link.unhold(number)
        elif link.heard[number] >= news:  # they keep up: one side is enough
            link.unhold(number)
            self.hold_note(link, feed)
        elif number in link.spaced:  # they lack what we have had for a while
            link.let_go(link.spaced, number)
            self.hold(link, link.held, number, link.hold)

    def announce(self, feed: Feed) -> None:
        """Our durable head of a followed feed has moved: let all peers learn, by message, lazy note or ACK.

        All but those that have declined the feed, or must not get it, as in :meth:`Link.shares`.
        """
        number, head = feed.number, feed.durable
        for link in self.ownership.links:
            heard, flags = link.heard[number], link.flags[number]
            if heard == DECLINED or number in link.refused:
                continue
            if flags & WANTS and link.cursor[number] < head:
                link.ready[number] = None
                self.woken[link] = None
            elif heard >= head:
                if link.told[number] < head and link.acks and (number < link.introduced or not link.unmet(number)):
                    self.hold(link, link.owed, number, self.config.ack_delay)  # as in owe()
            elif not self.believed(link, feed):
                if flags & ANNOUNCED:
                    self.hold_note(link, feed)
                else:
                    link.flags[number] = flags | ANNOUNCED
                    self.tell(link, feed)
            if heard == head and not (link.open.flags[number] and link.told[number] != head and link.acks):
                self.track(link, feed)
            elif not link.open.flags[number]:
                self._differs(link, number)

    def believed(self, link: Link, feed: Feed) -> bool:
        """The peer has what we have, or knows that we have it."""
        number, head = feed.number, feed.durable
        return link.told[number] >= head or link.cursor[number] >= head or link.heard[number] >= head

    def owe(self, link: Link, feed: Feed) -> None:
        """Who has what we have, and does not know that we have it, gets an ACK by and by, or our initial note."""
        number = feed.number
        if (
            link.told[number] < feed.durable <= link.heard[number]  # so it has not declined it
            and link.acks
            and feed.followed
            and number not in link.refused
            and not link.unmet(number)
        ):
            self.hold(link, link.owed, number, self.config.ack_delay)

    def follow(self, feed: Feed) -> None:
        """From now on; all sessions learn of it."""
        feed.followed = True
        self.heads.put(feed)
        self.followed[feed.id] = feed
        self.welcome(self.links, feed)

    def welcome(self, links: Iterable[Link], feed: Feed) -> None:
        """A fresh note about a feed that is followed, or no longer blocked there, from now on."""
        welcome = [link for link in links if feed.number not in link.refused]
        for link in welcome:
            self.say(link, feed, SAY_LAZY)
        for link in welcome:  # one of them may be asked for it: that is said instead
            if link.authors(feed) and link.peer != self.me:
                self.ownership.adopt(feed, link, self.now)
            self.ownership.announced(feed, link, self.now)
            self.track(link, feed)

    def decline(self, link: Link, feed: Feed) -> None:
        """Have nothing to do with the feed on this session any more, and say so if anything else was said."""
        number = feed.number
        doubt = link.flags[number] & OFFERED or link.in_doubt(number)
        owes = link.told[number] >= 0 or link.heard[number] >= 0 or doubt
        link.forget(number)
        self.ownership.leave(feed, link, self.now)
        link.pending.pop(number, None)
        if owes:
            self.say(link, feed, SAY_DECLINE)
        self.track(link, feed)

    def due(self, link: Link) -> None:
        """What was held back on a session is due: said if it is still news there."""
        for number in chain(_expired(link.held, self.now), _expired(link.spaced, self.now)) if link.news else ():
            feed = self.feeds[number]
            del link.news[number]
            if not self.believed(link, feed) and link.shares(feed):
                self.tell(link, feed)
            else:
                self.owe(link, feed)
        if link.owed and next(iter(link.owed.values())) <= self.now:
            told, durable, feeds = link.told, self.heads.durable, self.feeds
            expired = _expired(link.owed, self.now + ACKS_TOGETHER * self.config.ack_delay)
            ready = [number for number in expired if told[number] < durable[number] and link.shares(feeds[number])]
            if ready:  # what is not news now must not become an ACK of what comes next
                link.ready_acks.update(dict.fromkeys(ready))
                self.woken[link] = None
        for number in _expired(link.retries, self.now) if link.retries else ():
            if link.flags[number] & WANTS:
                link.ready[number] = None
                self.woken[link] = None
        for number in _expired(link.unproved, self.now) if link.unproved else ():
            self.hold(link, link.unproved, number, self.config.ack_delay)  # asked again if no answer comes
            link.ping_due = True
            self.woken[link] = None
        link.deadline = link.earliest()
        if link.noted:
            _expired(link.noted, self.now - self.spacing)

    # -- watching

    def track(self, link: Link, feed: Feed) -> None:
        """Keep the set of feeds on which this session is not in sync."""
        number, marked = feed.number, link.open.flags
        heard, head = link.heard[number], feed.durable
        if (  # as Link.differs(), a call of which would cost as much as the rest
            (heard != head or (link.told[number] != head and (link.acks or link.told[number] == NONE)))
            and heard != DECLINED
            and feed.followed
            and number not in link.refused
        ):
            if not marked[number]:
                self._differs(link, number)
        elif marked[number]:
            link.open.discard(number)
            self.check_synced(link)

    def track_all(self, link: Link, numbers: Iterable[int]) -> None:
        """:meth:`track` for many."""
        feeds, told, heards, refused, marked = self.feeds, link.told, link.heard, link.refused, link.open.flags
        for number in numbers:
            feed = feeds[number]
            heard, head = heards[number], feed.durable
            if marked[number] and heard != head and heard != DECLINED and feed.followed and number not in refused:
                continue  # they differ as they did
            if marked[number] or not heard == head == told[number]:
                self.track(link, feed)

    def _differs(self, link: Link, number: int) -> None:
        if not link.open.count:
            link.open_since = self.now
        link.open.add(number)

    def check_synced(self, link: Link) -> None:
        if link.open.count or link.in_initial or link.final_due or not link.up:
            return
        if not link.synced or self.now - link.open_since >= SYNCED_AGAIN:
            self.report(What.SYNCED, link.peer)
        link.synced = True
        link.open_since = self.now

    def report(self, what: What, peer: PeerId, feed: FeedId | None = None, detail: str = "") -> None:
        self.actions.append(Report(what, peer, feed, detail))

    def report_about(self, what: What, link: Link, feed: Feed, detail: str) -> None:
        self.woken[link] = None
        self.actions.append(Report(what, link.peer, feed.id, detail))


def _expired(held: dict[int, float], now: float) -> list[int]:
    """Take what is due by now from a dict in order of time."""
    expired: list[int] = []
    for number, due in held.items():
        if due > now:
            break
        expired.append(number)
    return take(held, expired)

"""The feed-ownership scheduler: which session is eager for which feed, and when that changes.

For every followed feed at most one session owns the inbound stream: it was told *eager*, all others *lazy*. All that
can make a feed wait is written down as its class and its deadline, and both come from one idempotent function,
:meth:`Ownership.evaluate`, run after every event that touches the feed:

===========================================================  ===================================================
condition                                                    class, action
===========================================================  ===================================================
nobody ahead                                                 IDLE: no deadline, no mark; the owner stays
no owner, an unpenalised session ahead has room              graft the best of them
no owner, all such sessions full                             WAIT, queued at each
no owner, all penalised                                      graft the oldest penalty
owner penalised, an unpenalised other ahead                  move, or WAIT
owner ahead                                                  CLAIMED until since + stall_timeout · 2^strikes
owner not ahead, an unpenalised other ahead                  UNCLAIMED until mark + graft_delay, then move or WAIT
owner not ahead, only penalised sessions ahead               PENALTY until the first of them ends
===========================================================  ===================================================

*Ahead*: the session is up, not refused, and has announced more than we accepted. Ownership never moves on
duplicates, only on deadlines, on the end of a session, and to a session that keeps announcing earlier (*improve*).
Pruning a tree by duplicates is Plumtree's idea (Leitão, Pereira, Rodrigues: Epidemic Broadcast Trees, SRDS 2007);
lazy-first grafting, windows and verdicts are ours; ``docs/scheduler.md`` has the reasons and the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from .actions import What
from .config import Config
from .feed import CLAIMED, IDLE, UNCLAIMED, WAIT, Class, Feed, Verdict
from .link import EAGER, SAY_EAGER, SAY_LAZY, Fault, Link
from .patience import Arriving, Patience, nothing_arriving
from .rivals import winner
from .waiting import Waiting

LOAD_CAP: Final = 256
"""One feed counts at most this many messages towards a session's load."""
PENALTY: Final = 30.0
PENALTY_MAX: Final = 600.0
BUSY: Final = 8
"""A session that is busy with other feeds has so many stall_timeouts."""
STRIKES_MAX: Final = 5
"""Stall deadlines double with each strike, up to 2^5."""
WRONG_GRAFT_WITHIN: Final = 2.0
GRAFTED: Final = What.GRAFTED

Reporter = Callable[[What, Link, Feed, str], None]


class Ownership:
    """Decides for all feeds of one peer. Says nothing itself, but leaves it to be said at links."""

    def __init__(self, config: Config, rng: Random, report: Reporter, arriving: Arriving = nothing_arriving) -> None:
        self.links: list[Link] = []
        """Usable sessions."""
        self._rng = rng
        self._report = report
        self._arriving = arriving
        self.patience = Patience(config)
        self.waiting = Waiting()
        self.touched: dict[Feed, None] = {}
        """Feeds whose class or deadline may have changed, for whoever keeps the timers and the columns."""

    # -- the one function ---------------------------------------------------------------------------------------

    def evaluate(self, feed: Feed, now: float) -> None:
        """Put the feed into its class, with its deadline; graft or move where that is due at once. Idempotent."""
        if feed.class_ is IDLE and feed.accepted >= feed.highest:
            return  # nobody is ahead, nor was: the usual case, and nothing to do
        self.touched[feed] = None
        if not feed.followed or feed.accepted >= feed.highest:
            self._settle(feed)
            return
        ahead = [link for link in self.links if link.claims(feed)]
        if not ahead:
            number = feed.number
            feed.highest = max((link.heard[number] for link in self.links), default=0)
            self._settle(feed)
            return
        if feed.mark_link is None:
            feed.mark_link, feed.mark_sequence, feed.mark_time = ahead[0], ahead[0].heard[feed.number], now
        owner = feed.owner
        unpenalised = [link for link in ahead if not link.penalised(feed.number, now)]
        if owner is None:
            if unpenalised:
                self._move_or_wait(feed, unpenalised, now)
            else:
                self._graft(feed, min(ahead, key=lambda link: link.faults[feed.number].since), now)
            return
        others = [link for link in unpenalised if link is not owner]
        penalised = owner.penalised(feed.number, now)
        if penalised and others:
            self._move_or_wait(feed, others, now)
        elif owner in ahead:
            self._claimed(feed, owner, bool(others), now)
        elif others:
            if feed.class_ is WAIT:
                self._move_or_wait(feed, others, now)
            else:
                self._enter(feed, UNCLAIMED, now)
                feed.deadline = max(feed.mark_time, feed.entered) + self.patience.graft_delay
                self._account(feed, 0, now)
        else:
            self._enter(feed, Class.PENALTY, now)
            feed.deadline = min(link.faults[feed.number].until for link in ahead)
            self._account(feed, 0, now)

    def _claimed(self, feed: Feed, owner: Link, others: bool, now: float) -> None:
        if feed.class_ is not CLAIMED:
            feed.class_, feed.since, feed.entered = CLAIMED, now, now
        patience = self.patience.stall_timeout(now)
        fault = owner.faults.get(feed.number) if owner.faults else None
        if fault is not None:
            patience = self.patience.graft_delay if others else patience * 2 ** min(fault.strikes, STRIKES_MAX)
        feed.deadline = feed.since + patience
        load = 0 if fault is not None and fault.until > now else owner.heard[feed.number] - feed.accepted
        self._account(feed, load if load < LOAD_CAP else LOAD_CAP, now)

    def _settle(self, feed: Feed) -> None:
        feed.class_ = IDLE
        feed.deadline = None
        feed.mark_link = None
        if feed.load_link is not None:
            self._account(feed, 0, 0.0)

    def _enter(self, feed: Feed, class_: Class, now: float) -> None:
        if feed.class_ is not class_:
            feed.class_ = class_
            feed.entered = now

    def _account(self, feed: Feed, load: int, now: float) -> None:
        """Count so much, which the owner still has to deliver of this feed, towards its load."""
        owner, before = feed.owner, feed.load_link
        if before is not None:
            before.load -= feed.load
            if before is not owner:
                before.measure(now)
        feed.load, feed.load_link = load, owner if load else None
        if owner is not None:
            owner.load += load
            owner.measure(now)

    # -- who, and how ---------------------------------------------------------------------------------------------

    def _best(self, feed: Feed, candidates: list[Link]) -> Link | None:
        """Not "most ahead": that favours liars and defeats balancing."""
        with_room = [link for link in candidates if link.has_room]
        if not with_room:
            return None
        if len(with_room) == 1:
            return with_room[0]
        number = feed.number

        def rank(link: Link) -> tuple[float, bool, int, bool, float]:
            fault = link.faults.get(number)
            penalty = fault.since if fault else float("-inf")
            return penalty, link.suspect, link.load // LOAD_CAP, link is not feed.mark_link, self._rng.random()

        return min(with_room, key=rank)

    def _move_or_wait(self, feed: Feed, candidates: list[Link], now: float) -> None:
        best = self._best(feed, candidates)
        if best is not None:
            self._graft(feed, best, now)
            return
        self._enter(feed, WAIT, now)
        feed.deadline = None
        self._account(feed, 0, now)
        self.waiting.add(feed, candidates)

    def _graft(self, feed: Feed, link: Link, now: float) -> None:
        """Make ``link`` the owner: lazy to the old one and eager to it, together."""
        assert link is not feed.owner, "a session that is eager already would send everything in flight again"
        if feed.owner is not None:
            self.release(feed, now)
        number = feed.number
        feed.owner = link
        feed.since = feed.progressed = now
        feed.asked_again = False
        if feed.last and feed.empty:
            feed.floor = feed.accepted = max(0, link.heard[number] - feed.last)
        self.touched[feed] = None
        link.flags[number] |= EAGER
        link.pending[number] = SAY_EAGER
        link.statistics.grafts += 1
        self._report(GRAFTED, link, feed, "")
        if link.claims(feed):
            feed.allowance = link.delivered + link.load  # a claim buys no patience for itself
            if link.faults:
                feed.class_ = IDLE
                self._claimed(feed, link, False, now)
            else:  # as there, for most feeds
                feed.class_, feed.entered = CLAIMED, now
                feed.deadline = now + self.patience.stall_timeout(now)
                feed.load, feed.load_link = min(link.heard[number] - feed.accepted, LOAD_CAP), link
                link.load += feed.load
                link.measure(now)

    def ask(self, feed: Feed, link: Link) -> None:
        """An eager note to the owner."""
        link.flags[feed.number] |= EAGER
        link.pending[feed.number] = SAY_EAGER
        self.touched[feed] = None

    def release(self, feed: Feed, now: float) -> None:
        """The owner owns the feed no longer; it is told, unless it is gone or has declined."""
        owner = feed.owner
        assert owner is not None
        number = feed.number
        owner.flags[number] &= ~EAGER
        feed.owner = None
        if feed.floor and feed.empty:
            feed.floor = feed.accepted = 0
        if owner.up and owner.shares(feed):
            owner.pending[number] = SAY_LAZY
            owner.pruned[number] = now
            owner.statistics.prunes += 1
            self._report(What.PRUNED, owner, feed, "")
        self._account(feed, 0, now)

    def adopt(self, feed: Feed, link: Link, now: float) -> None:
        """Take the feed from its own author, who has just come up, unless somebody is delivering it right now."""
        if feed.last and feed.empty and not link.claims(feed):
            return  # only its newest messages are wanted: how many it has must be known first
        feed.highest = max(feed.highest, link.heard[feed.number])
        if feed.owner is None or not feed.owner.claims(feed):
            self._graft(feed, link, now)
            self.evaluate(feed, now)

    def queue(self, feed: Feed, link: Link, now: float) -> None:
        """What :meth:`evaluate` comes to where nobody was ahead, and now the only session is, which is full."""
        feed.mark_link, feed.mark_sequence, feed.mark_time = link, link.heard[feed.number], now
        feed.class_, feed.entered = WAIT, now
        self.touched[feed] = None
        self.waiting.add(feed, [link])

    def drain(self, now: float) -> None:
        """Let feeds that wait go on where there is room by now; to be called after every event."""
        only = self.links[0] if len(self.links) == 1 and not self.links[0].faults else None

        def go_on(feed: Feed) -> None:
            if only is not None and feed.owner is None and only.claims(feed):
                self._graft(feed, only, now)  # as evaluate() would: it has room, or the feed's turn had not come
            else:
                self.evaluate(feed, now)

        self.waiting.drain(go_on)

    # -- what happens ---------------------------------------------------------------------------------------------

    def announced(self, feed: Feed, link: Link, now: float) -> None:
        """What ``link`` says about its head has changed: up, down, or declined."""
        heard = link.heard[feed.number]
        if feed.highest < heard > feed.durable:
            feed.highest = heard
        if feed.class_ is not IDLE or feed.highest > feed.accepted:  # evaluate() asks first; most calls would end there
            self.evaluate(feed, now)

    def payload(self, feed: Feed, link: Link, now: float) -> None:
        """Any payload of the feed has come, also a duplicate: was the last verdict wrong?"""
        if feed.verdict_link is not link:
            return
        if feed.verdict is Verdict.STALL:
            self.patience.stalled_too_early(now)
            link.faults.pop(feed.number, None)
        elif now - feed.verdict_time <= WRONG_GRAFT_WITHIN:
            self.patience.grafted_too_early()
        feed.verdict = feed.verdict_link = None

    def delivered(self, feed: Feed, link: Link | None, now: float) -> None:
        """The next messages have come: by ``link``, or by none (our own append, another process).

        The owner stays, whoever delivered.
        """
        feed.since = feed.progressed = now
        if not feed.failing:
            feed.asked_again = False
        if link is not None:
            link.faults.pop(feed.number, None)
            link.suspect = False
            if link is feed.owner:
                late = now - max(feed.mark_time, feed.entered) if feed.class_ is UNCLAIMED else 0.0
                self.patience.owner_delivered(late)
                self._improve(feed, link, now)
        if feed.mark_link is not None and feed.accepted >= feed.mark_sequence:
            feed.mark_link = None
        self.evaluate(feed, now)

    def _improve(self, feed: Feed, owner: Link, now: float) -> None:
        rival = winner(feed, owner, self.links, now)
        if rival is not None:
            self._graft(feed, rival, now)

    def duplicate(self, feed: Feed, link: Link, now: float) -> None:
        """A message we had came from a session that does not own the feed: tell it lazy, unless that is on its way."""
        number = feed.number
        told = link.pruned.get(number)
        if link is feed.owner or (told is not None and now - told < self.patience.stall_timeout(now)):
            return
        link.pruned[number] = now
        link.pending[number] = SAY_LAZY
        link.statistics.prunes += 1

    def lost(self, feed: Feed, link: Link, now: float) -> None:
        """A gap, or an append that failed: ask the owner again, once until there is progress."""
        if link is feed.owner and not feed.asked_again:
            feed.asked_again = True
            self.ask(feed, link)
        self.evaluate(feed, now)

    def joined(self, link: Link) -> None:
        self.links.append(link)

    def left(self, link: Link, feeds: list[Feed], now: float) -> None:
        """A session has ended; ``feeds``: those that it owned or on which it differed from us."""
        self.links.remove(link)
        self.waiting.remove(link)
        for feed in feeds:
            quiet = feed.class_ is IDLE and feed.accepted >= feed.highest and not feed.floor and not link.up
            if quiet and feed.owner is link and feed.rival is not link and feed.verdict_link is not link:
                link.flags[feed.number] &= ~EAGER  # as leave() does, where nothing is to be decided: for most feeds
                feed.owner = None
            else:
                self.leave(feed, link, now)

    def leave(self, feed: Feed, link: Link, now: float) -> None:
        """``link`` has nothing to do with the feed any more."""
        if feed.owner is link:
            self.release(feed, now)
        if feed.mark_link is link:
            feed.mark_link = None
        if feed.rival is link:
            feed.rival = None
        if feed.verdict_link is link:
            feed.verdict = feed.verdict_link = None
        self.evaluate(feed, now)

    # -- time -------------------------------------------------------------------------------------------------------

    def fire(self, feed: Feed, now: float) -> None:
        """The feed's deadline has come."""
        if feed.class_ is CLAIMED:
            self._stalled(feed, now)
        elif feed.class_ is UNCLAIMED:
            self._overtaken(feed, now)
        else:
            feed.deadline = None
            self.evaluate(feed, now)

    def _stalled(self, feed: Feed, now: float) -> None:
        owner, patience = feed.owner, self.patience.stall_timeout(now)
        assert owner is not None
        at_work = self._at_work(feed, owner)
        if feed.failing > 0:
            # Our own store did not take what the owner sent: nobody's fault but ours. That excuses it once.
            feed.failing = -1
            feed.since = now
            self.ask(feed, owner)
        elif (left := min(at_work, feed.progressed + (BUSY - 1) * patience)) + patience > now:
            # Waits on for what is left of either; with strikes, where since + graft_delay counts, for that long.
            # Compared as the deadline is computed: now - left < patience may hold where left + patience is now.
            feed.since = now if feed.number in owner.faults else left
        else:
            fault = owner.faults.get(feed.number)
            strikes = fault.strikes + 1 if fault else 1
            penalty = min(PENALTY * 2 ** min(strikes - 1, STRIKES_MAX), PENALTY_MAX)
            owner.faults[feed.number] = Fault(strikes, now, now + penalty)
            owner.suspect = True
            owner.statistics.stalls += 1
            feed.since = now
            self._report(What.STALLED, owner, feed, f"claims {owner.heard[feed.number]}, we hold {feed.accepted}")
            if any(link.claims(feed) for link in self.links if link is not owner):
                feed.verdict, feed.verdict_link, feed.verdict_time = Verdict.STALL, owner, now
                self.release(feed, now)
            else:
                self.ask(feed, owner)
        self.evaluate(feed, now)

    def _at_work(self, feed: Feed, owner: Link) -> float:
        """When the owner last was at work on what we have asked of it: a large frame may take its time to arrive, and
        what was asked before the feed comes before it."""
        arriving = self._arriving(owner.session)
        return max(arriving, owner.last_payload) if owner.delivered < feed.allowance else arriving

    def _overtaken(self, feed: Feed, now: float) -> None:
        """Others announce what the owner has not: its branch of the tree is broken, or slow."""
        owner = feed.owner
        number = feed.number
        others = [link for link in self.links if link.claims(feed) and not link.penalised(number, now)]
        first = feed.mark_link
        if first is not None and first in others and first.has_room:
            others = [first]
        feed.verdict, feed.verdict_link, feed.verdict_time = Verdict.GRAFT, owner, now
        self._move_or_wait(feed, others, now)

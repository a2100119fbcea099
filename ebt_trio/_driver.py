"""What a peer and its sessions share, and what turns the core's actions into deeds; see :class:`Driver`."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Final, Protocol

import trio

from ._changes import PendingChange
from ._commits import Commits
from ._events import Events
from ._forks import Forks
from ._pulse import Pulse
from ._tail import Tail
from ._throttle import Throttle
from ._turns import Turns
from .abc import Format, Store
from .admission import Admit, Caller
from .core.actions import Append, Close, Followed, Report, Wake, What
from .core.config import Config
from .core.events import Appended, Event, SessionDown, Stored, Tick
from .core.replicator import Replicator
from .core.types import FeedId, PeerId, SessionId
from .errors import LocalProtocolError
from .identity import Identity
from .limits import Limits
from .statistics import Traffic

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Driver", "Observer"]

_log = logging.getLogger("ebt_trio")

Decide = Callable[[FeedId, PeerId], bool]

SPIN_GUARD: Final = 0.001
"""A Tick that leaves its own deadline behind is followed by another one after so many seconds, not at once."""


class Observer(Protocol):
    """Wants to know when a feed has more in the store."""

    def stored(self, feed: FeedId) -> None: ...

    def close(self) -> None: ...


class Driver:
    """Hands events to the core, and does what its actions say. All in one Trio thread, nothing here waits.

    The store is read by whoever needs it; written only by :attr:`commits`.
    """

    def __init__(
        self,
        me: PeerId,
        store: Store,
        format: Format,
        *,
        config: Config,
        limits: Limits,
        network: str,
        should_replicate: Decide | None,
        rng: Random,
        identity: Identity | None = None,
    ) -> None:
        self.me = me
        self.identity = identity
        """Our key, if we have one."""
        self.store = store
        self.format = format
        self.config = config
        self.limits = limits
        self.network = network
        self.rng = rng
        self.instance = secrets.token_bytes(8)
        """Tells this run from others of the same peer, in HELLO."""
        self.should_replicate = should_replicate
        self.core = Replicator(me, config, rng, should_replicate=self._decide, arriving=self._arriving)
        self.tail = Tail(0) if store.immediate else Tail()
        pending = PendingChange()
        self.forks = Forks(
            self.core,
            store,
            format,
            pending,
            handle=self.handle,
            report=self._report_session,
            changed=lambda: self.commits.saving.changed(),
        )
        self.commits = Commits(
            me,
            self.core,
            store,
            format,
            self.tail,
            self.forks,
            pending,
            limits,
            handle=self.handle,
            report=self._report_session,
        )
        self.events = Events()
        self.sessions: dict[SessionId, Session] = {}
        self.throttle = Throttle(limits.total_bytes_per_second)
        self.turns = Turns()
        self.observers: set[Observer] = set()
        self._closing: set[trio.CancelScope] = set()
        self._closed: set[trio.CancelScope] = set()
        self.changed = Pulse()
        """Fires after every event."""
        self.past = Traffic()
        """Of sessions that have ended."""
        self.is_open = False
        self._numbers = count(1)
        self._adopted: Counter[PeerId] = Counter()
        """How many feeds are followed because a peer has named them."""
        self._all_adopted = 0
        self._timer = trio.CancelScope()

    def check_open(self) -> None:
        """:raises LocalProtocolError: outside of the EBT's ``async with`` block"""
        if not self.is_open:
            raise LocalProtocolError("this EBT is not open: use it inside of its async with block")

    @contextmanager
    def until_closing(self) -> Generator[None, None, None]:
        """A block that is cancelled as soon as the EBT is being left."""
        with self._registered(self._closing):
            yield

    @contextmanager
    def until_closed(self) -> Generator[None, None, None]:
        """A block that is cancelled when the EBT is being left and its sessions have ended."""
        with self._registered(self._closed):
            yield

    def start_closing(self) -> None:
        """The EBT is being left: nothing new begins, and nobody waits for anything any more."""
        self.is_open = False
        self.events.close()
        for observer in self.observers:
            observer.close()
        for scope in self._closing:
            scope.cancel()
        self.changed.fire()

    def finish_closing(self) -> None:
        """All sessions have ended."""
        for scope in self._closed:
            scope.cancel()

    @contextmanager
    def _registered(self, scopes: set[trio.CancelScope]) -> Generator[None, None, None]:
        with trio.CancelScope() as scope:
            scopes.add(scope)
            try:
                yield
            finally:
                scopes.discard(scope)

    def new_session_id(self) -> SessionId:
        return SessionId(next(self._numbers))

    def handle(self, event: Event) -> Append | None:
        """Let the core take an event in, and do what it says. Returns what it wants stored: only messages cause that,
        and who brings them hands it to :attr:`commits`."""
        wanted: Append | None = None
        closes: list[Close] = []
        for action in self.core.handle(event, trio.current_time()):
            match action:
                case Wake(session):
                    if (found := self.sessions.get(session)) is not None:
                        found.wake()
                case Append():
                    assert wanted is None, "all that an event brings comes in one"
                    wanted = action
                case Report():
                    self.events.publish(action)
                case Close():
                    closes.append(action)
                case Followed(feed):
                    self.commits.saving.pending.follow(feed, None)
                    self.commits.saving.changed()
        self.rearm()
        self.commits.saving.touched()
        if self.observers:
            self._tell_observers(event)
        self.changed.fire()
        for close in closes:  # last, since they bring further events
            if (found := self.sessions.get(close.session)) is not None:
                found.close(close.code, close.text)
        return wanted

    def _tell_observers(self, event: Event) -> None:
        match event:
            case Appended(heads):
                feeds = [feed for feed, _ in heads]
            case Stored(feed):
                feeds = [feed]
            case _:
                return
        for observer in self.observers:
            for feed in feeds:
                observer.stored(feed)

    def report(self, what: What, detail: str, peer: PeerId | None = None, feed: FeedId | None = None) -> None:
        """Something that the core does not know of."""
        self.events.publish(Report(what, peer, feed, detail))

    # -- time -------------------------------------------------------------------------------------------------------

    def rearm(self) -> None:
        """The core's deadline may have moved. Earlier: the timer is told; later: it finds out by itself."""
        deadline = self.core.next_deadline()
        if deadline is not None and deadline < self._timer.deadline:
            self._timer.deadline = deadline

    async def run_timer(self) -> None:
        """Hand Ticks to the core when they are due, until cancelled."""
        ticked = float("-inf")
        while True:
            deadline = self.core.next_deadline()
            if deadline is None:
                deadline = float("inf")
            elif deadline <= ticked:
                deadline = trio.current_time() + SPIN_GUARD
            with trio.CancelScope(deadline=deadline) as self._timer:
                await trio.sleep_forever()
            ticked = trio.current_time()
            self.handle(Tick())

    # -- sessions ---------------------------------------------------------------------------------------------------

    def count_sessions(self, peer: PeerId, proved: bool) -> int:
        """How many sessions with this peer are past HELLO."""
        return sum(session.peer_id == peer and session.proved == proved for session in self.sessions.values())

    def ask(self, admit: Admit, caller: Caller) -> bool:
        """Ask the user's function, which may be wrong in any way."""
        try:
            return bool(admit(caller))
        except Exception:
            _log.exception("admit failed for %s: not let in", caller)
            return False

    def session_down(self, session: SessionId) -> None:
        self.handle(SessionDown(session))
        self.commits.saving.ended()

    def _report_session(self, what: What, session: SessionId | None, feed: FeedId | None, detail: str) -> None:
        found = None if session is None else self.sessions.get(session)
        self.report(what, detail, None if found is None else found.peer_id, feed)

    def _arriving(self, session: SessionId) -> float:
        found = self.sessions.get(session)
        return float("-inf") if found is None else found.arriving_at

    def _decide(self, feed: FeedId, peer: PeerId) -> bool:
        """Ask the user's function, which may be wrong in any way."""
        adopted, limits = self._adopted, self.limits
        if self.should_replicate is None or adopted[peer] >= limits.adopted_feeds or feed in self.forks.wished:
            return False
        if self._all_adopted >= limits.total_adopted_feeds:
            return False
        try:
            wanted = bool(self.should_replicate(feed, peer))
        except Exception:
            _log.exception("should_replicate failed for feed %s, named by peer %s: not followed", feed, peer)
            return False
        if wanted:
            adopted[peer] += 1
            self._all_adopted += 1
        return wanted

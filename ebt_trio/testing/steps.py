"""A peer that takes one step at a time, for tests that choose the order of everything themselves.

A :class:`StepPeer` is a core with a store and writers, and nothing of its own accord happens: frames wait to be
received, appends to be finished, sessions to be pumped, until the test says so. Frames are plain tuples; payloads are
those of :func:`~.simstore.payload_of`, so that a run is ``(feed, first, last)``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from random import Random
from typing import Any

from ebt_trio.core import events as ev
from ebt_trio.core.actions import Action, Append, Close, Wake
from ebt_trio.core.note import DECLINED
from ebt_trio.core.replicator import Config, Replicator
from ebt_trio.core.types import FeedId, PeerId, PeerKey, Run, SessionId

from .invariants import InvariantBroken, check_invariants
from .simstore import SimStore, payload_of

Frame = tuple[str, tuple[tuple[Any, ...], ...]]
"""``("notes", ((feed, note), …))``, likewise acks and start; ``("messages", ((feed, first, last), …))``."""


class StepPeer:
    """One peer. Invariants are checked after every event.

    :param batch: at most so many messages in a frame
    """

    def __init__(self, id: str, store: SimStore, *, config: Config | None = None, batch: int = 64) -> None:
        self.id = PeerId(id)
        self.store = store
        self.config = config or Config()
        self.batch = batch
        self.instance = b""
        self.core: Replicator
        self.appends: deque[tuple[SessionId, Run]] = deque()
        """To be finished, in order."""
        self.woken: dict[SessionId, None] = {}
        """To be pumped."""
        self.closing: dict[SessionId, None] = {}
        """To be taken down."""

    def start(self, instance: bytes, rng: Random, now: float) -> None:
        """Begin anew with what is in the store."""
        self.instance = instance
        self.appends.clear()
        self.woken.clear()
        self.closing.clear()
        self.core = Replicator(self.id, self.config, rng)
        self.handle(ev.Loaded([self.store.head(feed) for feed in self.store.feeds]), now)
        for feed, last in self.store.follows.items():
            self.handle(ev.Follow(feed, last), now)
        for target, origin in self.store.blocks:
            self.handle(ev.Block(target, origin), now)

    def handle(self, event: ev.Event, now: float) -> None:
        for action in self.core.handle(event, now):
            self._act(action)
        check_invariants(self.core, now)

    def _act(self, action: Action) -> None:
        if isinstance(action, Append):
            for run in action.runs:
                if run.feed not in self.core.follows:
                    raise InvariantBroken(f"consent: {self.id} appends {run.feed}, which it does not follow")
                self.appends.append((action.session, run))
        elif isinstance(action, Wake):
            self.woken[action.session] = None
        elif isinstance(action, Close):
            self.closing[action.session] = None

    # -- sessions

    def key_of(self, other: StepPeer) -> PeerKey:
        return PeerKey(other.id, other.store.id, False)

    def resume(self, key: PeerKey) -> bytes:
        """The digest for our RESUME."""
        if not self.core.remembers(key):
            self.core.recall(key, list(self.store.clocks.get(key, {}).values()))
        return self.core.heard_digest(key)

    def save(self) -> None:
        """What is remembered of peers goes into the store."""
        for key, rows in self.core.take_unsaved(1_000_000).items():
            kept = self.store.clocks.setdefault(key, {})
            for row in rows:
                kept[row.feed] = row

    def down(self, session: SessionId, now: float) -> None:
        self.woken.pop(session, None)
        self.closing.pop(session, None)
        self.handle(ev.SessionDown(session), now)

    def receive(self, session: SessionId, frame: Frame, now: float) -> None:
        kind, content = frame
        event: ev.Event
        if kind == "notes":
            event = ev.NotesReceived(session, dict(content))
        elif kind == "acks":
            event = ev.AcksReceived(session, dict(content))
        elif kind == "start":
            event = ev.StartReceived(session, dict(content))
        else:
            event = ev.MessagesReceived(session, [_run(*item) for item in content])
        self.handle(event, now)

    def pump(self, session: SessionId, now: float) -> list[Frame]:
        """What the session sends now; to be pumped again as long as there is something."""
        self.woken.pop(session, None)
        out = self.core.next_outgoing(session, now)
        if not out:
            return []
        self.woken[session] = None
        frames: list[Frame] = []
        if out.starts:
            frames.append(("start", tuple(out.starts.items())))
        if out.notes:
            frames.append(("notes", tuple(out.notes.items())))
        if out.final:
            frames.append(("notes", ()))
        if out.acks:
            frames.append(("acks", tuple(out.acks.items())))
        runs: list[tuple[FeedId, int, int]] = []
        room = self.batch
        for feed, first, limit in out.ranges:
            count = len(self.store.read(feed, first, min(limit, room)))
            if not count:
                self.handle(ev.ReadMissing(session, feed, self.store.head(feed).first), now)
            elif self.core.commit_runs(session, [_run(feed, first, first + count - 1)], now):
                self._check_consent(session, feed)
                runs.append((feed, first, first + count - 1))
                room -= count
            if not room:
                break
        if runs:
            frames.append(("messages", tuple(runs)))
        check_invariants(self.core, now)
        return frames

    def _check_consent(self, session: SessionId, id: FeedId) -> None:
        link = self.core.link(session)
        assert link is not None
        feed = next(feed for feed in self.core.feeds if feed.id == id)
        if link.heard[feed.number] == DECLINED or (link.peer, id) in self.core.blocks or not feed.followed:
            raise InvariantBroken(f"consent: {self.id} sends {id} to {link.peer}, which must not get it")

    # -- the store

    def append(self, count: int, now: float) -> None:
        """Append to our own feed; durable at once."""
        feed = FeedId(self.id)
        stored = self.store.append(_run(feed, self.store.head(feed).head + 1, self.store.head(feed).head + count))
        assert stored is not None
        self.handle(ev.Stored(feed, stored.head, stored.first), now)

    def finish_append(self, now: float, *, fails: bool = False) -> None:
        """The oldest append is durable, or has failed."""
        session, run = self.appends.popleft()
        head = None if fails else self.store.append(run)
        if head is not None:
            self.handle(ev.Appended([(run.feed, head.head)]), now)
        else:
            held = self.store.head(run.feed).head
            self.handle(ev.AppendFailed(session, run.feed, held, ev.AppendError.STORE), now)


def _run(feed: FeedId, first: int, last: int) -> Run:
    return Run(feed, first, [payload_of(feed, sequence) for sequence in range(first, last + 1)])


def differences(a: StepPeer, b: StepPeer, shared: Iterable[FeedId]) -> list[str]:
    """What two peers that are connected, and in sync, must not show."""
    found: list[str] = []
    for feed in shared:
        heads = a.store.head(feed).head, b.store.head(feed).head
        if heads[0] != heads[1]:
            found.append(f"{feed}: {a.id} has {heads[0]}, {b.id} has {heads[1]}")
    return found

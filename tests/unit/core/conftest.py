"""One core, driven by hand. What is said to it and what it says is written as in traces:

``f=3,lazy`` · ``f=3,eager`` · ``f=declined`` · ``end`` (the initial notes are complete) · ``ack f=3`` · ``start f=5`` ·
``f:1-3`` (messages). Sessions go by a label, which is the peer's id unless something else is said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import groupby
from random import Random
from typing import Any

import pytest

from ebt_trio.core import events as ev
from ebt_trio.core.actions import Action, Append, Close, Followed, Report, Wake, What
from ebt_trio.core.feed import Class, Feed
from ebt_trio.core.link import Link
from ebt_trio.core.note import DECLINED
from ebt_trio.core.patience import nothing_arriving
from ebt_trio.core.replicator import Config, Replicator
from ebt_trio.core.types import FeedHead, FeedId, PeerId, PeerKey, Run, SessionId
from ebt_trio.testing.invariants import check_invariants


class Bench:
    """A core with a store that takes everything at once, unless told otherwise; every event is checked."""

    def __init__(
        self,
        me: str = "me",
        *,
        follow: Iterable[str] = ("f",),
        have: dict[str, int] | None = None,
        seed: int = 0,
        should_replicate: Callable[[FeedId, PeerId], bool] | None = None,
        arriving: Callable[[SessionId], float] = nothing_arriving,
        **config: Any,
    ) -> None:
        self.now = 0.0
        self.core = Replicator(
            PeerId(me),
            replace(Config(), **config),
            Random(seed),
            should_replicate=should_replicate,
            arriving=arriving,
        )
        self.heads: dict[str, int] = dict(have or {})
        self.slow = False
        """Appends wait for :meth:`stored` or :meth:`fails`."""
        self.appends: deque[tuple[SessionId, Run]] = deque()
        self.appended: list[str] = []
        self.reports: list[Report] = []
        self.closed: list[tuple[str, int]] = []
        self.followed: list[str] = []
        self.woken: set[str] = set()
        self._sessions: dict[str, SessionId] = {}
        if have:
            self.handle(ev.Loaded([FeedHead(FeedId(feed), 1, head) for feed, head in have.items()]))
        self.follow(*follow)

    # -- events

    def handle(self, event: ev.Event) -> list[Action]:
        actions = self.core.handle(event, self.now)
        for action in actions:
            self._act(action)
        check_invariants(self.core, self.now)
        while self.appends and not self.slow:
            self.stored()
        return actions

    def _act(self, action: Action) -> None:
        if isinstance(action, Append):
            self.appends += [(action.session, run) for run in action.runs]
            self.appended += [f"{run.feed}:{run.first}-{run.last}" for run in action.runs]
        elif isinstance(action, Wake):
            self.woken.add(self._label(action.session))
        elif isinstance(action, Close):
            self.closed.append((self._label(action.session), action.code))
        elif isinstance(action, Followed):
            self.followed.append(action.feed)
        else:
            self.reports.append(action)

    def follow(self, *feeds: str, last: int | None = None) -> None:
        for feed in feeds:
            self.handle(ev.Follow(FeedId(feed), last))

    def unfollow(self, feed: str) -> None:
        self.handle(ev.Unfollow(FeedId(feed)))

    def block(self, target: str, origin: str | None = None) -> None:
        self.handle(ev.Block(PeerId(target), None if origin is None else FeedId(origin)))

    def unblock(self, target: str, origin: str | None = None) -> None:
        self.handle(ev.Unblock(PeerId(target), None if origin is None else FeedId(origin)))

    def store(self, feed: str, head: int, first: int = 1) -> None:
        """Our own append, or another process."""
        self.heads[feed] = head
        self.handle(ev.Stored(FeedId(feed), head, first))

    def stored(self) -> None:
        _, run = self.appends.popleft()
        feed = run.feed
        self.heads[feed] = max(self.heads.get(feed, 0), run.last)
        self.handle(ev.Appended([(feed, self.heads[feed])]))

    def disproved(self, label: str, feed: str, detail: str = "by hand") -> None:
        self.handle(ev.Disproved(self._sessions[label], FeedId(feed), detail))

    def fails(self, error: ev.AppendError = ev.AppendError.STORE) -> None:
        session, run = self.appends.popleft()
        self.handle(ev.AppendFailed(session, run.feed, self.heads.get(run.feed, 0), error, "by hand"))

    def up(
        self,
        label: str,
        *said: str,
        peer: str | None = None,
        instance: bytes | None = None,
        store: bytes = b"",
        heard: bytes = b"",
        acks: bool = True,
        proved: bool = False,
        quiet: bool = True,
    ) -> None:
        """A session comes up, and then ``said`` comes on it; ``quiet``: our initial notes have gone out before."""
        session = self._sessions[label] = SessionId(max(self._sessions.values(), default=0) + 1)
        id = PeerId(peer or label)
        key = PeerKey(id, store, proved) if store else None
        self.handle(ev.SessionUp(session, id, instance, key, heard, acks, proved))
        if quiet:
            self.out(label)
        self.hear(label, *said)

    def down(self, label: str) -> None:
        self.handle(ev.SessionDown(self._sessions[label]))

    def hear(self, label: str, *said: str) -> None:
        """Neighbours of one kind come in one frame."""
        session = self._sessions[label]
        for kind, group in groupby((_parse(item) for item in said), key=lambda parsed: parsed[0]):
            items: list[Any] = [item for _, item in group]
            if kind == "end":
                self.handle(ev.NotesReceived(session, {}))
            elif kind == "note":
                self.handle(ev.NotesReceived(session, dict(items)))
            elif kind == "ack":
                self.handle(ev.AcksReceived(session, dict(items)))
            elif kind == "start":
                self.handle(ev.StartReceived(session, dict(items)))
            else:
                self.handle(ev.MessagesReceived(session, items))

    def read_failed(self, label: str, feed: str) -> None:
        self.handle(ev.ReadFailed(self._sessions[label], FeedId(feed)))

    def read_missing(self, label: str, feed: str, first: int) -> None:
        self.handle(ev.ReadMissing(self._sessions[label], FeedId(feed), first))

    def too_large(self, label: str, feed: str, sequence: int, detail: str = "") -> None:
        self.handle(ev.TooLarge(self._sessions[label], FeedId(feed), sequence, detail))

    def wait(self, seconds: float) -> None:
        """Let time pass, with a Tick whenever one is due."""
        end = self.now + seconds
        for _ in range(1000):
            due = self.core.next_deadline()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.handle(ev.Tick())
        else:
            raise AssertionError("a deadline that never goes away")
        self.now = end

    # -- what comes out

    def pull(self, label: str, *, flush: bool = False) -> Any:
        self.woken.discard(label)
        return self.core.next_outgoing(self._sessions[label], self.now, flush=flush)

    def out(self, label: str, *, flush: bool = False) -> list[str]:
        """What one pull gives, all of it sent."""
        outgoing = self.pull(label, flush=flush)
        said = [f"start {feed}={first}" for feed, first in outgoing.starts.items()]
        said += [_note(feed, note) for feed, note in outgoing.notes.items()]
        said += ["end"] if outgoing.final else []
        said += [f"ack {feed}={sequence}" for feed, sequence in outgoing.acks.items()]
        for feed, first, count in outgoing.ranges:
            if self.commit(label, feed, first, count):
                said.append(f"{feed}:{first}-{first + count - 1}")
        check_invariants(self.core, self.now)
        return said

    def commit(self, label: str, feed: str, first: int, count: int) -> bool:
        run = Run(FeedId(feed), first, [b"m"] * count)
        return bool(self.core.commit_runs(self._sessions[label], [run], self.now))

    # -- looking in

    def link(self, label: str) -> Link:
        link = self.core.link(self._sessions[label])
        assert link is not None
        return link

    def session(self, label: str) -> SessionId:
        return self._sessions[label]

    def _label(self, session: SessionId) -> str:
        return next(label for label, known in self._sessions.items() if known == session)

    def feed(self, id: str = "f") -> Feed:
        return next(feed for feed in self.core.feeds if feed.id == id)

    def owner(self, id: str = "f") -> str | None:
        owner = self.feed(id).owner
        return None if owner is None else self._label(owner.session)

    def stands(self, id: str = "f") -> tuple[Class, str | None, float | None]:
        """The feed's class, its owner, and in how many seconds its deadline is."""
        feed = self.feed(id)
        return feed.class_, self.owner(id), None if feed.deadline is None else round(feed.deadline - self.now, 6)

    def told(self, label: str, id: str = "f") -> int:
        return self.link(label).told[self.feed(id).number]

    def heard(self, label: str, id: str = "f") -> int:
        return self.link(label).heard[self.feed(id).number]

    def reported(self, what: What) -> list[str | None]:
        return [report.peer for report in self.reports if report.what is what]


def _note(feed: str, note: int) -> str:
    return f"{feed}=declined" if note == DECLINED else f"{feed}={note >> 1},{'lazy' if note & 1 else 'eager'}"


def _parse(item: str) -> tuple[str, Any]:
    if item == "end":
        return "end", None
    if item.startswith(("ack ", "start ")):
        kind, _, rest = item.partition(" ")
        feed, _, sequence = rest.partition("=")
        return kind, (FeedId(feed), int(sequence))
    feed, equals, value = item.partition("=")
    if equals:
        if value == "declined":
            return "note", (FeedId(feed), DECLINED)
        sequence, _, mode = value.partition(",")
        return "note", (FeedId(feed), int(sequence) << 1 | ("eager", "lazy").index(mode))
    feed, _, span = item.partition(":")
    first, _, last = span.partition("-")
    payloads = [f"{feed}:{sequence}".encode() for sequence in range(int(first), int(last or first) + 1)]
    return "messages", Run(FeedId(feed), int(first), payloads)


@pytest.fixture
def bench() -> type[Bench]:
    """Makes benches: ``bench(follow=["f"], have={"f": 3})``."""
    return Bench


Snapshot = Callable[[Replicator, Iterable[SessionId]], list[Any]]


@pytest.fixture
def snapshot() -> Snapshot:
    """All that feeds and sessions have in them, to be compared: ``snapshot(core, sessions)``."""

    def take(core: Replicator, sessions: Iterable[SessionId]) -> list[Any]:
        return [*map(_feed_slots, core.feeds), *(_link_slots(core.link(session)) for session in sessions)]

    return take


def _feed_slots(feed: Feed) -> dict[str, object]:
    slots = {slot: getattr(feed, slot) for slot in feed.__slots__}
    return {slot: value.session if isinstance(value, Link) else value for slot, value in slots.items()}


def _link_slots(link: Link | None) -> object:
    if link is None:
        return None
    same = ("memory", "told", "heard", "open", "changed")
    slots = {slot: getattr(link, slot) for slot in link.__slots__ if slot not in same}
    memory = link.memory
    return slots, list(link.told), list(link.heard), list(link.open), memory.told.digest(), memory.heard.digest()

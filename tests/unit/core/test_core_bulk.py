"""What comes by the thousand is taken in bulk: exactly as the rules would take it, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from ebt_trio.core import events as ev
from ebt_trio.core.actions import Action, Append
from ebt_trio.core.config import Config
from ebt_trio.core.feed import Feed
from ebt_trio.core.link import Link
from ebt_trio.core.replicator import Replicator
from ebt_trio.core.types import FeedHead, FeedId, PeerId, PeerKey, Run, SessionId
from ebt_trio.testing.invariants import check_invariants

if TYPE_CHECKING:
    from conftest import Snapshot

FEEDS = [FeedId(f"f{number}") for number in range(6)]
SESSIONS = [SessionId(1), SessionId(2)]
PEERS = {SESSIONS[0]: PeerId("f0"), SESSIONS[1]: PeerId("zoe")}

Heard = tuple[FeedId, int, Feed | None]


class Ruled:
    """In place of :class:`~ebt_trio.core.bulk.Bulk`: everything goes by the rules."""

    def __init__(self, core: Replicator) -> None:
        self._known = core._room.known

    def notes(self, link: Link, notes: Mapping[FeedId, int]) -> Iterator[Heard]:
        return ((id, note, self._known(id)) for id, note in notes.items())

    def acks(self, link: Link, acks: Mapping[FeedId, int]) -> Iterator[tuple[FeedId, int]]:
        return iter(acks.items())

    def runs(self, link: Link, runs: Iterable[Run], accepted: list[Run]) -> Iterator[Run]:
        return iter(runs)


def by_the_rules(core: Replicator) -> None:
    """Let a core do nothing in bulk."""
    room, ownership = core._room, core.ownership

    def track_all(link: Link, numbers: Iterable[int]) -> None:
        for number in numbers:
            room.track(link, room.feeds[number])

    def left(link: Link, feeds: list[Feed], now: float) -> None:
        ownership.links.remove(link)
        ownership.waiting.remove(link)
        for feed in feeds:
            ownership.leave(feed, link, now)

    hearing: Any = core._handlers[ev.NotesReceived]
    hearing.__self__._bulk = Ruled(core)
    patched: Any = room
    patched.track_all = track_all
    patched = ownership
    patched.left = left
    patched.drain = lambda now: ownership.waiting.drain(lambda feed: ownership.evaluate(feed, now))


def schedule(core: Replicator) -> list[object]:
    """What there is besides what is in feeds and sessions."""
    waiting = [(link.session, list(link.waiting)) for link in core.ownership.waiting.links]
    return [waiting, core.ownership.patience.graft_delay, core.next_deadline()]


class Walk:
    """Whatever may happen, at random, and mostly what does when feeds are fetched; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random = Random(seed)
        self.core = Replicator(PeerId("me"), Config(notes_per_frame=random.choice([3, 10_000])), Random(seed))
        self.core.handle(ev.Loaded([FeedHead(feed, 1, 2) for feed in FEEDS if random.random() < 0.3]), 0.0)
        for feed in FEEDS[: random.randrange(3, 7)]:
            self.core.handle(ev.Follow(feed, random.choice([None, None, None, 2])), 0.0)
        self._now = 0.0
        self._runs: list[tuple[SessionId, Run]] = []

    def step(self) -> object:
        """One thing; what comes of it."""
        self._now += self._random.choice([0.0, 0.0, 0.0, 0.01, 1.0, 4.0])
        session, feed = self._random.choice([SESSIONS[0], *SESSIONS]), self._random.choice(FEEDS)
        if self.core.link(session) is None and self._random.random() < 0.5:
            return self._up(session)
        match self._random.randrange(24):
            case 0 if self._random.random() < 0.3:
                return self._do(ev.SessionDown(session))
            case 1 | 2 | 3 | 4:
                return self._send(session)
            case 5 if self._random.random() < 0.3:
                return self._do(self._random.choice([ev.Follow(feed), ev.Unfollow(feed)]))
            case 6 if self._random.random() < 0.3:
                change = self._random.choice([ev.Block, ev.Unblock])
                return self._do(change(PEERS[session], feed))
            case 7:
                return self._do(ev.Stored(feed, self.core.accepted(feed) + 1))
            case 8:
                return self._do(ev.StartReceived(session, {feed: self._random.randrange(1, 4)}))
            case 9 | 10 | 11:
                return self._do(ev.AcksReceived(session, {feed: self._ack(feed) for feed in self._some()}))
            case 12 | 13 | 14 | 15:
                return self._do(ev.MessagesReceived(session, [self._run(feed) for feed in self._some()]))
            case 16 | 17 | 18:
                return self._append()
            case 19:
                return self._do(ev.Tick())
            case 20:
                return self._do(ev.NotesReceived(session, {}))
            case _:
                return self._do(ev.NotesReceived(session, {feed: self._note(feed) for feed in self._some()}))

    def _up(self, session: SessionId) -> object:
        key = PeerKey(PEERS[session], b"store", False)
        return self._do(ev.SessionUp(session, PEERS[session], b"i", key, b"", self._random.random() < 0.9))

    def _send(self, session: SessionId) -> object:
        outgoing = self.core.next_outgoing(session, self._now)
        runs = [Run(wanted.feed, wanted.first, [b"m"] * self._random.randrange(1, 3)) for wanted in outgoing.ranges]
        sent = [bool(self.core.commit_runs(session, [run], self._now)) for run in runs]
        return outgoing, sent

    def _append(self) -> object:
        """The store takes some, or cannot."""
        if not self._runs:
            return None
        if self._random.random() < 0.1:
            session, run = self._runs.pop(0)
            error = self._random.choice(list(ev.AppendError))
            return self._do(ev.AppendFailed(session, run.feed, self.core.durable(run.feed), error))
        count = self._random.randrange(1, len(self._runs) + 1)
        done, self._runs = self._runs[:count], self._runs[count:]
        return self._do(ev.Appended([(run.feed, run.last) for _, run in done]))

    def _some(self) -> list[FeedId]:
        return self._random.sample(FEEDS, self._random.randrange(1, 7))

    def _note(self, feed: FeedId) -> int:
        """Mostly lazy and ahead of us, or eager and behind."""
        ours = self.core.clock.get(feed, 0)
        ahead, behind = (ours + self._random.randrange(4)) << 1 | 1, self._random.randrange(ours + 1) << 1
        return self._random.choice([ahead, ahead, ahead, behind, behind, behind | 1, -1])

    def _ack(self, feed: FeedId) -> int:
        return self._random.choice([max(self.core.durable(feed), 1)] * 3 + [self._random.randrange(1, 5)])

    def _run(self, feed: FeedId) -> Run:
        following = self.core.accepted(feed) + 1
        first = self._random.choice([following] * 5 + [self._random.randrange(1, 5)])
        return Run(feed, first, [b"m"] * self._random.choice([1, 1, 2, 3]))

    def _do(self, event: ev.Event) -> list[Action]:
        actions = self.core.handle(event, self._now)
        check_invariants(self.core, self._now)
        for action in actions:
            if isinstance(action, Append):
                self._runs += [(action.session, run) for run in action.runs]
        return actions


@pytest.mark.parametrize("seed", range(50))
def test_in_bulk_and_by_the_rules_it_is_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot
) -> None:
    if seed % 2:  # many wait
        monkeypatch.setattr("ebt_trio.core.link.WINDOW_START", 3)
        monkeypatch.setattr("ebt_trio.core.link.WINDOW_MIN", 2)
    bulk, ruled = Walk(seed), Walk(seed)
    by_the_rules(ruled.core)
    for _ in range(150):
        assert bulk.step() == ruled.step()
        assert snapshot(bulk.core, SESSIONS) == snapshot(ruled.core, SESSIONS)
        assert schedule(bulk.core) == schedule(ruled.core)


def test_many_feeds_are_taken_in_bulk_and_wait_for_their_turn(
    monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot
) -> None:
    """More feeds than a window has room for: all are asked for in the end, as by the rules."""
    monkeypatch.setattr("ebt_trio.core.link.WINDOW_START", 4)
    cores = [Replicator(PeerId("me"), Config(), Random(1)) for _ in range(2)]
    by_the_rules(cores[1])
    done: list[list[object]] = [[], []]
    for core, log in zip(cores, done, strict=True):
        for feed in FEEDS:
            core.handle(ev.Follow(feed), 0.0)
        log.append(core.handle(ev.SessionUp(SESSIONS[0], PeerId("zoe"), b"i", None, b"", True), 0.0))
        log.append(core.next_outgoing(SESSIONS[0], 0.0))
        log.append(core.handle(ev.NotesReceived(SESSIONS[0], dict.fromkeys(FEEDS, 3 << 1 | 1)), 0.0))
        log.append([feed.class_ for feed in core.feeds])
        for _ in FEEDS:
            outgoing = core.next_outgoing(SESSIONS[0], 0.0)
            runs = [Run(feed, 1, [b"m"] * 3) for feed in outgoing.notes]
            log += [outgoing, core.handle(ev.MessagesReceived(SESSIONS[0], runs), 0.0)]
            log.append(core.handle(ev.Appended([(run.feed, 3) for run in runs]), 0.0))
        assert all(feed.durable == 3 for feed in core.feeds)
        log.append([*snapshot(core, SESSIONS), *schedule(core)])
    assert done[0] == done[1]

"""Notes that decide nothing are taken in bulk: exactly as the rules would take them, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING

import pytest

from ebt_trio.core import events as ev
from ebt_trio.core import hearing, introducing
from ebt_trio.core.actions import Action, Append, Wake
from ebt_trio.core.bulk import Bulk
from ebt_trio.core.config import Config
from ebt_trio.core.feed import Feed
from ebt_trio.core.link import Link
from ebt_trio.core.replicator import Replicator
from ebt_trio.core.types import FeedHead, FeedId, PeerId, PeerKey, Run, SessionId
from ebt_trio.testing.invariants import check_invariants

if TYPE_CHECKING:
    from conftest import Snapshot

FEEDS = [FeedId(f"f{number}") for number in range(8)]
SESSIONS = [SessionId(1), SessionId(2)]
PEERS = {SESSIONS[0]: PeerId("f0"), SESSIONS[1]: PeerId("zoe")}


def ruled(self: Bulk, link: Link, notes: Mapping[FeedId, int]) -> Iterator[tuple[FeedId, int, Feed | None]]:
    """In place of the short way: everything goes by the rules."""
    return ((id, note, self._room.known(id)) for id, note in notes.items())


class Walk:
    """Whatever may happen, at random; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.core = Replicator(
            PeerId("me"),
            Config(notes_per_frame=self._random.choice([2, 3, 10_000])),
            Random(seed),
            should_replicate=self._random.choice([None, lambda feed, peer: feed == FEEDS[7]]),
        )
        heads = [FeedHead(feed, 1, 2) for feed in FEEDS[: self._random.randrange(8)]]
        self.core.handle(ev.Loaded(heads), 0.0)
        for feed in FEEDS[: self._random.randrange(8)]:
            self.core.handle(ev.Follow(feed), 0.0)
        self._now = 0.0
        self._appends: list[tuple[SessionId, Run]] = []

    def step(self) -> object:
        """One thing; what comes of it. Wakes are left out: one too many changes nothing."""
        self._now += self._random.choice([0.0, 0.0, 0.01, 1.0, 4.0])
        session, feed = self._random.choice(SESSIONS), self._random.choice(FEEDS)
        match self._random.randrange(17):
            case 0 if self.core.link(session) is None:
                key = PeerKey(PEERS[session], b"store", False)
                heard = self._random.choice([b"", self._told(key)])
                return self._do(ev.SessionUp(session, PEERS[session], b"i", key, heard, self._random.random() < 0.9))
            case 1 if self._random.random() < 0.2:
                return self._do(ev.SessionDown(session))
            case 2 if self.core.link(session):
                outgoing = self.core.next_outgoing(session, self._now)
                for wanted in outgoing.ranges:
                    run = Run(wanted.feed, wanted.first, [b"m"] * wanted.limit)
                    self.core.commit_runs(session, [run], self._now)
                return outgoing
            case 3:
                return self._do(self._random.choice([ev.Follow(feed), ev.Unfollow(feed)]))
            case 4:
                change = self._random.choice([ev.Block, ev.Unblock])
                return self._do(change(PEERS[session], feed))
            case 5:
                return self._do(ev.Stored(feed, self.core.accepted(feed) + 1))
            case 6 if self.core.link(session):
                run = Run(feed, self._random.randrange(1, 5), [b"m"])
                return self._store(self._do(ev.MessagesReceived(session, [run])))
            case 7:
                return self._do(ev.Tick())
            case 8:
                return self._do(ev.AcksReceived(session, {feed: self._random.randrange(1, 5)}))
            case 9:
                return self._do(ev.NotesReceived(session, {}))
            case 10:
                return self._do(ev.ReadFailed(session, feed))
            case _:
                return self._do(ev.NotesReceived(session, {feed: self._note(feed) for feed in self._some()}))

    def _some(self) -> list[FeedId]:
        return self._random.sample(FEEDS, self._random.randrange(1, 8))

    def _note(self, feed: FeedId) -> int:
        """Mostly what we hold ourselves."""
        same = self.core.clock.get(feed, 0) << 1 | 1
        return self._random.choice([same, same, same, same, -1, self._random.randrange(12)])

    def _told(self, key: PeerKey) -> bytes:
        memory = self.core._room.memories._memories.get(key)
        return b"" if memory is None else memory.told.digest().to_bytes(16, "big")

    def _store(self, actions: list[Action]) -> list[Action]:
        """Now, or later, or not at all."""
        for action in actions:
            if isinstance(action, Append):
                self._appends += [(action.session, run) for run in action.runs]
        while self._appends and self._random.random() < 0.8:
            session, run = self._appends.pop(0)
            if self._random.random() < 0.1:
                durable, error = self.core.durable(run.feed), self._random.choice(list(ev.AppendError))
                actions += self._do(ev.AppendFailed(session, run.feed, durable, error, "by chance"))
            else:
                actions += self._do(ev.Appended([(run.feed, run.last)]))
        return actions

    def _do(self, event: ev.Event) -> list[Action]:
        actions = self.core.handle(event, self._now)
        check_invariants(self.core, self._now)
        return [action for action in actions if not isinstance(action, Wake)]


def agree(short: Walk, long: Walk, snapshot: Snapshot, *, many: int, together: int) -> None:
    """A step of each, one by the short ways from so many notes or feeds on, one by the rules: it comes to the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hearing, "MANY", many)
        patch.setattr(introducing, "_TOGETHER", together)
        done = short.step()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bulk, "notes", ruled)
        patch.setattr(introducing, "_plain", lambda *_: False)
        assert long.step() == done
    assert snapshot(long.core, SESSIONS) == snapshot(short.core, SESSIONS)


@pytest.mark.parametrize("seed", range(90))
def test_the_short_ways_and_the_rules_agree(seed: int, snapshot: Snapshot) -> None:
    """Notes that are heard one by one and at once, and initial notes in portions of several sizes."""
    short, long = Walk(seed), Walk(seed)
    for _ in range(120):
        agree(short, long, snapshot, many=[1, 3, 32][seed % 3], together=[1, 3, 256][seed // 3 % 3])


class Handshake(Walk):
    """Mostly a handshake of two who hold the same, or nearly, each in an order of its own."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        random = self._random
        for feed in FEEDS[: random.choice([6, 8])]:
            self.core.handle(ev.Stored(feed, 2), 0.0)
            self.core.handle(ev.Follow(feed), 0.0)
        for session in SESSIONS[: random.choice([1, 2])]:
            self._do(ev.SessionUp(session, PEERS[session], b"i", PeerKey(PEERS[session], b"store", False)))
        self._orders = [random.choice([FEEDS, random.sample(FEEDS, 8)]) for _ in SESSIONS]
        self._said = [0, 0]

    def step(self) -> object:
        random = self._random
        self._now += random.choice([0.0, 0.01, 4.0])
        at = random.randrange(2)
        session = SESSIONS[at]
        match random.randrange(20):
            case 0:
                return super().step()
            case 1 | 2 | 3 | 4 | 5:
                return self.core.next_outgoing(session, self._now)
        some = self._orders[at][self._said[at] :][: random.randrange(1, 6)]
        self._said[at] = (self._said[at] + len(some)) % 8
        notes = {feed: self.core.clock.get(feed, 0) << 1 | 1 for feed in some}
        if random.random() < 0.2:
            notes[random.choice(some)] = random.choice([-1, 1, 3, 7, 9])
        return self._do(ev.NotesReceived(session, notes))


@pytest.mark.parametrize("seed", range(150))
def test_handshakes_go_by_the_rules(seed: int, snapshot: Snapshot) -> None:
    """As above."""
    short, long = Handshake(seed), Handshake(seed)
    for _ in range(30):
        agree(short, long, snapshot, many=1, together=3)


def met(feed: FeedId) -> tuple[Replicator, Link]:
    """Who holds three messages of the feed, and whom somebody has met who has said nothing yet."""
    core = Replicator(PeerId("me"), Config(), Random(1))
    core.handle(ev.Loaded([FeedHead(feed, 1, 3)]), 0.0)
    core.handle(ev.Follow(feed), 0.0)
    core.handle(ev.SessionUp(SESSIONS[1], PEERS[SESSIONS[1]]), 0.0)
    link = core.link(SESSIONS[1])
    assert link is not None
    return core, link


@pytest.mark.parametrize("many", [1, 32])
def test_what_is_tried_again_is_still_wanted(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "MANY", many)
    core, link = met(FEEDS[1])
    core.next_outgoing(SESSIONS[1], 0.0)
    core.handle(ev.NotesReceived(SESSIONS[1], {FEEDS[1]: 1 << 1}), 0.0)
    core.handle(ev.ReadFailed(SESSIONS[1], FEEDS[1]), 0.0)
    assert link.retries
    core.handle(ev.NotesReceived(SESSIONS[1], {FEEDS[1]: 1 << 1 | 1}), 0.0)
    core.handle(ev.Tick(), 100.0)
    assert not link.ready
    check_invariants(core, 100.0)


@pytest.mark.parametrize("many", [1, 32])
def test_who_holds_less_than_it_did_is_sent_what_follows_that(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own note has not left yet, so that we don't know what is told."""
    monkeypatch.setattr(hearing, "MANY", many)
    core, link = met(FEEDS[1])
    for note in (3 << 1, 3 << 1 | 1, 1 << 1 | 1):
        core.handle(ev.NotesReceived(SESSIONS[1], {FEEDS[1]: note}), 0.0)
    assert link.cursor[0] == 1


def test_a_claim_of_somebody_else_is_not_forgotten() -> None:
    """The feed stands still at what this one says, but somebody else is ahead: so it does not stand still."""
    core = Replicator(PeerId("me"), Config(), Random(1))
    core.handle(ev.Loaded([FeedHead(FEEDS[1], 1, 2)]), 0.0)
    core.handle(ev.Follow(FEEDS[1]), 0.0)
    for session in SESSIONS:
        core.handle(ev.SessionUp(session, PEERS[session], b"i", None, b"", True), 0.0)
        core.next_outgoing(session, 0.0)
    core.handle(ev.NotesReceived(SESSIONS[1], {FEEDS[1]: 5 << 1 | 1}), 0.0)
    core.handle(ev.NotesReceived(SESSIONS[0], {FEEDS[1]: 2 << 1 | 1}), 0.0)
    assert core.feeds[0].highest == 5


@pytest.mark.parametrize("seed", range(50))
def test_progress_counts_what_is_shared_on_any_session(seed: int) -> None:
    walk = Walk(seed)
    for _ in range(120):
        walk.step()
        links = walk.core._room.links
        shared = sum(any(link.shares(feed) for link in links) for feed in walk.core.feeds)
        assert walk.core.progress().feeds == shared
        for link in links:
            assert walk.core.progress(link.session).feeds == sum(map(link.shares, walk.core.feeds))


@pytest.mark.parametrize("count", [1, 40])
def test_who_comes_down_to_what_we_hold_learns_of_the_next_message(count: int) -> None:
    core, session = Replicator(PeerId("a"), Config(), Random(1)), SessionId(1)
    feeds = [FeedId(f"f{number}") for number in range(count)]
    core.handle(ev.Loaded([FeedHead(feed, 1, 3) for feed in feeds]), 0)
    for feed in feeds:
        core.handle(ev.Follow(feed), 0)
    core.handle(ev.SessionUp(session, PeerId("b")), 0)
    core.handle(ev.NotesReceived(session, {}), 0)
    core.next_outgoing(session, 0)
    core.next_outgoing(session, 0)
    for note in (8, 9, None, 7):  # eager from 4, lazy at 4, an ACK of 3, lazy at 3
        if note is None:
            core.handle(ev.AcksReceived(session, dict.fromkeys(feeds, 3)), 1)
        else:
            core.handle(ev.NotesReceived(session, dict.fromkeys(feeds, note)), 1)
        core.next_outgoing(session, 1)
    for feed in feeds:
        core.handle(ev.Stored(feed, 4), 2)
    said: set[FeedId] = set()
    for now in range(2, 6):
        core.handle(ev.Tick(), now)
        outgoing = core.next_outgoing(session, now)
        said.update(outgoing.notes, outgoing.acks)
    assert said == set(feeds)

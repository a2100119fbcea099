"""Networks of peers in simulated time, on exactly the core that the runtime drives.

Discrete events, one seed, no I/O: the same seed gives the same run, event by event. Peers have stores that take time
and can fail, crash, and be restored from backups; links have latency, jitter and bandwidth, freeze and break.

::

    sim = Simulation(seed=1, latency=0.02)
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice"])
    sim.connect("alice", "bob")
    alice.append(3)
    sim.settle()
    assert bob.clock == {"alice": 3}
    print("\\n".join(sim.trace))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Any

from ebt_trio.core import events as ev
from ebt_trio.core.actions import Action, Append, Close, Followed, Report, Wake, What
from ebt_trio.core.note import DECLINED
from ebt_trio.core.replicator import Config, Replicator
from ebt_trio.core.types import FeedHead, FeedId, PeerId, PeerKey, Remembered, Run, SessionId

from .invariants import InvariantBroken, check_invariants


def payload_of(feed: FeedId, sequence: int, fork: str = "") -> bytes:
    """What a simulated author writes."""
    return f"{feed}:{sequence}{fork}".encode()


@dataclass
class SimStore:
    """What survives a crash: messages that were durable, follows, blocks, remembered clocks."""

    id: bytes
    firsts: dict[FeedId, int] = field(default_factory=dict[FeedId, int])
    feeds: dict[FeedId, list[bytes]] = field(default_factory=dict[FeedId, "list[bytes]"])
    follows: dict[FeedId, int | None] = field(default_factory=dict[FeedId, "int | None"])
    blocks: dict[tuple[PeerId, FeedId | None], None] = field(
        default_factory=dict[tuple[PeerId, "FeedId | None"], None]
    )
    clocks: dict[PeerKey, dict[FeedId, Remembered]] = field(default_factory=dict[PeerKey, "dict[FeedId, Remembered]"])

    def head(self, feed: FeedId) -> FeedHead:
        first = self.firsts.get(feed, 1)
        return FeedHead(feed, first, first - 1 + len(self.feeds.get(feed, ()))) if feed in self.feeds else FeedHead(feed, 1, 0)

    def copy(self) -> SimStore:
        return SimStore(
            self.id,
            dict(self.firsts),
            {feed: list(payloads) for feed, payloads in self.feeds.items()},
            dict(self.follows),
            dict(self.blocks),
            {key: dict(rows) for key, rows in self.clocks.items()},
        )

    def append(self, run: Run) -> FeedHead | None:
        """None: it does not follow what is stored."""
        head = self.head(run.feed)
        if not head.head and run.late:
            self.firsts[run.feed] = run.first
            self.feeds[run.feed] = []
            head = self.head(run.feed)
        if run.first > head.head + 1:
            return None
        self.feeds.setdefault(run.feed, []).extend(run.payloads[head.head + 1 - run.first :])
        return self.head(run.feed)

    def read(self, feed: FeedId, first: int, limit: int) -> list[bytes]:
        start = first - self.firsts.get(feed, 1)
        return self.feeds.get(feed, [])[start : start + limit] if start >= 0 else []


class SimPeer:
    """One peer: a core, a store, and the actions of the core carried out."""

    def __init__(self, sim: Simulation, id: PeerId, store: SimStore) -> None:
        self.sim = sim
        self.id = id
        self.store = store
        self.instance = b""
        self.core: Replicator
        self.up = False
        self.ends: dict[SessionId, End] = {}
        self.reports: Counter[What] = Counter()
        self.store_broken = False
        self.reads_broken = False
        self.should_replicate: Callable[[FeedId, PeerId], bool] | None = None
        self.validate: Callable[[Run, PeerId], bool] = lambda run, peer: True
        self._tick_at: float | None = None
        self._life = 0
        self._dirty = False

    # -- life

    def start(self) -> None:
        self._life += 1
        self.up = True
        self.instance = self.sim.rng.randbytes(8)
        self._tick_at = None
        self.core = Replicator(
            self.id, self.sim.config, Random(self.sim.rng.random()), should_replicate=self.should_replicate
        )
        self.handle(ev.Loaded([self.store.head(feed) for feed in self.store.feeds]))
        for feed, last in self.store.follows.items():
            self.handle(ev.Follow(feed, last))
        for target, origin in self.store.blocks:
            self.handle(ev.Block(target, origin))

    def crash(self) -> None:
        """Lose everything that is not in the store; links break without a word."""
        self.up = False
        self._life += 1
        for end in list(self.ends.values()):
            end.link.cut()
        self.ends.clear()

    def restart(self) -> None:
        self.start()

    # -- what applications do

    @property
    def clock(self) -> dict[FeedId, int]:
        return {feed: self.store.head(feed).head for feed in self.store.feeds if self.store.head(feed).head}

    def append(self, count: int = 1, feed: str | None = None, fork: str = "") -> None:
        """Append to our own feed (or to ``feed``); durable at once."""
        id = FeedId(feed or self.id)
        head = self.store.head(id).head
        run = Run(id, head + 1, [payload_of(id, head + 1 + i, fork) for i in range(count)])
        stored = self.store.append(run)
        assert stored is not None
        self.sim.sent_at.setdefault((id, stored.head), self.sim.now)
        self.handle(ev.Stored(id, stored.head, stored.first))

    def follow(self, *feeds: str, last: int | None = None) -> None:
        for feed in feeds:
            self.store.follows[FeedId(feed)] = last
            self.handle(ev.Follow(FeedId(feed), last))

    def unfollow(self, feed: str) -> None:
        self.store.follows.pop(FeedId(feed), None)
        self.handle(ev.Unfollow(FeedId(feed)))

    def forget(self, feed: str) -> None:
        self.unfollow(feed)
        self.store.feeds.pop(FeedId(feed), None)
        self.store.firsts.pop(FeedId(feed), None)
        self.handle(ev.Forgotten(FeedId(feed)))

    def block(self, target: str, origin: str | None = None) -> None:
        key = (PeerId(target), None if origin is None else FeedId(origin))
        self.store.blocks[key] = None
        self.handle(ev.Block(*key))

    def unblock(self, target: str, origin: str | None = None) -> None:
        key = (PeerId(target), None if origin is None else FeedId(origin))
        self.store.blocks.pop(key, None)
        self.handle(ev.Unblock(*key))

    # -- the driver

    def handle(self, event: ev.Event) -> None:
        if not self.up:
            return
        for action in self.core.handle(event, self.sim.now):
            self._act(action)
        self._arm()
        if not self._dirty:
            self._dirty = True
            self.sim.after(0.5, self._save, self._life)
        self.sim.check(self)

    def _save(self, life: int) -> None:
        self._dirty = False
        if life == self._life and self.up:
            self.save()

    def save(self) -> None:
        """Write remembered clocks to the store, as the runtime does about once a second and at the end of sessions."""
        for key, rows in self.core.take_unsaved(1_000_000).items():
            kept = self.store.clocks.setdefault(key, {})
            for row in rows:
                kept[row.feed] = row

    def _act(self, action: Action) -> None:
        if isinstance(action, Append):
            if action.run.feed not in self.core.follows:
                raise InvariantBroken(f"consent: {self.id} appends {action.run.feed}, which it does not follow")
            end = self.ends.get(action.session)
            peer = end.link.other(end).peer.id if end else PeerId("")
            self.sim.after(self.sim.store_delay(), self._store, self._life, action, peer)
        elif isinstance(action, Wake):
            end = self.ends.get(action.session)
            if end is not None:
                end.wake()
        elif isinstance(action, Close):
            end = self.ends.get(action.session)
            if end is not None:
                self.sim.after(0.0, end.close, action.text)
        elif isinstance(action, Followed):
            self.store.follows[action.feed] = None
        elif isinstance(action, Report):
            self.reports[action.what] += 1

    def _store(self, life: int, action: Append, peer: PeerId) -> None:
        if life != self._life:
            return  # crashed before the commit
        run = action.run
        head = None
        error = ev.AppendError.STORE
        if not self.validate(run, peer):
            error = ev.AppendError.INVALID
        elif not self.store_broken:
            before = self.store.head(run.feed).head
            head = self.store.append(run)
            if head is not None:
                for sequence in range(max(before + 1, run.first), head.head + 1):
                    self.sim.delivered(self, run.feed, sequence)
        if head is None:
            held = self.store.head(run.feed).head
            self.handle(ev.AppendFailed(action.session, run.feed, held, error, "simulated"))
        else:
            self.handle(ev.Appended(action.session, run.feed, head.head))

    def _arm(self) -> None:
        deadline = self.core.next_deadline()
        if deadline is not None and (self._tick_at is None or deadline < self._tick_at):
            self._tick_at = deadline
            self.sim.at(deadline, self._tick, self._life, deadline)

    def _tick(self, life: int, at: float) -> None:
        if life != self._life or not self.up or self._tick_at != at:
            return
        self._tick_at = None
        self.handle(ev.Tick())

    def key_of(self, other: SimPeer) -> PeerKey:
        return PeerKey(other.id, other.store.id, False)


Frame = tuple[str, Any]


class End:
    """One peer's end of a link."""

    def __init__(self, link: SimLink, peer: SimPeer, session: SessionId) -> None:
        self.link = link
        self.peer = peer
        self.session = session
        self.up = False
        self.early: list[Frame] = []
        self.arrives = 0.0
        self.busy_until = 0.0
        self._woken = False
        self.lied = False

    def wake(self) -> None:
        if not self._woken:
            self._woken = True
            self.peer.sim.at(max(self.peer.sim.now, self.busy_until), self._pump)

    def _pump(self) -> None:
        self._woken = False
        sim, peer = self.peer.sim, self.peer
        if not (self.up and self.link.open and peer.up):
            return
        out = peer.core.next_outgoing(self.session, sim.now)
        if not out:
            return
        if out.starts:
            self._send("start", dict(out.starts), len(out.starts))
        if out.notes:
            self._send("notes", dict(out.notes), len(out.notes))
        if out.final:
            self._send("notes", {}, 0)
        if out.acks:
            self._send("acks", dict(out.acks), len(out.acks))
        runs: list[Run] = []
        for range_ in out.ranges:
            if peer.reads_broken:
                peer.handle(ev.ReadFailed(self.session, range_.feed))
                continue
            payloads = peer.store.read(range_.feed, range_.first, min(range_.limit, sim.batch))
            if not payloads:
                peer.handle(ev.ReadMissing(self.session, range_.feed, peer.store.head(range_.feed).first))
            elif peer.core.commit_run(self.session, range_.feed, range_.first, len(payloads), sim.now):
                runs.append(Run(range_.feed, range_.first, payloads))
                self._check_consent(range_.feed)
            if sum(len(run.payloads) for run in runs) >= sim.batch:
                break
        if runs:
            self._send("messages", runs, sum(len(run.payloads) for run in runs))
        sim.check(peer)
        self.wake()

    def _check_consent(self, feed: FeedId) -> None:
        status = self.peer.core.status(feed)
        link = self.peer.core.sessions[self.session]
        heard = link.heard[self.peer.core.numbers[feed]]
        if heard == DECLINED or (link.peer, feed) in self.peer.core.blocks or not status.followed:
            raise InvariantBroken(f"consent: {self.peer.id} sends {feed} to {link.peer}, which must not get it")

    def send_raw(self, kind: str, content: Any) -> None:
        """Send what the core would not: a lie."""
        self.lied = True
        self._send(kind, content, 0)

    def _send(self, kind: str, content: Any, entries: int) -> None:
        sim, link = self.peer.sim, self.link
        sim.count(self, kind, content)
        if link.rate and kind == "messages":
            self.busy_until = max(sim.now, self.busy_until) + entries / link.rate
        sent = max(sim.now, self.busy_until if link.rate else 0.0)
        self.arrives = max(self.arrives, sent + link.delay(sim.rng))  # in order
        sim.at(self.arrives, self.link.other(self).receive, (kind, content))

    def receive(self, frame: Frame) -> None:
        if not self.link.open or not self.peer.up:
            return
        if self.link.frozen:
            self.link.frozen_frames.append((self, frame))
            return
        if not self.up:
            self.early.append(frame)
            return
        kind, content = frame
        event: ev.Event
        if kind == "notes":
            event = ev.NotesReceived(self.session, content)
        elif kind == "messages":
            event = ev.MessagesReceived(self.session, content)
        elif kind == "acks":
            event = ev.AcksReceived(self.session, content)
        else:
            event = ev.StartReceived(self.session, content)
        self.peer.handle(event)

    def come_up(self, digest: bytes) -> None:
        if not self.link.open or not self.peer.up:
            return
        self.up = True
        other = self.link.other(self).peer
        peer = self.peer
        event = ev.SessionUp(self.session, other.id, other.instance, peer.key_of(other), digest)
        peer.handle(event)
        early, self.early = self.early, []
        for frame in early:
            self.receive(frame)

    def go_down(self) -> None:
        """This side has noticed that the link is gone."""
        if self.peer.ends.pop(self.session, None) is not None and self.peer.up:
            self.peer.handle(ev.SessionDown(self.session))
            self.peer.save()

    def close(self, text: str) -> None:
        """BYE: what was sent before arrives, then the other side goes down, too."""
        if not self.link.open:
            return
        self.up = False
        self.go_down()
        other = self.link.other(self)
        self.arrives = max(self.arrives, self.peer.sim.now + self.link.delay(self.peer.sim.rng))
        self.peer.sim.at(self.arrives, self._said_bye, other)

    def _said_bye(self, other: End) -> None:
        self.link.open = False
        other.go_down()


class SimLink:
    """A link between two peers: in order each way; may be slow, frozen, or cut."""

    def __init__(self, sim: Simulation, a: SimPeer, b: SimPeer, latency: float, jitter: float, rate: float) -> None:
        self.sim = sim
        self.latency = latency
        self.jitter = jitter
        self.rate = rate
        """messages per second and direction; 0: without limit"""
        self.open = True
        self.frozen = False
        self.frozen_frames: list[tuple[End, Frame]] = []
        self.a = End(self, a, sim.new_session())
        self.b = End(self, b, sim.new_session())
        for end in (self.a, self.b):
            end.peer.ends[end.session] = end

    def other(self, end: End) -> End:
        return self.b if end is self.a else self.a

    def delay(self, rng: Random) -> float:
        return self.latency + (rng.expovariate(1 / self.jitter) if self.jitter else 0.0)

    def shake_hands(self) -> None:
        """HELLO and RESUME both ways take one round trip."""
        digests: dict[End, bytes] = {}
        for end in (self.a, self.b):
            peer, other = end.peer, self.other(end).peer
            key = peer.key_of(other)
            if not peer.core.remembers(key):
                peer.core.recall(key, list(peer.store.clocks.get(key, {}).values()))
            digests[end] = peer.core.heard_digest(key)
        for end in (self.a, self.b):
            self.sim.after(2 * self.delay(self.sim.rng), end.come_up, digests[self.other(end)])

    def cut(self, *, notice: float | tuple[float, float] = 0.0) -> None:
        """Everything in flight is lost; the ends notice after ``notice`` seconds (each its own, if two are given)."""
        if not self.open:
            return
        self.open = False
        delays = notice if isinstance(notice, tuple) else (notice, notice)
        for end, delay in zip((self.a, self.b), delays, strict=True):
            self.sim.after(delay, end.go_down)

    def freeze(self) -> None:
        """Nothing arrives any more, nothing is lost, nobody notices."""
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False
        frames, self.frozen_frames = self.frozen_frames, []
        for end, frame in frames:
            end.receive(frame)


class Simulation:
    """A network of peers in simulated time.

    :param seed: decides everything that is not given
    :param latency: of a link, in seconds, one way; or a range, drawn once per link
    :param jitter: mean of an exponential delay added to each frame, in seconds
    :param store_delay: how long an append takes to be durable, in seconds
    :param batch: at most so many messages in a frame
    :param check: check the invariants of a peer after each of its events (costs time in large networks)
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        latency: float | tuple[float, float] = 0.02,
        jitter: float = 0.0,
        store_delay: float = 0.001,
        batch: int = 64,
        config: Config | None = None,
        check: bool = True,
        trace: bool = True,
    ) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.now = 0.0
        self.config = config or Config()
        self.peers: dict[PeerId, SimPeer] = {}
        self.links: list[SimLink] = []
        self.trace: list[str] = []
        """What was sent, one line a frame: ``0.020 alice>bob notes alice=3,lazy``."""
        self.frames: Counter[str] = Counter()
        """Frames sent by kind; ``payloads`` and ``note entries`` count what is in them."""
        self.payloads: Counter[tuple[PeerId, FeedId, int]] = Counter()
        """How often each message was sent to each peer."""
        self.sent_at: dict[tuple[FeedId, int], float] = {}
        self.delivered_at: dict[tuple[PeerId, FeedId, int], float] = {}
        self.events = 0
        self._latency = latency
        self._jitter = jitter
        self._store_delay = store_delay
        self.batch = batch
        self._check = check
        self._trace = trace
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._sessions = 0
        self.last_frame_at = 0.0

    # -- building

    def peer(self, id: str, *, follow: Iterable[str] = (), store: SimStore | None = None) -> SimPeer:
        """A new peer, up, following its own feed and ``follow``."""
        peer = SimPeer(self, PeerId(id), store or SimStore(self.rng.randbytes(16)))
        peer.store.follows.setdefault(FeedId(id), None)
        for feed in follow:
            peer.store.follows.setdefault(FeedId(feed), None)
        self.peers[peer.id] = peer
        peer.start()
        return peer

    def connect(
        self, a: str, b: str, *, latency: float | None = None, jitter: float | None = None, rate: float = 0.0
    ) -> SimLink:
        if latency is None:
            low, high = self._latency if isinstance(self._latency, tuple) else (self._latency, self._latency)
            latency = low if low == high else self.rng.uniform(low, high)
        link = SimLink(
            self, self.peers[PeerId(a)], self.peers[PeerId(b)], latency, self._jitter if jitter is None else jitter, rate
        )
        self.links.append(link)
        link.shake_hands()
        return link

    def new_session(self) -> SessionId:
        self._sessions += 1
        return SessionId(self._sessions)

    def store_delay(self) -> float:
        return self._store_delay

    # -- running

    def at(self, time: float, function: Callable[..., None], *args: Any) -> None:
        self._count += 1
        heappush(self._queue, (max(time, self.now), self._count, function, args))

    def after(self, delay: float, function: Callable[..., None], *args: Any) -> None:
        self.at(self.now + delay, function, *args)

    def run(self, duration: float) -> None:
        """Let ``duration`` seconds of simulated time pass."""
        end = self.now + duration
        while self._queue and self._queue[0][0] <= end:
            self._step()
        self.now = end

    def settle(self, limit: float = 3600.0) -> None:
        """Run until nothing is left to happen.

        :raises InvariantBroken: something still happens after ``limit`` seconds
        """
        end = self.now + limit
        while self._queue:
            if self._queue[0][0] > end:
                raise InvariantBroken(f"quiet when idle: still busy after {limit} s: {self._queue[0][2:]}")
            self._step()

    def _step(self) -> None:
        time, _, function, args = heappop(self._queue)
        self.now = time
        self.events += 1
        function(*args)

    # -- watching

    def check(self, peer: SimPeer) -> None:
        if self._check:
            check_invariants(peer.core, self.now)

    def count(self, end: End, kind: str, content: Any) -> None:
        self.frames[kind] += 1
        self.last_frame_at = self.now
        other = end.link.other(end).peer
        if kind == "messages":
            for run in content:
                self.frames["payloads"] += len(run.payloads)
                for i in range(len(run.payloads)):
                    self.payloads[other.id, run.feed, run.first + i] += 1
        elif kind == "notes":
            self.frames["note entries"] += len(content)
        if self._trace:
            self.trace.append(f"{self.now:.3f} {end.peer.id}>{other.id} {kind} {_describe(kind, content)}".rstrip())

    def delivered(self, peer: SimPeer, feed: FeedId, sequence: int) -> None:
        self.delivered_at.setdefault((peer.id, feed, sequence), self.now)

    def differences(self) -> list[str]:
        """Connected pairs that differ on a feed which both follow and neither blocks; empty when all is delivered."""
        found: list[str] = []
        for link in self.links:
            a, b = link.a.peer, link.b.peer
            if not (link.open and a.up and b.up and link.a.up and link.b.up):
                continue
            for feed in a.core.follows & b.core.follows:
                if (b.id, feed) in a.core.blocks or (a.id, feed) in b.core.blocks:
                    continue
                heads = a.store.head(feed).head, b.store.head(feed).head
                if heads[0] != heads[1]:
                    found.append(f"{feed}: {a.id} has {heads[0]}, {b.id} has {heads[1]}")
        return found

    def duplicates(self) -> int:
        """How many payloads were sent to a peer that had been sent them before."""
        return sum(count - 1 for count in self.payloads.values())


def _describe(kind: str, content: Any) -> str:
    if kind == "messages":
        return " ".join(f"{run.feed}:{run.first}-{run.last}" for run in content)
    parts: Mapping[str, int] = content
    if kind == "notes":
        return " ".join(
            f"{feed}=declined" if note == DECLINED else f"{feed}={note >> 1},{'lazy' if note & 1 else 'eager'}"
            for feed, note in parts.items()
        )
    return " ".join(f"{feed}={value}" for feed, value in parts.items())

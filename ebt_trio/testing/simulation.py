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

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from random import Random
from typing import Any

from ebt_trio.core.note import DECLINED
from ebt_trio.core.replicator import Config
from ebt_trio.core.types import FeedId, PeerId, SessionId

from .invariants import InvariantBroken, check_invariants
from .simend import End
from .simlink import SimLink
from .simpeer import SimPeer
from .simstore import SimStore, payload_of
from .simwire import wire_size
from .watch import Watch

__all__ = ["InvariantBroken", "SimLink", "SimPeer", "SimStore", "Simulation", "Watch", "payload_of"]


class Simulation:
    """A network of peers in simulated time.

    :param seed: decides everything that is not given
    :param latency: of a link, in seconds, one way; or a range, drawn once per link
    :param jitter: mean of an exponential delay added to each frame, in seconds
    :param store_delay: how long an append takes to be durable, in seconds; or a range, drawn for each
    :param save_delay: how long what is heard from others waits to be remembered in the store, in seconds; it costs time
        in large networks, and matters only to peers that crash and come back
    :param batch: at most so many messages in a frame
    :param check: check the invariants of a peer after each of its events (costs time in large networks)
    :param trace: write down what was sent and what happened, line by line (costs memory in large networks)
    :param count: keep the counters ``frames``, ``payloads``, ``sent_at`` and ``delivered_at`` (likewise)
    :param watch: is told what happens
    :param sizes: tell it the sizes of frames, too, which takes time
    :param keepalive: after twice as much silence an end of a link that is lost notices, in seconds
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        latency: float | tuple[float, float] = 0.02,
        jitter: float = 0.0,
        store_delay: float | tuple[float, float] = 0.001,
        save_delay: float = 0.5,
        batch: int = 64,
        config: Config | None = None,
        check: bool = True,
        trace: bool = True,
        count: bool = True,
        watch: Watch | None = None,
        sizes: bool = False,
        keepalive: float = 30.0,
    ) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.now = 0.0
        self.config = config or Config()
        self.peers: dict[PeerId, SimPeer] = {}
        self.links: list[SimLink] = []
        self.trace: list[str] = []
        """What was sent, one line a frame: ``0.020 alice>bob notes alice=3,lazy``; and what happened to peers."""
        self.frames: Counter[str] = Counter()
        """Frames sent by kind; ``payloads`` and ``note entries`` count what is in them."""
        self.payloads: Counter[tuple[PeerId, FeedId, int]] = Counter()
        """How often each message was sent to each peer."""
        self.sent_at: dict[tuple[FeedId, int], float] = {}
        self.delivered_at: dict[tuple[PeerId, FeedId, int], float] = {}
        self.events = 0
        self.watch = watch
        self.counts = count
        self.sizes = sizes
        self.keepalive = keepalive
        self._latency = latency
        self._jitter = jitter
        self._store_delay = store_delay
        self.save_delay = save_delay
        self.batch = batch
        self.checks = check
        self._trace = trace
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._ready: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        """What is to happen at once, behind all that was put off until now before."""
        self._sessions = 0
        self.last_frame_at = 0.0

    # -- building

    def peer(
        self,
        id: str,
        *,
        follow: Iterable[str] = (),
        store: SimStore | None = None,
        should_replicate: Callable[[FeedId, PeerId], bool] | None = None,
    ) -> SimPeer:
        """A new peer, up, following its own feed and ``follow``."""
        peer = SimPeer(self, PeerId(id), store or SimStore(self.rng.randbytes(16)), should_replicate)
        peer.store.follows.setdefault(FeedId(id), None)
        for feed in follow:
            peer.store.follows.setdefault(FeedId(feed), None)
        self.peers[peer.id] = peer
        peer.start()
        return peer

    def connect(
        self, a: str, b: str, *, latency: float | None = None, jitter: float | None = None, rate: float = 0.0
    ) -> SimLink:
        """A link between two peers. ``rate``: messages per second, 0 for no limit; the rest as for all links."""
        if latency is None:
            low, high = self._latency if isinstance(self._latency, tuple) else (self._latency, self._latency)
            latency = low if low == high else self.rng.uniform(low, high)
        ends = self.peers[PeerId(a)], self.peers[PeerId(b)]
        link = SimLink(self, *ends, latency, self._jitter if jitter is None else jitter, rate)
        self.links.append(link)
        self.happened(f"{a}={b} connect")
        link.shake_hands()
        return link

    def link(self, a: str, b: str) -> SimLink:
        """The newest open link between two peers.

        :raises KeyError: there is none
        """
        for link in reversed(self.links):
            if link.open and {link.a.peer.id, link.b.peer.id} == {a, b}:
                return link
        raise KeyError(f"no open link between {a} and {b}")

    def new_session(self) -> SessionId:
        """A number for a session; never used twice."""
        self._sessions += 1
        return SessionId(self._sessions)

    def store_delay(self) -> float:
        """How long the append takes that begins now, in seconds."""
        delay = self._store_delay
        return self.rng.uniform(*delay) if isinstance(delay, tuple) else delay

    # -- running

    def at(self, time: float, function: Callable[..., None], *args: Any) -> None:
        """Call ``function(*args)`` at a simulated time, in seconds; now, if that has passed."""
        if time > self.now:
            self._count += 1
            heappush(self._queue, (time, self._count, function, args))
        else:
            self._ready.append((function, args))

    def after(self, delay: float, function: Callable[..., None], *args: Any) -> None:
        """Call ``function(*args)`` after ``delay`` simulated seconds."""
        self.at(self.now + delay, function, *args)

    def run(self, duration: float) -> None:
        """Let ``duration`` seconds of simulated time pass."""
        end = self.now + duration
        self._run(end)
        self.now = end

    def settle(self, limit: float = 3600.0) -> None:
        """Run until nothing is left to happen.

        :raises InvariantBroken: something still happens after ``limit`` seconds
        """
        self._run(self.now + limit)
        if self._queue:
            raise InvariantBroken(f"quiet when idle: still busy after {limit} s: {self._queue[0][2:]}")

    def _run(self, end: float) -> None:
        """All events until ``end``, in order of time; of those at the same time, in the order they were put there."""
        queue, ready = self._queue, self._ready
        while True:
            if ready and not (queue and queue[0][0] <= self.now):
                function, args = ready.popleft()
            elif queue and queue[0][0] <= end:
                self.now, _, function, args = heappop(queue)
            else:
                break
            self.events += 1
            function(*args)

    # -- watching

    def check(self, peer: SimPeer) -> None:
        """Check the invariants of a peer, if this simulation does."""
        if self.checks:
            check_invariants(peer.core, self.now)

    def count(self, end: End, kind: str, content: Any) -> None:
        """A frame is sent by ``end``: count it, write it into the trace, and tell who watches."""
        self.last_frame_at = self.now
        if not self.counts and not self._trace and self.watch is None:
            return
        other = end.other.peer
        if self.counts:
            self.frames[kind] += 1
            if kind == "messages":
                for run in content:
                    self.frames["payloads"] += len(run.payloads)
                    for i in range(len(run.payloads)):
                        self.payloads[other.id, run.feed, run.first + i] += 1
            elif kind == "notes":
                self.frames["note entries"] += len(content)
        if self.watch is not None:
            size = wire_size(kind, content) if self.sizes else 0
            self.watch.sent(self.now, end.peer.id, other.id, kind, content, size)
        if self._trace:
            self.trace.append(f"{self.now:.3f} {end.peer.id}>{other.id} {kind} {_describe(kind, content)}".rstrip())

    def happened(self, what: str) -> None:
        """Write something into the trace that is no frame, and tell who watches."""
        if self._trace:
            self.trace.append(f"{self.now:.3f} {what}")
        if self.watch is not None:
            self.watch.happened(self.now, what)

    def said(self, who: str, kind: str) -> list[str]:
        """What of the trace went one way, in order, without times: ``said("alice>bob", "notes")``."""
        lines = (line.split(" ")[1:] for line in self.trace)
        return [" ".join(line[2:]) for line in lines if line[:2] == [who, kind]]

    def count_anew(self) -> None:
        """Forget the traffic so far: ``trace``, ``frames`` and ``payloads`` begin again."""
        self.trace.clear()
        self.frames.clear()
        self.payloads.clear()

    def delivered(self, peer: SimPeer, feed: FeedId, first: int, last: int) -> None:
        """``peer`` has stored messages that came from others: remember when, the first time, and tell who watches."""
        if self.counts:
            for sequence in range(first, last + 1):
                self.delivered_at.setdefault((peer.id, feed, sequence), self.now)
        if self.watch is not None and first <= last:
            self.watch.stored(self.now, peer.id, feed, first, last)

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

"""A network of a few peers as a value: what can happen next in it, and what comes of that."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from exhaustive_peers import Locals, Lot, Op

import ebt_trio.core.link as core_link
import ebt_trio.core.rivals as core_rivals
from ebt_trio.core.types import FeedId, PeerKey, SessionId
from ebt_trio.testing.invariants import InvariantBroken
from ebt_trio.testing.simstore import SimStore
from ebt_trio.testing.steps import StepPeer, differences

TOPOLOGIES = {
    "pair": ((0, 1),),
    "line": ((0, 1), (1, 2)),
    "triangle": ((0, 1), (1, 2), (0, 2)),
    "star": ((0, 1), (0, 2), (0, 3)),
    "square": ((0, 1), (1, 2), (2, 3), (0, 3)),
    "kite": ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3)),
}


@dataclass(frozen=True)
class Bounds:
    """What may happen how often."""

    topology: str = "pair"
    authors: int = 1
    """peers that have a feed, which all follow"""
    have: int = 0
    """messages of each feed at its author at the start"""
    messages: int = 2
    """appends, of all authors together"""
    cuts: int = 0
    failures: int = 0
    flips: int = 0
    """unfollow or follow again, at any peer but the author"""
    early: int = 0
    """advances of time while something else can happen"""
    writers: bool = False
    """what is to be sent leaves as a step of its own, instead of at once"""
    settled: bool = False
    """start where all is connected and at rest"""
    window: int = 0
    """the size of windows at the start, instead of the real one"""
    eager_rivals: bool = False
    """a single win of a rival is enough to move"""

    @property
    def links(self) -> tuple[tuple[int, int], ...]:
        return TOPOLOGIES[self.topology]


class LinkState(NamedTuple):
    """Between two peers; ``phases`` per end: 0 closed, 1 coming up, 2 up."""

    generation: int = -1
    phases: tuple[int, int] = (0, 0)
    queues: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    """frames, by number, to the first end, to the second"""
    digests: tuple[bytes, bytes] = (b"", b"")
    """of each end"""


class Budget(NamedTuple):
    messages: int
    cuts: int
    failures: int
    flips: int
    early: int


class World(NamedTuple):
    peers: tuple[int, ...]
    now: float
    links: tuple[LinkState, ...]
    ghosts: tuple[tuple[int, int], ...]
    """(peer, session): gone, and not noticed yet"""
    budget: Budget


class Network:
    """All that can happen within some bounds. Worlds are values; the states of peers are shared between them."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.locals = Locals()
        self.feeds = [FeedId(f"p{number}") for number in range(bounds.authors)]
        self._links: dict[LinkState, int] = {}
        self._rest: dict[Any, int] = {}

    def start(self) -> World:
        count = 1 + max(max(link) for link in self.bounds.links)
        peers: list[int] = []
        for number in range(count):
            store = SimStore(f"store {number}".encode(), follows=dict.fromkeys(self.feeds))
            peer = StepPeer(f"p{number}", store, batch=1)
            peer.start(b"instance", Lot(), 0.0)  # type: ignore[arg-type]
            if number < self.bounds.authors and self.bounds.have:
                peer.append(self.bounds.have, 0.0)
            peers.append(self.locals.add(peer))
        bounds = self.bounds
        budget = Budget(bounds.messages, bounds.cuts, bounds.failures, bounds.flips, bounds.early)
        world = World(tuple(peers), 0.0, tuple(LinkState() for _ in bounds.links), (), budget)
        while bounds.settled:
            ops = [op for op, progress in self.ops(world) if progress]
            if not ops:
                break
            world = next(self.apply(world, ops[0]))
        return world

    def key(self, world: World) -> bytes:
        """The same for all worlds that have the same future."""
        key = [self.locals.relative(number, world.now, world.budget.cuts > 0) for number in world.peers]
        for link in world.links:
            if link.phases == (2, 2):
                link = link._replace(digests=(b"", b""))
            key.append(self._links.setdefault(link, len(self._links)))
        key.append(self._rest.setdefault((world.ghosts, world.budget), len(self._rest)))
        return array("I", key).tobytes()

    def ops(self, world: World) -> list[tuple[Op, bool]]:
        """What can happen, and whether it needs no fault nor anybody's will."""
        moves = list(self._moves(world))
        ops = [(op, True) for op in moves]
        if not moves or world.budget.early:
            ticks, now = self._ticks(world)
            ops += [(("tick", peer, now, bool(moves)), not moves) for peer in ticks]
        ops += [(op, False) for op in self._choices(world)]
        return ops

    def _moves(self, world: World) -> Iterator[Op]:
        for link, state in enumerate(world.links):
            if state.phases == (0, 0):
                yield "connect", link
            for end in (0, 1):
                if state.phases[end] == 1:
                    yield "up", link, end
                elif state.phases[end] == 2 and state.queues[end]:
                    yield "deliver", link, end
        for peer, session in world.ghosts:
            yield "down", peer, session
        for peer, number in enumerate(world.peers):
            if self.locals.all[number].appends:
                yield "stored", peer
            for session in self.locals.all[number].woken if self.bounds.writers else ():
                yield "pump", peer, session

    def _choices(self, world: World) -> Iterator[Op]:
        budget = world.budget
        for peer in range(self.bounds.authors if budget.messages else 0):
            yield "append", peer
        for link, state in enumerate(world.links if budget.cuts else ()):
            if state.phases != (0, 0):
                yield "cut", link
        for peer, number in enumerate(world.peers):
            if budget.failures and self.locals.all[number].appends:
                yield "fails", peer
            for feed in self.feeds if budget.flips else ():
                if feed != f"p{peer}":
                    yield "flip", peer, feed

    def _ticks(self, world: World) -> tuple[list[int], float]:
        """Who is next, and when; several if at the same time."""
        deadlines = {peer: self.locals.all[number].deadline for peer, number in enumerate(world.peers)}
        times = {peer: max(due, world.now) for peer, due in deadlines.items() if due is not None}
        now = min(times.values(), default=0.0)
        return [peer for peer, due in times.items() if due == now], now

    def apply(self, world: World, op: Op) -> Iterator[World]:
        kind, *args = op
        budget = world.budget
        if kind == "connect":
            yield self._connect(world, args[0])
        elif kind == "cut":
            yield self._cut(world._replace(budget=budget._replace(cuts=budget.cuts - 1)), args[0])
        elif kind == "up":
            yield from self._up(world, *args)
        elif kind == "deliver":
            link, end = args
            state = world.links[link]
            frame, *rest = state.queues[end]
            queues = (tuple(rest), state.queues[1]) if end == 0 else (state.queues[0], tuple(rest))
            after = _with_link(world, link, state._replace(queues=queues))
            yield from self._at(after, self._peer(link, end), ("receive", self._session(link, end, state), frame))
        elif kind == "down":
            after = world._replace(ghosts=tuple(ghost for ghost in world.ghosts if ghost != tuple(args)))
            yield from self._at(after, args[0], ("down", args[1]))
        elif kind == "tick":
            peer, now, early = args
            after = world._replace(now=now, budget=budget._replace(early=budget.early - early))
            yield from self._at(after, peer, ("tick",))
        else:
            field = {"append": "messages", "fails": "failures", "flip": "flips"}.get(kind)
            if field:
                world = world._replace(budget=budget._replace(**{field: getattr(budget, field) - 1}))
            yield from self._at(world, args[0], (kind, *args[1:]))

    def _peer(self, link: int, end: int) -> int:
        return self.bounds.links[link][end]

    def _session(self, link: int, end: int, state: LinkState) -> SessionId:
        return SessionId(((state.generation * 8) + link) * 2 + end + 1)

    def _key_of(self, peer: int) -> PeerKey:
        return PeerKey(f"p{peer}", f"store {peer}".encode(), False)  # type: ignore[arg-type]

    def _connect(self, world: World, link: int) -> World:
        """HELLO and RESUME have been written, both ways."""
        digests: list[bytes] = []
        for end in (0, 1):
            local = world.peers[self._peer(link, end)]
            digests.append(self.locals.digest(local, self._key_of(self._peer(link, 1 - end))))
        state = LinkState(world.links[link].generation + 1, (1, 1), ((), ()), (digests[0], digests[1]))
        return _with_link(world, link, state)

    def _cut(self, world: World, link: int) -> World:
        state = world.links[link]
        gone = [(self._peer(link, end), self._session(link, end, state)) for end in (0, 1) if state.phases[end] == 2]
        world = _with_link(world, link, LinkState(state.generation))
        return world._replace(ghosts=tuple(sorted((*world.ghosts, *gone))))

    def _up(self, world: World, link: int, end: int) -> Iterator[World]:
        state = world.links[link]
        phases = (2, state.phases[1]) if end == 0 else (state.phases[0], 2)
        other = self._peer(link, 1 - end)
        digest = state.digests[1 - end]
        op = ("up", self._session(link, end, state), f"p{other}", self._key_of(other), digest)
        yield from self._at(_with_link(world, link, state._replace(phases=phases)), self._peer(link, end), op)

    def _at(self, world: World, peer: int, op: Op) -> Iterator[World]:
        """A step of one peer, and what it sends."""
        for local, frames in self.locals.step(world.peers[peer], world.now, op, self.bounds.writers):
            after = world._replace(peers=(*world.peers[:peer], local, *world.peers[peer + 1 :]))
            for session, frame in frames:
                after = self._send(after, session, frame)
            yield after

    def _send(self, world: World, session: int, frame: int) -> World:
        link, end = (session - 1) // 2 % 8, (session - 1) % 2
        state = world.links[link]
        if self._session(link, end, state) != session or state.phases == (0, 0):
            return world  # nobody is there any more
        first, second = state.queues
        queues = (first, (*second, frame)) if end == 0 else ((*first, frame), second)
        return _with_link(world, link, state._replace(queues=queues))

    def check_rest(self, world: World) -> None:
        """Where nothing can happen any more without a fault, all connected peers hold the same, and know it.

        :raises InvariantBroken: they do not
        """
        peers = [self.locals.peer(number) for number in world.peers]
        for link, (a, b) in enumerate(self.bounds.links):
            shared = peers[a].core.follows & peers[b].core.follows
            if found := differences(peers[a], peers[b], shared):
                raise InvariantBroken(f"eventual delivery: {found} on link {link}")
        for peer in peers:
            progress = peer.core.progress()
            if progress.fraction != 1.0 or progress.send or progress.recv or progress.unknown:
                raise InvariantBroken(f"honest progress: {peer.id} is in sync and says {progress}")


def _with_link(world: World, link: int, state: LinkState) -> World:
    return world._replace(links=(*world.links[:link], state, *world.links[link + 1 :]))


@contextmanager
def patched(bounds: Bounds) -> Iterator[None]:
    """Smaller windows and quicker rivals: what needs hundreds of messages otherwise."""
    saved = core_link.WINDOW_START, core_link.WINDOW_MIN, core_rivals.RIVAL_WINS, core_rivals.SWAP_APART
    module: Any = core_link
    if bounds.window:
        module.WINDOW_START = module.WINDOW_MIN = bounds.window
    rivals: Any = core_rivals
    if bounds.eager_rivals:
        rivals.RIVAL_WINS, rivals.SWAP_APART = 1, 0.0
    try:
        yield
    finally:
        module.WINDOW_START, module.WINDOW_MIN, rivals.RIVAL_WINS, rivals.SWAP_APART = saved

"""The states of single peers, kept once each, and what a step does to them: most recur in many worlds."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

from exhaustive_canonical import canonical

from ebt_trio.core import events as ev
from ebt_trio.core.types import FeedId, PeerKey
from ebt_trio.testing.steps import Frame, StepPeer

Op = tuple[Any, ...]
"""What happens, in words and numbers."""


class Lot:
    """In place of the random generator: the first of equals, or the last; ``drawn``: has it mattered?"""

    last = False
    drawn = 0

    def random(self) -> float:
        Lot.drawn += 1
        return 1 / Lot.drawn if Lot.last else 0.5

    def __reduce__(self) -> tuple[Callable[[], Lot], tuple[()]]:
        return Lot, ()


class Local(NamedTuple):
    """One peer in one state."""

    blob: bytes
    static: int
    static_without_memories: int
    times: tuple[tuple[float, float], ...]
    deadline: float | None
    appends: int
    woken: tuple[int, ...]


class Locals:
    """The states of single peers, and what each step does to them; most recur in many worlds."""

    def __init__(self) -> None:
        self.all: list[Local] = []
        self.frames: list[Frame] = []
        self._frames: dict[Frame, int] = {}
        self._statics: dict[Any, int] = {}
        self._known: dict[Any, int] = {}
        self._steps: dict[tuple[int, float, Op], tuple[tuple[int, tuple[tuple[int, int], ...]], ...]] = {}
        self._digests: dict[tuple[int, PeerKey], bytes] = {}
        self._relative: dict[tuple[int, float, bool], int] = {}

    def add(self, peer: StepPeer) -> int:
        static, times = canonical(peer, remember=True)
        bare, _ = canonical(peer, remember=False)
        number = self._statics.setdefault(static, len(self._statics))
        key = number, tuple(times)
        if key not in self._known:
            self._known[key] = len(self.all)
            self.all.append(
                Local(
                    pickle.dumps(peer, 5),
                    number,
                    self._statics.setdefault(bare, len(self._statics)),
                    tuple(times),
                    peer.core.next_deadline(),
                    len(peer.appends),
                    tuple(sorted(peer.woken)),
                )
            )
        return self._known[key]

    def peer(self, number: int) -> StepPeer:
        peer: StepPeer = pickle.loads(self.all[number].blob)
        return peer

    def digest(self, number: int, key: PeerKey) -> bytes:
        """For the RESUME to another peer."""
        if (number, key) not in self._digests:
            self._digests[number, key] = self.peer(number).resume(key)
        return self._digests[number, key]

    def relative(self, number: int, now: float, remember: bool) -> int:
        """The same for all states that have the same future."""
        index = self._relative.get((number, now, remember))
        if index is None:
            local = self.all[number]
            static = local.static if remember else local.static_without_memories
            times = tuple(round(max(time - now, -matters), 6) for time, matters in local.times)
            index = self._statics.setdefault((static, times), len(self._statics))
            self._relative[number, now, remember] = index
        return index

    def step(self, number: int, now: float, op: Op, writers: bool) -> Any:
        """The states that may come of it, each with the frames that leave; more than one where a lot is drawn."""
        key = number, now, op
        if key not in self._steps:
            Lot.drawn, Lot.last = 0, False
            outcomes = [self._run(number, now, op, writers)]
            if Lot.drawn:
                Lot.drawn, Lot.last = 0, True
                outcomes.append(self._run(number, now, op, writers))
            self._steps[key] = tuple(dict.fromkeys(outcomes))
        return self._steps[key]

    def _run(self, number: int, now: float, op: Op, writers: bool) -> tuple[int, tuple[tuple[int, int], ...]]:
        peer = self.peer(number)
        frames: list[tuple[int, Frame]] = []
        kind, *args = op
        if kind == "receive":
            peer.receive(args[0], self.frames[args[1]], now)
        elif kind == "up":
            session, other, key, digest = args
            peer.handle(ev.SessionUp(session, other, b"instance", key, digest), now)
        elif kind == "down":
            peer.down(args[0], now)
        elif kind == "append":
            peer.append(1, now)
        elif kind == "stored":
            peer.finish_append(now)
        elif kind == "fails":
            peer.finish_append(now, fails=True)
        elif kind == "tick":
            peer.handle(ev.Tick(), now)
        elif kind == "flip":
            feed = FeedId(args[0])
            peer.handle(ev.Unfollow(feed) if feed in peer.core.follows else ev.Follow(feed), now)
        elif kind == "pump":
            frames += [(args[0], frame) for frame in peer.pump(args[0], now)]
        while peer.woken and not writers:
            session = next(iter(peer.woken))
            frames += [(session, frame) for frame in peer.pump(session, now)]
        return self.add(peer), tuple((session, self._number(frame)) for session, frame in frames)

    def _number(self, frame: Frame) -> int:
        number = self._frames.setdefault(frame, len(self.frames))
        if number == len(self.frames):
            self.frames.append(frame)
        return number

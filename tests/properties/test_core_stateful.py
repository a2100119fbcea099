"""Two to four cores and explicit queues: hypothesis chooses what happens next, and when all is mended, all is the same.

``HYPOTHESIS_PROFILE=long`` runs many more and longer examples than the default.
"""

from __future__ import annotations

import os
from collections import deque
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from ebt_trio.core import events as ev
from ebt_trio.core.types import FeedId, PeerId, SessionId
from ebt_trio.testing.simstore import SimStore
from ebt_trio.testing.steps import Frame, StepPeer, differences

PROFILES: dict[str, dict[str, Any]] = {
    "default": {"max_examples": 60, "stateful_step_count": 60},
    "long": {"max_examples": 3000, "stateful_step_count": 150},
}
SETTLE = 7200.0
"""Seconds of simulated time within which all must be quiet after the last fault: penalties are up to ten minutes."""


class End:
    """One peer's end of a link; ``queue``: what has been sent to it and not arrived."""

    def __init__(self, peer: int, session: SessionId) -> None:
        self.peer = peer
        self.session = session
        self.queue: deque[Frame] = deque()
        self.digest = b""
        """In its RESUME."""
        self.phase = "coming"
        """coming, up, or gone"""


class Network(RuleBasedStateMachine):
    """Numbers that rules draw are taken modulo what there is, so that nearly every draw does something."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.peers: list[StepPeer] = []
        self.links: list[tuple[End, End]] = []
        self.gone: list[End] = []
        """Cut, and not noticed yet."""
        self.feeds: list[FeedId] = []
        self.sessions = 0
        self.instances = 0

    @initialize(peers=st.integers(2, 4), authors=st.integers(1, 2), batch=st.sampled_from([1, 3, 64]))
    def begin(self, peers: int, authors: int, batch: int) -> None:
        self.feeds = [FeedId(f"p{number}") for number in range(authors)]
        for number in range(peers):
            store = SimStore(f"store {number}".encode(), follows=dict.fromkeys(self.feeds))
            self.peers.append(StepPeer(f"p{number}", store, batch=batch))
            self._start(number)
        for number in range(1, peers):
            self._connect(number - 1, number)

    # -- what happens by itself

    @rule(draw=st.integers(0, 11))
    def deliver(self, draw: int) -> None:
        ends = [end for link in self.links for end in link if end.phase == "up" and end.queue]
        if ends:
            self._deliver(ends[draw % len(ends)])

    @rule(draw=st.integers(0, 11), count=st.integers(2, 20))
    def deliver_many(self, draw: int, count: int) -> None:
        """One direction of one link is quick."""
        ends = [end for link in self.links for end in link if end.phase == "up" and end.queue]
        if ends:
            end = ends[draw % len(ends)]
            while end.queue and end.phase == "up" and count:
                self._deliver(end)
                count -= 1

    @rule(draw=st.integers(0, 11))
    def come_up(self, draw: int) -> None:
        ends = [end for link in self.links for end in link if end.phase == "coming"]
        if ends:
            self._come_up(ends[draw % len(ends)])

    @rule(draw=st.integers(0, 11))
    def notice(self, draw: int) -> None:
        """An end notices that its link has been cut."""
        if self.gone:
            self._notice(self.gone[draw % len(self.gone)])

    @rule(draw=st.integers(0, 3), fails=st.booleans())
    def store(self, draw: int, fails: bool) -> None:
        peers = [number for number, peer in enumerate(self.peers) if peer.appends]
        if peers:
            number = peers[draw % len(peers)]
            self.peers[number].finish_append(self.now, fails=fails)
            self._pump(number)

    @rule()
    def tick(self) -> None:
        """Time advances to the next deadline."""
        self._tick()

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.3, 2.0, 40.0]))
    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        for _ in range(1000):
            due = self._next_deadline()
            if due is None or due > end:
                break
            self._tick()
        self.now = end

    # -- what peers want

    @rule(author=st.integers(0, 1), count=st.sampled_from([1, 1, 2, 70]))
    def append(self, author: int, count: int) -> None:
        number = author % len(self.feeds)
        self.peers[number].append(count, self.now)
        self._pump(number)

    @rule(number=st.integers(0, 3), draw=st.integers(0, 1), forget=st.booleans())
    def flip_follow(self, number: int, draw: int, forget: bool) -> None:
        number %= len(self.peers)
        peer, feed = self.peers[number], self.feeds[draw % len(self.feeds)]
        if feed == peer.id:
            return
        if feed not in peer.core.follows:
            peer.store.follows[feed] = None
            peer.handle(ev.Follow(feed), self.now)
        else:
            del peer.store.follows[feed]
            peer.handle(ev.Unfollow(feed), self.now)
            if forget and not peer.appends:
                peer.store.feeds.pop(feed, None)
                peer.handle(ev.Forgotten(feed), self.now)
        self._pump(number)

    @rule(number=st.integers(0, 3), blocked=st.integers(0, 3), draw=st.integers(0, 1))
    def flip_block(self, number: int, blocked: int, draw: int) -> None:
        number, blocked = number % len(self.peers), blocked % len(self.peers)
        feed = self.feeds[draw % len(self.feeds)]
        if number != blocked and feed not in (self.peers[number].id, self.peers[blocked].id):
            self._flip_block(number, PeerId(f"p{blocked}"), feed)

    # -- faults

    @rule(a=st.integers(0, 3), b=st.integers(0, 3))
    def connect(self, a: int, b: int) -> None:
        """Also a second time."""
        a, b = a % len(self.peers), b % len(self.peers)
        if a != b and len(self.links) < 8:
            self._connect(a, b)

    @rule(draw=st.integers(0, 7), noticed=st.booleans())
    def cut(self, draw: int, noticed: bool) -> None:
        if self.links:
            self._cut(self.links[draw % len(self.links)], noticed=noticed)

    @rule(number=st.integers(0, 3), saved=st.booleans())
    def restart(self, number: int, saved: bool) -> None:
        """A crash: what is not in the store is lost."""
        number %= len(self.peers)
        if saved:
            self.peers[number].save()
        for link in [link for link in self.links if number in (link[0].peer, link[1].peer)]:
            self._cut(link, noticed=False)
        self.gone = [end for end in self.gone if end.peer != number]
        self._start(number)

    # -- at the end

    def teardown(self) -> None:
        """Mend everything, wait until nothing happens any more, and compare."""
        if not self.peers:
            return
        for number, peer in enumerate(self.peers):
            for target, origin in list(peer.core.blocks):
                assert origin is not None
                self._flip_block(number, target, origin)
        connected = {frozenset((a.peer, b.peer)) for a, b in self.links}
        for number in range(1, len(self.peers)):
            if frozenset((number - 1, number)) not in connected:
                self._connect(number - 1, number)
        self._settle()
        for a, b in self.links:
            one, other = self.peers[a.peer], self.peers[b.peer]
            assert not differences(one, other, one.core.follows & other.core.follows)
        for peer in self.peers:
            progress = peer.core.progress()
            assert progress.fraction == 1.0, f"{peer.id}: {progress}"
            assert (progress.send, progress.recv, progress.unknown) == (0, 0, 0)
            assert peer.core.sync_wait().done(self.now)
            assert peer.core.next_deadline() is None

    def _settle(self) -> None:
        end = self.now + SETTLE
        while self._step() or self._tick():
            assert self.now <= end, "never quiet"

    def _step(self) -> bool:
        """The first that can happen without time passing."""
        for link in list(self.links):
            for end in link:
                if end.phase == "coming":
                    self._come_up(end)
                    return True
                if end.phase == "up" and end.queue:
                    self._deliver(end)
                    return True
        if self.gone:
            self._notice(self.gone[0])
            return True
        for number, peer in enumerate(self.peers):
            if peer.appends:
                peer.finish_append(self.now)
                self._pump(number)
                return True
        return False

    # -- how

    def _start(self, number: int) -> None:
        self.instances += 1
        self.peers[number].start(b"instance %d" % self.instances, Random(self.instances), self.now)

    def _connect(self, a: int, b: int) -> None:
        ends = []
        for number in (a, b):
            self.sessions += 1
            ends.append(End(number, SessionId(self.sessions)))
        link = ends[0], ends[1]
        for end, other in (link, link[::-1]):
            peer = self.peers[end.peer]
            end.digest = peer.resume(peer.key_of(self.peers[other.peer]))
        self.links.append(link)

    def _other(self, end: End) -> End:
        return next(b if end is a else a for a, b in self.links if end in (a, b))

    def _come_up(self, end: End) -> None:
        other = self._other(end)
        peer, their = self.peers[end.peer], self.peers[other.peer]
        end.phase = "up"
        key = peer.key_of(their)
        peer.handle(ev.SessionUp(end.session, their.id, their.instance, key, other.digest), self.now)
        self._pump(end.peer)

    def _deliver(self, end: End) -> None:
        self.peers[end.peer].receive(end.session, end.queue.popleft(), self.now)
        self._pump(end.peer)

    def _cut(self, link: tuple[End, End], *, noticed: bool) -> None:
        self.links.remove(link)
        ends = [end for end in link if end.phase == "up"]
        self.gone += ends
        if noticed:
            for end in ends:
                self._notice(end)

    def _notice(self, end: End) -> None:
        self.gone.remove(end)
        self.peers[end.peer].down(end.session, self.now)
        self._pump(end.peer)

    def _flip_block(self, number: int, target: PeerId, feed: FeedId) -> None:
        peer = self.peers[number]
        if (target, feed) in peer.core.blocks:
            del peer.store.blocks[target, feed]
            peer.handle(ev.Unblock(target, feed), self.now)
        else:
            peer.store.blocks[target, feed] = None
            peer.handle(ev.Block(target, feed), self.now)
        self._pump(number)

    def _next_deadline(self) -> float | None:
        return min((due for peer in self.peers if (due := peer.core.next_deadline()) is not None), default=None)

    def _tick(self) -> bool:
        due = self._next_deadline()
        if due is None:
            return False
        self.now = max(self.now, due)
        for number, peer in enumerate(self.peers):
            theirs = peer.core.next_deadline()
            if theirs is not None and theirs <= self.now:
                peer.handle(ev.Tick(), self.now)
                self._pump(number)
        return True

    def _pump(self, number: int) -> None:
        """Writers send all there is; sessions that a newer one replaces are closed."""
        peer = self.peers[number]
        while peer.woken or peer.closing:
            if peer.closing:
                self._close(number, next(iter(peer.closing)))
                continue
            session = next(iter(peer.woken))
            frames = peer.pump(session, self.now)
            for a, b in self.links:
                if session in (a.session, b.session):
                    (b if session == a.session else a).queue.extend(frames)

    def _close(self, number: int, session: SessionId) -> None:
        """BYE: the other end notices by and by."""
        for link in list(self.links):
            for end, other in (link, link[::-1]):
                if end.session == session:
                    self.links.remove(link)
                    if other.phase == "up":
                        self.gone.append(other)
        self.gone = [end for end in self.gone if end.session != session]
        self.peers[number].down(session, self.now)


def test_everything_converges_after_any_history() -> None:
    profile = PROFILES[os.environ.get("HYPOTHESIS_PROFILE", "default")]
    run_state_machine_as_test(
        Network,
        settings=settings(deadline=None, suppress_health_check=list(HealthCheck), **profile),
    )

"""A simulated link: frames in order each way, with latency, jitter and bandwidth; it can freeze and break."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from .simend import End, Frame

if TYPE_CHECKING:
    from .simpeer import SimPeer
    from .simulation import Simulation

__all__ = ["End", "SimLink"]


class SimLink:
    """A link between two peers: in order each way; may be slow, frozen, or cut."""

    __slots__ = ("a", "b", "frozen", "frozen_frames", "jitter", "latency", "lost", "open", "rate", "sim")

    def __init__(self, sim: Simulation, a: SimPeer, b: SimPeer, latency: float, jitter: float, rate: float) -> None:
        self.sim = sim
        self.latency = latency
        self.jitter = jitter
        self.rate = rate
        """messages per second and direction; 0: without limit"""
        self.open = True
        self.lost = False
        """Broken, and nobody has been told: what is sent arrives no more."""
        self.frozen = False
        self.frozen_frames: list[tuple[End, Frame]] = []
        self.a = End(self, a, sim.new_session())
        self.b = End(self, b, sim.new_session())
        self.a.other, self.b.other = self.b, self.a
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
        self.sim.happened(f"{self.a.peer.id}={self.b.peer.id} cut")
        delays = notice if isinstance(notice, tuple) else (notice, notice)
        for end, delay in zip((self.a, self.b), delays, strict=True):
            self.sim.after(delay, end.go_down)

    def lose(self) -> None:
        """Everything in flight is lost, and all that is sent from now on; each end notices by its keep-alive.

        As the runtime does: after ``keepalive`` seconds of silence a PING, and the end after as long again without an
        answer. PINGs are no events here (all would be quiet never), but those sent before are reckoned with.
        """
        if not self.open:
            return
        self.open = False
        self.lost = True
        sim = self.sim
        sim.happened(f"{self.a.peer.id}={self.b.peer.id} lost")
        for end, heard in zip((self.a, self.b), self._heard_at(sim.now, sim.keepalive), strict=True):
            sim.at(heard + 2 * sim.keepalive, end.go_down)

    def _heard_at(self, now: float, keepalive: float) -> list[float]:
        """When each end last heard anything, with the PINGs and PONGs that there were."""
        heard = [self.a.heard_at, self.b.heard_at]
        while (ping := min(heard) + keepalive) + self.latency <= now:
            asking = heard.index(min(heard))
            heard[1 - asking] = max(heard[1 - asking], ping + self.latency)
            if ping + 2 * self.latency > now:
                break  # its answer is lost
            heard[asking] = ping + 2 * self.latency
        return heard

    def freeze(self) -> None:
        """Nothing arrives any more, nothing is lost, nobody notices."""
        self.sim.happened(f"{self.a.peer.id}={self.b.peer.id} freezes")
        self.frozen = True

    def thaw(self) -> None:
        self.sim.happened(f"{self.a.peer.id}={self.b.peer.id} thaws")
        self.frozen = False
        frames, self.frozen_frames = self.frozen_frames, []
        for end, frame in frames:
            end.receive(frame)

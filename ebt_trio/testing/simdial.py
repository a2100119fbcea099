"""A simulated peer that keeps sessions up, as :meth:`ebt_trio.EBT.dial` does: again and again, with the same waits."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING

from ebt_trio._dial import Backoff
from ebt_trio.core.types import PeerId

if TYPE_CHECKING:
    from .simpeer import SimPeer


class Dialler:
    """Keeps at least ``links`` sessions up between a peer and those whose addresses it remembers.

    Sessions count whoever has called. After a session has ended, or a call was in vain, it waits: 0.1 to 30 s,
    doubling, with jitter, from the start again once a session has come up.
    """

    __slots__ = ("_backoff", "_calling", "_rng", "addresses", "links", "peer")

    def __init__(self, peer: SimPeer, addresses: Iterable[PeerId], links: int, rng: Random) -> None:
        self.peer = peer
        self.addresses = [address for address in dict.fromkeys(addresses) if address != peer.id]
        self.links = links
        self._rng = rng
        self._backoff = Backoff(rng)
        self._calling = 0
        """Calls that are put off, or under way; those of an earlier life of the peer do not count."""

    def start(self) -> None:
        """The peer is up: call now."""
        self._backoff.reset()
        self._calling = 1
        self.peer.sim.after(0.0, self._call, self.peer.life)

    def came_up(self) -> None:
        """A session of the peer has come up."""
        self._backoff.reset()

    def look(self) -> None:
        """A session has ended."""
        if not self._calling and self.peer.up and self._missing():
            self._again()

    def _again(self) -> None:
        self._calling = 1
        self.peer.sim.after(self._backoff.next(), self._call, self.peer.life)

    def _missing(self) -> list[PeerId]:
        """Whom to call: empty if there are sessions enough, or nobody else is known."""
        linked = {end.other.peer.id for end in self.peer.ends.values()}
        missing = [address for address in self.addresses if address not in linked]
        return missing if len(self.addresses) - len(missing) < self.links else []

    def _call(self, life: int) -> None:
        peer, sim = self.peer, self.peer.sim
        if life != peer.life or not peer.up:
            return
        self._calling = 0
        if missing := self._missing():
            other = sim.peers.get(self._rng.choice(missing))
            if other is not None and other.up:
                sim.connect(peer.id, other.id)
            if self._missing():
                self._again()

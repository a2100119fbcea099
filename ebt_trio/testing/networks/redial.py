"""What the runtime does about lost links, and the simulator does not: calls again, with backoff.

Two habits: whoever has called an address calls it again until there is a session (``EBT.dial`` does that); and
a peer that has become lonely calls addresses that it remembers from before (an application does that, with ``dial``).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ebt_trio._dial import Backoff

from .network import Network
from .overlays import Edge


class Redialler:
    """Links that are lost are made again, where the other end can be reached.

    :param rng: decides delays, addresses, and latencies of links that are new
    :param addresses: how many other peers each remembers, drawn at random, besides its neighbours; 0: only those
        links are made again that there were
    :param least: a peer with fewer links than this calls what it remembers
    :param latency: of a new link, in seconds: a range
    """

    def __init__(
        self,
        network: Network,
        rng: Random,
        *,
        addresses: int = 0,
        least: int = 1,
        latency: tuple[float, float] = (0.010, 0.050),
    ) -> None:
        self.network = network
        self.reachable: Callable[[int, int], bool] = lambda a, b: True
        """May these two be linked now?"""
        self.made = 0
        """How many links have been made."""
        self._rng = rng
        self._addresses = addresses
        self._least = least
        self._latency = latency
        self._books: dict[int, list[int]] = {}
        self._calling: set[Edge] = set()
        self._lonely: set[int] = set()

    def lost(self, edge: Edge) -> None:
        """A link is gone, and its ends have noticed: the first of them calls again, and both look how many are left."""
        if edge not in self._calling:
            self._calling.add(edge)
            self._later(Backoff(self._rng), self._call, edge)
        for peer in edge:
            self.look(peer)

    def look(self, peer: int) -> None:
        """Call what the peer remembers, if it has too few links."""
        if self._addresses and peer not in self._lonely and self._is_lonely(peer):
            self._lonely.add(peer)
            self._round(peer, Backoff(self._rng))

    # -- one address, again and again

    def _later(self, backoff: Backoff, function: Callable[[Edge, Backoff], None], edge: Edge) -> None:
        self.network.sim.after(backoff.next(), function, edge, backoff)

    def _call(self, edge: Edge, backoff: Backoff) -> None:
        caller, called = edge
        if caller in self.network.died or self._linked(caller, called):
            self._calling.discard(edge)
        elif self._can(caller, called):
            self._calling.discard(edge)
            self._link(edge)
        else:
            self._later(backoff, self._call, edge)

    # -- all that one remembers, round by round

    def _round(self, peer: int, backoff: Backoff) -> None:
        """One address after the other; each has a backoff of its own, which is that of the round."""
        book = self._book(peer)
        wait = 0.0
        for address in self._rng.sample(book, len(book)):
            wait += Backoff.SHORTEST * self._rng.uniform(0.5, 1.0)
            self.network.sim.after(wait, self._try, peer, address)
        self.network.sim.after(wait + backoff.next(), self._again, peer, backoff)

    def _again(self, peer: int, backoff: Backoff) -> None:
        if self._is_lonely(peer):
            self._round(peer, backoff)
        else:
            self._lonely.discard(peer)

    def _try(self, peer: int, address: int) -> None:
        if self._is_lonely(peer) and not self._linked(peer, address) and self._can(peer, address):
            self._link((min(peer, address), max(peer, address)))

    def _book(self, peer: int) -> list[int]:
        if peer not in self._books:
            others = self._rng.sample(range(len(self.network.peers)), min(self._addresses, len(self.network.peers)))
            beside = [end for edge in self.network.edges if peer in edge for end in edge]
            self._books[peer] = sorted({*others, *beside} - {peer})
        return self._books[peer]

    def _is_lonely(self, peer: int) -> bool:
        one = self.network.peers[peer]
        return one.up and len(one.ends) < self._least

    def _can(self, one: int, other: int) -> bool:
        peers = self.network.peers
        return peers[one].up and peers[other].up and self.reachable(one, other)

    def _linked(self, one: int, other: int) -> bool:
        link = self.network.links.get((min(one, other), max(one, other)))
        return link is not None and link.open

    def _link(self, edge: Edge) -> None:
        self.made += 1
        self.network.link(edge, self._rng.uniform(*self._latency))

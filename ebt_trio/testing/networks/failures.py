"""What fails in a network: peers die, come and go, freeze; links are lost, noticed or not; halves part and meet again.

Each function does something to a :class:`~.network.Network` now, in simulated time; how the messages fared,
:func:`~.aftermath.aftermath` says. A link that is lost loses what is on its way; its ends notice after the link's
latency, or, when it is lost silently, when the keep-alive gives it up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from random import Random

from ebt_trio.limits import Limits

from .network import Network
from .overlays import Edge
from .redial import Redialler

SILENT = 2 * Limits().keepalive
"""A PING after so much silence, and the end after as much again, in seconds."""


def drop(network: Network, edges: Iterable[Edge], *, silently: bool = False, redial: Redialler | None = None) -> None:
    """These links are lost, with what is on its way."""
    for edge in edges:
        link = network.links.get(edge)
        if link is None or not link.open:
            continue
        notice = SILENT if silently else link.latency
        link.cut(notice=notice)
        if redial is not None:
            network.sim.after(notice, redial.lost, edge)


def links_of(network: Network, peer: int) -> list[Edge]:
    """The open links of a peer."""
    one = network.peers[peer]
    others = [network.number(end.link.other(end).peer.id) for end in one.ends.values() if end.link.open]
    return sorted((min(peer, other), max(peer, other)) for other in others)


def kill(
    network: Network, victims: Collection[int], *, silently: bool = False, redial: Redialler | None = None
) -> None:
    """These peers are gone for good."""
    network.died.update(victims)
    for victim in victims:
        drop(network, links_of(network, victim), silently=silently, redial=redial)
        network.peers[victim].crash()


def drawn(network: Network, share: float, rng: Random, *, spare: Collection[int] = ()) -> list[int]:
    """So large a share of the peers that live, without some."""
    live = network.live
    number = round(share * len(live))
    return sorted(rng.sample([peer for peer in live if peer not in spare], min(number, len(live) - len(set(spare)))))


def restart(network: Network, peer: int, redial: Redialler) -> None:
    """A peer comes back with what it had stored, and calls its neighbours, as they call it."""
    network.peers[peer].restart()
    for edge in network.edges:
        if peer in edge:
            redial.lost(edge)


def churn(
    network: Network, rng: Random, redial: Redialler, *, each: float, down: float, until: float, spare: Collection[int]
) -> None:
    """From now on a peer, drawn anew, crashes every ``each`` seconds, and comes back after ``down`` seconds."""
    sim = network.sim
    candidates = [peer for peer in network.live if peer not in spare]

    def crash() -> None:
        if sim.now >= until:
            return
        victim = rng.choice(candidates)
        if network.peers[victim].up:
            drop(network, links_of(network, victim), redial=redial)
            network.peers[victim].crash()
            sim.after(down, restart, network, victim, redial)
        sim.after(each, crash)

    sim.after(each, crash)


def part(network: Network, one: Collection[int], redial: Redialler, *, silently: bool = False) -> Callable[[], None]:
    """Two halves can reach each other no more; returns what ends that."""
    here = set(one)

    def apart(a: int, b: int) -> bool:
        return (a in here) != (b in here)

    redial.reachable = lambda a, b: not apart(a, b)
    drop(network, [edge for edge in network.links if apart(*edge)], silently=silently, redial=redial)

    def meet() -> None:
        redial.reachable = lambda a, b: True

    return meet


def freeze(network: Network, peer: int) -> Callable[[], None]:
    """Nothing gets through to a peer or from it, and nobody notices; returns what ends that."""
    links = [network.links[edge] for edge in links_of(network, peer)]
    for link in links:
        link.freeze()

    def thaw() -> None:
        for link in links:
            link.thaw()

    return thaw


def lossy(
    network: Network, rng: Random, redial: Redialler, *, each: float, until: float, silently: bool = False
) -> None:
    """From now on a link, drawn anew, is lost every ``each`` seconds."""
    sim = network.sim

    def lose() -> None:
        if sim.now < until:
            drop(network, [rng.choice(network.edges)], silently=silently, redial=redial)
            sim.after(each, lose)

    sim.after(each, lose)


def slow(network: Network, share: float, rng: Random, *, factor: float) -> list[Edge]:
    """So large a share of the links takes ``factor`` times as long from now on; returns which."""
    chosen = sorted(rng.sample(range(len(network.edges)), round(share * len(network.edges))))
    for number in chosen:
        network.latencies[number] *= factor
        network.links[network.edges[number]].latency = network.latencies[number]
    return [network.edges[number] for number in chosen]


def busiest(network: Network, feed: int, *, spare: Collection[int] = ()) -> int:
    """Whom most peers have for their source of a feed."""
    children: dict[str, int] = {}
    for peer in network.peers:
        if peer.up and (owner := peer.core.status(network.feed(feed)).owner):
            children[owner] = children.get(owner, 0) + 1
    found = [(-count, network.number(name)) for name, count in children.items()]
    return min((count, number) for count, number in found if number not in spare)[1]

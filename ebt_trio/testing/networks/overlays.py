"""Who is linked with whom: overlays of the kinds that the literature uses, connected, the same for the same seed.

Peers are numbered from 0. The graphs are networkx's, where it has them; it is imported when one is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from math import isqrt
from random import Random
from typing import Any, Final

Edge = tuple[int, int]

REWIRED: Final = 0.1
"""Share of a small world's links that lead anywhere."""
BRIDGE: Final = 2
"""So many links between two clusters."""
ATTEMPTS: Final = 1000


def overlay(kind: str, peers: int, degree: int, rng: Random) -> list[Edge]:
    """The links of a connected network, each once, as (smaller, larger), in order.

    :param kind: one of :data:`OVERLAYS`
    :param peers: how many
    :param degree: of each peer in ``regular`` (and in ``two-clusters``, but at the bridge), on average in
        ``erdos-renyi``, ``small-world`` and ``power-law``; a ``grid`` has at most 4, whatever is asked
    :param rng: decides all that is not given; the same state gives the same network
    :raises ValueError: there is no such network, or no such kind
    :raises ModuleNotFoundError: the extra ``simulate`` is not installed
    """
    if kind not in OVERLAYS:
        raise ValueError(f"no overlay is called {kind!r}: there are {', '.join(OVERLAYS)}")
    if peers < 2 or not 0 < degree < peers:
        raise ValueError(f"{peers} peers cannot have {degree} neighbours each")
    edges = OVERLAYS[kind](peers, degree, rng)
    return sorted({(a, b) if a < b else (b, a) for a, b in edges})


def regular(peers: int, degree: int, rng: Random) -> list[Edge]:
    """Everybody has just as many neighbours, drawn at random."""
    if peers * degree % 2:
        raise ValueError(f"{peers} peers cannot have {degree} neighbours each: one of the two has to be even")
    if degree == 1 < peers - 1:
        raise ValueError("peers with one neighbour each are pairs, and no network")
    if degree == 2:  # the only one there is; what is drawn would fall into several, mostly
        ring = rng.sample(range(peers), peers)
        return list(zip(ring, [*ring[1:], ring[0]], strict=True))
    for _ in range(ATTEMPTS):
        graph = _networkx().random_regular_graph(degree, peers, seed=rng)
        if _networkx().is_connected(graph):
            return list(graph.edges)
    raise ValueError(f"no connected network of {peers} peers with {degree} neighbours each was found")


def erdos_renyi(peers: int, degree: int, rng: Random) -> list[Edge]:
    """So many links between any two peers; who is left over by chance gets one more."""
    return _joined(peers, _networkx().gnm_random_graph(peers, peers * degree // 2, seed=rng).edges, rng)


def small_world(peers: int, degree: int, rng: Random) -> list[Edge]:
    """A ring whose peers know their nearest neighbours, with some links rewired (Watts and Strogatz)."""
    near = degree - degree % 2
    edges = list(_networkx().watts_strogatz_graph(peers, near, REWIRED, seed=rng).edges)
    if degree % 2:  # every other peer knows one further
        edges += [(a, (a + near // 2 + 1) % peers) for a in range(0, peers - 1, 2)]
    return _joined(peers, edges, rng)


def power_law(peers: int, degree: int, rng: Random) -> list[Edge]:
    """Who comes later prefers who has many neighbours (Barabási and Albert): a few hubs, many with few."""
    low, high = max(1, degree // 2), max(1, degree - degree // 2)
    return list(_networkx().dual_barabasi_albert_graph(peers, low, high, 0.5, seed=rng).edges)


def grid(peers: int, degree: int, rng: Random) -> list[Edge]:
    """Rows and columns, as square as it can be; the last row may be shorter. Nothing is drawn."""
    columns = isqrt(peers - 1) + 1
    right = [(a, a + 1) for a in range(peers - 1) if (a + 1) % columns]
    return right + [(a, a + columns) for a in range(peers - columns)]


def two_clusters(peers: int, degree: int, rng: Random) -> list[Edge]:
    """Two regular networks, the first half and the second, with a bridge of two links."""
    half = peers // 2
    if half * degree % 2:
        half -= 1
    if not degree < half:
        raise ValueError(f"two clusters of {peers} peers together cannot have {degree} neighbours each")
    edges = regular(half, degree, rng)
    edges += [(a + half, b + half) for a, b in regular(peers - half, degree, rng)]
    ends = rng.sample(range(half), BRIDGE), rng.sample(range(half, peers), BRIDGE)
    return edges + list(zip(*ends, strict=True))


OVERLAYS: Final[Mapping[str, Callable[[int, int, Random], list[Edge]]]] = {
    "regular": regular,
    "erdos-renyi": erdos_renyi,
    "small-world": small_world,
    "power-law": power_law,
    "grid": grid,
    "two-clusters": two_clusters,
}


def _networkx() -> Any:
    return import_module("networkx")


def _joined(peers: int, edges: Iterable[Edge], rng: Random) -> list[Edge]:
    """With a link from a peer of each part to one of the largest, if there are several parts."""
    networkx = _networkx()
    graph = networkx.Graph()
    graph.add_nodes_from(range(peers))
    graph.add_edges_from(edges)
    parts = sorted((sorted(part) for part in networkx.connected_components(graph)), key=lambda part: (-len(part), part))
    return [*graph.edges, *((rng.choice(part), rng.choice(parts[0])) for part in parts[1:])]

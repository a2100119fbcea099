"""Shortest ways and connected parts: what a message could do at best, and where it can get at all."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from heapq import heappop, heappush
from math import inf

from .overlays import Edge

Distances = Callable[[int], Sequence[float]]


def distances(peers: int, edges: Iterable[Edge], weights: Iterable[float]) -> Distances:
    """A function from a peer to the length of the shortest way to each peer, in what ``weights`` are in."""
    beside: list[list[tuple[int, float]]] = [[] for _ in range(peers)]
    for (a, b), weight in zip(edges, weights, strict=True):
        beside[a].append((b, weight))
        beside[b].append((a, weight))
    known: dict[int, list[float]] = {}

    def from_peer(peer: int) -> Sequence[float]:
        if peer not in known:
            known[peer] = _dijkstra(beside, peer)
        return known[peer]

    return from_peer


def _dijkstra(beside: Sequence[Sequence[tuple[int, float]]], start: int) -> list[float]:
    found = [inf] * len(beside)
    found[start] = 0.0
    border = [(0.0, start)]
    while border:
        length, at = heappop(border)
        if length > found[at]:
            continue
        for other, weight in beside[at]:
            if length + weight < found[other]:
                found[other] = length + weight
                heappush(border, (length + weight, other))
    return found


def component(start: Iterable[int], edges: Iterable[Edge], live: Container[int]) -> set[int]:
    """Who can be reached from any of ``start`` over these links by way of those who live, themselves included."""
    beside: dict[int, list[int]] = {}
    for a, b in edges:
        if a in live and b in live:
            beside.setdefault(a, []).append(b)
            beside.setdefault(b, []).append(a)
    found = {peer for peer in start if peer in live}
    border = list(found)
    while border:
        new = [other for other in beside.get(border.pop(), ()) if other not in found]
        found.update(new)
        border += new
    return found

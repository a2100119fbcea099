"""Several peers: chain, triangle, ring, ten peers with twenty links; all clocks equal, and little sent twice."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from ebt_trio import EBT
from ebt_trio.testing import connected

Edges = Iterable[tuple[int, int]]


@asynccontextmanager
async def network(count: int, edges: Edges, seed: int = 0, **link: float) -> AsyncGenerator[list[EBT], None]:
    """Peers that all follow each other, linked as said."""
    rng = random.Random(seed)
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(EBT(f"p{i}", rng=random.Random(rng.random()))) for i in range(count)]
        for peer in peers:
            for other in peers:
                peer.follow(other.id)
        for a, b in edges:
            await stack.enter_async_context(connected(peers[a], peers[b], rng=rng, **link))
        yield peers


async def all_synced(peers: list[EBT], clock: dict[str, int]) -> None:
    with trio.fail_after(60):
        for peer in peers:
            await peer.wait_for(clock)
    for peer in peers:
        assert dict(peer.clock) == clock
    for peer in peers:
        await peer.wait_synced()
        assert peer.progress().fraction == 1.0


def random_edges(count: int, links: int, seed: int) -> list[tuple[int, int]]:
    """A connected graph."""
    rng = random.Random(seed)
    edges = {(rng.randrange(node), node) for node in range(1, count)}
    while len(edges) < links:
        a, b = sorted(rng.sample(range(count), 2))
        edges.add((a, b))
    return sorted(edges)


OVERLAYS = {
    "two": (2, [(0, 1)]),
    "chain of three": (3, [(0, 1), (1, 2)]),
    "triangle": (3, [(0, 1), (1, 2), (0, 2)]),
    "ring of four": (4, [(0, 1), (1, 2), (2, 3), (0, 3)]),
    "star": (5, [(0, 1), (0, 2), (0, 3), (0, 4)]),
    "ten peers, twenty links": (10, random_edges(10, 20, 1)),
}


@pytest.mark.parametrize("overlay", OVERLAYS)
async def test_everything_arrives_everywhere(overlay: str, autojump_clock: trio.testing.MockClock) -> None:
    count, edges = OVERLAYS[overlay]
    async with network(count, edges, delay=0.01) as peers:
        for number, peer in enumerate(peers):
            await peer.append_many([f"{number}.{i}" for i in range(20)])
        await all_synced(peers, {peer.id: 20 for peer in peers})
        for peer in peers:
            await peer.append("one more")
        await all_synced(peers, {peer.id: 21 for peer in peers})


@pytest.mark.parametrize("overlay", OVERLAYS)
async def test_a_live_message_crosses_as_a_tree(overlay: str, autojump_clock: trio.testing.MockClock) -> None:
    """With steady delays each peer gets each payload exactly once, from the first message on."""
    count, edges = OVERLAYS[overlay]
    async with network(count, edges, delay=0.01) as peers:
        await trio.sleep(5)
        for number in range(10):
            before = sum(peer.statistics().messages_sent for peer in peers)
            await peers[0].append(number)
            await trio.sleep(2)
            assert all(peer.clock == {"p0": number + 1} for peer in peers)
            sent = sum(peer.statistics().messages_sent for peer in peers) - before
            assert sent == count - 1, f"message {number}"
        assert sum(peer.statistics().duplicates for peer in peers) == 0


@pytest.mark.parametrize("seed", range(5))
async def test_jittery_links_and_everybody_talks(seed: int, autojump_clock: trio.testing.MockClock) -> None:
    edges = random_edges(8, 14, seed)
    rng = random.Random(seed)
    async with network(8, edges, seed, delay=0.02, jitter=0.05) as peers, trio.open_nursery() as nursery:

        async def talk(peer: EBT) -> None:
            for number in range(20):
                await trio.sleep(rng.expovariate(5))
                await peer.append(number)

        for peer in peers:
            nursery.start_soon(talk, peer)
        await all_synced(peers, {peer.id: 20 for peer in peers})


async def test_quiet_when_idle(autojump_clock: trio.testing.MockClock) -> None:
    async with network(4, [(0, 1), (1, 2), (2, 3), (0, 3)], delay=0.01) as peers:
        for peer in peers:
            await peer.append("x")
        await trio.sleep(10)
        before = [peer.statistics().frames_sent for peer in peers]
        await trio.sleep(15)  # shorter than keep-alive
        assert [peer.statistics().frames_sent for peer in peers] == before


async def test_a_late_link_heals_a_split(autojump_clock: trio.testing.MockClock) -> None:
    async with network(6, [(0, 1), (1, 2), (3, 4), (4, 5)], delay=0.01) as peers:
        for peer in peers:
            await peer.append_many(range(50))
        await trio.sleep(5)
        assert peers[0].clock == {"p0": 50, "p1": 50, "p2": 50}
        async with connected(peers[2], peers[3], delay=0.03):
            await all_synced(peers, {peer.id: 50 for peer in peers})

"""A hundred peers of degree five on steady links: the tree is there with the first message, and stays."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from ebt_trio.core.types import FeedId, PeerId
from ebt_trio.testing.networks.overlays import overlay
from ebt_trio.testing.simulation import Simulation

PEERS, DEGREE = 100, 5
FEED = FeedId("p0")


def regular_network(seed: int) -> Simulation:
    """A connected random network in which everybody has five neighbours and follows the first peer's feed."""
    sim = Simulation(seed, latency=(0.01, 0.05), check=False, trace=False)
    names = [f"p{number}" for number in range(PEERS)]
    for name in names:
        sim.peer(name, follow=[FEED])
    for a, b in overlay("regular", PEERS, DEGREE, Random(seed)):
        sim.connect(names[a], names[b])
    sim.settle()
    sim.count_anew()
    return sim


def assert_tree(sim: Simulation) -> None:
    """Everybody but the author has one source, and the sources lead to the author."""
    owners = {peer.id: peer.core.status(FEED).owner for peer in sim.peers.values() if peer.id != FEED}
    for name in owners:
        seen: list[PeerId] = []
        at: PeerId | None = name
        while at is not None and at != FEED:
            assert at not in seen, f"a ring of sources: {seen}"
            seen.append(at)
            at = owners[at]
        assert at == FEED, f"{name} has no way to the author: {seen}"
    for name, owner in owners.items():
        assert owner is not None
        wanting = [peer.peer for peer in sim.peers[owner].core.status(FEED).peers if peer.theirs.name == "EAGER"]
        assert name in wanting, f"{name} takes {owner} for its source, which does not know"


@pytest.mark.parametrize("seed", range(5))
def test_no_redundant_message_from_the_first_on(seed: int) -> None:
    """RMR 0: the first message, and every one after it, reaches each peer exactly once, and each link at most once."""
    sim = regular_network(seed)
    for number in range(1, 6):
        sim.peers[PeerId(FEED)].append()
        sim.settle()
        assert sim.frames["payloads"] == number * (PEERS - 1)
        assert sim.duplicates() == 0
        assert_tree(sim)
    assert all(peer.clock == {FEED: 5} for peer in sim.peers.values())


def test_no_redundant_message_live() -> None:
    """The same with several messages on the way at once."""
    sim = regular_network(0)
    for _ in range(50):
        sim.peers[PeerId(FEED)].append()
        sim.run(0.01)
    sim.settle()
    assert sim.frames["payloads"] == 50 * (PEERS - 1)
    assert Counter(sim.payloads.values()) == {1: 50 * (PEERS - 1)}
    assert_tree(sim)


def test_announcements_are_few() -> None:
    """Notes per peer and message in a steady tree: about 1.6, as in the tables of ``docs/scheduler.md``."""
    sim = regular_network(1)
    for _ in range(3):
        sim.peers[PeerId(FEED)].append()
        sim.settle()
    sim.count_anew()
    for _ in range(10):
        sim.peers[PeerId(FEED)].append()
        sim.settle()
    assert sim.frames["note entries"] / (10 * PEERS) < 1.8

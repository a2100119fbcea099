"""Who watches a simulation is told what the trace and the counters say, and they can be off meanwhile."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ebt_trio.core.types import FeedId, PeerId, Run
from ebt_trio.testing.simulation import Simulation
from ebt_trio.testing.watch import Watch


class Recorder(Watch):
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.frames: Counter[str] = Counter()
        self.links: Counter[tuple[PeerId, PeerId]] = Counter()
        self.arrivals: list[tuple[PeerId, PeerId, FeedId, int, int, int]] = []
        self.at: dict[tuple[PeerId, FeedId, int], float] = {}
        self.edges: dict[tuple[PeerId, FeedId], list[PeerId]] = {}
        self.events: list[str] = []

    def sent(self, now: float, sender: PeerId, receiver: PeerId, kind: str, content: Any, size: int) -> None:
        self.frames[kind] += 1
        self.links[sender, receiver] += 1
        if kind == "messages":
            self.frames["payloads"] += sum(len(run.payloads) for run in content)
        elif kind == "notes":
            self.frames["note entries"] += len(content)

    def arrived(self, now: float, receiver: PeerId, sender: PeerId, run: Run, new: int) -> None:
        self.arrivals.append((receiver, sender, run.feed, run.first, run.last, new))

    def stored(self, now: float, peer: PeerId, feed: FeedId, first: int, last: int) -> None:
        for sequence in range(first, last + 1):
            assert (peer, feed, sequence) not in self.at, "stored twice"
            self.at[peer, feed, sequence] = now

    def asked(self, now: float, peer: PeerId, source: PeerId, feed: FeedId, eager: bool) -> None:
        sources = self.edges.setdefault((peer, feed), [])
        if eager:
            sources.append(source)
        else:
            sources.remove(source)

    def happened(self, now: float, what: str) -> None:
        self.events.append(f"{now:.3f} {what}")


def ring(seed: int, watch: Watch | None, *, count: bool = True) -> Simulation:
    """Six peers in a ring with a chord, two feeds; a link freezes, one is cut, a peer crashes and comes back."""
    sim = Simulation(seed, latency=(0.01, 0.05), trace=count, count=count, watch=watch)
    names = [f"p{number}" for number in range(6)]
    for name in names:
        sim.peer(name, follow=["p0", "p3"])
    for a, b in [*zip(names, names[1:] + names[:1], strict=True), ("p1", "p4")]:
        sim.connect(a, b)
    p0, p3 = sim.peers[PeerId("p0")], sim.peers[PeerId("p3")]
    for step in range(12):
        p0.append(1 + step % 3)
        p3.append()
        if step == 3:
            sim.link("p1", "p2").freeze()
        elif step == 5:
            sim.link("p1", "p4").cut()
        elif step == 7:
            sim.peers[PeerId("p5")].crash()
        elif step == 9:
            sim.peers[PeerId("p5")].restart()
            sim.connect("p5", "p0")
        sim.run(0.7)
    sim.settle()
    return sim


def test_what_is_told_is_what_is_counted() -> None:
    watch = Recorder()
    sim = ring(1, watch)
    assert watch.frames == sim.frames
    assert {key: at for key, at in watch.at.items() if str(key[0]) != key[1]} == sim.delivered_at
    assert {(feed, last) for peer, feed, last in watch.at if str(peer) == feed} >= set(sim.sent_at)
    trace = [line for line in sim.trace if ">" not in line.split(" ")[1] or line.split(" ")[2] == "bye"]
    assert watch.events == trace
    assert watch.links.total() + len(trace) == len(sim.trace)
    assert {"freezes", "cut", "crashes", "restarts", "connect"} <= {line.split(" ")[2] for line in watch.events}


def test_new_messages_are_told_from_duplicates() -> None:
    watch = Recorder()
    sim = ring(2, watch)
    new: Counter[tuple[PeerId, FeedId]] = Counter()
    for receiver, _, feed, first, last, count in watch.arrivals:
        assert 0 <= count <= last - first + 1
        new[receiver, feed] += count
    lost = {PeerId("p5")}  # what was on its way into its store when it crashed has come twice
    for peer in sim.peers.values():
        for feed, head in peer.clock.items():
            if str(peer.id) != feed and peer.id not in lost:
                assert new[peer.id, feed] == head
    sim.link("p0", "p1").a.send_raw(
        "messages", [Run(FeedId("p0"), 1, sim.peers[PeerId("p0")].store.feeds[FeedId("p0")])]
    )
    sim.settle()
    assert watch.arrivals[-1][-1] == 0


def test_who_is_asked_is_the_owner() -> None:
    """Also when sessions end, freeze, and come back: the edges told are the owners that the peers have."""
    watch = Recorder()
    sim = ring(3, watch)
    for peer in sim.peers.values():
        for feed in peer.core.follows:
            owner = peer.core.status(feed).owner
            assert watch.edges.get((peer.id, feed), []) == ([] if owner is None else [owner])
    sim.peers[PeerId("p5")].crash()
    assert not watch.edges[PeerId("p5"), FeedId("p0")]
    for link in sim.links:
        if link.open:
            link.a.close("done")
    sim.settle()
    assert not any(watch.edges.values())


def test_watching_changes_nothing_and_counting_may_be_off() -> None:
    watch = Recorder()
    plain, watched, uncounted = ring(4, None), ring(4, watch), ring(4, other := Recorder(), count=False)
    assert plain.trace == watched.trace
    assert plain.events == watched.events == uncounted.events
    kept = uncounted.trace, uncounted.frames, uncounted.payloads, uncounted.sent_at, uncounted.delivered_at
    assert not any(kept)
    assert other.frames == watch.frames
    assert other.at == watch.at

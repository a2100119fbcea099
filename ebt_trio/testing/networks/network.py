"""A large simulated network: built from an overlay, ready to be measured.

::

    rng = Random(1)
    edges = overlay("regular", 100, 5, rng)
    network = Network(edges, latencies("uniform", edges, rng, peers=100), peers=100, seed=1)
    network.play(one_sender(10))
    print(network.measures().rmr)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

from ebt_trio.core.config import Config
from ebt_trio.core.types import FeedId, PeerId
from ebt_trio.testing.simulation import SimLink, SimPeer, Simulation
from ebt_trio.testing.watch import Watch, Watches

from .measures import Measures, measure
from .overlays import Edge
from .paths import Distances, distances
from .recording import Recording
from .workloads import Post

SETUP = 5.0
"""So many seconds do sessions have to come up, before anything is measured, if nothing else is said."""


class Network:
    """Peers, their links, and a :class:`Recording` of what they do. Nothing has been sent yet.

    Peers go by number; their ids are drawn, for the scheduler treats smaller ids differently.

    :param edges: who is linked with whom
    :param latencies: of each of these links, one way, in seconds
    :param peers: how many
    :param feeds: whose feeds all peers follow; only these can send. The first peer's, if nothing is said
    :param seed: decides ids, jitter, and whatever the peers decide at random
    :param jitter: mean of an exponential delay added to each frame, in seconds
    :param store_delay: how long an append takes to be durable, in seconds
    :param idle: so many feeds more that all follow, and in which nothing happens
    :param setup: how long sessions have to come up before anything is measured, in seconds
    :param watch: makes another who looks on, from before the first link comes up
    :param simulation: other arguments of :class:`~ebt_trio.testing.Simulation`
    """

    def __init__(
        self,
        edges: Sequence[Edge],
        latencies: Sequence[float],
        *,
        peers: int,
        feeds: Iterable[int] = (0,),
        seed: int = 0,
        jitter: float = 0.0,
        store_delay: float = 0.001,
        idle: int = 0,
        setup: float = SETUP,
        watch: Callable[[Network], Watch] | None = None,
        config: Config | None = None,
        **simulation: Any,
    ) -> None:
        rng = Random(seed)
        self.edges = list(edges)
        self.latencies = list(latencies)
        self.names = [f"{rng.randrange(1 << 32):08x}.{number}" for number in range(peers)]
        self.feeds = list(feeds)
        self.recording = Recording(self.names)
        looks_on = self.recording if watch is None else Watches(self.recording, watch(self))
        options: dict[str, Any] = {"check": False, "trace": False, "count": False} | simulation
        self.sim = Simulation(seed, jitter=jitter, store_delay=store_delay, config=config, watch=looks_on, **options)
        self.store_delay = store_delay
        follow = [self.names[feed] for feed in self.feeds] + [f"idle{number}" for number in range(idle)]
        self.peers: list[SimPeer] = [self.sim.peer(name, follow=follow) for name in self.names]
        self.links: dict[Edge, SimLink] = {}
        self.died: set[int] = set()
        for edge, latency in zip(self.edges, self.latencies, strict=True):
            self.link(edge, latency)
        self.sim.run(setup)
        self.recording.begin()

    def link(self, edge: Edge, latency: float) -> SimLink:
        """Link two peers."""
        self.links[edge] = link = self.sim.connect(self.names[edge[0]], self.names[edge[1]], latency=latency)
        return link

    # -- running

    def play(self, posts: Iterable[Post], *, rest: float = 10.0, each: Callable[[int], None] | None = None) -> None:
        """Let these messages be sent, and ``rest`` seconds pass after the last.

        :param each: told, before each is sent, how many were
        """
        start = self.sim.now
        for number, (after, peer) in enumerate(posts):
            self.sim.run(max(0.0, start + after - self.sim.now))
            if each is not None:
                each(number)
            if self.peers[peer].up:
                self.peers[peer].append()
        self.sim.run(rest)

    # -- looking

    @property
    def live(self) -> list[int]:
        """Who has not died."""
        return [number for number in range(len(self.peers)) if number not in self.died]

    @property
    def degrees(self) -> list[int]:
        found = [0] * len(self.peers)
        for edge in self.edges:
            for end in edge:
                found[end] += 1
        return found

    def distances(self) -> Distances:
        """The shortest ways, in seconds, with the time that stores take on the way."""
        return distances(len(self.peers), self.edges, [latency + self.store_delay for latency in self.latencies])

    def number(self, peer: PeerId | str) -> int:
        return self.recording.number[peer]

    def feed(self, peer: int) -> FeedId:
        """The feed of which a peer is the author."""
        return FeedId(self.names[peer])

    def measures(self) -> Measures:
        """Of all that was sent since the network was built, or since :meth:`Recording.begin`."""
        return measure(
            self.recording,
            until=self.sim.now,
            live=self.live,
            degrees=self.degrees,
            distances=None if self.died else self.distances(),
        )

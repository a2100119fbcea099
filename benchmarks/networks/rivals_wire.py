"""What rivals have in common: peers by number, links that keep order, time, crashes, and who looks on.

A model is a subclass of :class:`Wire` that says what its protocol does when something comes. There are no objects for
frames: what is under way is a heap of plain tuples (time, number, kind, link or peer, message, value). A link has two
ends: ``end`` is an even number or the odd one above, ``end ^ 1`` is the other; what is sent on an end arrives, as its
number, at the peer ``to[end]``. Frames take the link's latency and an exponential jitter, and do not overtake, as in
:mod:`ebt_trio.testing.simlink`; what is taken is durable after ``store_delay``, and only then passed on.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

from ebt_trio.core.types import FeedId, PeerId, Run
from ebt_trio.testing.networks.measures import Measures, measure
from ebt_trio.testing.networks.network import SETUP
from ebt_trio.testing.networks.overlays import Edge
from ebt_trio.testing.networks.paths import distances
from ebt_trio.testing.networks.recording import NEVER, Recording
from ebt_trio.testing.networks.workloads import Post
from ebt_trio.testing.watch import Watch

STORED: Final = -1
"""A message is durable at a peer."""
DOWN: Final = -2
"""A peer notices that the link of one of its ends is gone."""
ALARM: Final = -3
"""A peer's timer goes off."""
PAYLOAD: Final = 0
"""The only kind of frame that all protocols have; they number their other kinds from 1."""
UNSTORED: Final = NEVER


class Wire:
    """A network of peers of one protocol. Public names are those of the ``Network`` of our own peers.

    :param edges: who is linked with whom
    :param latencies: of each of these links, one way, in seconds
    :param peers: how many
    :param feeds: who can send; only the reference's rules have to know before
    :param seed: decides jitter, and whatever the protocol leaves to chance
    :param jitter: mean of an exponential delay added to each frame, in seconds
    :param store_delay: how long an append takes to be durable, in seconds
    :param watch: is told what happens, instead of a new :class:`Recording`
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
        watch: Watch | None = None,
    ) -> None:
        self.rng = Random(seed)
        self.now = 0.0
        self.edges, self.latencies = list(edges), list(latencies)
        self.feeds = list(feeds)
        self.jitter, self.store_delay = jitter, store_delay
        self.names = [PeerId(f"{self.rng.randrange(1 << 32):08x}.{number}") for number in range(peers)]
        self.recording = Recording(self.names)
        self.watch: Watch = watch or self.recording
        self.died: set[int] = set()
        self.to: list[int] = []
        self.ends: list[list[int]] = [[] for _ in range(peers)]
        """Of each peer, those of links that it takes for open, the oldest first."""
        self.runs: list[Run] = []
        """By the number of the message."""
        self.authors: list[int] = []
        self.stored_at: list[array[float]] = []
        self._contents: list[list[Run]] = []
        self._heads = [0] * peers
        self.delay: list[float] = []
        """By end, one way, in seconds, without jitter; may be changed."""
        self._arrives: list[float] = []
        self._open = bytearray()
        self._alive = bytearray(b"\1") * peers
        self._queue: list[tuple[float, int, int, int, Any, int]] = []
        self._count = 0
        self.start()
        for edge, latency in zip(self.edges, self.latencies, strict=True):
            self.link(edge, latency)
        self.run(SETUP)
        self.recording.begin()

    # -- what a protocol does

    def start(self) -> None:
        """Make what the protocol keeps; there are no links yet."""

    def up(self, end: int) -> None:
        """There is a new link: called for each of its ends."""

    def down(self, end: int) -> None:
        """The peer with this end has noticed that the link is gone."""

    def posted(self, peer: int, message: int) -> None:
        """A peer has sent a new message, which is durable."""
        raise NotImplementedError

    def received(self, kind: int, end: int, message: Any, value: int) -> None:
        """A frame has come, sent on ``end``; the receiver is ``to[end]``, and has the end ``end ^ 1``."""
        raise NotImplementedError

    def stored(self, peer: int, message: int, value: int) -> None:
        """A message that came is durable. ``value`` is what was passed to :meth:`store`."""
        raise NotImplementedError

    def alarm(self, peer: int, message: Any, value: int) -> None:
        """A timer goes off that was set with :meth:`later`."""

    # -- what it does it with

    def send(self, end: int, kind: int, message: int, value: int) -> None:
        """Send a payload, or something about a message that counts as one entry of control."""
        if kind:
            run = self.runs[message]
            self.push(end, kind, message, value, "notes", {run.feed: run.first})
        else:
            self.push(end, kind, message, value, "messages", self._contents[message])

    def push(
        self, end: int, kind: int, message: Any, value: int, name: str, content: Mapping[FeedId, int] | list[Run]
    ) -> None:
        """Send a frame of this content. Nothing is sent on a link that is gone, noticed or not."""
        if not self._open[end]:
            return
        at = self.now + self.delay[end]
        if self.jitter:
            at += self.rng.expovariate(1 / self.jitter)
        if at < self._arrives[end]:
            at = self._arrives[end]
        self._arrives[end] = at
        self._count = count = self._count + 1
        heappush(self._queue, (at, count, kind, end, message, value))
        self.watch.sent(self.now, self.names[self.to[end ^ 1]], self.names[self.to[end]], name, content, 0)

    def later(self, delay: float, what: int, where: int, message: Any = 0, value: int = 0) -> None:
        """Something happens to a peer, or to the peer with an end."""
        self._count += 1
        heappush(self._queue, (self.now + delay, self._count, what, where, message, value))

    def arrived(self, end: int, message: int, new: bool) -> None:
        """Tell who watches that a payload came."""
        there, here = self.names[self.to[end ^ 1]], self.names[self.to[end]]
        self.watch.arrived(self.now, here, there, self.runs[message], int(new))

    def store(self, peer: int, message: int, value: int) -> None:
        """Begin to make a message durable; :meth:`stored` is called when it is."""
        self.later(self.store_delay, STORED, peer, message, value)

    # -- building and running

    def link(self, edge: Edge, latency: float) -> int:
        """Link two peers; returns the end of the first."""
        end = len(self.to)
        self.to += [edge[1], edge[0]]
        self.delay += [latency] * 2
        self._arrives += [0.0] * 2
        self._open += b"\1\1"
        for one in (end, end + 1):
            self.ends[self.to[one ^ 1]].append(one)
        for one in (end, end + 1):
            self.up(one)
        return end

    def append(self, peer: int) -> int:
        """A peer sends a message; returns its number. Nothing, if it is dead: then -1."""
        if not self._alive[peer]:
            return -1
        self._heads[peer] += 1
        run = Run(FeedId(self.names[peer]), self._heads[peer], [b""])
        self.runs.append(run)
        self._contents.append([run])
        self.authors.append(peer)
        self.stored_at.append(array("d", [UNSTORED]) * len(self.names))
        message = len(self.runs) - 1
        self.stored_at[message][peer] = self.now
        self.watch.stored(self.now, self.names[peer], run.feed, run.first, run.last)
        self.posted(peer, message)
        return message

    def cut(self, end: int, *, notice: float = 0.0) -> None:
        """A link breaks; what is on it is lost. Both ends notice after ``notice`` seconds."""
        self._open[end] = self._open[end ^ 1] = 0
        self.later(notice, DOWN, end)
        self.later(notice, DOWN, end ^ 1)

    def crash(self, peers: Iterable[int], *, notice: float = 0.0) -> None:
        """These die, and what is on their links dies with them. Their neighbours notice after ``notice`` seconds."""
        dying = [peer for peer in peers if self._alive[peer]]
        for peer in dying:
            self._alive[peer] = 0
            self.died.add(peer)
            self.watch.happened(self.now, f"{self.names[peer]} crashes")
        for peer in dying:
            for end in self.ends[peer]:
                self.cut(end, notice=notice)
            self.ends[peer] = []

    def run(self, duration: float) -> None:
        """Let ``duration`` seconds of simulated time pass."""
        queue, until, opened, alive = self._queue, self.now + duration, self._open, self._alive
        while queue and queue[0][0] <= until:
            self.now, _, kind, where, message, value = heappop(queue)
            if kind >= 0:
                if opened[where]:
                    self.received(kind, where, message, value)
            elif kind == DOWN:
                self._went_down(where)
            elif not alive[where]:
                pass
            elif kind == STORED:
                self._is_stored(where, message)
                self.stored(where, message, value)
            else:
                self.alarm(where, message, value)
        self.now = until

    def play(self, posts: Iterable[Post], *, rest: float = 10.0, each: Callable[[int], None] | None = None) -> None:
        """Let these messages be sent, and ``rest`` seconds pass after the last.

        :param each: told, before each is sent, how many were
        """
        start = self.now
        for number, (after, peer) in enumerate(posts):
            self.run(max(0.0, start + after - self.now))
            if each is not None:
                each(number)
            self.append(peer)
        self.run(rest)

    def _went_down(self, end: int) -> None:
        peer = self.to[end ^ 1]
        if self._alive[peer] and end in self.ends[peer]:
            self.ends[peer].remove(end)
            self.down(end)

    def _is_stored(self, peer: int, message: int) -> None:
        times, run = self.stored_at[message], self.runs[message]
        if times[peer] == UNSTORED:
            times[peer] = self.now
            self.watch.stored(self.now, self.names[peer], run.feed, run.first, run.last)

    # -- looking

    @property
    def live(self) -> list[int]:
        return [number for number in range(len(self.names)) if number not in self.died]

    @property
    def degrees(self) -> list[int]:
        found = [0] * len(self.names)
        for peer in self.to:
            found[peer] += 1
        return found

    def measures(self) -> Measures:
        """Of all that was sent since the beginning, or since :meth:`Recording.begin`, of ``recording``."""
        weights = [latency + self.store_delay for latency in self.latencies]
        ways = None if self.died else distances(len(self.names), self.edges, weights)
        return measure(self.recording, until=self.now, live=self.live, degrees=self.degrees, distances=ways)

"""Plumtree as published: J. Leitão, J. Pereira, L. Rodrigues, *Epidemic Broadcast Trees*, SRDS 2007, algorithms 1 to 3.

One tree for all senders. The rules, and what was chosen where the paper leaves a choice, each time for the rival:

- Every neighbour begins as eager (``eagerPushPeers``); who is not eager is lazy (``lazyPushPeers``).
- GOSSIP: a new message goes to eager neighbours with its round (how many links it has taken), and an IHAVE with the
  same round to lazy ones, but not to whom it came from. Who it came from becomes eager. A duplicate makes its sender
  lazy, and is answered with PRUNE, which does the same at the other side.
- Lazy push: the paper leaves the ``policy`` open; here each IHAVE goes out at once, which repairs fastest. Put together
  they would be fewer frames, but as many entries, and it is entries that are measured.
- IHAVE of a message that is missing is remembered, and the first sets a timer, ``timeout1``. When it goes off, the
  sender of the first IHAVE gets a GRAFT and becomes eager, and the timer is set to ``timeout2``, for the next; with no
  IHAVE left it ends, and another IHAVE begins again with ``timeout1``. The payload's coming ends it.
- GRAFT makes its sender eager, and is answered with the payload, if that is still in the cache.
- Optimisation: a payload came over ``threshold`` links more than an IHAVE that came before promises: GRAFT without a
  message to the sender of the best IHAVE, PRUNE to the payload's.
- NeighborDown: forgotten, with its IHAVEs. NeighborUp: eager. The overlay is given: no HyParView brings new neighbours.

The paper wants ``timeout1`` chosen by the overlay's diameter and the recovery that is wanted, and ``timeout2`` of the
order of a round trip. Here ``timeout1`` is :data:`PATIENCE` mean latencies and ``timeout2`` two: at 1,000 peers and 10
to 50 ms a shorter ``timeout1`` grafts what is only late (with many senders, the shared tree's ways are long), and each
such graft makes duplicates, a prune, and another tree; a longer one only heals later. :data:`SHIPPED` are the fixed 80
and 40 ms of iroh-gossip. ``threshold`` is 7, payloads are kept for 30 s, both as there; which messages are known is
never forgotten. The tree is changed after the message is passed on: before, the payload would cross the GRAFT, and the
duplicate prune the new link, too.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

from ebt_trio.testing.networks.overlays import Edge

from .rivals_wire import ALARM, PAYLOAD, UNSTORED, Wire

GOSSIP: Final = PAYLOAD
IHAVE: Final = 1
GRAFT: Final = 2
PRUNE: Final = 3
ONLY_LINK: Final = 4
"""A GRAFT that asks for no message."""

PATIENCE: Final = 10.0
ROUND_TRIP: Final = 2.0
SHIPPED: Final = (0.080, 0.040)
THRESHOLD: Final = 7
CACHE: Final = 30.0


class Plumtree(Wire):
    """One tree for all.

    :param timeout1: before the first GRAFT, in seconds; None: :data:`PATIENCE` mean latencies, jitter included
    :param timeout2: before the next ones, in seconds; None: a mean round trip
    :param threshold: from so many links less on the tree is changed
    :param cache: so long are payloads kept, in seconds
    """

    def __init__(
        self,
        edges: Sequence[Edge],
        latencies: Sequence[float],
        *,
        timeout1: float | None = None,
        timeout2: float | None = None,
        threshold: int = THRESHOLD,
        cache: float = CACHE,
        jitter: float = 0.0,
        **options: Any,
    ) -> None:
        mean = sum(latencies) / len(latencies) + jitter
        self.timeout1 = PATIENCE * mean if timeout1 is None else timeout1
        self.timeout2 = ROUND_TRIP * mean if timeout2 is None else timeout2
        self.threshold, self.cache = threshold, cache
        super().__init__(edges, latencies, jitter=jitter, **options)

    def start(self) -> None:
        self.eager = bytearray()
        self.rounds: list[array[int]] = []
        """By message and peer: over how many links it came; -1: it has not."""
        self.missing: list[dict[int, list[tuple[int, int]]]] = [{} for _ in self.names]
        """By peer and message, while there is a timer for it: rounds and ends of IHAVEs, in order."""
        self.better: dict[tuple[int, int], int] = {}
        """By peer and message that is being stored: the end by which it would have been over so many links less."""
        self.frames = [0] * 5
        """How many were sent, by kind."""

    def send(self, end: int, kind: int, message: int, value: int) -> None:
        self.frames[kind] += 1
        super().send(end, kind, message, value)

    def up(self, end: int) -> None:
        self.eager += b"\0" * (end + 1 - len(self.eager))
        self.eager[end] = 1

    def down(self, end: int) -> None:
        missing = self.missing[self.to[end ^ 1]]
        for message, announced in missing.items():
            missing[message] = [one for one in announced if one[1] != end]

    def posted(self, peer: int, message: int) -> None:
        self.rounds.append(array("h", [-1]) * len(self.names))
        self.rounds[message][peer] = 0
        self._spread(peer, message, -1)

    def received(self, kind: int, end: int, message: Any, value: int) -> None:
        here = end ^ 1
        if kind == GOSSIP:
            self._gossip(here, message, value)
        elif kind == IHAVE:
            self._announced(here, message, value)
        elif kind == PRUNE:
            self.eager[here] = 0
        else:
            self.eager[here] = 1
            number: int = message
            at = self.stored_at[number][self.to[end]]
            # what is still being stored goes out by and by, for now this neighbour is eager
            if kind == GRAFT and at != UNSTORED and self.now - at <= self.cache:
                self.send(here, GOSSIP, number, self.rounds[number][self.to[end]] + 1)

    def _gossip(self, here: int, message: int, round: int) -> None:
        peer = self.to[here ^ 1]
        new = self.rounds[message][peer] < 0
        self.arrived(here ^ 1, message, new)
        if not new:
            self._prune(here, message)
            return
        self.rounds[message][peer] = round
        self.eager[here] = 1
        announced = self.missing[peer].pop(message, None)
        if announced and round - min(announced)[0] >= self.threshold:
            self.better[peer, message] = min(announced)[1]
        self.store(peer, message, here)

    def stored(self, peer: int, message: int, value: int) -> None:
        self._spread(peer, message, value)
        other = self.better.pop((peer, message), None)
        if (
            other in self.ends[peer]
        ):  # and it is after pushing that the tree is changed, else both links would be pruned
            self._graft(other, ONLY_LINK, message)
            self._prune(value, message)

    def _spread(self, peer: int, message: int, source: int) -> None:
        round, eager = self.rounds[message][peer] + 1, self.eager
        for end in self.ends[peer]:
            if end != source:
                self.send(end, GOSSIP if eager[end] else IHAVE, message, round)

    def _announced(self, here: int, message: int, round: int) -> None:
        peer = self.to[here ^ 1]
        if self.rounds[message][peer] >= 0:
            return
        missing = self.missing[peer]
        if message not in missing:
            missing[message] = []
            self.later(self.timeout1, ALARM, peer, message)
        missing[message].append((round, here))

    def alarm(self, peer: int, message: Any, value: int) -> None:
        announced = self.missing[peer].get(message)
        if announced is None:
            return  # it has come
        if not announced:
            del self.missing[peer][message]
            return
        _, here = announced.pop(0)
        self._graft(here, GRAFT, message)
        self.later(self.timeout2, ALARM, peer, message)

    def _graft(self, end: int, kind: int, message: int) -> None:
        self._set(end, message, True)
        self.send(end, kind, message, 0)

    def _prune(self, end: int, message: int) -> None:
        self._set(end, message, False)
        self.send(end, PRUNE, message, 0)

    def _set(self, end: int, message: int, eager: bool) -> None:
        if self.eager[end] != eager:
            self.eager[end] = eager
            peer, source = self.names[self.to[end ^ 1]], self.names[self.to[end]]
            self.watch.asked(self.now, peer, source, self.runs[message].feed, eager)

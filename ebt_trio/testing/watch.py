"""Who looks on while a simulated network runs: :class:`Watch`, for measures that need no trace and no counters."""

from __future__ import annotations

from typing import Any

from ebt_trio.core.types import FeedId, PeerId, Run

__all__ = ["Watch", "Watches"]


class Watch:
    """Told what happens in a :class:`~.simulation.Simulation`; does nothing with it. Override what you want to know.

    Times are simulated seconds. What is passed belongs to the simulation: look at it, and leave it as it is.
    """

    def sent(self, now: float, sender: PeerId, receiver: PeerId, kind: str, content: Any, size: int) -> None:
        """A frame was sent, whether it arrives or not.

        :param kind: ``notes``, ``acks``, ``messages`` or ``start``
        :param content: the runs of ``messages``; else a mapping of feeds to numbers, as on the wire
        :param size: bytes on the wire; 0 if sizes are off
        """

    def arrived(self, now: float, receiver: PeerId, sender: PeerId, run: Run, new: int) -> None:
        """Messages came. ``new`` of them were taken; the rest was there or on its way into the store, or of no use."""

    def stored(self, now: float, peer: PeerId, feed: FeedId, first: int, last: int) -> None:
        """New messages ``first`` to ``last`` are durable at ``peer``, who may be their author."""

    def asked(self, now: float, peer: PeerId, source: PeerId, feed: FeedId, eager: bool) -> None:
        """``peer`` has asked ``source`` for a feed (eager), or does so no longer: it said lazy, declined, or left.

        Only changes are told: not that somebody is asked again, nor that who was never asked is told lazy.
        """

    def happened(self, now: float, what: str) -> None:
        """Something that is no frame: a peer crashes, appends, follows; a link is made, cut, frozen."""


class Watches(Watch):
    """Several look on: each is told everything, in this order."""

    def __init__(self, *watches: Watch) -> None:
        self._all = watches

    def sent(self, now: float, sender: PeerId, receiver: PeerId, kind: str, content: Any, size: int) -> None:
        for watch in self._all:
            watch.sent(now, sender, receiver, kind, content, size)

    def arrived(self, now: float, receiver: PeerId, sender: PeerId, run: Run, new: int) -> None:
        for watch in self._all:
            watch.arrived(now, receiver, sender, run, new)

    def stored(self, now: float, peer: PeerId, feed: FeedId, first: int, last: int) -> None:
        for watch in self._all:
            watch.stored(now, peer, feed, first, last)

    def asked(self, now: float, peer: PeerId, source: PeerId, feed: FeedId, eager: bool) -> None:
        for watch in self._all:
            watch.asked(now, peer, source, feed, eager)

    def happened(self, now: float, what: str) -> None:
        for watch in self._all:
            watch.happened(now, what)

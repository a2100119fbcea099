"""What is kept of a run, in arrays: when each peer had each message, over how many hops, and who sent how much.

A :class:`Recording` is a :class:`~ebt_trio.testing.watch.Watch`, for the simulator of the real core and for whatever
else reports to one. Ten thousand peers and a hundred messages take some 10 MB.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

from ebt_trio.core.types import FeedId, PeerId, Run
from ebt_trio.testing.watch import Watch

NEVER: Final = -1.0


class Track:
    """What became of one message."""

    __slots__ = ("author", "feed", "hops", "received", "sent", "sequence", "stored")

    def __init__(self, feed: FeedId, sequence: int, author: int, sent: float, peers: int) -> None:
        self.feed = feed
        self.sequence = sequence
        self.author = author
        self.sent = sent
        """When its author had it, in simulated seconds."""
        self.stored = array("d", [NEVER]) * peers
        """When each peer had it durably; :data:`NEVER`."""
        self.stored[author] = sent
        self.hops = array("H", [0]) * peers
        """Over how many links it has come to each peer; 0 where it has not."""
        self.received = 0
        """How often it arrived anywhere, first or not."""


class Traffic:
    """What was sent in a stretch of time."""

    def __init__(self, peers: int) -> None:
        self.notes = 0
        self.acks = 0
        self.payloads = 0
        self.frames = 0
        self.bytes = 0
        self.by_peer = array("Q", [0]) * peers
        """Payloads that each peer has sent."""
        self.by_link: dict[int, int] = {}
        """Payloads by (sender · peers + receiver)."""


class Recording(Watch):
    """Looks on; :func:`~ebt_trio.testing.networks.measures.measure` makes figures of it.

    A message is followed from the moment at which its author has it, and peers and feeds go by number: that of the
    peer, or of the author. Peers that are not in ``names`` count for nothing.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.peers = len(names)
        self.number: dict[str, int] = {name: number for number, name in enumerate(names)}
        self.tracks: list[Track] = []
        self.traffic = Traffic(self.peers)
        self.disturbed = array("d")
        """When somebody asked for a feed, or got what it had: times, in order."""
        self._track: dict[tuple[FeedId, int], Track] = {}

    def begin(self) -> None:
        """Start anew: what was before is forgotten, and messages from before are followed no longer."""
        self.tracks = []
        self._track = {}
        self.disturbed = array("d")
        self.traffic = Traffic(self.peers)

    def track(self, feed: str, sequence: int) -> Track:
        """
        :raises KeyError: its author does not have it, or had it before :meth:`begin`
        """
        return self._track[FeedId(feed), sequence]

    # -- Watch

    def sent(self, now: float, sender: PeerId, receiver: PeerId, kind: str, content: Any, size: int) -> None:
        """A frame: entries and payloads are counted where they leave."""
        traffic = self.traffic
        traffic.frames += 1
        traffic.bytes += size
        if kind == "notes":
            traffic.notes += len(content)
        elif kind == "acks":
            traffic.acks += len(content)
        elif kind == "messages":
            count = sum(len(run.payloads) for run in content)
            one = self.number[sender]
            traffic.payloads += count
            traffic.by_peer[one] += count
            link = one * self.peers + self.number[receiver]
            traffic.by_link[link] = traffic.by_link.get(link, 0) + count

    def arrived(self, now: float, receiver: PeerId, sender: PeerId, run: Run, new: int) -> None:
        """Messages, of which the last ``new`` were not there."""
        there, here = self.number[sender], self.number[receiver]
        known = run.last - new
        for sequence in range(run.first, run.last + 1):
            track = self._track.get((run.feed, sequence))
            if track is None:
                continue
            track.received += 1
            if sequence > known:
                track.hops[here] = track.hops[there] + 1
            else:
                self.disturbed.append(now)

    def stored(self, now: float, peer: PeerId, feed: FeedId, first: int, last: int) -> None:
        """Messages are durable: with their author, they begin."""
        number, author = self.number[peer], self.number[feed]
        for sequence in range(first, last + 1):
            if number == author:
                self._track[feed, sequence] = track = Track(feed, sequence, author, now, self.peers)
                self.tracks.append(track)
            elif (found := self._track.get((feed, sequence))) is not None and found.stored[number] == NEVER:
                found.stored[number] = now

    def asked(self, now: float, peer: PeerId, source: PeerId, feed: FeedId, eager: bool) -> None:
        """The tree changes."""
        if eager:
            self.disturbed.append(now)

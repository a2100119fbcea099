"""The papers' measures, of a :class:`~.recording.Recording`: exact, and the same for the same run.

Reliability, relative message redundancy (RMR) and last delivery hop (LDH) are those of Leitão, Pereira and Rodrigues,
*Epidemic Broadcast Trees* (SRDS 2007), section 4.1. RMR counts what arrives, among those who have the message.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any, Final

from .paths import Distances
from .recording import NEVER, Recording, Track

QUIET: Final = 2.0
"""A tree has formed when for so many seconds after a message nobody asks for anything, nor gets anything twice."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Times in seconds. Means are over messages, unless they say otherwise."""

    peers: int
    live: int
    messages: int
    reliability: float
    """Share of the live peers that have a message in the end, mean."""
    reliability_least: float
    """The same, of the message that reached the fewest."""
    rmr: float
    """Payloads that arrived / those that had to - 1, over all messages."""
    rmr_first: float
    """The same, of the first message; 0.0 is best."""
    rmr_most: float
    """The same, of the worst message."""
    ldh: float
    """Links that the message took to the peer that is furthest, mean."""
    ldh_most: int
    delivery: float
    """From author to peer, mean over peers and messages."""
    delivery_last: float
    """To the last peer, mean."""
    stretch_first: float
    """Delivery of the first message / the shortest ways, mean over peers; 0.0 if no shortest ways are known."""
    stretch_first_last: float
    """The same, of the last peer / the longest of the shortest ways."""
    stretch: float
    """As ``stretch_first``, over the second half of the messages."""
    stretch_last: float
    notes: float
    """Note entries sent, per message and peer that lived then: that lives in the end, or has got it."""
    acks: float
    """ACK entries sent, likewise."""
    frames: float
    """Frames sent, likewise."""
    bytes: float
    """Bytes sent, likewise; 0.0 if sizes are off."""
    peer_load: float
    """Payloads sent by the busiest peer / its fair share by degree; 0.0 if degrees are not known."""
    link_load: float
    """Payloads over the busiest link, both ways / those over a link on average; 0.0 if links are not known."""
    formed: float | None
    """From the first message until the tree had formed; None: it never did, or nothing was sent after it."""
    grafts: float
    """How often a peer asked for a feed, or got a message twice, per live peer: 1.0 for each feed is the least."""

    def as_dict(self) -> dict[str, Any]:
        """By name, for JSON."""
        return asdict(self)


def measure(
    recording: Recording,
    *,
    until: float,
    live: Sequence[int] | None = None,
    degrees: Sequence[int] | None = None,
    distances: Distances | None = None,
) -> Measures:
    """The measures of all messages that were sent since :meth:`.Recording.begin`.

    :param until: the time up to which it was recorded, in simulated seconds
    :param live: numbers of the peers that count; all
    :param degrees: how many neighbours each peer has
    :param distances: shortest ways by latency, in seconds
    :raises ValueError: nothing was sent, or only one peer lives
    """
    tracks, traffic = recording.tracks, recording.traffic
    counted = range(recording.peers) if live is None else live
    if not tracks or len(counted) < 2:
        raise ValueError("there is nothing to measure: no message, or nobody to get it")
    reached = [sum(track.stored[peer] >= 0 for peer in counted) - (track.author in counted) for track in tracks]
    others = [len(counted) - (track.author in counted) for track in tracks]
    shares = [got / all_ for got, all_ in zip(reached, others, strict=True)]
    rmr = [track.received / got - 1 if (got := receivers(track)) else 0.0 for track in tracks]
    hops = [max(track.hops) for track in tracks]
    times = [list(_times(track, counted)) for track in tracks]
    stretches = list(_stretches(tracks, counted, distances))
    half = stretches[len(stretches) // 2 :]
    each = sum(max(len(counted), receivers(track) + 1) for track in tracks)  # those who died later count, too
    return Measures(
        peers=recording.peers,
        live=len(counted),
        messages=len(tracks),
        reliability=_mean(shares),
        reliability_least=min(shares),
        rmr=sum(track.received for track in tracks) / max(1, sum(receivers(track) for track in tracks)) - 1,
        rmr_first=rmr[0],
        rmr_most=max(rmr),
        ldh=_mean(hops),
        ldh_most=max(hops),
        delivery=_mean([time for some in times for time in some]),
        delivery_last=_mean([max(some) for some in times if some]),
        stretch_first=stretches[0][0],
        stretch_first_last=stretches[0][1],
        stretch=_mean([mean for mean, _ in half]),
        stretch_last=_mean([last for _, last in half]),
        notes=traffic.notes / each,
        acks=traffic.acks / each,
        frames=traffic.frames / each,
        bytes=traffic.bytes / each,
        peer_load=peer_load(recording, degrees) if degrees else 0.0,
        link_load=link_load(recording, sum(degrees) // 2) if degrees else 0.0,
        formed=formed(recording, until),
        grafts=len(recording.disturbed) / len(counted),
    )


def receivers(track: Track) -> int:
    """How many have the message, but for its author: dead or alive."""
    return len(track.stored) - 1 - track.stored.count(NEVER)


def delivered(track: Track, peers: Sequence[int], by: float = inf) -> float:
    """The share of these peers that had the message by then, in simulated seconds; of none: all."""
    others = [peer for peer in peers if peer != track.author]
    return sum(0 <= track.stored[peer] <= by for peer in others) / len(others) if others else 1.0


def peer_load(recording: Recording, degrees: Sequence[int]) -> float:
    """Payloads sent by the busiest peer, in units of its degree / the sum of degrees x all payloads."""
    traffic = recording.traffic
    if not traffic.payloads:
        return 0.0
    whole = sum(degrees)
    return max(
        sent * whole / (degree * traffic.payloads) for sent, degree in zip(traffic.by_peer, degrees, strict=True)
    )


def link_load(recording: Recording, links: int) -> float:
    """Payloads over the busiest link, both ways, in units of the mean."""
    both: dict[tuple[int, int], int] = {}
    for link, count in recording.traffic.by_link.items():
        a, b = divmod(link, recording.peers)
        both[min(a, b), max(a, b)] = both.get((min(a, b), max(a, b)), 0) + count
    return max(both.values(), default=0) * links / max(1, recording.traffic.payloads)


def formed(recording: Recording, until: float) -> float | None:
    """Seconds from the first message to the last disturbance before one that is followed by :data:`QUIET` seconds."""
    sent = [track.sent for track in recording.tracks]
    first = at = sent[0]
    disturbed = recording.disturbed
    for time in [*disturbed[bisect_left(disturbed, first) :], until]:
        after = bisect_left(sent, at)
        if after < len(sent) and time - sent[after] >= QUIET:
            return at - first
        at = time
    return None


def _times(track: Track, counted: Sequence[int]) -> Iterator[float]:
    for peer in counted:
        if track.stored[peer] >= 0 and peer != track.author:
            yield track.stored[peer] - track.sent


def _stretches(
    tracks: Sequence[Track], counted: Sequence[int], distances: Distances | None
) -> Iterator[tuple[float, float]]:
    """Of each message: mean delivery / mean shortest way, last delivery / longest of the shortest ways."""
    for track in tracks:
        if distances is None:
            yield 0.0, 0.0
            continue
        best = distances(track.author)
        there = [peer for peer in counted if track.stored[peer] >= 0 and peer != track.author]
        ways, took = [best[peer] for peer in there], list(_times(track, counted))
        yield (sum(took) / sum(ways), max(took) / max(ways)) if there else (0.0, 0.0)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0

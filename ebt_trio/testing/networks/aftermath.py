"""What became of messages when something had failed: when they were there, and why they were not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .measures import delivered, receivers
from .network import Network
from .overlays import Edge
from .paths import component, distances
from .recording import Track


@dataclass(frozen=True, slots=True)
class Aftermath:
    """One message. Shares are of the peers that live in the end, without its author."""

    at_once: float
    """Share after twice the longest of the shortest ways in the network as it was."""
    after_graft: float
    """Share one ``graft_delay`` later."""
    after_stall: float
    """Share one ``stall_timeout`` after it was sent."""
    finally_: float
    """Share in the end."""
    last: float
    """Until the last of those had it who got it at all, in seconds."""
    rmr: float
    cut_off: int
    """Who has not got it, and could not: there is no path of open links from any live peer that has it."""
    bugs: int
    """Who has not got it, and could have. 0, or something is wrong with the scheduler."""

    @property
    def of_connected(self) -> float:
        """Share of those who could get it."""
        return 1.0 if not self.bugs else 1 - self.bugs / (self.bugs + self.reached)

    reached: int
    """How many of the live have it, without its author."""

    def as_dict(self) -> dict[str, Any]:
        """By name, for JSON."""
        return asdict(self) | {"of_connected": self.of_connected}


def aftermath(network: Network, tracks: Sequence[Track] | None = None) -> list[Aftermath]:
    """Of these messages, in this order; of all that were recorded, if nothing is said. To be asked in the end."""
    recorded = network.recording.tracks if tracks is None else tracks
    ways = distances(len(network.peers), network.edges, network.latencies)
    live, edges = network.live, open_links(network)
    return [_of(network, track, live, edges, max(ways(track.author))) for track in recorded]


def open_links(network: Network) -> list[Edge]:
    """Over which something can get through now."""
    return list(_open(network))


def _open(network: Network) -> Iterator[Edge]:
    for link in network.sim.links:
        if link.open and not link.frozen and link.a.up and link.b.up and link.a.peer.up and link.b.peer.up:
            yield network.number(link.a.peer.id), network.number(link.b.peer.id)


def _of(network: Network, track: Track, live: Sequence[int], edges: Sequence[Edge], way: float) -> Aftermath:
    config, sent = network.sim.config, track.sent
    holders = {peer for peer in live if track.stored[peer] >= 0}
    missing = [peer for peer in live if peer not in holders]
    near = component(holders, edges, set(live)) if missing else holders
    times = [track.stored[peer] - sent for peer in holders]
    got = receivers(track)
    return Aftermath(
        at_once=delivered(track, live, sent + 2 * way),
        after_graft=delivered(track, live, sent + 2 * way + config.graft_delay),
        after_stall=delivered(track, live, sent + config.stall_timeout),
        finally_=delivered(track, live),
        last=max(times, default=0.0),
        rmr=track.received / got - 1 if got else 0.0,
        cut_off=sum(peer not in near for peer in missing),
        bugs=sum(peer in near for peer in missing),
        reached=len(holders - {track.author}),
    )

"""From what was asked for to a network that has played it: :class:`Setting`, :func:`play`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from ...core.types import PeerId
from ...testing.networks.aftermath import Aftermath, aftermath
from ...testing.networks.failures import kill
from ...testing.networks.latencies import latencies
from ...testing.networks.measures import Measures
from ...testing.networks.network import SETUP, Network
from ...testing.networks.overlays import overlay
from ...testing.networks.paths import distances
from ...testing.networks.redial import Redialler
from ...testing.networks.workloads import Post, one_sender, random_senders
from ..errors import Failure
from .recorder import Recorder

__all__ = ["Blow", "Played", "Setting", "play"]

BEFORE: Final = 0.2
"""So many seconds of a recording come before the first message."""
REST: Final = 4.0
"""Seconds after the last message, at least."""
AFTER_FAILURE: Final = 60.0
"""The same, if something is to be mended."""
PATIENCE: Final = 8.0
"""A message has so many times the longest of the shortest ways, where that is long: a first one takes 3 to 6."""
ADDRESSES: Final = 30
"""A peer remembers so many addresses, besides those of its neighbours."""
LEAST: Final = 2
"""With fewer links than that, it calls them."""
DRAWN: Final = 8
"""So many feeds are in a recording at most."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is simulated. Times in seconds."""

    peers: int = 100
    degree: int = 5
    overlay: str = "regular"
    latency: str = "uniform"
    low: float = 0.010
    high: float = 0.050
    jitter: float = 0.0
    senders: int = 1
    messages: int = 20
    rate: float = 2.0
    fail: float = 0.0
    redial: bool = True
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Blow:
    """A failure, and what became of messages. Shares are of the survivors."""

    message: int
    """The number, from 1, of the one that was sent at that instant."""
    failed: int
    links_made: int
    """By redialling."""
    aftermath: Aftermath
    """Of that message."""
    later: float
    """Of the later ones, in the end, the one that reached the fewest."""
    bugs: int
    """How often a message has not got to a peer that it could have got to."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came out."""

    setting: Setting
    links: int
    measures: Measures
    blow: Blow | None
    recording: dict[str, Any] | None


def play(setting: Setting, *, record: bool = False, told: Callable[[str, int, int], None]) -> Played:
    """Let it happen.

    :param record: keep a recording for the picture
    :param told: what is under way, how many messages of how many are sent
    :raises Failure: there is no such network
    """
    rng = Random(setting.seed)
    told("the network is built", 0, setting.messages)
    try:
        edges = overlay(setting.overlay, setting.peers, setting.degree, rng)
    except ValueError as exc:
        raise Failure(str(exc), 2) from None
    except ModuleNotFoundError as exc:
        raise Failure(f"not installed: {exc.name}; run: pip install 'ebt-trio[simulate]'") from None
    # Each with a seed of its own: whether somebody redials does not change who sends, and who fails.
    draw, fate, calls = (Random(f"{setting.seed} {what}") for what in ("senders", "failures", "redialling"))
    late = latencies(setting.latency, edges, rng, peers=setting.peers, low=setting.low, high=setting.high)
    senders = draw.sample(range(setting.peers), setting.senders)
    victims = _victims(setting, senders, fate)
    told("links come up", 0, setting.messages)
    recorders: list[Recorder] = []

    def watch(network: Network) -> Recorder:
        names = [PeerId(name) for name in network.names]
        recorders.append(Recorder(names, [network.feed(sender) for sender in senders[:DRAWN]]))
        return recorders[0]

    network = Network(
        edges,
        late,
        peers=setting.peers,
        feeds=senders,
        seed=setting.seed,
        jitter=setting.jitter,
        setup=max(SETUP, PATIENCE * (max(late) + setting.jitter)),
        watch=watch if record else None,
    )
    redial = Redialler(
        network, calls, addresses=ADDRESSES, least=min(LEAST, setting.degree), latency=(setting.low, setting.high)
    )

    def strike() -> None:
        for recorder in recorders:
            recorder.mark(network.sim.now, f"{len(victims):,} of {setting.peers:,} peers fail")
        kill(network, victims, redial=redial if setting.redial else None)

    def each(number: int) -> None:
        told("messages are sent", number, setting.messages)
        if victims and number == setting.messages // 2:
            network.sim.after(0.0, strike)  # at the same instant, after it

    network.play(_posts(setting, senders, draw), rest=_rest(network, setting, senders[0], bool(victims)), each=each)
    told("it is measured", setting.messages, setting.messages)
    return Played(
        setting,
        len(edges),
        network.measures(),
        _blow(network, setting, redial) if victims else None,
        _recording(recorders[0], network) if recorders else None,
    )


def _rest(network: Network, setting: Setting, sender: int, failed: bool) -> float:
    """Seconds after the last message: enough for one that goes slowly to get everywhere."""
    each = [latency + setting.jitter for latency in network.latencies]
    furthest = max(distances(setting.peers, network.edges, each)(sender))
    return max(AFTER_FAILURE if failed else REST, PATIENCE * furthest)


def _victims(setting: Setting, senders: Sequence[int], rng: Random) -> list[int]:
    """Who fails: so large a share of all, but nobody who sends."""
    if not setting.fail:
        return []
    count = round(setting.fail * setting.peers)
    silent = sorted(set(range(setting.peers)) - set(senders))
    if not 0 < count <= len(silent) - (len(senders) == 1):
        raise Failure(
            f"{count:,} of {setting.peers:,} peers cannot fail: at least one, and {len(silent):,} send nothing", 2
        )
    return rng.sample(silent, count)


def _blow(network: Network, setting: Setting, redial: Redialler) -> Blow:
    number = setting.messages // 2
    tracks = network.recording.tracks
    found = aftermath(network, tracks[number:])
    first, later = found[0], found[1:] or found
    died = setting.peers - len(network.live)
    return Blow(
        number + 1, died, redial.made, first, min(one.finally_ for one in later), sum(one.bugs for one in found)
    )


def _posts(setting: Setting, senders: Sequence[int], rng: Random) -> list[Post]:
    gap = 1 / setting.rate
    if len(senders) == 1:
        return one_sender(setting.messages, gap=gap, sender=senders[0])
    return random_senders(senders, setting.messages, rng, gap=gap)


def _recording(recorder: Recorder, network: Network) -> dict[str, Any]:
    latency = {(link.a.peer.id, link.b.peer.id): link.latency for link in network.sim.links}
    return recorder.recording(network.recording.tracks[0].sent - BEFORE, network.sim.now, latency)

"""From what was asked for to a network that has played it: :class:`Setting`, :func:`play`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from ...core.config import Config
from ...core.types import FeedId, PeerId, Run
from ...testing.networks.latencies import latencies
from ...testing.networks.measures import Measures, delivered
from ...testing.networks.network import SETUP, Network
from ...testing.networks.overlays import overlay
from ...testing.networks.paths import component
from ...testing.networks.recording import Track
from ...testing.networks.workloads import Post, one_sender, random_senders
from ...testing.watch import Watch
from ..errors import Failure
from .recorder import Recorder

__all__ = ["Blow", "Played", "Setting", "play"]

BEFORE: Final = 0.2
"""So many seconds of a recording come before the first message."""
REST: Final = 4.0
"""And after the last; with a failure until it is mended, too."""
AFTER_FAILURE: Final = 30.0
ADDRESSES: Final = 30
"""A peer remembers so many addresses, besides those of its neighbours."""
LINKS: Final = 2
"""With fewer links, it calls one of them: as :meth:`ebt_trio.EBT.dial` does, and as often."""
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
    """A failure, and what became of the message that was sent at that instant: shares of the survivors."""

    message: int
    """Its number, from 1."""
    failed: int
    connected: float
    """Whom a way of links led to from the sender, the moment after."""
    at_once: float
    """Had it within a ``graft_delay`` of when it would have come to the last, had nothing failed."""
    within: float
    """One ``stall_timeout`` later."""
    finally_: float
    """In the end."""
    later: float
    """Of all messages after it, the one that reached the fewest."""


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
    links = latencies(setting.latency, edges, rng, peers=setting.peers, low=setting.low, high=setting.high)
    senders = rng.sample(range(setting.peers), setting.senders)
    network = Network(
        edges, links, peers=setting.peers, feeds=senders, seed=setting.seed, jitter=setting.jitter, connect=False
    )
    recorder = None
    if record:
        names = [PeerId(name) for name in network.names]
        recorder = Recorder(names, [FeedId(network.names[sender]) for sender in senders[:DRAWN]])
        network.sim.watch = _Both(network.recording, recorder)
    told("links come up", 0, setting.messages)
    for edge, latency in zip(edges, links, strict=True):
        network.link(edge, latency)
    if setting.redial:
        _remember(network, rng)
    network.sim.run(SETUP)
    network.recording.begin()
    blow = _Blow(network, setting, senders, recorder, rng) if setting.fail else None

    def each(number: int) -> None:
        told("messages are sent", number, setting.messages)
        if blow is not None and number == setting.messages // 2:
            blow.strike()

    network.play(_posts(setting, senders, rng), rest=AFTER_FAILURE if blow else REST, each=each)
    told("it is measured", setting.messages, setting.messages)
    return Played(
        setting,
        len(edges),
        network.measures(),
        None if blow is None else blow.result(),
        None if recorder is None else _recording(recorder, network),
    )


def _posts(setting: Setting, senders: Sequence[int], rng: Random) -> list[Post]:
    gap = 1 / setting.rate
    if len(senders) == 1:
        return one_sender(setting.messages, gap=gap, sender=senders[0])
    return random_senders(senders, setting.messages, rng, gap=gap)


def _remember(network: Network, rng: Random) -> None:
    """Everybody knows where their neighbours are, and some others at random; who lacks links, dials."""
    near: list[list[int]] = [[] for _ in network.peers]
    for a, b in network.edges:
        near[a].append(b)
        near[b].append(a)
    everybody = range(len(network.peers))
    for number, peer in enumerate(network.peers):
        known = [*near[number], *rng.sample(everybody, min(ADDRESSES, len(everybody)))]
        peer.dial(*(network.names[other] for other in known), links=min(LINKS, len(near[number])))


class _Blow:
    """Takes a share of the peers away, and follows the message that is sent at that instant. Senders are spared."""

    def __init__(
        self, network: Network, setting: Setting, senders: Sequence[int], recorder: Recorder | None, rng: Random
    ) -> None:
        self._network = network
        self._recorder = recorder
        self._struck = 0
        silent = sorted(set(range(setting.peers)) - set(senders))
        count = round(setting.fail * setting.peers)
        if not 0 < count <= len(silent) - (len(senders) == 1):
            raise Failure(
                f"{count} of {setting.peers} peers cannot fail: that is none, or the {len(senders)} that send would "
                "be alone",
                2,
            )
        self._dead = rng.sample(silent, count)

    def strike(self) -> None:
        network = self._network
        self._struck = len(network.recording.tracks)
        if self._recorder is not None:
            self._recorder.mark(network.sim.now, f"{len(self._dead):,} of {len(network.peers):,} peers fail")
        for number in self._dead:
            network.peers[number].crash()
        network.died.update(self._dead)

    def result(self) -> Blow:
        network = self._network
        tracks = network.recording.tracks
        track, before = tracks[self._struck], tracks[: self._struck]
        usual = max((max(one.stored) - one.sent for one in before[-10:] if one is not tracks[0]), default=0.0)
        config: Config = network.sim.config
        soon = track.sent + usual + config.graft_delay
        live = network.live
        connected = component([track.author], network.edges, set(live))
        others = len(live) - 1
        return Blow(
            self._struck + 1,
            len(self._dead),
            (len(connected) - 1) / others if others else 1.0,
            delivered(track, live, soon),
            delivered(track, live, soon + config.stall_timeout),
            delivered(track, live),
            min((delivered(one, live) for one in tracks[self._struck + 1 :]), default=delivered(track, live)),
        )


class _Both(Watch):
    """Two look on."""

    def __init__(self, one: Watch, other: Watch) -> None:
        self._all = (one, other)

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


def _recording(recorder: Recorder, network: Network) -> dict[str, Any]:
    latency = {(link.a.peer.id, link.b.peer.id): link.latency for link in network.sim.links}
    tracks: Sequence[Track] = network.recording.tracks
    return recorder.recording(tracks[0].sent - BEFORE, network.sim.now, latency)

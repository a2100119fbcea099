"""Tables of networks in which nothing fails: one sender, many, all kinds of overlays, load, what idle feeds cost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random
from time import process_time
from typing import Final

from ebt_trio.testing.networks import LATENCIES, OVERLAYS, WORKLOADS
from ebt_trio.testing.networks.workloads import Post, all_at_once, one_sender, random_senders, senders_of, steady_rate

from .case import Case, Figures, Published, Run, Table, chosen, network
from .case import Target as T

WAYS: Final = {
    "reliability": "reliability",
    "rmr": "RMR",
    "rmr_first": "first",
    "rmr_most": "worst message",
    "ldh": "LDH",
    "stretch_first": "stretch, first",
    "stretch": "steady",
    "stretch_last": "last node",
    "notes": "notes",
    "acks": "ACKs",
    "bytes": "bytes",
    "formed": "formed, s",
}
STEADY: Final = {
    "reliability": T(least=1),
    "rmr_most": T(most=0.001),
    "stretch_first": T(most=3),
    "stretch": T(most=1.05),
    "stretch_last": T(most=1.15),
}
MEASURED: Final = """RMR: payloads that arrived / those that had to - 1, over all messages, in the first one, in
    the worst one. LDH: links that the message took to the peer that is furthest. Stretch: delivery / shortest way
    by latency (and store), of the first message, mean over the second half of them, and of the last peer. Notes,
    ACKs: entries sent, per peer and message; bytes: of whole frames. Formed: from the first message until nobody asks
    for anything."""


def one(peers: int, jitter: float, messages: int) -> Case:
    """One sender, second by second."""

    def run(seed: int) -> Figures:
        made = network(peers, seed, jitter=jitter, sizes=peers <= 1000)  # sizes take time
        made.play(one_sender(messages))
        return chosen(
            {name: value for name, value in made.measures().as_dict().items() if value or name != "bytes"}, WAYS
        )

    targets = {"reliability": T(least=1)}
    if jitter == 0:
        targets = STEADY | ({"ldh": T(most=13), "notes": T(most=1.7)} if peers >= 1000 else {})
    elif jitter == 0.03:
        targets["rmr"] = T(most=0.03)
    return Case(f"{peers:,} peers, {f'jitter {jitter * 1000:g} ms' if jitter else 'steady'}", peers, run, targets)


def single_sender(messages: int) -> Table:
    """The papers' table."""
    return Table(
        "single-sender",
        "One sender",
        f"""Random regular overlay of degree 5, links of 10–50 ms with exponential jitter, {messages} messages a second
        apart. {MEASURED}""",
        WAYS,
        [one(peers, jitter, messages) for peers in (20, 100, 1000, 10_000) for jitter in (0.0, 0.005, 0.01, 0.03)],
        [
            Published("iroh-gossip 0.101, 20 peers", {"rmr": 0.056, "ldh": 3}),
            Published("iroh-gossip 0.101, 100 peers", {"rmr": 0.010, "ldh": 5.8}),
            Published("iroh-gossip 0.101, 1,000 peers", {"rmr": 0.001, "ldh": 13.8}),
            Published("iroh-gossip 0.101, 10,000 peers", {"rmr": 0.000, "ldh": 16.5, "notes": 2.2}),
        ],
    )


MANY: Final = {
    name: WAYS[name] for name in ("reliability", "rmr", "rmr_most", "ldh", "stretch", "stretch_last", "notes", "acks")
} | {
    "frames": "frames",
    "peer_load": "busiest peer",
    "link_load": "busiest link",
    "cost_bytes": "bytes per feed and peer",
}


def many(name: str, peers: int, posts: list[Post], *, notes: float | None = None) -> Case:
    """Each sender has a feed, which all follow."""

    def run(seed: int) -> Figures:
        feeds = senders_of(posts)
        before = resident()
        made = network(peers, seed, feeds=feeds)
        size = memory(before, len(feeds), peers)
        made.play(posts)
        return chosen(made.measures().as_dict() | {"cost_bytes": size}, MANY)

    targets = {"reliability": T(least=1), "rmr": T(most=0.001)}
    return Case(name, peers, run, targets | ({} if notes is None else {"notes": T(most=notes)}))


def resident() -> int | None:
    """Bytes of memory that this process has now; None where nobody says so."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def memory(before: int | None, feeds: int, peers: int) -> float | None:
    """Bytes per feed and peer that have been taken since; None where there are too few to tell."""
    now = resident()
    return None if before is None or now is None or feeds < 50 else (now - before) / (feeds * peers)


def many_senders(rounds: int) -> Table:
    """Where one shared tree is poor."""
    cases: list[Case] = []
    for peers in (20, 100, 1000):
        everybody = range(peers)
        posts = random_senders(everybody, rounds, Random(f"random {peers}"))
        cases.append(many(f"{peers:,} peers, a random sender each second, {rounds} messages", peers, posts))
        times = 3 if peers < 1000 else 1
        cases.append(
            many(f"{peers:,} peers, all at once, {times} rounds", peers, all_at_once(everybody, times, gap=3.0))
        )
    for peers, seconds in ((100, 10.0), (1000, 2.0)):
        for senders in (1, 10, 100):
            posts = steady_rate(range(senders), 200.0, seconds, Random(f"rate {peers} {senders}"))
            of = f"{senders} sender{'s' if senders > 1 else ''}"
            cases.append(
                many(f"{peers:,} peers, 200 messages per second of {of}, {seconds:g} s", peers, posts, notes=0.8)
            )
    return Table(
        "many-senders",
        "Many senders",
        f"""The same networks, steady; every peer follows the feed of every sender. {MEASURED} Busiest peer: payloads it
        sent / its fair share by degree; busiest link: payloads / those of a link on average. Bytes: resident memory /
        (feeds · peers) before anything is sent.""",
        MANY,
        cases,
        [
            Published("iroh-gossip 0.101, 20 peers, a random sender", {"rmr": 0.27, "ldh": 5.4}),
            Published("iroh-gossip 0.101, 100 peers, a random sender", {"rmr": 0.45, "ldh": 10.7}),
            Published("iroh-gossip 0.101, 1,000 peers, a random sender", {"rmr": 0.43, "ldh": 20.6}),
            Published("iroh-gossip 0.101, 10,000 peers, a random sender", {"rmr": 0.45, "ldh": 28.1}),
            Published("iroh-gossip 0.101, 20 peers, all at once", {"rmr": 1.24}),
            Published("iroh-gossip 0.101, 100 peers, all at once", {"rmr": 1.03}),
        ],
    )


OVERLAY: Final = {
    name: WAYS[name] for name in ("reliability", "rmr", "ldh", "stretch_first", "stretch", "stretch_last", "notes")
} | {"peer_load": "busiest peer"}


def overlays(messages: int) -> Table:
    """Each overlay with each kind of latency."""

    def cases() -> Iterator[Case]:
        for peers in (100, 1000):
            for kind in OVERLAYS:
                for late in LATENCIES:
                    yield Case(f"{peers:,} peers, {kind}, {late}", peers, _overlay(peers, kind, late, messages), {
                        "reliability": T(least=1), "rmr": T(most=0.001),
                    })  # fmt: skip

    return Table(
        "overlays",
        "Overlays and latencies",
        f"One sender, {messages} messages, steady. {MEASURED}",
        OVERLAY,
        list(cases()),
    )


def _overlay(peers: int, kind: str, late: str, messages: int) -> Run:
    def run(seed: int) -> Figures:
        made = network(peers, seed, kind=kind, late=late)
        made.play(one_sender(messages))
        return chosen(made.measures().as_dict(), OVERLAY)

    return run


FAIR: Final = {
    "reliability": "reliability",
    "rmr": "RMR",
    "notes": "notes",
    "peer_load": "busiest peer",
    "link_load": "busiest link",
    "cost_bytes": MANY["cost_bytes"],
}


def fairness(messages: int) -> Table:
    """As many feeds as peers."""

    def case(peers: int, kind: str, workload: str) -> Case:
        def run(seed: int) -> Figures:
            before = resident()
            made = network(peers, seed, kind=kind, feeds=range(peers))
            size = memory(before, peers, peers)
            made.play(WORKLOADS[workload](range(peers), messages, Random(f"fair {seed}")))
            return chosen(made.measures().as_dict() | {"cost_bytes": size}, FAIR)

        targets = {"reliability": T(least=1), "peer_load": T(most=3)}
        return Case(f"{peers:,} peers and feeds, {kind}, {workload}", peers, run, targets)

    return Table(
        "fairness",
        "Load",
        f"""As many feeds as peers, which all follow; {messages} messages, of random senders a second apart, or of a few
        mostly (Zipf, 10 per second). Busiest peer: payloads it sent / (its degree / all degrees · all payloads).""",
        FAIR,
        [
            case(peers, kind, work)
            for peers in (100, 1000)
            for kind in ("regular", "power-law")
            for work in ("random", "long-tail")
        ],
    )


IDLE: Final = {
    "notes": "notes",
    "acks": "ACKs",
    "frames": "frames",
    "events": "events",
    "cost_cpu": "CPU per event, µs",
}


def idle_feeds(messages: int) -> Table:
    """What a message costs beside feeds in which nothing happens."""

    def case(idle: int) -> Case:
        peers = 20

        def run(seed: int) -> Figures:
            made = network(peers, seed, idle=idle)
            events, started = made.sim.events, process_time()
            made.play(one_sender(messages))
            found: Figures = dict(made.measures().as_dict())
            found["events"] = (made.sim.events - events) / (messages * peers)
            found["cost_cpu"] = (process_time() - started) / (made.sim.events - events) * 1e6
            return chosen(found, IDLE)

        return Case(f"{idle:,} idle feeds", peers, run)

    return Table(
        "idle-feeds",
        "Idle feeds",
        f"""20 peers that follow one feed with {messages} messages and so many others in which nothing happens. All per
        peer and message.""",
        IDLE,
        [case(idle) for idle in (0, 10, 100, 1000, 10_000)],
    )

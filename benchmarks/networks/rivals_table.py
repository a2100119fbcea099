"""A table of the rivals alone: ``python -m benchmarks.networks.rivals_table --peers 1000 --seeds 5``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from random import Random
from statistics import mean, stdev
from time import process_time
from typing import Any, Final

from ebt_trio.testing.networks import LATENCIES, OVERLAYS, latencies, overlay
from ebt_trio.testing.networks.measures import delivered, receivers
from ebt_trio.testing.networks.paths import component

from .rivals import RULES, played
from .rivals_wire import Wire

KILLED_AT: Final = 10
WORKS: Final = ("one", "random", "kill")
FIGURES: Final = (
    "reliability",
    "of those connected",
    "RMR, first",
    "RMR, later",
    "LDH",
    "stretch",
    "last node",
    "last node, s",
    "control",
    "CPU, s",
)


def figures(wire: Wire, seconds: float) -> list[float]:
    """Of one run, in the order of :data:`FIGURES`. RMR of the first message, and of all later ones together."""
    found, tracks, live = wire.measures(), wire.recording.tracks, set(wire.live)
    joined = [sorted(component([track.author], wire.edges, live)) for track in tracks]
    first, *later = [(track.received, receivers(track)) for track in tracks]
    return [
        found.reliability,
        mean(delivered(track, peers) for track, peers in zip(tracks, joined, strict=True)),
        first[0] / max(1, first[1]) - 1,
        sum(got for got, _ in later) / max(1, sum(had for _, had in later)) - 1,
        found.ldh,
        found.stretch,
        found.stretch_last,
        found.delivery_last,
        found.notes,
        seconds,
    ]


def rows(options: argparse.Namespace) -> Iterator[tuple[str, str, list[list[float]]]]:
    """Workload, rules, and the figures of each seed."""
    works: dict[str, tuple[str, dict[str, Any]]] = {
        "one": ("one sender", {"workload": "one"}),
        "random": ("random sender", {"workload": "random"}),
        "kill": (f"killed {options.kill:.0%}", {"workload": "one", "kill": options.kill, "kill_at": KILLED_AT}),
    }
    for work, said in (works[name] for name in options.works):
        for rules in options.rules:
            found: list[list[float]] = []
            for seed in range(options.seeds):
                rng = Random(seed)
                edges = overlay(options.overlay, options.peers, options.degree, rng)
                delays = latencies(options.latencies, edges, rng, peers=options.peers)
                start = process_time()
                how: dict[str, Any] = {"seed": seed, "messages": options.messages, "jitter": options.jitter, **said}
                wire = played(rules, edges, delays, peers=options.peers, **how)
                found.append(figures(wire, process_time() - start))
            yield work, rules, found


def cell(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    return f"{mean(values):.4g} ± {stdev(values):.2g}" if len(values) > 1 else f"{values[0]:.4g}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=int, default=1000)
    parser.add_argument("--degree", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--jitter", type=float, default=0.0, help="mean of an exponential delay of each frame, seconds")
    parser.add_argument("--kill", type=float, default=0.5, help="share that dies with the eleventh message")
    parser.add_argument("--overlay", choices=list(OVERLAYS), default="regular")
    parser.add_argument("--latencies", choices=list(LATENCIES), default="uniform")
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES))
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS))
    options = parser.parse_args(arguments)
    print("|", " | ".join(("", "rules", *FIGURES)), "|")
    print("|", " | ".join("---" for _ in range(len(FIGURES) + 2)), "|")
    for work, rules, found in rows(options):
        print("|", " | ".join((work, rules, *(cell(values) for values in zip(*found, strict=True)))), "|", flush=True)


if __name__ == "__main__":
    main()

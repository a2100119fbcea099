"""Runs rows, with each seed in a process of its own: so time and memory are that run's. And the spread over seeds."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from statistics import mean, stdev
from time import perf_counter, process_time
from typing import Any

from .beside import rivals
from .case import Case, Figures, Table
from .hard import failures, redialling
from .steady import fairness, idle_feeds, many_senders, overlays, single_sender
from .trouble import bulk, trouble


def tables(messages: int) -> list[Table]:
    """All, with so many messages in those where the number matters little."""
    return [
        single_sender(messages),
        many_senders(messages),
        failures(),
        redialling(),
        trouble(),
        bulk(),
        fairness(messages),
        idle_feeds(min(messages, 20)),
        overlays(min(messages, 20)),
        rivals(min(messages, 30)),
    ]


def find(table: str, case: str, messages: int) -> Case:
    """
    :raises StopIteration: there is none
    """
    return next(one for made in tables(messages) if made.name == table for one in made.cases if one.name == case)


def alone(table: str, case: str, messages: int, seed: int) -> tuple[Figures, dict[str, float]]:
    """Figures and costs of one run, in a new process.

    :raises RuntimeError: it has failed; what it said is on stderr
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, table, case, messages, seed))
    process.start()
    theirs.close()
    try:
        found: tuple[Figures, dict[str, float]] = ours.recv()
    except EOFError:
        raise RuntimeError(f"{table}, {case}, seed {seed} has failed") from None
    finally:
        process.join()
        ours.close()
    return found


def _child(answer: Connection, table: str, case: str, messages: int, seed: int) -> None:
    wall, cpu = perf_counter(), process_time()
    figures = find(table, case, messages).run(seed)
    costs = {"seconds": perf_counter() - wall, "cpu": process_time() - cpu, "rss": float(_peak())}
    answer.send((figures, costs))


def _peak() -> int:
    """The most memory that this process has had, in bytes; 0 where nobody says."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean, least, most and standard deviation; of those seeds for which there is a value."""
    there = [value for value in values if value is not None]
    return {
        "values": list(values),
        "mean": mean(there) if there else None,
        "least": min(there, default=None),
        "most": max(there, default=None),
        "deviation": stdev(there) if len(there) > 1 else 0.0,
    }


def row(case: Case, runs: Sequence[tuple[Figures, Mapping[str, float]]]) -> dict[str, Any]:
    """All that is known of a case, as JSON: ``figures`` are the same for the same seeds, ``costs`` are not."""
    names = list(runs[0][0])
    figures = {name: spread([found.get(name) for found, _ in runs]) for name in names if not name.startswith("cost")}
    costs = {name: max(costs[name] for _, costs in runs) for name in runs[0][1]}
    measured = {name: spread([found.get(name) for found, _ in runs]) for name in names if name.startswith("cost")}
    targets = {
        name: {"target": str(target), "reached": target.reached(figures[name]["mean"])}
        for name, target in case.targets.items()
        if name in figures
    }
    return {
        "case": case.name,
        "peers": case.peers,
        "seeds": len(runs),
        "figures": figures,
        "targets": targets,
        "costs": costs,
        "measured": measured,
    }

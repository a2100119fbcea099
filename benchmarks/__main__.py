"""How fast it is beside the JavaScript reference and the raw limit, in one run: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from benchmarks import report
from benchmarks.lab import INSTALLED, Case, Lab, measure
from benchmarks.processes import pin
from benchmarks.tables import COLUMNS, Results
from benchmarks.works import bulk, chain, growth, handshake, live, many, mesh

NOTE = """\
CPU is user and system time of the peers' processes, from the connection until all is quiet again. Figures are medians,
the spread is that of ours; ratios are medians of those of each round. The reference is epidemic-broadcast-trees 9.0.4
on Node.js, gossipsub that of py-libp2p, raw the same bytes without a protocol.
Ratios travel from one machine to another better than absolute figures."""


def cases(quick: bool) -> Iterator[Case]:
    """Targets are for full sizes: a small piece of work is over before V8 has compiled the reference."""
    for case in _all(quick):
        yield replace(case, targets={}) if quick else case


def _all(quick: bool) -> Iterator[Case]:
    yield from bulk.cases(quick)
    yield from live.cases(quick)
    yield from handshake.cases(quick)
    yield from many.cases(quick)
    yield from mesh.cases(quick)
    yield from chain.cases(quick)
    yield from growth.cases(quick)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, one round: below two minutes")
    parser.add_argument("--only", action="append", metavar="NAME", help="this case, or like live-*; may be repeated")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each case is run (default: 5; quick: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put all figures into this document")
    parser.add_argument(
        "--from-json", type=Path, nargs="+", metavar="FILE", help="run nothing: --markdown, of what --json has written"
    )
    parser.add_argument("--without", action="append", choices=list(INSTALLED), help="don't run, or install, these")
    parser.add_argument("--core", type=int, metavar="N", help="pin everything to this core (default: the last)")
    parser.add_argument("--list", action="store_true", help="name the cases, and run none")
    asked = parser.parse_args(arguments)
    if asked.from_json and not asked.markdown:
        parser.error("--from-json needs --markdown")
    return asked


def main() -> int:
    asked = options()
    if asked.from_json:
        report.write(asked.markdown, report.read(asked.from_json))
        return 0
    chosen = [case for case in cases(asked.quick) if _wanted(case, asked)]
    beside = {case.beside for case in chosen}
    chosen = [case for case in cases(asked.quick) if case.name in beside or case.name in {one.name for one in chosen}]
    if asked.list or not chosen:
        print(*(f"{case.name}: {case.what}" for case in chosen or cases(asked.quick)), sep="\n")
        return 0 if asked.list else 2
    rounds = asked.rounds or (1 if asked.quick else 5)
    pinned = pin(asked.core)
    lab = Lab(without=asked.without or ())
    print(f"Python {platform.python_version()}, {pinned}, {rounds} rounds, load {_load()}")
    for kind, why in lab.missing.items():
        print(f"{kind} is missing: {why}")
    print(NOTE, "", COLUMNS, sep="\n", flush=True)
    results = Results()
    failed = False
    about = report.about() | {"pinned": pinned, "rounds": rounds, "quick": asked.quick, "missing": lab.missing}
    for case in chosen:
        outcome = measure(lab, case, rounds)
        failed = failed or bool(outcome.failures)
        print(*results.add(outcome), sep="\n", flush=True)
        if asked.json:
            asked.json.write_text(json.dumps(results.document(about), indent=1))
    if asked.markdown:
        report.write(asked.markdown, [results.document(about)])
    return int(failed)


def _wanted(case: Case, asked: argparse.Namespace) -> bool:
    """Growth curves take minutes: a quick run has them only if it is told to."""
    if asked.only:
        return any(fnmatch(case.name, pattern) for pattern in asked.only)
    return asked.list or not (asked.quick and case.name.startswith("growth-"))


def _load() -> str:
    return " ".join(f"{load:.1f}" for load in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"


if __name__ == "__main__":
    sys.exit(main())

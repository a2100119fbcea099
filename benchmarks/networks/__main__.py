"""The papers' tables, on our scheduler: ``python -m benchmarks.networks --help``; ``docs/networks.md`` explains."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import report

from . import charts
from .case import Case, Figures, Table
from .running import alone, row, tables
from .writing import cell, markdown, number


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What is asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.networks", description=__doc__)
    parser.add_argument("--only", action="append", metavar="TABLE", help="this table; may be repeated (default: all)")
    parser.add_argument("--row", metavar="PATTERN", help="only rows like this, such as '*jitter*'")
    parser.add_argument(
        "--peers", type=int, nargs="+", metavar="N", help="only rows with so many peers; 6: bulk (default: all)"
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="how many seeds (default: 5)")
    parser.add_argument("--first-seed", type=int, default=1, metavar="N", help="the first of them (default: 1)")
    parser.add_argument(
        "--messages", type=int, default=100, metavar="N", help="per run, where it matters little (default: 100)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, run by run")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables into this document")
    parser.add_argument("--charts", type=Path, metavar="FOLDER", help="draw what can be drawn there (needs matplotlib)")
    parser.add_argument(
        "--from-json", type=Path, nargs="+", metavar="FILE", help="run nothing: of what --json has written"
    )
    parser.add_argument("--list", action="store_true", help="name the tables and rows, and run none")
    asked = parser.parse_args(arguments)
    if asked.from_json and not (asked.markdown or asked.charts):
        parser.error("--from-json needs --markdown or --charts")
    if asked.charts and not find_spec("matplotlib"):
        parser.error("--charts needs matplotlib: pip install matplotlib")
    if asked.seeds < 1 or asked.messages < 1:
        parser.error("there must be a seed and a message at least")
    unknown = set(asked.only or ()) - {table.name for table in tables(1)}
    if unknown:
        parser.error(f"no such table: {', '.join(sorted(unknown))}")
    return asked


def chosen(asked: argparse.Namespace) -> list[tuple[Table, Case]]:
    """Rows to be run."""
    return [
        (table, case)
        for table in tables(asked.messages)
        for case in table.cases
        if (not asked.only or table.name in asked.only)
        and (not asked.peers or case.peers in asked.peers)
        and (not asked.row or fnmatch(case.name, asked.row))
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """1: a target was missed, or a run has failed. 2: nothing to run."""
    asked = options(arguments)
    if asked.from_json:
        _written(asked, [json.loads(path.read_text("utf-8")) for path in asked.from_json])
        return 0
    wanted = chosen(asked)
    if asked.list or not wanted:
        print(*(f"{table.name}: {case.name}" for table, case in wanted), sep="\n")
        return 0 if asked.list else 2
    document: dict[str, Any] = {"about": report.about() | {"messages": asked.messages}, "tables": {}}
    missed = False
    for done, (table, case) in enumerate(wanted):
        runs: list[tuple[Figures, dict[str, float]]] = []
        for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
            figures, costs = alone(table.name, case.name, asked.messages, seed)
            runs.append((figures, costs))
            print(
                f"{done + 1} of {len(wanted)}: {table.name}, {case.name}, seed {seed}: {costs['seconds']:.1f} s, "
                f"CPU {costs['cpu']:.1f} s, {costs['rss'] / 2**20:.0f} MiB",
                file=sys.stderr,
                flush=True,
            )
        found = row(case, runs)
        document["tables"].setdefault(table.name, []).append(found)
        missed = missed or not all(target["reached"] for target in found["targets"].values())
        print(*_lines(table, found, first=not done or wanted[done - 1][0].name != table.name), sep="\n", flush=True)
        if asked.json:
            asked.json.write_text(json.dumps(document, indent=1), "utf-8")
    _written(asked, [document])
    return int(missed)


def _lines(table: Table, found: Mapping[str, Any], *, first: bool) -> list[str]:
    """A row, with one figure a line of its own only where it has a target that is missed."""
    every = found["figures"] | found["measured"]
    said = [f"{head} {number(every[name]['mean'])}" for name, head in table.figures.items() if name in every]
    missed = [
        f"    {table.figures[name]}: {cell(found['figures'][name], target).replace('**', '')}"
        for name, target in found["targets"].items()
        if not target["reached"]
    ]
    return [*([f"{table.title} ({table.name})"] if first else []), f"  {found['case']}: {', '.join(said)}", *missed]


def _written(asked: argparse.Namespace, documents: Sequence[Mapping[str, Any]]) -> None:
    """Later documents replace rows of earlier ones; a table says how many messages its latest document had."""
    rows: dict[str, dict[str, Any]] = {}
    about: dict[str, None] = {}
    messages: dict[str, int] = {}
    for document in documents:
        about[f"Python {document['about']['python']}, {document['about']['machine']}."] = None
        for table, found in document["tables"].items():
            rows.setdefault(table, {}).update({one["case"]: one for one in found})
            messages[table] = document["about"]["messages"]
    known = [table.name for table in tables(1)]
    made = [next(one for one in tables(messages[name]) if one.name == name) for name in known if name in rows]
    ordered = {table.name: _in_order(table, rows[table.name]) for table in made}
    if asked.markdown:
        report.put(asked.markdown, "\n".join([*about, "", markdown(made, ordered)]))
    if asked.charts:
        print(*charts.draw(asked.charts, ordered), sep="\n")


def _in_order(table: Table, rows: Mapping[str, Any]) -> list[Any]:
    return [rows[case.name] for case in table.cases if case.name in rows]


if __name__ == "__main__":
    sys.exit(main())

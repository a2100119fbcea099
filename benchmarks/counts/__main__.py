"""Has something become more expensive? Counts, rather than times, against a record: ``python -m benchmarks.counts``.

The figures are the same from run to run, so that a rise is a rise. Where it is meant, record it: ``--record``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks.counts.catalogue import CURVES, WORKS, Curve
from benchmarks.counts.counter import CALLS, FIGURES, LINES
from benchmarks.counts.record import FILE, HEADINGS, VERSION, Change, Measured, Record
from benchmarks.counts.works import counted
from benchmarks.tables import short


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counts", description=__doc__)
    parser.add_argument("--record", action="store_true", help="keep what is counted now, and for this Python")
    parser.add_argument("--only", action="append", metavar="NAME", help="this work or curve, or like bulk*")
    parser.add_argument("--growth", action="store_true", help="the growth curves only")
    parser.add_argument("--no-growth", action="store_true", help="without the growth curves")
    parser.add_argument("--recorded", type=Path, default=FILE, metavar="FILE", help="another record")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(arguments)


def main() -> int:
    asked = options()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets decides between equals
        return subprocess.call(
            [sys.executable, "-m", "benchmarks.counts", *sys.argv[1:]], env={**os.environ, "PYTHONHASHSEED": "0"}
        )
    works = [] if asked.growth else [work for work in WORKS if _wanted(work.name, asked.only)]
    curves = [] if asked.no_growth else [curve for curve in CURVES if _wanted(curve.name, asked.only)]
    now: dict[str, Measured] = {}
    if works:
        print(f"{'per unit':<16} {'unit':<12}" + "".join(f"{figure:>13}" for figure in FIGURES))
    for work in works:
        counter, units = counted(work)
        found = {figure: count / units for figure, count in counter.figures().items()}
        now[work.name] = Measured(found, {module: calls / units for module, calls in counter.modules().items()})
        print(
            f"{work.name:<16} {work.unit:<12}" + "".join(f"{short(found[figure]):>13}" for figure in FIGURES),
            flush=True,
        )
    rising, grown = _growth(curves)
    if asked.json:
        counts = [
            {"name": work.name, "what": work.what, "unit": work.unit, "figures": now[work.name].figures}
            for work in works
        ]
        document = {"python": platform.python_version(), "counts": counts, "curves": grown}
        asked.json.write_text(json.dumps(document, indent=1))
    record = Record(asked.recorded)
    if asked.record:
        record.take(now)
        return int(rising)
    return int(_compare(record, now) or rising)


def _wanted(name: str, only: list[str] | None) -> bool:
    return not only or any(fnmatch(name, pattern) for pattern in only)


def _growth(curves: list[Curve]) -> tuple[bool, list[dict[str, Any]]]:
    rises: list[str] = []
    found: list[dict[str, Any]] = []
    for curve in curves:
        points = curve.points()
        rises += curve.rises(points)
        figures = {figure: [point[figure] for point in points] for figure in FIGURES}
        found.append(
            {
                "name": curve.name,
                "what": curve.what,
                "unit": curve.unit,
                "sizes": list(curve.sizes),
                "figures": figures,
            }
        )
        print(f"\n{curve.what}; per {curve.unit}")
        print(f"  {'n':<8}" + "".join(f"{size:>9,}" for size in curve.sizes))
        for figure in (CALLS, LINES):
            print(f"  {figure:<8}" + "".join(f"{short(point[figure]):>9}" for point in points), flush=True)
    if rises:
        print("\nThese rise with size, and should not:", *rises, sep="\n")
    return bool(rises), found


def _compare(record: Record, now: dict[str, Measured]) -> bool:
    changes = list(record.changes(now))
    rose, fell = [change for change in changes if change.rose], [change for change in changes if change.fell]
    if VERSION not in record.versions:
        print(f"\nPython {VERSION} has not been recorded: calls and lines are not compared.")
    if fell:
        _table("These fell: --record keeps what was gained.", fell)
    if unknown := record.unknown(now):
        print("\nNot recorded yet (--record):", *unknown)
    if rose:
        _table("These ROSE. If that is meant: python -m benchmarks.counts --record", rose)
    elif changes:
        print("\nNothing rose.")
    return bool(rose or unknown)


def _table(heading: str, changes: list[Change]) -> None:
    print("", heading, HEADINGS, *changes, sep="\n")


if __name__ == "__main__":
    sys.exit(main())

"""Figures for people, and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.lab import OURS, RAW, REFERENCE, Outcome

COLUMNS = f"{'':<44} {'ours':>9} {'spread':>15} {'reference':>10} {'raw':>8} {'ours/ref':>9} {'ours/raw':>9}  target"


def short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


class Results:
    """All outcomes so far; a case may lean on the reference's figures of an earlier one."""

    def __init__(self) -> None:
        self._middle: dict[tuple[str, str, str], float] = {}
        self.rows: list[dict[str, Any]] = []

    def _value(self, outcome: Outcome, kind: str, figure: str) -> float | None:
        found = self._middle.get((outcome.case.name, kind, figure))
        return self._middle.get((outcome.case.beside, kind, figure)) if found is None and kind != OURS else found

    def add(self, outcome: Outcome) -> list[str]:
        """Returns lines of the table."""
        case = outcome.case
        lines = [f"{case.name}: {case.what} ({outcome.seconds:.0f} s)"]
        for kind, figures in outcome.figures.items():
            for figure, values in figures.items():
                self._middle[case.name, kind, figure] = median(values)
        names = {figure: None for figures in outcome.figures.values() for figure in figures}
        for figure in names:
            lines.append(self._line(outcome, figure, outcome.figures.get(OURS, {}).get(figure, ())))
        lines += [f"  failed: {failure}" for failure in outcome.failures]
        return lines

    def _line(self, outcome: Outcome, figure: str, values: Sequence[float]) -> str:
        ours, theirs, raw = (self._value(outcome, kind, figure) for kind in (OURS, REFERENCE, RAW))
        target = outcome.case.targets.get(figure)
        verdict = ""
        reached: bool | None = None
        if target is not None:
            found = ratio(ours, {REFERENCE: theirs, RAW: raw}.get(target.versus, 1.0))
            reached = None if found is None else found <= target.ratio
            verdict = f"<= {target.ratio:g}" + {None: "", True: " reached", False: " MISSED"}[reached]
        self.rows.append(
            {
                "case": outcome.case.name,
                "what": outcome.case.what,
                "figure": figure,
                "rounds": {kind: figures.get(figure, []) for kind, figures in outcome.figures.items()},
                "median": {OURS: ours, REFERENCE: theirs, RAW: raw},
                "target": None if target is None else {"versus": target.versus, "ratio": target.ratio},
                "reached": reached,
            }
        )
        spread = f"{short(min(values))}-{short(max(values))}" if values else "-"
        return (
            f"  {figure:<42} {short(ours):>9} {spread:>15} {short(theirs):>10} {short(raw):>8} "
            f"{short(ratio(ours, theirs)):>9} {short(ratio(ours, raw)):>9}  {verdict}"
        ).rstrip()

    def document(self, about: Mapping[str, Any]) -> dict[str, Any]:
        return {**about, "figures": self.rows}

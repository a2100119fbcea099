"""Figures for people, and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.lab import GOSSIPSUB, OURS, RAW, REFERENCE, Outcome, Target

OTHERS = (REFERENCE, GOSSIPSUB, RAW)
COLUMNS = (
    f"{'':<46} {'ours':>9} {'spread':>15} {'reference':>10} {'gossipsub':>10} {'raw':>8} "
    f"{'ours/ref':>9} {'ours/gos':>9} {'ours/raw':>9}  target"
)


def short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def ratio(row: Mapping[str, Any], kind: str) -> float | None:
    """Ours to that kind's: the median of the ratios of each round, for a machine's mood outlasts a round.

    Of the medians, where the kind's figure is that of another case, or a round of either has failed.
    """
    ours, theirs = (row["rounds"].get(one, ()) for one in (OURS, kind))
    if ours and len(ours) == len(theirs) and all(theirs):
        found: float = median(one / other for one, other in zip(ours, theirs, strict=True))
        return found
    middle: Mapping[str, float | None] = row["median"]
    mine, other = middle[OURS], middle[kind]
    return None if mine is None or not other else mine / other


def is_reached(target: Target, row: Mapping[str, Any]) -> bool | None:
    """None: not known, for somebody was not there."""
    ours = row["median"][OURS]
    if ours is None or ours > target.most:
        return None if ours is None else False
    found = ratio(row, target.versus) if target.versus else ours
    return None if found is None else found <= target.ratio


def wanted(target: Target) -> str:
    most = "" if target.most == float("inf") else f", <= {target.most:g}"
    return f"<= {target.ratio:g}{f' of {target.versus}' if target.versus else ''}{most}"


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
        middle = {kind: self._value(outcome, kind, figure) for kind in (OURS, *OTHERS)}
        target = outcome.case.targets.get(figure)
        row: dict[str, Any] = {
            "case": outcome.case.name,
            "what": outcome.case.what,
            "figure": figure,
            "rounds": {kind: figures.get(figure, []) for kind, figures in outcome.figures.items()},
            "median": middle,
            "target": None if target is None else asdict(target),
        }
        row["ratio"] = {kind: ratio(row, kind) for kind in OTHERS}
        row["reached"] = reached = None if target is None else is_reached(target, row)
        self.rows.append(row)
        spread = f"{short(min(values))}-{short(max(values))}" if values else "-"
        verdict = "" if target is None else wanted(target) + {None: "", True: " reached", False: " MISSED"}[reached]
        ratios = "".join(f" {short(row['ratio'][kind]):>9}" for kind in OTHERS)
        return (
            f"  {figure:<44} {short(middle[OURS]):>9} {spread:>15} {short(middle[REFERENCE]):>10} "
            f"{short(middle[GOSSIPSUB]):>10} {short(middle[RAW]):>8}{ratios}  {verdict}"
        ).rstrip()

    def document(self, about: Mapping[str, Any]) -> dict[str, Any]:
        return {**about, "figures": self.rows}

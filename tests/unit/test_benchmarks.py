"""The benchmarks run: tiny, without the reference, and for no figure's sake. What is counted has not become more."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.counts.catalogue import Curve  # noqa: E402
from benchmarks.counts.counter import BYTES, CALLS, EVENTS, FIGURES, LINES, STORE, TURNS  # noqa: E402
from benchmarks.counts.record import Change, Measured, Record  # noqa: E402
from benchmarks.counts.works import Work, counted, live  # noqa: E402
from benchmarks.lab import GOSSIPSUB, OURS, RAW, REFERENCE, Case, Lab, Outcome, Target, measure  # noqa: E402
from benchmarks.processes import Failed  # noqa: E402
from benchmarks.tables import Results  # noqa: E402
from benchmarks.works import bulk  # noqa: E402


@pytest.mark.parametrize("kind", [OURS, RAW])
def test_bulk_runs(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.processes.Meter.settle", lambda meter: None)
    found = bulk.bulk(Lab(without=(REFERENCE, GOSSIPSUB)), kind, feeds=3, head=4)
    assert found[bulk.CPU] > 0
    assert found[bulk.WIRE] > bulk.SIZE


def test_kinds_take_turns_and_one_that_fails_is_told_of() -> None:
    ran: list[str] = []

    def run(lab: Lab, kind: str) -> dict[str, float]:
        ran.append(kind)
        if kind == RAW:
            raise Failed("no")
        return {"cpu": 1.0}

    outcome = measure(Lab(without=(REFERENCE, GOSSIPSUB)), Case("a", "b", run), 3)
    assert ran == [OURS, RAW, OURS, OURS]
    assert outcome.figures == {OURS: {"cpu": [1.0, 1.0, 1.0]}}
    assert outcome.failures == ["raw: no"]


@pytest.mark.parametrize(("ours", "reached"), [(2.0, True), (2.1, False)])
def test_targets_and_ratios(ours: float, reached: bool) -> None:
    def nothing(lab: Lab, kind: str) -> dict[str, float]:
        return {}

    plain = Case("plain", "it", nothing)
    other = Case("other", "it", nothing, beside="plain", targets={"cpu": Target(REFERENCE, 0.5)})
    results = Results()
    results.add(Outcome(plain, {REFERENCE: {"cpu": [3.0, 4.0, 9.0]}}))
    lines = results.add(Outcome(other, {OURS: {"cpu": [ours]}}))
    row = json.loads(json.dumps(results.document({})))["figures"][-1]
    assert row["reached"] is reached
    assert row["median"] == {OURS: ours, REFERENCE: 4.0, GOSSIPSUB: None, RAW: None}
    assert ("MISSED" in lines[-1]) is not reached


def test_nothing_has_become_more_expensive() -> None:
    """If it fails, its output says what rose, and where; if that is meant: ``python -m benchmarks.counts --record``."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.counts"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_counts_are_the_same_from_run_to_run() -> None:
    work = Work("live", "it", "delivery", partial(live, count=3, others=2))
    first, units = counted(work)
    second, _ = counted(work)
    assert units == 6
    assert first.figures() == second.figures()
    assert first.modules() == second.modules()
    assert all(first.figures()[figure] >= 3 for figure in (CALLS, LINES, TURNS, EVENTS, STORE, BYTES))
    assert not any("testing/" in module for module in first.modules())


@pytest.mark.parametrize(
    ("figure", "before", "now", "rose", "fell"),
    [
        (CALLS, 10.0, 10.19, False, False),
        (CALLS, 10.0, 10.21, True, False),
        (CALLS, 300.0, 300.51, True, False),  # a call more for each message, though it is a small part
        (LINES, 300.0, 305.0, False, False),
        (LINES, 300.0, 306.1, True, False),
        (TURNS, 1.0, 2.0, True, False),
        (CALLS, 10.0, 9.7, False, True),
        (EVENTS, 10.0, 0.0, True, False),  # it has another name now, and is not counted any more
        (STORE, 0.0, 0.0, False, False),
        (STORE, 0.0, 1.0, True, False),
    ],
)
def test_what_is_a_rise(figure: str, before: float, now: float, rose: bool, fell: bool) -> None:
    change = Change("live", figure, before, now)
    assert (change.rose, change.fell) == (rose, fell)


def test_a_record_is_kept_for_each_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(calls: float, turns: float) -> dict[str, Measured]:
        figures = dict.fromkeys(FIGURES, 1.0) | {CALLS: calls, TURNS: turns}
        return {"live": Measured(figures, {"ebt_trio/a.py": calls - 1, "ebt_trio/b.py": 1.0})}

    path = tmp_path / "recorded.json"
    assert Record(path).unknown(measured(5, 2)) == ["live"]
    Record(path).take(measured(5, 2))
    assert not Record(path).unknown(measured(5, 2))
    assert not any(change.rose or change.fell for change in Record(path).changes(measured(5, 2)))
    [calls, turns] = [change for change in Record(path).changes(measured(7, 3)) if change.rose]
    assert (calls.figure, calls.before, calls.now, calls.where) == (CALLS, 5, 7, "ebt_trio/a.py +2.00")
    assert turns.figure == TURNS
    monkeypatch.setattr("benchmarks.counts.record.VERSION", "9.9")
    assert [change.figure for change in Record(path).changes(measured(7, 3)) if change.rose] == [TURNS]


def test_a_curve_may_fall_but_not_rise() -> None:
    curve = Curve("history", "it", "delivery", (1, 2, 4), live, "history")

    def points(*costs: float) -> list[dict[str, float]]:
        return [{CALLS: cost, LINES: 1.0, BYTES: 0.0} for cost in costs]

    assert not curve.rises(points(9, 5, 5.4))
    assert curve.rises(points(5, 5, 5.6)) == ["history: calls per delivery 5.00 -> 5.60 at 4"]
    assert curve.rises(points(9, 5, 9))  # not higher than the first, but than it was

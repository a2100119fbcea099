"""The benchmarks run: tiny, without the reference, and for no figure's sake."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.lab import OURS, RAW, REFERENCE, Case, Lab, Outcome, Target, measure  # noqa: E402
from benchmarks.processes import Failed  # noqa: E402
from benchmarks.tables import Results  # noqa: E402
from benchmarks.works import bulk  # noqa: E402


@pytest.mark.parametrize("kind", [OURS, RAW])
def test_bulk_runs(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.processes.Meter.settle", lambda meter: None)
    found = bulk.bulk(Lab(with_reference=False), kind, feeds=3, head=4)
    assert found[bulk.CPU] > 0
    assert found[bulk.WIRE] > bulk.SIZE


def test_kinds_take_turns_and_one_that_fails_is_told_of() -> None:
    ran: list[str] = []

    def run(lab: Lab, kind: str) -> dict[str, float]:
        ran.append(kind)
        if kind == RAW:
            raise Failed("no")
        return {"cpu": 1.0}

    outcome = measure(Lab(with_reference=False), Case("a", "b", run), 3)
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
    assert row["median"] == {OURS: ours, REFERENCE: 4.0, RAW: None}
    assert ("MISSED" in lines[-1]) is not reached

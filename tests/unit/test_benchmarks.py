"""The benchmarks run: tiny, without the reference, and for no figure's sake. What is counted has not become more."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.counts.catalogue import Curve  # noqa: E402
from benchmarks.counts.counter import BYTES, CALLS, EVENTS, FIGURES, LINES, STORE, TURNS  # noqa: E402
from benchmarks.counts.record import Change, Measured, Record  # noqa: E402
from benchmarks.counts.works import Work, counted, live  # noqa: E402
from benchmarks.lab import GOSSIPSUB, OURS, RAW, REFERENCE, Case, Lab, Outcome, Target, measure  # noqa: E402
from benchmarks.peers.commands import Arrivals, windowed  # noqa: E402
from benchmarks.processes import Failed  # noqa: E402
from benchmarks.report import BEGIN, END, write  # noqa: E402
from benchmarks.tables import Results, is_reached, ratio  # noqa: E402
from benchmarks.works import bulk, chain, mesh  # noqa: E402


@pytest.mark.parametrize("kind", [OURS, RAW])
def test_bulk_runs(kind: str, hurried: None) -> None:
    found = bulk.bulk(Lab(without=(REFERENCE, GOSSIPSUB)), kind, feeds=3, head=4)
    assert found[bulk.CPU] > 0
    assert found[bulk.WIRE] > bulk.SIZE


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.processes.Meter.settle", lambda meter, *_, **__: None)


def test_a_mesh_is_a_tree(hurried: None) -> None:
    found = mesh.mesh(Lab(without=(REFERENCE, GOSSIPSUB)), OURS, peers=3, count=20)
    assert found[mesh.EACH] > 0
    assert 0 <= found[mesh.RMR] < 1
    assert 0 <= found[mesh.P50] <= found[mesh.P99] < 10e6  # contents are read from signed payloads, too


def test_a_chain_passes_on(hurried: None) -> None:
    found = chain.bulk(Lab(without=(REFERENCE, GOSSIPSUB)), OURS, count=30)
    assert found[chain.CPU] > 0
    assert bulk.SIZE < found[chain.WIRE] < 2 * bulk.SIZE


@pytest.mark.parametrize(("count", "in_flight"), [(10, 3), (3, 16), (1, 1)])
async def test_a_window(count: int, in_flight: int) -> None:
    arrived = Arrivals()
    made: list[int] = []

    async def produce(room: int) -> None:
        made.append(room)
        assert sum(made) - arrived.count // 2 <= in_flight

    async with trio.open_nursery() as nursery:
        nursery.start_soon(windowed, arrived, count, in_flight, 2, produce)
        for _ in range(2 * count):
            await trio.testing.wait_all_tasks_blocked()
            assert sum(made) - arrived.count // 2 == min(in_flight, count - arrived.count // 2)
            arrived.add(1)
    assert sum(made) == count


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
        (CALLS, 9000.0, 9100.0, False, False),
        (CALLS, 9000.0, 9181.0, True, False),
        (STORE, 0.017, 0.026, False, False),  # once for hundreds of messages
        (STORE, 0.017, 0.028, True, False),
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


def _document(value: float, **about: object) -> dict[str, object]:
    row = {"case": "bulk-1", "what": "one feed", "figure": "cpu", "rounds": {OURS: [value, 2 * value]}}
    row |= {"median": {OURS: value, REFERENCE: 10.0, GOSSIPSUB: None, RAW: None}}
    row |= {"target": {"versus": REFERENCE, "ratio": 0.2, "most": 5.0}, "reached": False}
    grown = {**row, "case": "growth-feeds", "what": "bulk, of feeds doubled", "figure": "20 feeds: cpu", "target": None}
    point = {**grown, "figure": "40 feeds: cpu"}
    return {"python": "3", "machine": "one", "pinned": "no", "rounds": 2, "figures": [row, grown, point], **about}


def test_figures_are_put_between_the_marks(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", "utf-8")
    counts = [{"name": "live", "what": "messages", "unit": "delivery", "figures": {"calls": 3.0}}]
    for _ in range(2):
        write(path, [_document(3.0, quick=True), _document(4.0), {"python": "3", "counts": counts, "curves": []}])
    text = path.read_text("utf-8")
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| cpu | 4 | 4 – 8 | 10.0 | 0.4 | ≤ 0.2 of reference, ≤ 5 **missed** |" in text
    assert "| 3 |" not in text.replace("| messages | delivery | 3 |", "")  # the later document's figure replaced it
    assert "| growth-feeds: bulk; n feeds | cpu | 20 – 40 | 4 · 4 |" in text
    path.write_text("nothing", "utf-8")
    with pytest.raises(ValueError, match="has no"):
        write(path, [_document(1.0)])


@pytest.mark.parametrize(
    ("ours", "theirs", "reached"),
    [(4.0, 100.0, True), (4.1, 100.0, False), (4.0, None, None), (11.0, None, False), (11.0, 1000.0, False)],
)
def test_a_target_may_have_a_limit_beside_its_ratio(ours: float, theirs: float | None, reached: bool | None) -> None:
    row = {"rounds": {OURS: [ours]}, "median": {OURS: ours, GOSSIPSUB: theirs}}
    assert is_reached(Target(GOSSIPSUB, 0.04, 10.0), row) is reached


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ([2.0, 10.0, 12.0], [10.0, 40.0, 30.0], 0.25),  # the medians are 10 and 30
        ([2.0, 10.0], [10.0, 20.0, 30.0], 0.3),  # somebody failed in a round: whose partners are not known
        ([6.0], [], 0.3),
        ([2.0, 2.0], [0.0, 1.0], 4.0),
        ([2.0, 2.0], [0.0, 0.0], None),
    ],
)
def test_ratios_are_of_each_round(ours: list[float], theirs: list[float], found: float | None) -> None:
    middle = {OURS: statistics.median(ours), REFERENCE: statistics.median(theirs or [20.0])}
    assert ratio({"rounds": {OURS: ours, REFERENCE: theirs}, "median": middle}, REFERENCE) == found

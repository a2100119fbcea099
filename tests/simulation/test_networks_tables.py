"""``python -m benchmarks.networks``: rows run alone, the same each time; spread, targets, documents."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.networks import charts
from benchmarks.networks.__main__ import main
from benchmarks.networks.case import Case, Published, Table, Target
from benchmarks.networks.hard import author, failures
from benchmarks.networks.running import alone, row, spread, tables
from benchmarks.networks.writing import cell, markdown, number
from benchmarks.report import BEGIN, END


def run(tmp_path: Path, name: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    found = tmp_path / name
    code = main([*arguments, "--json", str(found)])
    return code, json.loads(found.read_text("utf-8"))


def figures(document: dict[str, Any]) -> Any:
    """Without what depends on the machine."""
    return {table: [one["figures"] for one in rows] for table, rows in document["tables"].items()}


LITTLE = ("--only", "single-sender", "--peers", "20", "--row", "*30 ms", "--messages", "4")


def test_the_same_seeds_give_the_same_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each run is a process of its own, with a hash seed of its own."""
    code, first = run(tmp_path, "1.json", *LITTLE, "--seeds", "1")
    assert code == 0
    said = capsys.readouterr()
    assert "20 peers, jitter 30 ms: reliability 1" in said.out
    assert "1 of 1: single-sender, 20 peers, jitter 30 ms, seed 1:" in said.err
    _, again = run(tmp_path, "2.json", *LITTLE, "--seeds", "1")
    assert figures(again) == figures(first)
    _, other = run(tmp_path, "3.json", *LITTLE, "--seeds", "2", "--first-seed", "2")
    assert figures(other) != figures(first)
    [found] = other["tables"]["single-sender"]
    assert found["seeds"] == 2
    assert found["costs"]["cpu"] > 0
    assert set(found["targets"]) == {"reliability", "rmr"}
    assert len(found["figures"]["stretch"]["values"]) == 2


def test_a_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Figures come between the marks, from a run or from what runs have written."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", "utf-8")
    run(tmp_path, "1.json", *LITTLE, "--seeds", "1", "--markdown", str(page))
    text = page.read_text("utf-8")
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "### One sender" in text
    assert "| 20 peers, jitter 30 ms | 1 [≥ 1] |" in text
    assert "| *iroh-gossip 0.101, 10,000 peers* |" in text
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n", "utf-8")
    assert main(["--from-json", str(tmp_path / "1.json"), "--markdown", str(page)]) == 0
    assert page.read_text("utf-8") == text


def test_a_run_that_fails_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="nothing, no row, seed 3 has failed"):
        alone("nothing", "no row", 1, 3)
    assert "StopIteration" in capfd.readouterr().err


def test_nothing_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--peers", "7"]) == 2
    assert main(["--list", "--only", "bulk"]) == 0
    assert "bulk: all alike" in capsys.readouterr().out
    for wrong in (["--only", "x"], ["--seeds", "0"], ["--from-json", "x"]):
        with pytest.raises(SystemExit):
            main(wrong)


def test_every_target_has_a_column_and_every_row_its_name() -> None:
    for table in tables(10):
        names = [case.name for case in table.cases]
        assert len(set(names)) == len(names)
        for case in table.cases:
            assert set(case.targets) <= set(table.figures)
        for other in table.published:
            assert set(other.figures) <= set(table.figures)


def test_spread() -> None:
    found = spread([1.0, None, 3.0])
    assert found == {
        "values": [1.0, None, 3.0],
        "mean": 2.0,
        "least": 1.0,
        "most": 3.0,
        "deviation": pytest.approx(2**0.5),
    }
    assert spread([None])["mean"] is None
    assert spread([5.0])["deviation"] == 0.0


def test_targets() -> None:
    assert Target(most=1).reached(1.0)
    assert not Target(most=1).reached(1.01)
    assert Target(least=1).reached(1.0)
    assert not Target(least=1).reached(0.999)
    assert not Target(most=1).reached(None)
    assert str(Target(most=1.5, least=1)) == "≤ 1.5, ≥ 1"


def test_cells() -> None:
    even = spread([0.5, 0.5])
    assert cell(even, None) == "0.5"
    assert cell(spread([1.0, 2.0]), {"target": "≤ 2", "reached": True}) == "1.5 (1–2, σ 0.7071) [≤ 2]"
    assert cell(even, {"target": "≥ 1", "reached": False}) == "0.5 **[≥ 1: missed]**"
    assert cell(spread([None]), None) == "–"
    assert cell(None, None) == ""
    assert [number(value) for value in (0.0, 0.00004, 12.345, 1234.5)] == ["0", "0", "12.3", "1,234"]


def test_tables_of_rows() -> None:
    case = Case("a row", 20, lambda seed: {}, {"x": Target(most=1)})
    table = Table("t", "T", "What  was\n   done.", {"x": "X", "cost_y": "Y"}, [case], [Published("them", {"x": 3})])
    costs = {"seconds": 2.0, "cpu": 1.0, "rss": 2.0**20}
    made = row(case, [({"x": 1.0, "cost_y": 7.0}, costs), ({"x": 2.0, "cost_y": 7.0}, costs | {"seconds": 3.0})])
    assert set(made["figures"]) == {"x"}
    assert made["costs"]["seconds"] == 3.0
    text = markdown([table], {"t": [made]})
    assert "What was done." in text
    assert "| a row | 1.5 (1–2, σ 0.7071) **[≤ 1: missed]** | 7 |" in text
    assert "| *them* | 3 |  |" in text
    assert "| t | 20 | 2 | 3.0 | 1.0 | 1 |" in text


def test_the_author_is_where_most_survive() -> None:
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert author(6, edges, {2}) == 3
    assert author(6, edges, {3}) == 0
    assert author(6, edges, {1, 3, 5}) == 0


def test_a_failure_by_hand() -> None:
    """At 30 % killed, 5 neighbours each: nobody is cut off, and all get everything."""
    case = next(one for one in failures().cases if one.name == "100 peers, 30% die")
    found = case.run(1)
    assert found["finally_"] == found["later"] == found["of_connected"] == 1.0
    assert found["bugs"] == found["rmr_later"] == found["links"] == 0
    assert found["last"] is not None
    assert 0.05 < found["last"] < 1.0
    assert case.run(1) == found


# -- pictures


def one(case: str, **figures: float) -> dict[str, Any]:
    return {"case": case, "figures": {name: {"mean": value} for name, value in figures.items()}}


DEATHS: dict[str, list[dict[str, Any]]] = {
    "failures": [one("1,000 peers, 50% die", of_connected=1.0), one("1,000 peers, 10% die", of_connected=0.5)],
    "redial": [one("1,000 peers, 90% die, who has fewer than 5 links", finally_=0.75, later=0.25)],
}
IDLENESS = {"idle-feeds": [one("1,000 idle feeds", events=13, frames=4, notes=2, acks=1)]}
IDLENESS["idle-feeds"].append(one("0 idle feeds", events=12, frames=4, notes=2, acks=1))


def test_lines_have_what_the_tables_have() -> None:
    connected, then, later, *others = charts.deaths(DEATHS)
    assert connected[1:] == ([0.1, 0.5], [0.5, 1.0])
    assert (then[1:], later[1:]) == (([0.9], [0.75]), ([0.9], [0.25]))
    assert [len(xs) for _, xs, _ in others] == [7, 7]
    events = charts.idleness(IDLENESS)[0]
    assert events == ("events of the core", [1.0, 1000.0], [12, 13])
    assert not charts.deaths({})
    assert not charts.idleness({})


def test_charts_are_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    made = charts.draw(tmp_path, DEATHS | IDLENESS)
    assert [path.name for path in made] == ["networks-failures.svg", "networks-idle.svg"]
    before = [path.read_bytes() for path in made]
    assert [b"iroh-gossip" in text for text in before] == [True, False]
    assert [path.read_bytes() for path in charts.draw(tmp_path, DEATHS | IDLENESS)] == before
    assert charts.draw(tmp_path, {}) == []

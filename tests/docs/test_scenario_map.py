"""``docs/scenarios.md`` names tests that exist, all of them, and every one of the 29 defects."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "docs" / "scenarios.md").read_text()
NAMED = re.findall(r"`((?:scenarios|simulation)/test_\w+\.py::test_\w+)`", MAP)


def names_in(path: Path) -> set[str]:
    body = ast.parse(path.read_text()).body
    functions = (node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {f"{path.parent.name}/{path.name}::{node.name}" for node in functions if node.name.startswith("test_")}


@pytest.mark.parametrize("test", sorted(set(NAMED)))
def test_every_named_test_exists(test: str) -> None:
    path = ROOT / "tests" / test.partition("::")[0]
    assert path.exists()
    assert test in names_in(path)


def test_every_scenario_is_named() -> None:
    written = {test for path in (ROOT / "tests" / "scenarios").glob("test_*.py") for test in names_in(path)}
    assert written - set(NAMED) == set()


def test_every_row_of_the_map_names_a_test() -> None:
    rows = [line for line in MAP.splitlines() if line.startswith("| ") and not line.startswith(("| scenario ", "| |"))]
    assert len(rows) > 29
    assert [row for row in rows if not re.search(r"`\w+/test_\w+\.py::test_\w+`", row)] == []


def test_all_defects_are_there_each_with_its_own_tests() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\|(.*)\|$", MAP, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 30))
    for number, tests in rows:
        functions = re.findall(r"::(test_\w+)`", tests)
        assert functions
        assert all(function.startswith(f"test_{number}_") for function in functions), number

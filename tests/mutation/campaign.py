"""Mutation testing of the core: ``python tests/mutation/campaign.py --help``; ``nox -s mutation`` runs it.

cosmic-ray makes the mutants; this runs them. cosmic-ray itself starts an interpreter for each one, which takes far
longer than the tests: here the tests are imported once, and each mutant gets a fork of that process. POSIX only.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
CORE: Final = ROOT / "ebt_trio" / "core"
MODULES: Final = (
    *("ownership", "replicator", "room", "following", "meeting", "hearing", "storing", "outgoing", "proving"),
    *("waiting", "patience", "timers"),
)
"""The scheduler, and what the replicator consists of."""
FIRST: Final = {"ownership": ["evaluate", "ownership"], "room": ["outgoing", "hearing"], "replicator": ["replicator"]}
"""The unit tests most likely to notice."""
STAGES: Final = (("tests/unit/core",), ("tests/scenarios", "tests/properties/test_core_stateful.py"))
"""What survives the first is tried with the second."""
PATIENCE: Final = (60, 240)
"""Seconds of CPU per stage."""
SAME: Final = {"ReplaceComparisonOperator_Is_Eq", "ReplaceComparisonOperator_IsNot_NotEq"}
"""Change nothing: all that the core compares by ``is`` is equal to itself only."""


@dataclass(frozen=True)
class Mutant:
    module: str
    operator: str
    occurrence: int
    source: str
    line: int
    change: str


def mutants(module: str) -> Iterator[Mutant]:
    """All that cosmic-ray makes of a module, but for those of SAME, and those that only change annotations."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names

    source = (CORE / f"{module}.py").read_text()
    plain = _without_annotations(source)
    for name in sorted(operator_names()):
        operator = get_operator(name)
        if operator.arguments() or name.removeprefix("core/") in SAME:
            continue  # those with arguments work only for names of variables that one chooses
        for occurrence in count():
            mutated = mutate_code(source, operator(), occurrence)
            if mutated is None:
                break
            if _without_annotations(mutated) not in (plain, None):
                yield Mutant(module, name.removeprefix("core/"), occurrence, mutated, *_difference(source, mutated))


def _without_annotations(source: str) -> str | None:
    """None: not Python at all."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef():
                node.returns = None
            case ast.arg():
                node.annotation = None
            case ast.AnnAssign():
                node.annotation = ast.Constant(None)
    return ast.dump(tree)


def _difference(source: str, mutated: str) -> tuple[int, str]:
    before, after = source.splitlines(), mutated.splitlines()
    for tag, start, end, other, last in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag != "equal":
            return start + 1, f"{' '.join(before[start:end]).strip()}  →  {' '.join(after[other:last]).strip()}"
    return 0, "nothing"


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the mutant in place of the module."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self._name, self._path, self._code = name, path, code

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self._path, loader=self) if name == self._name else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def noticed(mutant: Mutant | None, stage: int) -> bool:
    """Whether the tests fail, in a fork; None: without any mutant."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.setitimer(signal.ITIMER_PROF, PATIENCE[stage])  # kills: a mutant may never end
            signal.alarm(PATIENCE[stage] * 5)
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            if mutant is not None:
                path = CORE / f"{mutant.module}.py"
                name = f"ebt_trio.core.{mutant.module}"
                sys.meta_path.insert(0, _Finder(name, path, compile(mutant.source, str(path), "exec")))
            import pytest

            status = int(pytest.main([*_OPTIONS, *_tests(mutant, stage)]))
        finally:
            os._exit(1 if status else 0)
    return os.waitpid(child, 0)[1] != 0


_OPTIONS: Final = ["-n0", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]


def _tests(mutant: Mutant | None, stage: int) -> Sequence[str]:
    if stage or mutant is None:
        return STAGES[stage]
    tests = sorted((ROOT / STAGES[0][0]).glob("test_*.py"))
    first = [f"test_core_{name}.py" for name in FIRST.get(mutant.module, [mutant.module])]
    return [str(test) for test in sorted(tests, key=lambda test: (test.name not in first, test.name))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "modules", nargs="*", default=MODULES, metavar="MODULE", help=f"of ebt_trio/core: {' '.join(MODULES)}"
    )
    parser.add_argument(
        "--part", default="1/1", metavar="I/N", help="every N-th mutant, from the I-th on: to share the work"
    )
    parser.add_argument("--survivors", type=Path, metavar="FILE", help="write them here, one a line")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT), str(ROOT / "transports")]
    import cbor2  # noqa: F401 - once, for all forks; not what is a plugin of pytest
    import pytest  # noqa: F401
    import trio.testing  # noqa: F401

    for stage in range(len(STAGES)):
        if noticed(None, stage):
            print("the tests fail without any mutant", file=sys.stderr)
            return 2
    survivors: list[Mutant] = []
    made: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    started = time.monotonic()
    for module in options.modules:
        for number, mutant in enumerate(mutants(module)):
            if number % parts != part - 1:
                continue
            made[module] += 1
            if noticed(mutant, 0) or noticed(mutant, 1):
                killed[module] += 1
            else:
                survivors.append(mutant)
                print(f"survived: {module}.py:{mutant.line} {mutant.operator} {mutant.change}", flush=True)
        print(f"{module}: {killed[module]} of {made[module]} killed, {time.monotonic() - started:.0f} s", flush=True)
    if options.survivors:
        options.survivors.write_text("".join(f"{m.module}.py:{m.line}\t{m.operator}\t{m.change}\n" for m in survivors))
    share = killed.total() / max(made.total(), 1)
    print(f"{killed.total()} of {made.total()} killed ({share:.1%})")
    return 0 if share >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())

"""Rules of the house that a tool can check: imports, sizes, what must not be written down, what is explained."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
from collections.abc import Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "ebt_trio"
TRANSPORTS = ROOT / "transports"
MODULES = sorted([*LIBRARY.rglob("*.py"), *TRANSPORTS.rglob("*.py")])
CORE = sorted((LIBRARY / "core").glob("*.py"))
MOST_LINES = 400


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dotted(path: Path) -> str:
    root = TRANSPORTS if path.is_relative_to(TRANSPORTS) else ROOT
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> list[str]:
    return list(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    """Absolute names of all that a module imports, wherever in it; of ``from a import b`` both a and a.b."""
    package = dotted(path) if path.name == "__init__.py" else dotted(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def file_of(module: str) -> Path | None:
    """Where a module of ours is; None: it is somebody else's, or no module."""
    place = ROOT.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def reached_from(start: Path) -> dict[str, str]:
    """Top-level names of all foreign packages that a module imports, itself or through ours: package → by which."""
    foreign: dict[str, str] = {}
    todo, seen = [start], {start}
    while todo:
        path = todo.pop()
        for module in imports(path):
            ours = file_of(module)
            if ours is None:
                foreign.setdefault(module.partition(".")[0], dotted(path))
            elif ours not in seen:
                seen.add(ours)
                todo.append(ours)
    return foreign


# -- who imports whom


@pytest.mark.parametrize("path", CORE, ids=name)
def test_the_core_does_no_io(path: Path) -> None:
    found = reached_from(path)
    forbidden = {"trio", "anyio", "asyncio", "socket", "time", "threading", "sqlite3", "secrets", "ebt_transports"}
    assert not {package: by for package, by in found.items() if package in forbidden}


def test_imports_are_found(tmp_path: Path) -> None:
    """The check above sees what it is for."""
    assert "trio" in reached_from(LIBRARY / "ebt.py")
    assert reached_from(LIBRARY / "stores/sqlite.py")["sqlite3"].startswith("ebt_trio.stores.")
    assert "ebt_trio.core.types" in set(imports(LIBRARY / "core/note.py"))
    assert "ebt_trio.abc.Transport" in set(imports(LIBRARY / "_dial.py"))


def test_the_core_has_no_randomness_of_its_own() -> None:
    for path in CORE:
        names = {module for module in imports(path) if module.partition(".")[0] == "random"}
        assert names <= {"random", "random.Random"}, name(path)
        assert not re.search(r"\brandom\.\w|\bRandom\(", path.read_text(encoding="utf-8")), name(path)


def test_no_parameter_of_sql_has_a_number() -> None:
    """With a sequence, ``?1`` is a DeprecationWarning in Python 3.12.0 to 3.12.3; ``?`` and ``:name`` are not."""
    for path in (LIBRARY / "stores").glob("*.py"):
        assert not re.search(r"\?\d", path.read_text(encoding="utf-8")), name(path)


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=name)
def test_the_library_reaches_transports_through_entry_points_only(path: Path) -> None:
    assert not [module for module in imports(path) if module.partition(".")[0] == "ebt_transports"]


@pytest.mark.parametrize("path", [path for path in MODULES if "cli" not in path.parts], ids=name)
def test_only_the_command_needs_its_extra(path: Path) -> None:
    assert not {module.partition(".")[0] for module in imports(path)} & {"click", "rich", "platformdirs"}


# -- sizes


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_fit_in_the_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


# -- what must not be written down

FORBIDDEN = {
    "the address of a registry": r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|index-" + r"url|proxy\.golang",
    "a path of some machine": r"(?<![\w.:/])/(?:home|Users|root|work|tmp|opt|mnt)/[\w.]",
    "the address of a hosting site": r"(?:github|gitlab|bitbucket|codeberg)\.(?:com|org)/",
}


def tracked() -> list[Path]:
    """What is in the repository, or would be: everything that is not ignored."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return [path for path in MODULES if path.is_file()]  # no clone: an unpacked archive
    paths = [ROOT / entry for entry in done.stdout.decode().split("\0") if entry]
    return [path for path in paths if path.is_file() and path != Path(__file__)]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_is_tied_to_one_place(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found: list[str] = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name(path)}: {match.group()}" for match in pattern.finditer(text)]
    assert not found


@pytest.mark.parametrize(
    ("what", "text", "is_one"),
    [
        ("a path of some machine", "see /home/me/x", True),
        ("a path of some machine", "unix:///run/ebt.sock", False),
        ("a path of some machine", "docs/home/x", False),
        ("the address of a registry", "https://pypi.org/simple", True),
        ("the address of a hosting site", "git clone https://github.com/x/y", True),
        ("the address of a hosting site", ".github/workflows/ci.yml", False),
    ],
)
def test_such_things_are_found(what: str, text: str, is_one: bool) -> None:
    assert bool(re.search(FORBIDDEN[what], text)) is is_one


# -- what is explained

PUBLIC = [
    "ebt_trio",
    "ebt_trio.abc",
    "ebt_trio.errors",
    "ebt_trio.frames",
    "ebt_trio.limits",
    "ebt_trio.stores",
    "ebt_trio.testing",
    "ebt_trio.transport",
    "ebt_transports",
]


def public_names(module: ModuleType) -> list[str]:
    return list(getattr(module, "__all__", None) or (key for key in vars(module) if not key.startswith("_")))


def unexplained(thing: object, where: str) -> Iterator[str]:
    """Names without a docstring: classes and functions, and what a class of ours has of its own."""
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return
    if not inspect.getdoc(thing):
        yield where
    if not inspect.isclass(thing) or issubclass(thing, Enum) or not thing.__module__.startswith("ebt_"):
        return
    for key, value in vars(thing).items():
        is_method = inspect.isroutine(value) or isinstance(value, property | classmethod | staticmethod)
        if is_method and not key.startswith("_") and not inspect.getdoc(getattr(thing, key)):
            yield f"{where}.{key}"


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_explained(module: str) -> None:
    loaded = importlib.import_module(module)
    missing: list[str] = []
    for key in public_names(loaded):
        missing += unexplained(getattr(loaded, key), f"{module}.{key}")
    assert not missing

"""What the documents say is so: links, examples, the names of modules, and numbers that are also in the code."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import ebt_trio.errors
from ebt_trio.core.config import Config

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_PROGRAMS = {"README.md"}  # test_readme.py runs what is there


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(text: str) -> set[str]:
    """Of headings, as hosting sites make them: lower case, no punctuation, hyphens for blanks."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    text = FENCED.sub("", document.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{link}: no such heading"


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.parent.name == "docs"], ids=name)
def test_the_readme_leads_to_every_document(document: Path) -> None:
    assert f"({name(document)})" in (ROOT / "README.md").read_text(encoding="utf-8")


def programs() -> list[object]:
    found: list[object] = []
    for document in DOCUMENTS:
        if name(document) not in NOT_PROGRAMS:
            blocks = PYTHON.findall(document.read_text(encoding="utf-8"))
            found += [pytest.param(code, id=f"{name(document)}-{number}") for number, code in enumerate(blocks, 1)]
    return found


@pytest.mark.parametrize("program", programs())
def test_examples_run(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, encoding="utf-8", timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


# -- architecture.md

ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([\w/]+\.py)`", ARCHITECTURE))


def file_of(module: str) -> Path:
    root = ROOT / "transports" if module.startswith("ebt_transports/") else ROOT / "ebt_trio"
    return root / module


@pytest.mark.parametrize("module", sorted(NAMED))
def test_the_map_names_modules_that_exist(module: str) -> None:
    assert file_of(module).is_file()


def test_the_map_names_every_module() -> None:
    library = {path.relative_to(ROOT / "ebt_trio").as_posix() for path in (ROOT / "ebt_trio").rglob("*.py")}
    transports = {path.relative_to(ROOT / "transports").as_posix() for path in (ROOT / "transports").rglob("*.py")}
    modules = {module for module in library | transports if not module.endswith("__init__.py")}
    missing = sorted(module for module in modules - NAMED if not module.startswith("cli/"))
    assert not missing, "docs/architecture.md should say what these are for"


@pytest.mark.parametrize("folder", sorted(set(re.findall(r"`((?:\w+/)+)`", ARCHITECTURE))))
def test_the_map_names_folders_that_exist(folder: str) -> None:
    assert (ROOT / folder).is_dir()


# -- numbers

DEFAULTS = re.findall(
    r"^\| `(\w+)` \| `([\w.]+)` \| ([\d.]+) \|", (ROOT / "docs/scheduler.md").read_text(encoding="utf-8"), re.M
)


@pytest.mark.parametrize(("constant", "where", "value"), DEFAULTS)
def test_the_defaults_of_the_scheduler(constant: str, where: str, value: str) -> None:
    if where == "config.Config":
        assert getattr(Config(), constant) == float(value)
    else:
        assert getattr(importlib.import_module(f"ebt_trio.core.{where}"), constant) == float(value)


def test_there_are_defaults() -> None:
    assert len(DEFAULTS) > 20
    assert {field.name for field in fields(Config)} == {
        constant for constant, where, _ in DEFAULTS if where == "config.Config"
    }


def test_the_codes_of_a_bye() -> None:
    text = (ROOT / "docs/protocol.md").read_text(encoding="utf-8").replace("\n", " ")
    [said] = re.findall(r"Codes of a BYE: (.*?)\.", text)
    codes = {entry.split(" ", 1)[1]: int(entry.split(" ", 1)[0]) for entry in said.split(", ")}
    assert codes == {code.name.lower().replace("_", " "): code.value for code in ebt_trio.errors.ByeCode}


def test_the_notes_of_the_protocol() -> None:
    from ebt_trio.core.note import decode_note, encode_note

    text = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (eager|lazy) \|$", text, re.MULTILINE)
    assert len(rows) > 4
    for note, sequence, mode in rows:
        assert (decode_note(int(note))[0], decode_note(int(note))[1].name.lower()) == (int(sequence), mode)
        assert encode_note(*decode_note(int(note))) == int(note)

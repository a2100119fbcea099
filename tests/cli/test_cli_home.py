"""Homes, help, versions, and what happens when the command is used wrongly."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from ebt_trio.cli.app import COMMANDS, cli, run
from ebt_trio.cli.errors import Failure, explain
from ebt_trio.errors import FeedBehind, LocalProtocolError, StoreError
from ebt_trio.identity import Identity, public_key_bytes

if TYPE_CHECKING:
    from conftest import Runner

NEED_A_HOME = [
    ["id"],
    ["append", "x"],
    ["append"],
    ["log"],
    ["run"],
    ["follow", "A" * 43],
    ["unfollow", "A" * 43],
    ["feeds"],
    ["block", "A" * 43],
    ["unblock", "A" * 43],
    ["allow"],
    ["disallow", "A" * 43],
    ["status"],
    ["resolve", "A" * 43, "--keep", "ours"],
]


def one_line(text: str) -> bool:
    return text.startswith("ebt") and text.endswith("\n") and text.count("\n") == 1 and "Traceback" not in text


def test_init_prints_the_id_alone_on_a_line(ebt: Runner) -> None:
    result = ebt("init")
    assert result.status == 0
    assert result.err == ""
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{42}\n", result.text)
    public_key_bytes(result.text.strip())
    assert ebt("id").text == result.text
    assert str(Identity.load(ebt.path / "home" / "key")) == result.text.strip()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_home_is_for_its_owner(ebt: Runner) -> None:
    ebt.init()
    assert stat.S_IMODE((ebt.path / "home").stat().st_mode) == 0o700
    assert stat.S_IMODE((ebt.path / "home" / "key").stat().st_mode) == 0o600


def test_init_leaves_a_home_as_it_is(ebt: Runner) -> None:
    feed = ebt.init()
    key = (ebt.path / "home" / "key").read_bytes()
    result = ebt("init")
    assert (result.status, result.out) == (1, b"")
    assert one_line(result.err)
    assert feed in result.err
    assert (ebt.path / "home" / "key").read_bytes() == key


def test_init_makes_a_new_store_for_a_key_that_has_none(ebt: Runner) -> None:
    feed = ebt.init()
    (ebt.path / "home" / "store.db").unlink()
    assert ebt("log").status == 1
    result = ebt("init")
    assert (result.status, result.text.strip()) == (0, feed)
    assert "kept the key" in result.err
    assert ebt.ok("log") == ""


def test_init_where_a_file_is(ebt: Runner) -> None:
    (ebt.path / "file").write_text("")
    result = ebt("init", home="file")
    assert result.status == 2
    assert one_line(result.err)


@pytest.mark.parametrize("arguments", NEED_A_HOME, ids=" ".join)
def test_without_a_home_commands_say_what_to_do(ebt: Runner, arguments: list[str]) -> None:
    result = ebt(*arguments)
    assert (result.status, result.out) == (1, b"")
    assert one_line(result.err)
    assert "ebt init" in result.err
    assert not (ebt.path / "home").exists()


def test_every_command_is_tested_without_a_home() -> None:
    assert {arguments[0] for arguments in NEED_A_HOME} == set(COMMANDS) - {"init", "demo", "simulate"}


def test_home_from_the_environment(ebt: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = ebt.init()
    monkeypatch.setenv("EBT_HOME", str(ebt.path / "home"))
    assert run(["id"]) == 0
    assert run(["--home", str(ebt.path / "other"), "id"]) == 1
    assert feed


def test_the_default_home_is_the_platforms(ebt: Runner, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["init"]) == 0
    found = [path for path in ebt.path.rglob("key") if path.parent.name == "ebt"]
    assert len(found) == 1


@pytest.mark.parametrize("content", [b"", b"x" * 5000, b"SQLite format 3\0" + b"\xff" * 4080])
def test_a_damaged_store_is_one_line(ebt: Runner, content: bytes) -> None:
    ebt.init()
    (ebt.path / "home" / "store.db").write_bytes(content)
    result = ebt("log")
    assert (result.status, result.out) == (1, b"")
    assert one_line(result.err)
    assert "store.db" in result.err


def test_a_foreign_store_is_one_line_and_left_as_it_is(ebt: Runner) -> None:
    ebt.init()
    path = ebt.path / "home" / "store.db"
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = path.read_bytes()
    result = ebt("append", "x")
    assert result.status == 1
    assert one_line(result.err)
    assert "another application" in result.err
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_key_that_others_can_read_is_refused(ebt: Runner) -> None:
    ebt.init()
    (ebt.path / "home" / "key").chmod(0o644)
    result = ebt("id")
    assert result.status == 1
    assert one_line(result.err)
    assert "chmod 600" in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["append", "--nonsense"],
        ["append", "a", "b"],
        ["follow"],
        ["follow", "x" * 257],
        ["follow", "new\nline"],
        ["follow", "A" * 43, "--last", "0"],
        ["resolve", "A" * 43],
        ["resolve", "A" * 43, "--keep", "both"],
        ["log", "--after", "-1"],
        ["log", "A" * 43, "--all"],
        ["log", "--all", "--after", "3"],
        ["run", "--listen"],
        ["block", ""],
        ["demo", "no such file"],
        ["demo", "--messages", "1"],
    ],
    ids=" ".join,
)
def test_misuse_is_one_line_and_status_2(ebt: Runner, arguments: list[str]) -> None:
    ebt.init()
    result = ebt(*arguments)
    assert (result.status, result.out) == (2, b"")
    assert one_line(result.err)
    assert "--help" in result.err


def test_without_a_command_there_is_help(ebt: Runner) -> None:
    result = ebt()
    assert result.status == 2
    assert "Commands:" in result.text


@pytest.mark.parametrize("name", COMMANDS)
def test_help(ebt: Runner, name: str) -> None:
    for option in ("--help", "-h"):
        said = ebt.ok(name, option)
        assert f"Usage: ebt {name}" in said
    assert len(said.splitlines()) > 4


def test_help_of_all(ebt: Runner) -> None:
    said = ebt.ok("--help")
    assert "Examples:" in said
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\S", said, re.MULTILINE), name
    for command in (cli.get_command(click.Context(cli), name) for name in COMMANDS):
        assert command is not None
        assert all(param.help for param in command.params if isinstance(param, click.Option))


def test_version(ebt: Runner) -> None:
    assert ebt.ok("--version") == f"ebt {version('ebt-trio')}\n"


def test_explain() -> None:
    assert explain(Failure("a\n b")) == ("ebt: a b", 1)
    assert explain(Failure("a", 2)) == ("ebt: a", 2)
    assert explain(LocalProtocolError("a")) == ("ebt: a", 2)
    assert explain(FeedBehind("a")) == ("ebt: a", 1)
    assert explain(StoreError("a")) == ("ebt: a", 1)
    assert explain(FileNotFoundError(2, "No such file", "x")) == ("ebt: x: No such file", 1)
    assert explain(KeyboardInterrupt()) == ("", 130)
    assert explain(BrokenPipeError()) == ("", 0)
    assert explain(KeyError("a"))[0].startswith("ebt: internal error, KeyError: 'a'")
    group = ExceptionGroup("", [KeyError("a"), ExceptionGroup("", [StoreError("b"), BrokenPipeError()])])
    assert explain(group) == ("ebt: b", 1)


def test_debug_shows_tracebacks(process: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path) -> None:
    assert b"Traceback" not in process(tmp_path, "id").stderr
    done = process(tmp_path, "--debug", "id")
    assert done.returncode == 1
    assert b"Traceback" in done.stderr


@pytest.mark.parametrize(("module", "name"), [("click", "click"), ("rich", "rich"), ("nacl", "PyNaCl")])
def test_missing_libraries_are_named(module: str, name: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; import ebt_trio; from ebt_trio.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"ebt: not installed: {name}; run: pip install 'ebt-trio[cli]'\n"


def test_the_library_does_not_need_them() -> None:
    code = (
        "import sys\nfor name in ('click', 'rich', 'platformdirs', 'nacl'): sys.modules[name] = None\n"
        "import ebt_trio, ebt_trio.identity, ebt_trio.cli"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

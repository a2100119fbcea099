"""A disk that is full or read-only, a store that is locked, moved or damaged: the command says so, in one line."""

from __future__ import annotations

import functools
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ebt_trio.cli import home as home_module
from ebt_trio.stores import SQLiteStore

if TYPE_CHECKING:
    from conftest import Node, Runner


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Does not wait for five seconds until a lock is gone."""
    monkeypatch.setattr(home_module, "SQLiteStore", functools.partial(SQLiteStore, busy_timeout=0.02))


def the_error(said: str) -> str:
    """The one line; where lines were appended from standard input, the one before says how many."""
    *before, line = said.splitlines()
    assert [other for other in before if not other.startswith("appended ")] == []
    return line


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("command", ["append x", "append", "follow"])
def test_locked(ebt: Runner, command: str) -> None:
    feed, other_feed = ebt.init(), ebt.init("other")
    ebt.ok("append", "stored")
    line = [*command.split(), *([other_feed] if command == "follow" else [])]
    with closing(sqlite3.connect(ebt.path / "home" / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        result = ebt(*line, stdin=b"one\ntwo\n")
        assert (result.status, result.out) == (1, b"")
        assert "another process holds it locked for too long; try again" in the_error(result.err)
    assert ebt.ok("log", feed) == "stored\n"
    ebt.ok(*line, stdin=b"one\ntwo\n")


def test_damaged(ebt: Runner) -> None:
    ebt.init()
    path = ebt.path / "home" / "store.db"
    path.write_bytes(path.read_bytes()[:4096] + b"\xa5" * 8192 + path.read_bytes()[12288:])
    for arguments in (("append", "x"), ("run",), ("feeds",)):
        result = ebt(*arguments)
        assert (result.status, result.out) == (1, b"")
        assert str(path) in result.err
        assert result.err.count("\n") == 1


def test_a_node_whose_store_is_locked_for_a_while(
    ebt: Runner, start: Callable[..., Node], wait: Callable[..., None]
) -> None:
    """It says so, keeps its sessions, and goes on when it can."""
    feed, other = ebt.init("here"), ebt.init("there")
    ebt.ok("follow", other, home="here")
    ebt.ok("follow", feed, home="there")
    there = start(ebt.path / "there", "--listen", "127.0.0.1:0")
    here = start(ebt.path / "here", "--connect", there.urls[0])
    ebt.ok("append", "one", home="there")
    wait(lambda: ebt.ok("log", other, home="here") == "one\n")
    with closing(sqlite3.connect(ebt.path / "here" / "store.db", isolation_level=None)) as locker:
        locker.execute("BEGIN EXCLUSIVE")
        ebt.ok("append", "two", home="there")
        here.wait_said("another process holds it locked")
        locker.execute("ROLLBACK")
    wait(lambda: ebt.ok("log", other, home="here") == "one\ntwo\n")
    said = here.said() + there.said()
    assert "stalled" not in said
    assert "Traceback" not in said
    assert here.stop() == there.stop() == 0


CHILD = """
import subprocess, sys
from pathlib import Path

place = Path(sys.argv[1])

def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", place], check=True)

def ebt(*arguments, stdin=b""):
    command = [sys.executable, "-m", "ebt_trio.cli", "--home", place / "home", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)

def fails(*arguments, said, stdin=b""):
    result = ebt(*arguments, stdin=stdin)
    assert (result.returncode, result.stdout) == (1, b""), result
    *before, line = result.stderr.decode().splitlines()
    assert said in line and not [other for other in before if not other.startswith("appended ")], result
"""

FULL = """
mount("size=400k")
feed = ebt("init").stdout.decode().strip()
assert ebt("append", "stored").returncode == 0
fails("append", stdin=b"y" * 500_000 + b"\\n", said="the disk is full; make room and try again")
assert ebt("log", feed).stdout == b"stored\\n"
mount("remount,size=4000k")
assert ebt("append", stdin=b"x" * 500_000 + b"\\n").returncode == 0
assert ebt("log", feed).stdout == b"stored\\n" + b"x" * 500_000 + b"\\n"
"""

NO_ROOM_AT_ALL = """
mount("size=16k")
fails("init", said="the disk is full; make room and try again")
mount("remount,size=1000k")
assert ebt("init").returncode == 0, ebt("init")
assert ebt("append", "stored").returncode == 0
"""

READ_ONLY = """
mount("size=1000k")
assert ebt("init").returncode == 0
assert ebt("append", "stored").returncode == 0
mount("remount,ro")
fails("append", "x", said="cannot be written")
fails("run", said="Read-only file system")
mount("remount,rw")
assert ebt("append", "again").returncode == 0
"""


@pytest.mark.parametrize("script", [FULL, NO_ROOM_AT_ALL, READ_ONLY], ids=["full", "no-room", "read-only"])
def test_real_disks(tmp_path: Path, script: str) -> None:
    """A file system of our own, which a user may mount on Linux."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here, to mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    probe = subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", place], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"no file system can be mounted here: {probe.stderr.decode().strip()}")
    done = subprocess.run(
        [*unshare, sys.executable, "-c", CHILD + script, place],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on the size of files")
def test_a_limit_on_the_size_of_files(ebt: Runner) -> None:
    """What the system refuses to write otherwise than for lack of room."""
    feed = ebt.init()
    ebt.ok("append", "stored")
    home = ebt.path / "home"
    limited = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        f"from ebt_trio.cli.app import run; raise SystemExit(run(['--home', {str(home)!r}, 'append']))"
    )
    done = subprocess.run([sys.executable, "-c", limited], input=b"x" * 500_000, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert "the disk failed; check it and try again" in the_error(done.stderr.decode())
    assert ebt.ok("log", feed) == "stored\n"
    ebt.ok("append", stdin=b"x" * 500_000)

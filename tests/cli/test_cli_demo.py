"""``ebt demo``, and whether it would notice if something were wrong."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ebt_trio.cli.demo.check import combine, contents, count
from ebt_trio.cli.demo.data import spread, standard_library
from ebt_trio.cli.errors import Failure

if TYPE_CHECKING:
    from conftest import Runner

DEMO = [sys.executable, "-m", "ebt_trio.cli", "demo"]


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its directory: short, for Unix sockets; not tidied up by anybody else."""
    path = Path(tempfile.mkdtemp(prefix="t-"))
    monkeypatch.setenv("TMPDIR", str(path))
    return path


def processes(directory: Path) -> list[str]:
    found = subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True, check=True)
    return [line for line in found.stdout.splitlines() if str(directory) in line]


def test_the_demo(tmp_path: Path, directory: Path) -> None:
    file = tmp_path / "some.txt"
    file.write_bytes(b"".join(b"line %d \xff\n" % number for number in range(5000)) + b"no newline")
    done = subprocess.run([*DEMO, str(file)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    for text in (
        "5,001 lines of 1 file",
        "the link A─E is cut",
        "peer C is killed (SIGKILL)",
        "peer C is back",
        "the link A─E is mended",
        "20,004 deliveries",
        "all equal, and equal to the files",
    ):
        assert text in said
    digests = re.findall(r"^[A-E] .* 5,001  ([0-9a-f]{16})$", said, re.MULTILINE)
    assert len(digests) == 5
    assert len(set(digests)) == 1
    assert os.listdir(directory) == []
    directory.rmdir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(number: int, directory: Path, wait: Callable[..., None]) -> None:
    with subprocess.Popen([*DEMO, "--messages", "2000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        wait(lambda: sum(" run " in line for line in processes(directory)) >= 3)
        demo.send_signal(number)
        assert demo.wait(120) == (130 if number == signal.SIGINT else 1)
        assert demo.stderr is not None
        assert b"Traceback" not in demo.stderr.read()
    wait(lambda: not processes(directory))  # the system may take a moment
    assert os.listdir(directory) == []
    directory.rmdir()


@pytest.mark.parametrize("ending", [b"", b"\n"])
@pytest.mark.parametrize("limit", [None, 47, 5])
def test_files_are_spread_without_losing_a_byte(tmp_path: Path, ending: bytes, limit: int | None) -> None:
    data = [b"".join(b"%d %d\n" % (file, line) for line in range(20)) + b"end" + ending for file in range(3)]
    files = [tmp_path / f"{number}" for number in range(3)]
    for file, content in zip(files, data, strict=True):
        file.write_bytes(content)
    parts = spread(files, 5, limit, tmp_path)
    said = [part.before.read_bytes() + part.live.read_bytes() for part in parts]
    whole = b"".join(data)
    expected = whole if limit is None else b"".join(whole.splitlines(keepends=True)[:limit])
    assert b"".join(said) == expected
    assert [part.digest for part in parts] == [hashlib.sha256(one).hexdigest() for one in said]
    assert [part.messages for part in parts] == [len(one.splitlines()) for one in said]
    assert [part.size for part in parts] == [len(one) for one in said]
    assert max(part.messages for part in parts) - min(part.messages for part in parts) <= 1


def test_too_few_lines(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"1\n2\n3\n4\n")
    with pytest.raises(Failure, match="4 lines are too few for 5 peers"):
        spread([tmp_path / "x"], 5, None, tmp_path)


def test_the_standard_library_is_large_enough() -> None:
    files = standard_library()
    assert not [path for path in files if "site-packages" in path.parts]
    assert sum(path.stat().st_size for path in files) > 5_000_000


def test_the_check_sees_what_the_files_say(ebt: Runner) -> None:
    feed = ebt.init()
    data = b"a\nb\xff\n\nlast"
    ebt("append", stdin=data)
    store = ebt.path / "home" / "store.db"
    found = contents(store)
    assert found.digest == combine({feed: hashlib.sha256(data).hexdigest()})
    assert (found.messages, count(store)) == (4, 4)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE messages SET payload = x'8200617a' WHERE id = (SELECT max(id) FROM messages)",
        "DELETE FROM messages WHERE id = (SELECT min(id) FROM messages)",
        "UPDATE feeds SET feed = 'another'",
    ],
)
def test_the_check_sees_any_difference(ebt: Runner, damage: str) -> None:
    feed = ebt.init()
    data = b"a\nb\nc\n"
    ebt("append", stdin=data)
    store = ebt.path / "home" / "store.db"
    connection = sqlite3.connect(store)
    with connection:
        connection.execute(damage)
    connection.close()
    assert contents(store).digest != combine({feed: hashlib.sha256(data).hexdigest()})

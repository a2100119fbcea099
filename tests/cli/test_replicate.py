"""The main job: real processes, real files, byte for byte the same at the other end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from sqlite3 import OperationalError, connect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Node, Runner

    Start = Callable[..., Node]
    Wait = Callable[..., None]
    Process = Callable[..., subprocess.CompletedProcess[bytes]]


def lines(count: int, seed: int) -> bytes:
    """A log as logs are: most lines short, some long, some empty, some not UTF-8; no newline at the end."""
    rng = Random(seed)
    words = [b"alpha", b"beta", "gämma".encode(), b"delta", b"\xff\xfe", b"\r", b"", b"x" * 300]
    weights = [30, 30, 20, 20, 0.1, 1, 10, 1]
    picked = [rng.choices(words, weights, k=rng.randrange(8)) for _ in range(count)]
    return b"\n".join(b"%d " % number * bool(some) + b" ".join(some) for number, some in enumerate(picked)) + b"\nend"


def held(home: Path, feed: str) -> int:
    """Up to which message a store has a feed, asked of the file."""
    with closing(connect(f"file:{home / 'store.db'}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            row = connection.execute("SELECT head FROM feeds WHERE feed = ?", (feed,)).fetchone()
        except OperationalError:  # its own process has just been killed, and nobody has tidied up yet
            return 0
    return row[0] if row else 0


class Pair:
    """Homes that follow each other's feeds."""

    def __init__(self, ebt: Runner, process: Process, names: list[str]) -> None:
        self.process = process
        self.feeds = {name: ebt.init(name) for name in names}
        self.homes = {name: ebt.path / name for name in names}
        for name in names:
            for other in names:
                ebt.ok("follow", self.feeds[other], home=name)

    def append(self, name: str, data: bytes) -> None:
        done = self.process(self.homes[name], "append", stdin=data)
        assert done.returncode == 0, done.stderr

    def log(self, name: str, author: str) -> bytes:
        done = self.process(self.homes[name], "log", self.feeds[author])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def has(self, name: str, author: str, data: bytes) -> bool:
        count = data.count(b"\n") + (not data.endswith(b"\n"))
        return held(self.homes[name], self.feeds[author]) == count

    def slowly(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ebt_trio.cli", "--home", str(self.homes[name]), "append"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)


def test_a_file_of_100_000_lines(ebt: Runner, process: Process, start: Start, wait: Wait) -> None:
    pair = Pair(ebt, process, ["here", "there"])
    data = lines(100_000, 1)
    pair.append("here", data)
    node = start(pair.homes["here"], "--listen", "127.0.0.1:0")
    other = start(pair.homes["there"], "--connect", node.urls[0])
    wait(lambda: pair.has("there", "here", data), other.said)
    assert pair.log("there", "here") == data
    assert pair.log("here", "here") == data
    assert other.stop() == node.stop() == 0
    assert "failed" not in node.said() + other.said()


def test_lines_that_come_at_both_ends_meanwhile(ebt: Runner, process: Process, start: Start, wait: Wait) -> None:
    pair = Pair(ebt, process, ["here", "there"])
    data = {"here": lines(20_000, 2), "there": lines(20_000, 3)}
    node = start(pair.homes["here"], "--listen", "tcp://127.0.0.1:0")
    other = start(pair.homes["there"], "--connect", node.urls[0])
    with pair.slowly("here") as here, pair.slowly("there") as there:
        assert here.stdin is not None
        assert there.stdin is not None
        for first in range(0, len(data["here"]), 10_000):
            here.stdin.write(data["here"][first : first + 10_000])
            there.stdin.write(data["there"][first : first + 10_000])
            here.stdin.flush()
            there.stdin.flush()
        there.stdin.write(data["there"][first + 10_000 :])
        here.stdin.close()
        there.stdin.close()
    assert here.returncode == there.returncode == 0
    wait(lambda: pair.has("there", "here", data["here"]) and pair.has("here", "there", data["there"]), other.said)
    for name in data:
        assert pair.log("here", name) == pair.log("there", name) == data[name]
    assert node.stop() == other.stop() == 0


def test_over_a_unix_socket(ebt: Runner, process: Process, start: Start, wait: Wait, tmp_path: Path) -> None:
    pair = Pair(ebt, process, ["here", "there"])
    data = lines(20_000, 4)
    pair.append("here", data)
    node = start(pair.homes["here"], "--listen", (tmp_path / "s").as_uri().replace("file:", "unix:"))
    other = start(pair.homes["there"], "--connect", node.urls[0])
    wait(lambda: pair.has("there", "here", data), other.said)
    assert pair.log("there", "here") == data
    assert node.stop() == other.stop() == 0


def test_a_chain_whose_middle_is_killed(
    ebt: Runner, process: Process, start: Start, wait: Wait, tmp_path: Path
) -> None:
    pair = Pair(ebt, process, ["first", "middle", "last"])
    data = {"first": lines(40_000, 5), "middle": lines(1000, 6), "last": lines(40_000, 7)}
    for name, content in data.items():
        pair.append(name, content)
    url = (tmp_path / "m").as_uri().replace("file:", "unix:")
    middle = start(pair.homes["middle"], "--listen", url)
    first = start(pair.homes["first"], "--connect", url)
    last = start(pair.homes["last"], "--connect", url)
    wait(lambda: held(pair.homes["middle"], pair.feeds["first"]) > 5000)
    middle.kill()
    assert not pair.has("last", "first", data["first"])  # else nothing was interrupted
    middle = start(pair.homes["middle"], "--listen", url)
    for home, author in ((home, author) for home in data for author in data):
        wait(lambda: pair.has(home, author, data[author]), middle.said)  # noqa: B023 - called at once
        assert pair.log(home, author) == data[author]
    assert [node.stop() for node in (first, middle, last)] == [0, 0, 0]

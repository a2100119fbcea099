"""The programs in examples/ do what they say, as programs: processes, pipes, sockets, real time."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 120.0


class Program:
    """An example that runs. Lines come through threads, so that waiting for one can time out."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-u", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        self.out: Queue[str] = Queue()
        self.err: Queue[str] = Queue()
        pairs = ((self.process.stdout, self.out), (self.process.stderr, self.err))
        self._threads = [Thread(target=self._read, args=pair, daemon=True) for pair in pairs]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: Iterator[str], lines: Queue[str]) -> None:
        for line in stream:
            lines.put(line.rstrip("\n"))

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait_for_note(self, pattern: str) -> str:
        """The first line on standard error that has the pattern."""
        while True:
            if found := re.search(pattern, line := self.err.get(timeout=PATIENCE)):
                return found.group(found.lastindex or 0)
            assert line.startswith("* "), line

    def leave(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for thread in self._threads:
            thread.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def room() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def enter(room: ExitStack, *arguments: str) -> Program:
    program = Program(str(EXAMPLES / "chat.py"), *arguments)
    room.callback(program.close)
    return program


def test_chat_in_a_chain(room: ExitStack) -> None:
    alice = enter(room, "alice", "--listen", "tcp://127.0.0.1:0")
    at_alice = alice.wait_for_note(r"listening at (\S+)")
    bob = enter(room, "bob", "--listen", "tcp://127.0.0.1:0", "--connect", at_alice)
    at_bob = bob.wait_for_note(r"listening at (\S+)")
    bob.wait_for_note("alice connected")
    alice.type("hello bob!")
    assert bob.out.get(timeout=PATIENCE) == "alice: hello bob!"
    bob.type("grüß dich, alice ✓")
    assert alice.out.get(timeout=PATIENCE) == "bob: grüß dich, alice ✓"

    carol = enter(room, "carol", "--connect", at_bob)  # has never been near alice, and comes late
    assert {carol.out.get(timeout=PATIENCE) for _ in range(2)} == {"alice: hello bob!", "bob: grüß dich, alice ✓"}
    carol.type("   ")
    carol.type("am I late?")
    assert alice.out.get(timeout=PATIENCE) == "carol: am I late?"
    assert bob.out.get(timeout=PATIENCE) == "carol: am I late?"
    assert [program.leave() for program in (carol, bob, alice)] == [0, 0, 0]
    assert [program.out.qsize() for program in (alice, bob, carol)] == [0, 0, 0], "said once, printed once"


def test_chat_that_is_remembered(room: ExitStack, tmp_path: Path) -> None:
    store = str(tmp_path / "alice.db")
    alice = enter(room, "alice", "--store", store)
    alice.type("nobody here yet")
    assert alice.leave() == 0
    alice = enter(room, "alice", "--store", store, "--listen", "tcp://127.0.0.1:0")
    bob = enter(room, "bob", "--connect", alice.wait_for_note(r"listening at (\S+)"))
    assert bob.out.get(timeout=PATIENCE) == "alice: nobody here yet"


@pytest.mark.parametrize(("url", "said"), [("tcp://127.0.0.1:99999", "port"), ("smoke://hill", "unknown URL scheme")])
@pytest.mark.parametrize("option", ["--listen", "--connect"])
def test_chat_explains_what_is_wrong(room: ExitStack, option: str, url: str, said: str) -> None:
    alice = enter(room, "alice", option, url)
    assert alice.process.wait(PATIENCE) == 1
    assert said in alice.err.get(timeout=PATIENCE)


def test_chat_is_short() -> None:
    assert len((EXAMPLES / "chat.py").read_text(encoding="utf-8").splitlines()) < 120


def test_sensors() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "sensors.py"), "--sensors", "2", "--readings", "40"],
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^sensor-\d: 40 readings", done.stdout, re.MULTILINE) == [
        "sensor-1: 40 readings",
        "sensor-2: 40 readings",
    ]
    assert "80 readings collected" in done.stdout


def test_the_benchmark() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES.parent / "benchmarks/throughput.py"), "--messages", "1500"],
        capture_output=True, text=True, encoding="utf-8", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2 + 3 * 2


def test_every_example_is_tested() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in here] == []

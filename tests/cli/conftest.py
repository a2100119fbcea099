"""The command in this process, and as a process of its own."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import pytest

from ebt_trio.cli.app import run

TIMEOUT: Final = 120.0
COMMAND: Final = [sys.executable, "-m", "ebt_trio.cli"]


@dataclass(frozen=True)
class Result:
    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what it starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # programs that are started here are not to inherit that


class Runner:
    """``runner("append", "x")`` runs the command in this process, on the home ``home``."""

    def __init__(self, path: Path, capture: pytest.CaptureFixture[bytes], patch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._capture = capture
        self._patch = patch

    def __call__(self, *arguments: str, home: str | Path = "home", stdin: bytes = b"") -> Result:
        self._patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self._capture.readouterr()
        status = run(["--home", str(self.path / home), *arguments])
        out, err = self._capture.readouterr()
        return Result(status, out, err.decode())

    def ok(self, *arguments: str, home: str | Path = "home", stdin: bytes = b"") -> str:
        """What it says, when it must succeed."""
        result = self(*arguments, home=home, stdin=stdin)
        assert result.status == 0, result.err
        return result.text

    def init(self, home: str | Path = "home") -> str:
        """Make a home; its feed."""
        return self.ok("init", home=home).strip()


@pytest.fixture
def ebt(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Runner:
    return Runner(tmp_path, capsysbinary, monkeypatch)


class Node:
    """``ebt run`` as a process; ``urls`` is where it listens."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.log: Final = home / "run.log"
        listeners = options.count("--listen")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--home", str(home), "run", *options], stdout=subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        self.urls: list[str] = []
        for _ in range(listeners):
            line = self.process.stdout.readline().decode()
            assert line.startswith("listening "), self.said()
            self.urls.append(line.split()[1])

    def said(self) -> str:
        return self.log.read_text()

    def wait_said(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self.said().count(text) >= times, lambda: f"{text!r} not said, but:\n{self.said()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(TIMEOUT)

    def __enter__(self) -> Node:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Node]]:
    """Start nodes; what still runs at the end is killed."""
    with ExitStack() as stack:
        yield lambda home, *options: stack.enter_context(Node(home, *options))


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run the command as a process: ``process(home, "append", stdin=b"…")``."""

    def call(home: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*COMMAND, "--home", str(home), *arguments], input=stdin, capture_output=True, timeout=TIMEOUT, check=False
        )

    return call


@pytest.fixture
def wait() -> Callable[..., None]:
    return wait_until


def wait_until(condition: Callable[[], bool], otherwise: Callable[[], str] = lambda: "it did not happen") -> None:
    """Other processes have no virtual clock: look, until it is so."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(otherwise())
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def _no_home_of_mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("EBT_HOME", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))

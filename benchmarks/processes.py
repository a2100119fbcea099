"""Processes that are measured: told what to do by lines of JSON on standard input, each answered by one.

They read their own CPU time (user and system, all threads), so that starting them, and filling their stores, is not
counted. All of them, and we, are pinned to one core where the system can do that: what is compared then shares it.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parent.parent
PATIENCE = 600.0
"""Seconds for one answer."""
SETTLING = 3.5
"""Seconds that work may go on behind the last message: an acknowledgement is held back for one, and what is to be
remembered of peers is saved later yet."""


class Failed(Exception):
    """A process has answered with an error, or not at all."""


def pin(core: int | None) -> str:
    """Pin ourselves, and with us whatever is started from now on; returns what became of it, for people."""
    try:
        cores = sorted(os.sched_getaffinity(0))
        chosen = cores[-1] if core is None else core
        os.sched_setaffinity(0, {chosen})
    except (AttributeError, OSError) as exc:
        return f"not pinned to a core ({exc})"
    return f"pinned to core {chosen}"


class Worker:
    """One such process. :meth:`start` begins a command, :meth:`finish` waits for its answer. Ends with its block."""

    def __init__(self, command: Sequence[str], env: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def start(self, do: str, **options: Any) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended; finish will say so
            self._process.stdin.write(json.dumps({"do": do, **options}) + "\n")
            self._process.stdin.flush()

    def finish(self, patience: float = PATIENCE) -> Any:
        """What was answered.

        :raises Failed: an error was, or nothing within ``patience`` seconds
        """
        try:
            line = self._lines.get(timeout=patience)
        except queue.Empty:
            raise Failed(f"no answer within {patience:.0f} s") from None
        if not line:
            raise Failed(f"the process has ended ({self._process.wait()})")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["result"]

    def ask(self, do: str, *, patience: float = PATIENCE, **options: Any) -> Any:
        self.start(do, **options)
        return self.finish(patience)

    def looked_at(self) -> float:
        """Its CPU seconds, without disturbing it where the system is Linux."""
        if sys.platform == "linux":
            with suppress(OSError):
                return time.clock_gettime((~self._process.pid << 3) | 2)  # clock_getcpuclockid(3)
        seconds: float = self.ask("usage")["cpu"]
        return seconds

    def end(self) -> None:
        """Let it end, without waiting for that."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdout is not None
        self.end()
        try:
            self._process.wait(1 if kind is None else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()


class Meter:
    """CPU seconds of some workers together, and bytes sent by each, since this was made."""

    def __init__(self, *workers: Worker) -> None:
        self._workers = workers
        self._before = self._usage()
        self._began = time.perf_counter()

    def _usage(self) -> list[dict[str, float]]:
        return [worker.ask("usage") for worker in self._workers]

    def settle(
        self, settling: float = SETTLING, *, window: float = 0.2, most: float = 0.002, patience: float = 30.0
    ) -> None:
        """Wait until what was set off is done: no more than ``most`` seconds of CPU in ``window`` seconds."""
        time.sleep(settling)
        last = self._looked_at()
        until = time.perf_counter() + patience
        while time.perf_counter() < until:
            time.sleep(window)
            now = self._looked_at()
            if now - last < most:
                return
            last = now

    def _looked_at(self) -> float:
        return sum(worker.looked_at() for worker in self._workers)

    def seconds(self) -> float:
        return time.perf_counter() - self._began

    def cpu(self) -> float:
        return sum(now["cpu"] - then["cpu"] for now, then in zip(self._usage(), self._before, strict=True))

    def sent(self) -> list[float]:
        """Bytes, of each worker."""
        return [now["sent"] - then["sent"] for now, then in zip(self._usage(), self._before, strict=True)]

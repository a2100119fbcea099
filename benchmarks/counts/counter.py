"""Counts what the library does, in figures that are the same from run to run: calls and lines rather than seconds."""

from __future__ import annotations

import sys
from collections import Counter as Tally
from collections.abc import Generator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import trio

from ebt_trio import EBT

OURS = ("ebt_trio/", "ebt_transports/")
INLINED = ("<listcomp>", "<setcomp>", "<dictcomp>")
"""Functions of their own up to Python 3.11 only."""

CALLS, C_CALLS, LINES = "calls", "C calls", "lines"
TURNS, EVENTS, STORE, FRAMES, BYTES = "loop turns", "events", "store calls", "frames", "wire bytes"
FIGURES = (CALLS, C_CALLS, LINES, TURNS, EVENTS, STORE, FRAMES, BYTES)
BY_VERSION = (CALLS, C_CALLS, LINES)
"""Each version of Python counts these a little differently."""


class Turns(trio.abc.Instrument):
    """How often Trio's loop has looked for something to do."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


class Counter:
    """Use :meth:`over` around what is to be counted, and :meth:`figures` afterwards.

    * calls: of functions in our packages, and resumptions of coroutines there; what they call in C counts beside
    * lines: executed in our packages
    * events: handed to the core; store calls: of the store's methods, their helpers left out
    """

    def __init__(self) -> None:
        self.calls: Tally[CodeType] = Tally()
        self._c_calls = 0
        self._lines = 0
        self._turns = Turns()
        self._traffic = Tally[str]()
        self._module: dict[CodeType, str] = {}

    @contextmanager
    def over(self, *peers: EBT) -> Generator[None, None, None]:
        """Count what happens in this block; ``peers`` are whose frames and bytes count."""
        before = self._sent(peers)
        trio.lowlevel.add_instrument(self._turns)
        others = sys.gettrace(), sys.getprofile()
        sys.settrace(self._trace)
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(others[1])
            sys.settrace(others[0])
            trio.lowlevel.remove_instrument(self._turns)
            self._traffic += self._sent(peers) - before

    @staticmethod
    def _sent(peers: tuple[EBT, ...]) -> Tally[str]:
        found = Tally[str]()
        for peer in peers:
            counts = peer.statistics()
            found += Tally({FRAMES: counts.frames_sent, BYTES: counts.bytes_sent})
        return found

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call":
            self.calls[code] += 1
        elif event == "c_call" and self.module(code):
            self._c_calls += 1

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if self.module(frame.f_code) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self._lines += 1
        return self._line

    def module(self, code: CodeType) -> str:
        """Which of our modules it is from; "" if from none, or from what is for tests."""
        found = self._module.get(code)
        if found is None:
            path = code.co_filename.replace("\\", "/")
            places = [path.rfind("/" + package) for package in OURS]
            found = path[max(places) + 1 :] if max(places) >= 0 else ""
            self._module[code] = found = "" if found.startswith("ebt_trio/testing/") else found
        return found

    def modules(self) -> dict[str, int]:
        """Calls in each of our modules."""
        found = Tally[str]()
        for code, count in self.calls.items():
            if code.co_name not in INLINED and (module := self.module(code)):
                found[module] += count
        return dict(found)

    def figures(self) -> dict[str, int]:
        return {
            CALLS: sum(self.modules().values()),
            C_CALLS: self._c_calls,
            LINES: self._lines,
            TURNS: self._turns.count,
            EVENTS: self._named("ebt_trio/core/replicator.py", "Replicator.handle"),
            STORE: self._named("ebt_trio/stores/memory.py", "MemoryStore."),
            FRAMES: self._traffic[FRAMES],
            BYTES: self._traffic[BYTES],
        }

    def _named(self, module: str, beginning: str) -> int:
        """Calls of public methods only: helpers come and go, and so do loops within expressions."""
        return sum(
            count
            for code, count in self.calls.items()
            if code.co_qualname.startswith(beginning)
            and not code.co_name.startswith(("_", "<"))
            and self.module(code) == module
        )

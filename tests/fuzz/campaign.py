"""Fuzzing: ``python tests/fuzz/campaign.py --target frames --inputs 1000000``; ``nox -s fuzz`` runs all of it.

The targets are those of ``targets.py``. Inputs come from a seed, so that a run can be repeated. What fails is saved,
and printed with the command that replays it. ``atheris_engine.py`` has libFuzzer make the inputs for the same targets.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import os
import signal
import sys
import time
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from types import FrameType
from typing import Final

from table import Broken, Target
from targets import TARGETS

__all__ = ["Hang", "Watch", "fuzz"]

PATIENCE: Final = 10.0
"""Seconds of real time for one input."""
MEASURED: Final = 100
"""The memory for one input in so many is measured: it takes time."""
FLOOR: Final = 256 << 10
"""Bytes that any input may cost."""


class Hang(Broken):
    """An input takes too long."""


class Watch:
    """Hands out inputs, one by one, and knows which is being tried, and for how long."""

    def __init__(self, inputs: Iterable[bytes], patience: float = PATIENCE) -> None:
        self._inputs = inputs
        self._patience = patience
        self.current = b""
        self.number = 0
        self._lateness = 0

    def __iter__(self) -> Iterator[bytes]:
        timed = hasattr(signal, "SIGALRM")  # not on Windows
        if timed:
            signal.signal(signal.SIGALRM, self._late)
        for data in self._inputs:
            self.current = data
            self.number += 1
            if timed:
                signal.setitimer(signal.ITIMER_REAL, self._patience, self._patience)
            yield data

    def stop(self) -> None:
        """All is done that the last input has brought about, what comes after a failure included."""
        if hasattr(signal, "SIGALRM"):
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _late(self, number: int, frame: FrameType | None) -> None:
        self._lateness += 1
        if self._lateness == 3:  # whatever was raised is held up, or lost
            print(f"input {self.number} hangs, for ever: {self.current.hex()}", flush=True)
            faulthandler.dump_traceback()
            os._exit(3)
        raise Hang(f"not done with after {self._patience:g} seconds")


def fuzz(target: Target, watch: Watch) -> None:
    """Try all inputs; stops at the first broken promise, which is raised."""
    try:
        if target.walk is not None:
            target.walk(watch)
            return
        for data in watch:
            if target.bytes_each is not None and watch.number % MEASURED == 0:
                _measure(target, data)
            else:
                target.check(data)
    finally:
        watch.stop()


def _measure(target: Target, data: bytes) -> None:
    """The least of three: first uses fill caches, and other threads of the process take memory, too."""
    assert target.bytes_each is not None
    most = FLOOR + target.bytes_each * len(data)
    for _ in range(3):
        tracemalloc.start()
        try:
            target.check(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        if peak <= most:
            return
    raise Broken(f"{len(data)} bytes of input cost more than {most:,} bytes of memory, three times")


def report(target: Target, data: bytes, folder: Path, again: str) -> Path:
    """Save an input that has failed, and say how to replay it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    print(f"\n{target.name}: {len(data)} bytes fail, saved in {path}: {data.hex()}")
    print(f"replay: python tests/fuzz/campaign.py --target {target.name} --replay {path}")
    print(f"with what came before: {again}", flush=True)
    return path


def _campaign(target: Target, inputs: int, seed: int, folder: Path) -> bool:
    mutator = target.mutator(target.seeds(), Random(f"{seed} {target.name}"))
    watch = Watch(islice(mutator, inputs))
    began = time.perf_counter()
    try:
        fuzz(target, watch)
    except BaseException as exc:
        if isinstance(exc, KeyboardInterrupt):
            raise
        command = f"python tests/fuzz/campaign.py --target {target.name} --seed {seed} --inputs {watch.number}"
        report(target, watch.current, folder, command)
        import traceback

        traceback.print_exception(exc, limit=-12)
        return False
    seconds = time.perf_counter() - began
    print(f"{target.name}: {watch.number:,} inputs, seed {seed}, {seconds:.1f} s, nothing found", flush=True)
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="all by default; may be repeated")
    parser.add_argument("--inputs", type=int, help="how many; by default a hundred times what the test suite takes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try one input, in bytes")
    parser.add_argument("--replay-hex", metavar="HEX", help="likewise")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), metavar="DIR", help="where failures go")
    options = parser.parse_args(arguments)
    chosen = [TARGETS[name] for name in options.target or sorted(TARGETS)]
    if options.replay is not None or options.replay_hex is not None:
        data = bytes.fromhex(options.replay_hex) if options.replay is None else options.replay.read_bytes()
        for target in chosen:
            target.check(data)
            print(f"{target.name}: nothing found")
        return 0
    good = [_campaign(target, options.inputs or 100 * target.few, options.seed, options.found) for target in chosen]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

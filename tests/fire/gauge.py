"""How much a process has and has used: what a run that goes on for long must not have ever more of."""

from __future__ import annotations

import gc
import os
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import trio

__all__ = ["Sample", "start_tracing", "stop_tracing", "take"]


@dataclass(frozen=True)
class Sample:
    """One look at this process."""

    at: float
    """Seconds, of a clock that all processes of a machine share."""
    cpu: float
    """Seconds of CPU so far, user and system."""
    traced: int
    """Bytes of Python's memory that have been allocated since tracing began, and not freed."""
    peak: int
    """The most there were."""
    resident: int
    """Bytes of memory, as the system counts them; 0 where that cannot be told."""
    objects: int
    """What the garbage collector looks after."""
    files: int
    """Open descriptors; 0 where that cannot be told."""
    tasks: int


def start_tracing() -> None:
    """From now on memory is counted, at the cost of some speed."""
    gc.collect()
    tracemalloc.start()


def stop_tracing() -> None:
    """Whatever else this process does is fast again, and may count for itself."""
    tracemalloc.stop()


def take() -> Sample:
    """Look at this process, after a collection; inside of Trio."""
    gc.collect()
    traced, peak = tracemalloc.get_traced_memory()
    descriptors, statm = Path("/proc/self/fd"), Path("/proc/self/statm")
    return Sample(
        at=time.monotonic(),
        cpu=time.process_time(),
        traced=traced,
        peak=peak,
        resident=int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0,
        objects=len(gc.get_objects()),
        files=len(os.listdir(descriptors)) if descriptors.is_dir() else 0,
        tasks=trio.lowlevel.current_statistics().tasks_living,
    )

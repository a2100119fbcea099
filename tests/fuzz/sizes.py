"""What a long campaign on one and the same peer must not do: grow, or log errors that it survives."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio
from table import Broken

__all__ = ["Sizes", "swallowed"]

ROOM: Final = (5000, 4 << 20, 0)
"""By how much these may be larger in the last fifth of a campaign than in the third: blocks of memory, bytes, tasks."""


class Sizes:
    """What may not grow, looked at now and then: objects, resident memory, tasks."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, int, int]] = []

    def look(self) -> None:
        gc.collect()
        statm = Path("/proc/self/statm")
        resident = int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0
        self._seen.append((sys.getallocatedblocks(), resident, trio.lowlevel.current_statistics().tasks_living))

    def check(self) -> None:
        """Compares the third fifth of the campaign with the last, at their highest."""
        part = len(self._seen) // 5
        if part < 3:
            return  # too few to tell
        middle, end = (
            [max(sizes) for sizes in zip(*some, strict=True)]
            for some in (self._seen[2 * part : 3 * part], self._seen[-part:])
        )
        for what, before, after, room in zip(("blocks", "resident bytes", "tasks"), middle, end, ROOM, strict=True):
            print(f"{what}: {before:,} in the third fifth, {after:,} in the last")
            if after > before + room:
                raise Broken(f"grows: {what}")


@contextmanager
def swallowed() -> Generator[None, None, None]:
    """What a peer survives but should not have met, it logs as an error; here that is a failure."""
    log = logging.getLogger("ebt_trio")
    handler, propagated = _Errors(logging.ERROR), log.propagate
    log.addHandler(handler)
    log.propagate = False  # what peers are refused for is of no interest here
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = propagated


class _Errors(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise Broken(record.getMessage()) from (record.exc_info[1] if record.exc_info else None)

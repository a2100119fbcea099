"""What the demo replicates: lines of real files, spread over the peers' feeds."""

from __future__ import annotations

import hashlib
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from ..errors import Failure

__all__ = ["Part", "spread", "standard_library"]

LIVE: Final = 2000
"""At most so many lines of each part are appended while replication runs; the others before."""


@dataclass(frozen=True, slots=True)
class Part:
    """One feed's share: files of what is there when the peers meet, and of what comes then."""

    before: Path
    live: Path
    messages: int
    size: int
    """bytes"""
    digest: str
    """SHA-256 of ``before`` and ``live``"""


def standard_library() -> list[Path]:
    """The sources of Python's standard library."""
    root = Path(sysconfig.get_path("stdlib"))
    return sorted(path for path in root.rglob("*.py") if "site-packages" not in path.parts)


def spread(files: Sequence[Path], peers: int, limit: int | None, directory: Path) -> list[Part]:
    """Cut the files' lines, at most ``limit``, into one part for each peer, and write them into ``directory``.

    :raises Failure: there are fewer lines than peers
    :raises OSError: a file cannot be read
    """
    total = sum(1 for _ in islice(_lines(files), limit))
    if total < peers:
        raise Failure(f"{total} lines are too few for {peers} peers", 2)
    lines = islice(_lines(files), limit)
    shares = [total * (peer + 1) // peers - total * peer // peers for peer in range(peers)]
    return [_write(islice(lines, share), share, directory, f"part{peer}") for peer, share in enumerate(shares)]


def _lines(files: Sequence[Path]) -> Iterator[bytes]:
    """The lines of the files one behind the other; a last line without a newline goes on in the next file."""
    begun = b""
    for path in files:
        with path.open("rb") as file:
            for line in file:
                whole = begun + line
                if whole.endswith(b"\n"):
                    begun = b""
                    yield whole
                else:
                    begun = whole
    if begun:
        yield begun


def _write(lines: Iterator[bytes], count: int, directory: Path, name: str) -> Part:
    live = min(LIVE, count // 4)
    digest = hashlib.sha256()
    before_path, live_path = directory / f"{name}.txt", directory / f"{name}.live.txt"
    size = 0
    with before_path.open("wb") as before_file, live_path.open("wb") as live_file:
        for number, line in enumerate(lines):
            digest.update(line)
            size += len(line)
            (before_file if number < count - live else live_file).write(line)
    return Part(before_path, live_path, count, size, digest.hexdigest())

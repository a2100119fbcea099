"""What a disk could hold if the power went: read from the log that ``disk_shim.c`` has written.

What counts is what POSIX promises, and nothing that some file system does besides: an fsync of a file makes its bytes
durable, not its name; a name is durable after an fsync of its directory. Whatever else was written may be there or
not, in any order, each sector of 512 bytes by itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random
from typing import Final

from disk_log import Kind, Record, read_log

__all__ = ["Directory", "Disk", "Fate", "File", "record"]

SECTOR: Final = 512
_EMPTIED: Final = os.O_TRUNC


class Fate(Enum):
    """What becomes of that which was not synced."""

    LOST = "lost"
    KEPT = "kept"
    """As when the process is killed, and the system goes on."""
    FIRST = "first"
    """In order, up to some moment."""
    SOME = "some"
    """Any part of it: whole operations, and of the others any sectors."""
    TORN = "torn"
    """Any sectors of it."""


@dataclass(slots=True)
class _Node:
    syncs: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """Of each fsync, when it began and when it returned."""

    def durable_until(self, moment: int) -> int:
        """What was done before that is durable at ``moment``."""
        return max((began for began, done in self.syncs if done < moment), default=0)


@dataclass(slots=True)
class File(_Node):
    steps: list[tuple[int, int, bytes | None]] = field(default_factory=list[tuple[int, int, bytes | None]])
    """When, where, what was written; None: cut off or extended there."""

    def content(self, moment: int, fate: Fate, until: int, rng: Random) -> bytes:
        """:param until: for ``Fate.FIRST``"""
        durable = self.durable_until(moment)
        content = bytearray()
        rest: list[tuple[int, int, bytes | None]] = []
        for step in self.steps:
            if step[0] < durable:
                _apply(content, step[1], step[2])
            elif step[0] < moment:
                rest.append(step)
        odds = rng.choice((0.1, 0.5, 0.9))
        for when, at, data in rest:
            if fate is Fate.KEPT or (fate is Fate.FIRST and when < until):
                _apply(content, at, data)
            elif fate in (Fate.SOME, Fate.TORN):
                torn = data is not None and (fate is Fate.TORN or rng.random() < 0.5)
                for start, part in _sectors(at, data or b"") if torn else [(at, data)]:
                    if rng.random() < odds:
                        _apply(content, start, part)
        if fate in (Fate.SOME, Fate.TORN) and rng.random() < 0.3:  # the length is there, the bytes are not
            content.extend(bytes(max(0, self._length(moment) - len(content))))
        return bytes(content)

    def _length(self, moment: int) -> int:
        length = 0
        for when, at, data in self.steps:
            if when < moment:
                length = at if data is None else max(length, at + len(data))
        return length


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    length = len(content)
    if data is None:
        del content[at:]
        content.extend(bytes(max(0, at - length)))
        return
    content.extend(bytes(max(0, at - length)))
    content[at : at + len(data)] = data


def _sectors(at: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    start, end = at, at + len(data)
    while start < end:
        following = min(end, (start // SECTOR + 1) * SECTOR)
        yield start, data[start - at : following - at]
        start = following


@dataclass(slots=True)
class Directory(_Node):
    steps: list[tuple[int, str, File | Directory | None]] = field(
        default_factory=list["tuple[int, str, File | Directory | None]"]
    )
    """When, which name, what it names from then on."""
    names: dict[str, File | Directory] = field(default_factory=dict[str, "File | Directory"])
    """As the process sees it."""

    def put(self, when: int, name: str, node: File | Directory | None) -> None:
        self.steps.append((when, name, node))
        if node is None:
            self.names.pop(name, None)
        else:
            self.names[name] = node

    def entries(self, moment: int, fate: Fate, until: int, rng: Random) -> dict[str, File | Directory]:
        durable = self.durable_until(moment)
        entries: dict[str, File | Directory] = {}
        kept: dict[int, bool] = {}  # a renaming is two steps of one moment
        for when, name, node in self.steps:
            if when >= moment:
                break
            if when >= durable and when not in kept:
                some = fate in (Fate.SOME, Fate.TORN) and rng.random() < 0.5
                kept[when] = some or fate is Fate.KEPT or (fate is Fate.FIRST and when < until)
            if not kept.get(when, True):
                continue
            if node is None:
                entries.pop(name, None)
            else:
                entries[name] = node
        return entries


class Disk:
    """All that a process has done to the files below ``root``, which was empty, and durable, before.

    :raises AssertionError: the log does not explain the files that are there: the shim has missed something
    """

    def __init__(self, root: Path, records: Sequence[Record]) -> None:
        self._root = str(root)
        self._top = Directory()
        self.records = records
        self._open: dict[int, File | Directory] = {}
        self._begun: dict[int, tuple[int, File | Directory]] = {}
        for when, record in enumerate(records, 1):
            self._read(when, record)
        self.end = len(records) + 1
        """The moment after everything."""

    def notes(self) -> Sequence[tuple[int, str]]:
        """When, and what."""
        return [(when, record.path) for when, record in enumerate(self.records, 1) if record.kind is Kind.NOTE]

    def cut(self, moment: int, fate: Fate, rng: Random, target: Path) -> None:
        """Fill ``target``, which is empty or missing, with what there may be if the power goes before ``moment``."""
        until = rng.randint(1, moment)
        target.mkdir(exist_ok=True)
        for path, content in self._tree(self._top, target, moment, fate, until, rng):
            if content is None:
                path.mkdir()
            else:
                path.write_bytes(content)
                path.chmod(0o600)

    def check(self) -> None:
        """:raises AssertionError: there are other files than the log says"""
        found = {
            str(path): None if path.is_dir() else path.read_bytes()
            for path in Path(self._root).rglob("*")
            if not path.name.endswith("-shm")
        }
        told = dict(self._tree(self._top, Path(self._root), self.end, Fate.KEPT, 0, Random(0)))
        assert {str(path): content for path, content in told.items()} == found, "the shim has missed something"

    def _tree(
        self, directory: Directory, where: Path, moment: int, fate: Fate, until: int, rng: Random
    ) -> Generator[tuple[Path, bytes | None]]:
        for name, node in directory.entries(moment, fate, until, rng).items():
            if isinstance(node, Directory):
                yield where / name, None
                yield from self._tree(node, where / name, moment, fate, until, rng)
            else:
                yield where / name, node.content(moment, fate, until, rng)

    # -- reading the log

    def _read(self, when: int, record: Record) -> None:
        kind, fd, number = record.kind, record.fd, record.number
        if kind is Kind.OPEN:
            self._opened(when, record)
        elif kind in (Kind.WRITE, Kind.TRUNCATE):
            file = self._open[fd]
            assert isinstance(file, File)
            file.steps.append((when, number, record.data if kind is Kind.WRITE else None))
        elif kind is Kind.SYNC_BEGIN:
            self._begun[number] = when, self._open[fd]
        elif kind is Kind.SYNC_END:
            began, node = self._begun.pop(number)
            node.syncs.append((began, when))
        elif kind is Kind.MKDIR:
            directory, name = self._place(record.path)
            directory.put(when, name, Directory())
        elif kind in (Kind.UNLINK, Kind.RMDIR):
            directory, name = self._place(record.path)
            directory.put(when, name, None)
        elif kind in (Kind.RENAME, Kind.LINK):
            directory, name = self._place(record.path)
            other, new = self._place(record.data.decode("utf-8", "surrogateescape"))
            other.put(when, new, directory.names[name])
            if kind is Kind.RENAME:
                directory.put(when, name, None)

    def _opened(self, when: int, record: Record) -> None:
        if record.path == self._root:
            self._open[record.fd] = self._top
            return
        directory, name = self._place(record.path)
        node = directory.names.get(name)
        if node is None:
            node = File()
            directory.put(when, name, node)
        elif record.number & _EMPTIED and isinstance(node, File):
            node.steps.append((when, 0, None))
        self._open[record.fd] = node

    def _place(self, path: str) -> tuple[Directory, str]:
        *folders, name = path.removeprefix(self._root).strip("/").split("/")
        directory = self._top
        for folder in folders:
            below = directory.names[folder]
            assert isinstance(below, Directory)
            directory = below
        return directory, name


def record(command: Sequence[str], shim: Path, folder: Path, *, sync_us: int = 0, killed_in: int = 0) -> Disk:
    """Run a command, and have its work in ``folder``/disk, which is made, written down in ``folder``/log.

    Called again with the same folder it goes on there, as after a crash, with the system still up.

    :param sync_us: how long a sync takes at most, in microseconds
    :param killed_in: which of its syncs, from 1, the process does not survive; 0: it ends in order
    :raises AssertionError: it has failed
    """
    root, log = folder / "disk", folder / "log"
    root.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": str(shim),
        "DISK_ROOT": str(root),
        "DISK_LOG": str(log),
        "DISK_SYNC_US": str(sync_us),
        "DISK_KILL": str(killed_in),
    }
    done = subprocess.run(command, env=environment)
    assert done.returncode == (-signal.SIGKILL if killed_in else 0)
    disk = Disk(root, list(read_log(log)))
    disk.check()
    return disk

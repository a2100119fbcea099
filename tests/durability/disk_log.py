"""Having a process written down by ``disk_shim.c``, and reading what it has written."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Final

__all__ = ["Kind", "Record", "build_shim", "note", "read_log", "why_not"]

_HEAD: Final = Struct("<IiqII")
_SHIM: Final = Path(__file__).with_name("disk_shim.c")


def why_not() -> str | None:
    """Why power cannot be cut here; None: it can."""
    if sys.platform != "linux":
        return "the shim is for Linux"
    return None if shutil.which("cc") or shutil.which("gcc") else "there is no C compiler"


def build_shim(folder: Path) -> Path:
    """The shim as a shared library in ``folder``."""
    made = folder / "disk_shim.so"
    compiler = shutil.which("cc") or shutil.which("gcc") or "cc"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(made), str(_SHIM), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return made


def note(line: str) -> None:
    """In the command: write this down where it stands between what is done to the disk."""
    ctypes.CDLL(None).disk_note(line.encode())


class Kind(IntEnum):
    """As in the shim."""

    OPEN = 1
    WRITE = 2
    TRUNCATE = 3
    UNLINK = 4
    RENAME = 5
    LINK = 6
    MKDIR = 7
    RMDIR = 8
    SYNC_BEGIN = 9
    SYNC_END = 10
    NOTE = 11


@dataclass(frozen=True, slots=True)
class Record:
    kind: Kind
    fd: int
    number: int
    path: str
    data: bytes


def read_log(path: Path) -> Iterator[Record]:
    """All whole records; who was killed may leave a part of one."""
    data = memoryview(path.read_bytes())
    at = 0
    while at + _HEAD.size <= len(data):
        kind, fd, number, first, second = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if at + first + second > len(data):
            return
        name = bytes(data[at : at + first]).decode("utf-8", "surrogateescape")
        yield Record(Kind(kind), fd, number, name, bytes(data[at + first : at + first + second]))
        at += first + second

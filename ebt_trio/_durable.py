"""For the few files beside a store: what has been written survives a power cut, the file's name included."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["make_directory", "sync", "sync_directory"]

_CANNOT: Final = (errno.EACCES, errno.EINVAL, errno.ENOTSUP)


def sync(descriptor: int) -> None:
    """What was written to this file is durable when this returns.

    :raises OSError: the disk failed
    """
    if sys.platform == "darwin":  # there an fsync leaves it in the disk's cache
        from fcntl import F_FULLFSYNC, fcntl

        with suppress(OSError):  # not on every file system
            fcntl(descriptor, F_FULLFSYNC)
            return
    os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Names made, changed and removed in it are durable when this returns, where a directory can be synced at all.

    :raises OSError: the disk failed
    """
    if os.name != "posix":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            sync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise


def make_directory(path: Path, mode: int) -> None:
    """Make a directory, and those above it, unless it is there; it is durable when this returns.

    :raises OSError: it cannot be made
    """
    above = [path.parent]
    while not above[-1].exists():
        above.append(above[-1].parent)
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for directory in above:
        sync_directory(directory)

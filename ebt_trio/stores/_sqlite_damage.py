"""What can have happened to the file of a :class:`~.sqlite.SQLiteStore` that SQLite does not see: damage, or a move."""

from __future__ import annotations

import os
from collections.abc import Sequence
from operator import gt
from pathlib import Path
from typing import Any, Final

from ..core.types import MAX_SEQUENCE
from ..errors import StoreError

__all__ = ["RECOVER", "Place", "check_heads", "checked", "damaged"]

RECOVER: Final = "Restore a backup, or delete it and fetch the feeds from other peers"


def damaged(path: Path, what: str) -> StoreError:
    """For damage that SQLite does not see."""
    return StoreError(f"the store at {path} is damaged: {what}. {RECOVER}")


def checked(path: Path, rows: Sequence[Sequence[Any]], *kinds: type | tuple[type, ...]) -> None:
    """SQLite has no checksums, and keeps a value of any type in any column: is it what we have put there?

    :param kinds: of each column
    :raises StoreError: it is not
    """
    for values, kind in zip(zip(*rows, strict=True), kinds, strict=False):
        found = set(map(type, values))
        if not found <= (set(kind) if isinstance(kind, tuple) else {kind}):
            raise damaged(
                path, f"it has values of the types {', '.join(sorted(one.__name__ for one in found))} in a place"
            )


def check_heads(path: Path, firsts: Sequence[int], heads: Sequence[int]) -> None:
    """
    :raises StoreError: not what a feed can have: its first message, and its last
    """
    if any(map(gt, firsts, heads)) or (heads and not (min(firsts) >= 1 and max(heads) <= MAX_SEQUENCE)):
        raise damaged(path, "it has feeds that end before they begin")


class Place:
    """The files of an open store. SQLite goes on with files that have been deleted or replaced, and nobody would find
    again what it writes.

    :param path: of an open store that has been read already, so that all its files are there
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        files = (os.fspath(path), f"{path}-wal")
        self._known = {file: found for file in files if (found := _identity(file)) is not None}

    def check(self) -> None:
        """
        :raises StoreError: they are not where they were
        """
        for file, known in self._known.items():
            if _identity(file) != known:
                raise StoreError(
                    f"writing the store at {self._path} failed: {file} was deleted or replaced while it was open; "
                    "put it back, or start again with what is there now"
                )


def _identity(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino

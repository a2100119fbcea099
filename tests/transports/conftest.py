"""Nothing may stay behind: every test here is checked for file descriptors it left open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

FDS = Path("/proc/self/fd")


def open_files() -> list[str]:
    found: list[str] = []
    for entry in FDS.iterdir():
        try:
            target = os.readlink(entry)
        except OSError:  # the directory's own descriptor, closed by now
            continue
        found.append(target)
    return sorted(found)


@pytest.fixture(autouse=True)
def no_file_left_open() -> Iterator[None]:
    if not FDS.is_dir():
        yield
        return
    before = open_files()
    yield
    after = open_files()
    assert len(after) <= len(before), f"left open: {set(after) - set(before)}"

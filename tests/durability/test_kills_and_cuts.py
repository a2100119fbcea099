"""A few of the kills and power cuts of ``nox -s durability``, and that those who lie are found out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills need fork")


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips where power cannot be cut."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import disk_log

    if reason := disk_log.why_not():
        pytest.skip(reason)


def campaign(program: str, *arguments: str) -> tuple[int, int]:
    """Runs it; returns how many kills or cuts there were, and with losses."""
    command = [sys.executable, str(FOLDER / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    told = re.search(r"^(\d+) (?:kills|power cuts) .*: (\d+) with losses", done.stdout, re.MULTILINE)
    assert told, done.stdout + done.stderr
    assert done.returncode == (told[2] != "0"), done.stdout + done.stderr
    if told[2] != "0":
        print(done.stdout)  # with the command that does it again
    return int(told[1]), int(told[2])


def is_found_out(program: str, *arguments: str) -> bool:
    """Which moments are hit is up to the machine, too: one campaign of a few may miss what is there."""
    return any(campaign(program, *arguments, "--seed", str(seed))[1] for seed in range(4, 12))


@needs_fork
def test_killed_processes_lose_nothing() -> None:
    assert campaign("kills.py", "--kills", "15", "--seed", "4") == (15, 0)


@needs_fork
def test_a_store_that_says_so_too_early_is_found_out_by_kills() -> None:
    assert is_found_out("kills.py", "--kills", "5", "--synchronous", "EARLY")


def test_power_cuts_lose_nothing(power: None) -> None:
    assert campaign("cuts.py", "--cuts", "25", "--seed", "4") == (25, 0)


@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
def test_who_syncs_too_little_is_found_out_by_power_cuts(power: None, synchronous: str) -> None:
    """NORMAL is one of ours: a power cut may undo the last messages, as SQLiteStore says."""
    assert is_found_out("cuts.py", "--cuts", "10", "--synchronous", synchronous)

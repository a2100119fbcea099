"""A process is killed while it syncs; the next one finds what was written, and tells it; then the power goes.

What the first one wrote is in the system's memory only: it has to be on the disk before anybody hears of it. If it is
lost, and it is our own feed, the next message would take the same sequence, and fork it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from ebt_trio import PlainFormat

FOLDER = Path(__file__).parent


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType, ModuleType]:
    monkeypatch.syspath_prepend(str(FOLDER))
    import disk_log
    import evidence
    import power_disk

    if reason := disk_log.why_not():
        pytest.skip(reason)
    return disk_log, evidence, power_disk


@pytest.mark.parametrize("killed_in", [3, 7, 11, 12, 13])
def test_what_a_crashed_process_has_left_is_durable_before_it_is_told(
    tools: tuple[ModuleType, ModuleType, ModuleType], killed_in: int, tmp_path: Path
) -> None:
    disk_log, evidence, power_disk = tools
    shim = disk_log.build_shim(tmp_path)
    command = [sys.executable, str(FOLDER / "restarted.py"), str(tmp_path / "disk")]
    power_disk.record([*command, "write"], shim, tmp_path, killed_in=killed_in)
    disk = power_disk.record(command, shim, tmp_path)
    promised = evidence.Evidence()
    for _, line in disk.notes():
        promised.note(line)
    assert promised.promises == (killed_in > 10)  # before that the store is being made
    for fate in power_disk.Fate:
        place = tmp_path / fate.value
        disk.cut(disk.end, fate, Random(1), place)
        assert evidence.lost_in(place / "db", promised, "alice", PlainFormat()) == []

"""What ``ebt init``, ``ebt allow`` and ``Identity.save`` have written is there after a power cut, at any moment."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
import trio

from ebt_trio import Identity
from ebt_trio.cli.home import Home

FOLDER = Path(__file__).parent


@pytest.fixture
def power_disk(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    import disk_log
    import power_disk

    if reason := disk_log.why_not():
        pytest.skip(reason)
    return power_disk


def recorded(power_disk: ModuleType, folder: Path) -> Any:
    command = [sys.executable, str(FOLDER / "home_files.py"), str(folder / "disk")]
    return power_disk.record(command, sys.modules["disk_log"].build_shim(folder), folder)


def test_a_power_cut_at_any_moment(power_disk: ModuleType, tmp_path: Path) -> None:
    disk = recorded(power_disk, tmp_path)
    notes = [(when, json.loads(line)) for when, line in disk.notes()]
    lists = [[], *(said[1:] for _, said in notes if said[0] == "allowed")]
    assert len(notes) == 5
    cuts = 0
    for moment in range(notes[0][0], disk.end + 1):
        for fate in power_disk.Fate:
            cuts += 1
            place = tmp_path / f"{moment} {fate.value}"
            disk.cut(moment, fate, Random(moment), place)
            home = Home(place / "new" / "below" / "home")
            said = [what for when, what in notes if when < moment]
            for what, *ids in said:
                if what == "home":
                    assert [str(home.identity())] == ids
                elif what == "key":
                    assert [str(Identity.load(place / "key"))] == ids
            at_least = max((len(ids) for what, *ids in said if what == "allowed"), default=0)
            assert home.allowed() in lists[at_least : at_least + 2]
            if said and said[0][0] == "home" and moment % 10 == 0:
                trio.run(opened, home)
    assert cuts > 100


def test_a_power_cut_while_a_home_is_made(power_disk: ModuleType, tmp_path: Path) -> None:
    """What there is then is a home, or can be made one."""
    disk = recorded(power_disk, tmp_path)
    made = disk.notes()[0][0]
    rng = Random(1)
    for number in range(20):
        place = tmp_path / str(number)
        disk.cut(rng.randint(1, made), rng.choice(list(power_disk.Fate)), rng, place)
        home = Home(place / "new" / "below" / "home")
        if not (home.key.exists() and home.store.exists()):
            trio.run(home.create)
        trio.run(opened, home)


async def opened(home: Home) -> None:
    async with home.ebt() as ebt:
        await ebt.append("here")
        assert ebt.clock == {ebt.feed: 1}

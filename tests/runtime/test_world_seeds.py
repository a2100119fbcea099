"""Worlds drawn from seeds: a network, work, faults; then all must be everywhere, and everybody at rest."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ebt_trio import MemoryStore
from ebt_trio.core.types import FeedHead, Run
from ebt_trio.errors import StoreError
from ebt_trio.testing.world import WorldBroken
from ebt_trio.testing.world.scenarios import Settings, draw, run

SMALL = Settings(peers=(2, 4), steps=14)


@pytest.mark.parametrize("seed", range(20))
def test_everything_arrives(seed: int) -> None:
    run(draw(seed, SMALL), seed)


@pytest.mark.parametrize("seed", range(3))
def test_everything_arrives_though_minds_change(seed: int) -> None:
    run(draw(seed, Settings(peers=(2, 4), steps=14, flips=True)), seed)


def test_a_scenario_is_drawn_from_its_seed() -> None:
    assert draw(5) == draw(5)
    assert draw(5) != draw(6)
    assert {peer[0] for peer in draw(5, Settings(peers=(4, 4))).peers} == {"p0", "p1", "p2", "p3"}


def test_a_store_that_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore._append  # pyright: ignore[reportPrivateUsage]

    def forgets(self: MemoryStore, run: Run) -> FeedHead | StoreError:
        return FeedHead(run.feed, 1, run.last) if run.exact and run.first == 1 else store(self, run)

    monkeypatch.setattr(MemoryStore, "_append", forgets)
    with pytest.raises(WorldBroken):
        run(draw(0, SMALL), 0)


def test_the_command() -> None:
    command = [sys.executable, "-m", "ebt_trio.testing.world", "--seeds", "1", "--start", "3", "--steps", "4"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 seeds, 0 failed")

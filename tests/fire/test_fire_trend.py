"""The test for trends itself: it finds what grows, and only that."""

from __future__ import annotations

from random import Random

import pytest
import trio
from gauge import Sample, take
from trend import second_half, trend

TIMES = [float(second) for second in range(200)]


def noisy(rng: Random, slope: float = 0.0) -> list[float]:
    """Around ten thousand, with a peak now and then."""
    return [
        10_000 + slope * at + rng.gauss(0, 100) + (5000 if rng.random() < 0.05 else 0) for at in TIMES
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_noise_and_peaks_are_no_trend(seed: int) -> None:
    found = trend(TIMES, noisy(Random(seed)), 50, 0.005)
    assert not found.grows, found


@pytest.mark.parametrize("seed", range(20))
def test_a_leak_of_three_percent_is_found_below_noise(seed: int) -> None:
    found = trend(TIMES, noisy(Random(seed), slope=300 / 200), 50, 0.01)
    assert found.grows, found
    assert 150 < found.growth < 450


def test_what_is_small_is_no_trend_however_certain() -> None:
    found = trend(TIMES, TIMES, 200, 0)
    assert found.certainty > 10
    assert not found.grows
    assert trend(TIMES, TIMES, 198, 0).grows


def test_what_shrinks_does_not_grow() -> None:
    assert not trend(TIMES, [-at for at in TIMES], 0, 0).grows


def test_many_samples() -> None:
    times = [at / 10 for at in range(3000)]
    assert trend(times, times, 1, 0).grows


async def test_filling_up_is_forgiven_a_leak_behind_it_is_not() -> None:
    """Also: each figure is looked at."""
    now = take()
    assert now.tasks > 0
    assert now.objects > 0

    def sample(at: float, **figures: float) -> Sample:
        return Sample(**{**vars(now), "at": at, **figures})

    filling = [min(at, 99) * 1e6 for at in TIMES]
    steady = [sample(at, traced=int(size)) for at, size in zip(TIMES, filling, strict=True)]
    assert not any(found.grows for found in second_half(steady).values())
    for name in ("traced", "objects", "files", "tasks"):
        leaking = [sample(at, **{name: getattr(now, name) * (1 + at / 100) + at * 1e5}) for at in TIMES]
        assert [key for key, found in second_half(leaking).items() if found.grows] == [name]
    await trio.lowlevel.checkpoint()

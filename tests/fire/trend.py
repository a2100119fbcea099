"""Does something grow? See :func:`trend`: neither noise nor single peaks mislead it. And how a long run ends."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from gauge import Sample

__all__ = ["TOLERANCES", "Trend", "concluded", "second_half", "trend", "usage"]

CERTAIN: Final = 2.58
"""Standard deviations beyond which a tendency is none of chance: one in a hundred."""
MOST: Final = 300
"""Of more samples, medians of groups are looked at: each pair of them is compared."""
TOLERANCES: Final = {"traced": (1 << 20, 0.02), "objects": (2000.0, 0.02), "files": (5.0, 0.02), "tasks": (10.0, 0.02)}
"""By how much it may grow over the second half: so much, or such a share of its median, whichever is more."""


@dataclass(frozen=True)
class Trend:
    """What became of a series."""

    middle: float
    """Its median."""
    growth: float
    """By how much it has grown from its first moment to its last, by its slope."""
    tolerance: float
    certainty: float
    """Of the tendency, in standard deviations (Mann and Kendall's test); above 0: it grows."""

    @property
    def grows(self) -> bool:
        """It grows by more than is tolerated, and not by chance."""
        return self.growth > self.tolerance and self.certainty > CERTAIN

    def __str__(self) -> str:
        return (
            f"median {self.middle:,.0f}, growth {self.growth:+,.0f} of {self.tolerance:,.0f}, z {self.certainty:+.1f}"
        )


def trend(times: Sequence[float], values: Sequence[float], least: float, share: float) -> Trend:
    """The slope is that of Theil and Sen, the median of the slopes of all pairs, so that peaks count as little as they
    last. What is certain and small is no trend, nor what is large and may be chance.

    :param least: so much growth is tolerated in any case
    :param share: of the median, likewise
    """
    times, values = _fewer(times), _fewer(values)
    slopes: list[float] = []
    ups = 0
    for i in range(len(values)):
        for j in range(i):
            slopes.append((values[i] - values[j]) / (times[i] - times[j]))
            ups += (values[i] > values[j]) - (values[i] < values[j])
    n = len(values)
    spread = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    middle = median(values)
    growth = median(slopes) * (times[-1] - times[0])
    return Trend(middle, growth, max(least, share * abs(middle)), ups / spread)


def second_half(samples: Sequence[Sample]) -> dict[str, Trend]:
    """By what is measured, its trend once all has had half of the time to fill up."""
    later = samples[len(samples) // 2 :]
    times = [sample.at for sample in later]
    return {
        name: trend(times, [float(getattr(sample, name)) for sample in later], least, share)
        for name, (least, share) in TOLERANCES.items()
    }


def usage(samples: Sequence[Sample], seconds: float) -> tuple[list[str], dict[str, Any]]:
    """What grows, if it went on for long enough to tell; and what was used, for the result."""
    trends = second_half(samples) if seconds >= 60 else {}
    grows = [f"{name} grows: {found}" for name, found in trends.items() if found.grows]
    first, last = samples[0], samples[-1]
    return grows, {
        "CPU share": (last.cpu - first.cpu) / max(last.at - first.at, 1e-9),
        "resident at most": max(sample.resident for sample in samples),
        "traced at most": max(sample.peak for sample in samples),
        "trends": {name: asdict(found) | {"grows": found.grows} for name, found in trends.items()},
    }


def concluded(result: dict[str, Any], file: Path | None) -> int:
    """Show a result, to people and in the file, if any; the exit status that it deserves."""
    text = json.dumps(result, indent=2)
    print(text)
    if file is not None:
        file.write_text(text + "\n")
    return bool(result["failed"])


def _fewer(values: Sequence[float]) -> Sequence[float]:
    size = -(-len(values) // MOST)
    return [median(values[start : start + size]) for start in range(0, len(values), size)]

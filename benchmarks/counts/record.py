"""What is compared: figures per unit of each work with those in ``recorded.json``, beside this file.

Calls and lines differ a little between versions of Python, so that they are recorded for each version, and compared
where the version that runs has been recorded. The others are the same for all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.counts.counter import BY_VERSION, C_CALLS, FIGURES, LINES

FILE = Path(__file__).parent / "recorded.json"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
ANY = "any version"
SHARE = 0.02
"""How much a figure may rise, as a part of itself …"""
EACH = 0.5
"""… and per unit: one call more for each message is too much, even beside hundreds …"""
MANY = 1000
"""… but not beside thousands."""
LITTLE = 0.01
"""What is done once for hundreds of messages may be done a little more often."""
COARSE = (C_CALLS, LINES)
"""May rise by a part of themselves only."""
DIGITS = 4

Figures = dict[str, float]


@dataclass(frozen=True)
class Measured:
    """Of one work, per unit."""

    figures: Mapping[str, float]
    modules: Mapping[str, float]


@dataclass(frozen=True)
class Change:
    """A figure that is not what has been recorded."""

    work: str
    figure: str
    before: float
    now: float
    where: str = ""
    """Which modules have risen most."""

    @property
    def rose(self) -> bool:
        """Too far, or the figure counts nothing any more: what it counted has another name now."""
        room = self.before * SHARE
        if self.figure not in COARSE and self.before < MANY:
            room = min(room, EACH)
        room = max(room, LITTLE)
        return self.now > self.before + room or (self.now == 0 and self.before > 0)

    @property
    def fell(self) -> bool:
        return not self.rose and self.now < self.before * (1 - SHARE)

    def __str__(self) -> str:
        share = f"{100 * (self.now / self.before - 1):+.1f} %" if self.before else "new"
        return f"{self.work:<16} {self.figure:<12} {self.before:>10.3f} {self.now:>10.3f} {share:>9}  {self.where}"


HEADINGS = f"{'work':<16} {'per unit':<12} {'recorded':>10} {'now':>10}"


class Record:
    """The figures that are kept in a file."""

    def __init__(self, path: Path = FILE) -> None:
        self._path = path
        self._kept: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    @property
    def versions(self) -> list[str]:
        return sorted(version for version in self._kept if version != ANY)

    def changes(self, now: Mapping[str, Measured]) -> Iterator[Change]:
        """All figures of all works that have been recorded for any version, or for this one."""
        for work, measured in now.items():
            for figure, value in measured.figures.items():
                kept = self._kept.get(_kind(figure), {}).get(work, {})
                if figure not in kept.get("figures", {}):
                    continue
                where = _risen(kept.get("modules", {}), measured.modules) if figure in BY_VERSION else ""
                yield Change(work, figure, kept["figures"][figure], round(value, DIGITS), where)

    def unknown(self, now: Mapping[str, Measured]) -> list[str]:
        """Works that nobody has recorded."""
        return [work for work in now if work not in self._kept.get(ANY, {})]

    def take(self, now: Mapping[str, Measured]) -> None:
        """Keep these; works that are not among them, and other versions' figures, stay."""
        for version in (ANY, VERSION):
            for work, measured in now.items():
                figures = {
                    figure: round(measured.figures[figure], DIGITS) for figure in FIGURES if _kind(figure) == version
                }
                kept: dict[str, Any] = {"figures": figures}
                if version != ANY:
                    kept["modules"] = {module: round(calls, 3) for module, calls in sorted(measured.modules.items())}
                self._kept.setdefault(version, {})[work] = kept
        self._path.write_text(json.dumps(self._kept, indent=1) + "\n", "utf-8")


def _kind(figure: str) -> str:
    return VERSION if figure in BY_VERSION else ANY


def _risen(before: Mapping[str, float], now: Mapping[str, float]) -> str:
    more = {module: calls - before.get(module, 0.0) for module, calls in now.items()}
    most: Sequence[tuple[str, float]] = sorted(more.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{module} {rise:+.2f}" for module, rise in most if rise > 0.01)

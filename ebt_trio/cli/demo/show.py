"""What the demo shows: bars on a terminal, lines otherwise, and the table at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = ["Show", "table"]

LINE_EVERY: Final = 2.0
"""Seconds between two lines about progress, where there are no bars."""


class Show:
    """Says what happens, for the length of a ``with`` block."""

    def __init__(self, console: Console, names: Sequence[str], links: Sequence[str]) -> None:
        self._console = console
        self._names = names
        self._links = links
        self._started = self._line_at = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Show:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Something has happened."""
        self._console.print(
            f"{time.monotonic() - self._started:5.1f} s  {text}", highlight=False, markup=False, soft_wrap=True
        )

    def progress(self, counts: Sequence[int], states: Sequence[str], total: int, rate: float) -> None:
        """How many messages each peer holds, of how many."""
        if self._live is not None:
            self._live.update(self._bars(counts, states, total, rate), refresh=True)
        elif time.monotonic() >= self._line_at:
            self._line_at = time.monotonic() + LINE_EVERY
            shares = ", ".join(f"{name} {count / total:.0%}" for name, count in zip(self._names, counts, strict=True))
            self.say(f"{shares} of {total:,}; {rate:,.0f} messages/s stored")

    def _bars(self, counts: Sequence[int], states: Sequence[str], total: int, rate: float) -> Group:
        grid = Table.grid(padding=(0, 1))
        for name, count, state, links in zip(self._names, counts, states, self._links, strict=True):
            grid.add_row(
                Text(name, style="bold"),
                ProgressBar(total=total, completed=count, width=30),
                Text(f"{count:>9,}"),
                Text(f"{state:<8}", style="bold red" if state == "killed" else "green"),
                Text(links, style="dim", no_wrap=True, overflow="ellipsis"),
            )
        foot = f"{time.monotonic() - self._started:5.1f} s  {rate:,.0f} messages/s stored, of {total:,} at each peer"
        return Group(Text(""), grid, Text(foot))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The table at the end; heads that begin with ``>`` are numbers."""
    found = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        found.add_column(head.removeprefix(">"), justify="right" if head.startswith(">") else "left", no_wrap=True)
    for row in rows:
        found.add_row(*row)
    return found

"""How far an import is: a bar on a terminal, one line at the end otherwise."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["AppendMeter"]

_REFRESH: Final = 0.1


class AppendMeter:
    """Counts messages on standard error, for the length of a ``with`` block.

    :param size: bytes to come, if known
    """

    def __init__(self, size: int | None) -> None:
        self.count = 0
        self._bytes = 0
        self._size = size
        self._started = self._shown = time.monotonic()
        self._bar = _bar() if sys.stderr.isatty() else None

    def add(self, messages: int, size: int) -> None:
        """So many more messages are stored, from so many bytes."""
        self.count += messages
        self._bytes += size
        now = time.monotonic()
        if self._bar is not None and now - self._shown >= _REFRESH:
            self._shown = now
            self._bar.update(self._bar.task_ids[0], total=self._size, completed=self._bytes, said=self._said(now))
            self._bar.refresh()

    def _said(self, now: float) -> str:
        seconds = max(now - self._started, 1e-6)
        noun = "message" if self.count == 1 else "messages"
        return f"{self.count:,} {noun} in {seconds:.1f} s ({self.count / seconds:,.0f}/s)"

    def __enter__(self) -> AppendMeter:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        click.echo(f"appended {self._said(time.monotonic())}", err=True)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.fields[said]}"))
    bar = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
    bar.add_task("", total=None, said="")
    return bar

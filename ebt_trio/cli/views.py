"""What a node shows while it runs: log lines here, a live picture in :mod:`.picture`."""

from __future__ import annotations

import logging
import re
import time
from typing import Final, Protocol

import click

from .._events import Event
from ..core.actions import What
from .snapshot import Rates, Snapshot
from .tables import bytes_text

__all__ = ["LogLines", "Repeats", "View", "ViewHandler", "is_news", "log_line"]

PROGRESS_EVERY: Final = 5.0
"""Seconds between two lines about progress, while there is some."""
REPEAT_AFTER: Final = 60.0
"""The same failure is told again after so many seconds, and how often it happened meanwhile."""

_NEWS: Final = {
    What.CONNECTED,
    What.DISCONNECTED,
    What.SYNCED,
    What.LATE,
    What.INVALID,
    What.FORKED,
    What.BLOCKED,
    What.TOO_LARGE,
    What.FAILED,
    What.REFUSED,
    What.STORE_FAILED,
}


class View(Protocol):
    """Where a node shows itself."""

    interval: float
    """Seconds between two calls of :meth:`update`."""

    def update(self, snapshot: Snapshot) -> None: ...

    def event(self, event: Event) -> None: ...

    def line(self, text: str) -> None: ...

    def close(self) -> None: ...


def is_news(event: Event) -> bool:
    """Whether people who do not debug want to know."""
    return event.what in _NEWS


def log_line(text: str) -> str:
    """With the time of day, on one line."""
    return f"{time.strftime('%H:%M:%S')} {' '.join(text.split())}"


class Repeats:
    """Lets a failure through when it is new, and once a minute if it goes on."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}

    def filter(self, event: Event, now: float) -> str | None:
        """What to say; None: nothing."""
        if event.what not in (What.FAILED, What.STORE_FAILED, What.REFUSED):
            return str(event)
        text = _without_echo(str(event))
        refused = event.what is What.REFUSED
        again = "" if refused else "trying again"
        key = _without_ports(text) if refused else text
        told = self._told.get(key)
        if told is not None and now - told[0] < REPEAT_AFTER:
            self._told[key] = (told[0], told[1] + 1)
            return None
        if told is None and len(self._told) > 1000:
            self._told.clear()
        self._told[key] = (now, 0)
        if told is not None:
            times = f"{told[1] + 1} times in the last {now - told[0]:.0f} seconds"
            again = f"{again}; {times}" if again else times
        return f"{text} ({again})" if again else text


def _without_ports(text: str) -> str:
    """Who calls again calls from another port."""
    return re.sub(r":\d+(?=: )", "", text)


def _without_echo(text: str) -> str:
    """``failed: URL: cannot connect to URL: …`` says it twice."""
    return re.sub(r"^(\w[\w ]*: )(\S+): (?=.*\2)", r"\1", text)


class LogLines:
    """One line for each event, and one about progress now and then, on standard error."""

    interval = 1.0

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything
        self._repeats = Repeats()
        self._before: Snapshot | None = None

    def update(self, snapshot: Snapshot) -> None:
        before = self._before
        if before is None:
            self._before = snapshot
            return
        if snapshot.time - before.time < PROGRESS_EVERY:
            return
        self._before = snapshot
        rates = Rates.between(before.statistics, snapshot.statistics, snapshot.time - before.time)
        if snapshot.progress.fraction < 1 or rates.messages_in + rates.messages_out >= 1:
            self.line(progress_line(snapshot, rates))

    def event(self, event: Event) -> None:
        if self._everything or is_news(event):
            text = self._repeats.filter(event, time.monotonic())
            if text is not None:
                self.line(text)

    def line(self, text: str) -> None:
        click.echo(log_line(text), err=True)

    def close(self) -> None:
        pass


def progress_line(snapshot: Snapshot, rates: Rates) -> str:
    progress = snapshot.progress
    return (
        f"{progress.fraction:.1%} in sync, {progress.recv:,} to come, {progress.send:,} to send; "
        f"in {rates.messages_in:,.0f}/s ({bytes_text(rates.bytes_in)}/s), "
        f"out {rates.messages_out:,.0f}/s ({bytes_text(rates.bytes_out)}/s)"
    )


class ViewHandler(logging.Handler):
    """Brings what is logged to a view, but for events, which it gets anyway."""

    def __init__(self, view: View) -> None:
        super().__init__(logging.WARNING)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        if record.module != "_events":
            self._view.line(f"{record.levelname.lower()}: {self.format(record)}")

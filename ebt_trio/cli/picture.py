"""The live picture of a node on a terminal: peers, feeds, progress, rates."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .._events import Event
from ..core.progress import FeedStatus
from ..core.types import FeedId, SessionId
from .snapshot import Rates, Snapshot
from .tables import bytes_text, plural, short
from .views import Repeats, is_news, log_line

__all__ = ["Picture", "render"]

BAR: Final = 16
"""Columns."""
MOVING: Final = 60
"""So many feeds are looked at closely: those that moved last."""


class Picture:
    """Redraws itself at the bottom of the terminal; events scroll by above it.

    :param status: ``EBT.status``
    """

    interval = 0.25

    def __init__(self, console: Console, home: str, status: Callable[[str], FeedStatus]) -> None:
        self._home = home
        self._status = status
        self._repeats = Repeats()
        self._before: Snapshot | None = None
        self._seen: dict[FeedId, int] = {}
        self._moved: dict[FeedId, float] = {}
        """feed → messages per second; the one that moved last comes last"""
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._live.start()

    def update(self, snapshot: Snapshot) -> None:
        seconds = 0.0 if self._before is None else snapshot.time - self._before.time
        for feed, sequence in snapshot.clock.items():
            old = self._seen.get(feed, 0)
            if old != sequence:
                self._moved.pop(feed, None)
                self._moved[feed] = (sequence - old) / seconds if seconds else 0.0
                self._seen[feed] = sequence
            elif self._moved.get(feed):
                self._moved[feed] = 0.0
        newest = list(self._moved)[-MOVING:]
        feeds = [(self._status(feed), self._moved[feed]) for feed in reversed(newest) if feed in snapshot.clock]
        height = self._live.console.size.height
        self._live.update(render(snapshot, self._before, feeds, self._home, height), refresh=True)
        self._before = snapshot

    def event(self, event: Event) -> None:
        if is_news(event):
            text = self._repeats.filter(event, time.monotonic())
            if text is not None:
                self.line(text)

    def line(self, text: str) -> None:
        self._live.console.print(Text(log_line(text), style="dim"), soft_wrap=True)

    def close(self) -> None:
        self._live.stop()


def render(
    snapshot: Snapshot, before: Snapshot | None, feeds: Sequence[tuple[FeedStatus, float]], home: str, height: int
) -> RenderableType:
    """The picture.

    :param before: an earlier snapshot, for rates
    :param feeds: with messages per second, those to show first
    :param height: lines of the terminal
    """
    peer_rows = max(2, min(len(snapshot.peers), (height - 10) // 2))
    feed_rows = max(2, height - 11 - peer_rows)
    return Group(
        _head(snapshot, before, home),
        _peers(snapshot, before, peer_rows),
        Text(""),
        _feeds(snapshot, feeds, feed_rows),
    )


def _head(snapshot: Snapshot, before: Snapshot | None, home: str) -> RenderableType:
    progress = snapshot.progress
    rates = _rates(snapshot, before)
    table = Table.grid(padding=(0, 1))
    table.add_row(Text("ebt", style="bold"), Text(f"{snapshot.id}  {home}", overflow="ellipsis", no_wrap=True))
    if snapshot.network:
        table.add_row("network", Text(snapshot.network, overflow="ellipsis", no_wrap=True))
    state = "in sync" if progress.fraction >= 1 else f"{progress.recv:,} to come, {progress.send:,} to send"
    if not snapshot.peers:
        state = "no peers connected"
    bar = Table.grid(padding=(0, 1))
    bar.add_row(_bar(progress.fraction, 2 * BAR), Text(f"{progress.fraction:4.0%}  {state}", no_wrap=True))
    table.add_row("sync", bar)
    table.add_row("in", _rate(rates.messages_in, rates.bytes_in))
    table.add_row("out", _rate(rates.messages_out, rates.bytes_out))
    return Group(table, Text(""))


def _peers(snapshot: Snapshot, before: Snapshot | None, rows: int) -> Table:
    earlier: dict[SessionId, int] = {}
    if before is not None:
        earlier = {peer.session: number for number, peer in enumerate(before.peers)}
    table = _table(plural(len(snapshot.peers), "peer"), "address", "sync", "", "in/s", "out/s")
    for peer in snapshot.peers[:rows]:
        old = before.peers[earlier[peer.session]].statistics if before and peer.session in earlier else None
        rates = Rates.between(old, peer.statistics, 0.0 if before is None else snapshot.time - before.time)
        table.add_row(
            Text(short(peer.peer) if peer.peer else "connecting", style="" if peer.peer else "dim"),
            Text(peer.address, overflow="ellipsis", no_wrap=True),
            _bar(peer.progress.fraction, BAR),
            f"{peer.progress.fraction:.0%}",
            _count(rates.messages_in),
            _count(rates.messages_out),
        )
    _and_more(table, len(snapshot.peers) - rows)
    return table


def _feeds(snapshot: Snapshot, feeds: Sequence[tuple[FeedStatus, float]], rows: int) -> Table:
    table = _table(plural(len(snapshot.clock), "feed"), "from", "here", "", "messages", "new/s")
    for status, rate in feeds[:rows]:
        own = str(status.feed) == snapshot.id
        target = max([status.sequence, *(peer.acknowledged or 0 for peer in status.peers)])
        table.add_row(
            Text(short(status.feed), style="bold" if own else ""),
            "FORKED" if status.forked else "ours" if own else short(status.owner or ""),
            _bar(status.sequence / target if target else 1.0, BAR),
            "" if status.sequence >= target else f"of {target:,}",
            f"{status.sequence:,}",
            _count(rate),
        )
    _and_more(table, len(snapshot.clock) - min(len(feeds), rows))
    return table


def _table(first: str, second: str, third: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    table.add_column(first, min_width=12, no_wrap=True)
    table.add_column(second, min_width=12, max_width=36, no_wrap=True)
    table.add_column(third, min_width=BAR)
    for number in numbers:
        table.add_column(number, justify="right", min_width=8, no_wrap=True)
    return table


def _and_more(table: Table, count: int) -> None:
    if count > 0:
        table.add_row(Text(f"and {count:,} more", style="dim"))


def _bar(fraction: float, width: int) -> ProgressBar:
    return ProgressBar(total=1.0, completed=fraction, width=width)


def _count(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 0.5 else ""


def _rate(messages: float, size: float) -> str:
    return f"{messages:,.0f} messages/s, {bytes_text(size)}/s"


def _rates(snapshot: Snapshot, before: Snapshot | None) -> Rates:
    if before is None:
        return Rates()
    return Rates.between(before.statistics, snapshot.statistics, snapshot.time - before.time)

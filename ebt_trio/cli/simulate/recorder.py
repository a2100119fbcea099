"""What the picture shows, written down while a simulation runs: :class:`Recorder`.

A recording is JSON of this form. Times are whole ticks of ``tick`` seconds; lists named ``at`` hold the differences
from one row to the next, which keeps a hundred thousand rows small. The lists of one table are equally long::

    {"format": 1, "tick": 0.0001, "end": 91234,
     "peers": 100, "down": [[peer, from, until or -1], …],
     "links": {"a": […], "b": […], "latency": […], "opened": […], "closed": [… or -1]},
     "marks": [[time, "30 % of the peers fail"], …],
     "feeds": [{"author": 0,
                "appended": [when message 1 was there, 2, …],
                "asked":  {"at": […], "end": […], "eager": [1 or 0]},
                "sent":   {"at": […], "took": [… or -1: lost], "end": […], "first": […], "count": […], "new": […]},
                "stored": {"at": […], "peer": […], "head": […]}}]}

An *end* is a link and a direction: ``2 * link`` is what ``a`` sends to ``b``, ``2 * link + 1`` the other way.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from ...core.types import FeedId, PeerId, Run
from ...testing.watch import Watch

__all__ = ["FORMAT", "TICK", "Recorder"]

FORMAT: Final = 1
TICK: Final = 0.0001
"""Seconds."""
NEVER: Final = -1
QUIET: Final = 1.0
"""So many seconds are shown after the last thing that happened."""

_LINK: Final = re.compile(r"([^\s=>]+)[=>]([^\s=>]+) (connect|cut|lost|bye)\b")
_PEER: Final = re.compile(r"(\S+) (crashes|goes mute|restarts)$")


class Recorder(Watch):
    """Looks on while a simulation runs, and keeps what the picture needs.

    :param peers: all there are, in the order in which the picture numbers them
    :param feeds: whose trees and messages are kept; each is that of the peer with its name
    """

    def __init__(self, peers: Sequence[PeerId], feeds: Iterable[FeedId]) -> None:
        self._number = {peer: number for number, peer in enumerate(peers)}
        self._feeds = {feed: _FeedRecord(self._number[PeerId(feed)]) for feed in feeds}
        self._links: list[_LinkRecord] = []
        self._link_of: dict[frozenset[PeerId], int] = {}
        """the newest between two"""
        self._down: list[list[int]] = []
        self._marks: list[tuple[int, str]] = []
        self._last = 0
        """When anything happened last, in ticks."""

    def mark(self, now: float, text: str) -> None:
        """Something that people should find on the time line."""
        self._marks.append((self._tick(now), text))

    def recording(self, start: float, end: float, latencies: Mapping[tuple[PeerId, PeerId], float]) -> dict[str, Any]:
        """All of it, ready for JSON.

        :param start: its time 0, in seconds; what was before is then
        :param end: its end, in seconds; sooner, if for long nothing has happened
        :param latencies: of links, in seconds
        """
        links = self._links
        first = ticks(start)

        def since(now: int) -> int:
            return now if now == NEVER else max(0, now - first)

        return {
            "format": FORMAT,
            "tick": TICK,
            "end": since(min(ticks(end), self._last + ticks(QUIET))),
            "peers": len(self._number),
            "down": [[peer, since(at), since(until)] for peer, at, until in self._down],
            "links": {
                "a": [self._number[link.a] for link in links],
                "b": [self._number[link.b] for link in links],
                "latency": [ticks(_latency(latencies, link)) for link in links],
                "opened": [since(link.opened) for link in links],
                "closed": [since(link.closed) for link in links],
            },
            "marks": [[since(at), text] for at, text in self._marks],
            "feeds": [feed.tables(since) for feed in self._feeds.values()],
        }

    # -- what the simulation tells

    def sent(self, now: float, sender: PeerId, receiver: PeerId, kind: str, content: Any, size: int) -> None:
        if kind != "messages":
            return
        runs: Sequence[Run] = content
        for run in runs:
            feed = self._feeds.get(run.feed)
            if feed is not None:
                feed.send(self._tick(now), self._end(sender, receiver), run.first, len(run.payloads))

    def arrived(self, now: float, receiver: PeerId, sender: PeerId, run: Run, new: int) -> None:
        feed = self._feeds.get(run.feed)
        if feed is not None:
            feed.arrive(self._tick(now), self._end(sender, receiver), run.first, new)

    def stored(self, now: float, peer: PeerId, feed: FeedId, first: int, last: int) -> None:
        kept = self._feeds.get(feed)
        if kept is not None:
            kept.store(self._tick(now), self._number[peer], last)

    def asked(self, now: float, peer: PeerId, source: PeerId, feed: FeedId, eager: bool) -> None:
        kept = self._feeds.get(feed)
        if kept is not None:
            kept.asked.append((self._tick(now), self._end(source, peer), int(eager)))

    def happened(self, now: float, what: str) -> None:
        if match := _LINK.match(what):
            self._link_happened(self._tick(now), PeerId(match[1]), PeerId(match[2]), match[3])
        elif match := _PEER.match(what):
            self._peer_happened(self._tick(now), self._number[PeerId(match[1])], match[2])

    def _tick(self, now: float) -> int:
        self._last = tick = ticks(now)
        return tick

    # -- links and peers

    def _link_happened(self, now: int, a: PeerId, b: PeerId, what: str) -> None:
        pair = frozenset((a, b))
        if what == "connect":
            self._link_of[pair] = len(self._links)
            self._links.append(_LinkRecord(a, b, now))
        else:
            link = self._links[self._link_of[pair]]
            if link.closed == NEVER:
                link.closed = now

    def _peer_happened(self, now: int, peer: int, what: str) -> None:
        if what != "restarts":
            self._down.append([peer, now, NEVER])
            return
        for row in reversed(self._down):
            if row[0] == peer:
                row[2] = now
                return

    def _end(self, sender: PeerId, receiver: PeerId) -> int:
        number = self._link_of[frozenset((sender, receiver))]
        return 2 * number + (self._links[number].a != sender)


class _LinkRecord:
    __slots__ = ("a", "b", "closed", "opened")

    def __init__(self, a: PeerId, b: PeerId, opened: int) -> None:
        self.a = a
        self.b = b
        self.opened = opened
        self.closed = NEVER


class _FeedRecord:
    """What became of one feed."""

    def __init__(self, author: int) -> None:
        self._author = author
        self._appended: list[int] = []
        self.asked: list[tuple[int, int, int]] = []
        """when, end, eager"""
        self._sent: list[list[int]] = []
        """when, took, end, first, count, new"""
        self._stored: list[tuple[int, int, int]] = []
        """when, peer, head"""
        self._under_way: dict[int, deque[list[int]]] = {}
        """end → rows of ``_sent`` that have not arrived, the oldest first: links keep the order"""

    def send(self, now: int, end: int, first: int, count: int) -> None:
        row = [now, NEVER, end, first, count, 0]
        self._sent.append(row)
        self._under_way.setdefault(end, deque()).append(row)

    def arrive(self, now: int, end: int, first: int, new: int) -> None:
        waiting = self._under_way.get(end, deque[list[int]]())
        while waiting:
            row = waiting.popleft()
            if row[3] == first:
                row[1], row[5] = now - row[0], new
                return

    def store(self, now: int, peer: int, head: int) -> None:
        if peer == self._author:
            self._appended.extend([now] * (head - len(self._appended)))
        self._stored.append((now, peer, head))

    def tables(self, since: Callable[[int], int]) -> dict[str, Any]:
        return {
            "author": self._author,
            "appended": [since(at) for at in self._appended],
            "asked": _columns(("at", "end", "eager"), self.asked, since),
            "sent": _columns(("at", "took", "end", "first", "count", "new"), self._sent, since),
            "stored": _columns(("at", "peer", "head"), self._stored, since),
        }


def ticks(seconds: float) -> int:
    """A time in whole ticks."""
    return round(seconds / TICK)


def _columns(names: Sequence[str], rows: Sequence[Sequence[int]], since: Callable[[int], int]) -> dict[str, list[int]]:
    """A list a column; the first one as differences."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
    at = [since(now) for now in columns[0]]
    columns[0] = [now - before for now, before in zip(at, [0, *at], strict=False)]
    return dict(zip(names, columns, strict=True))


def _latency(latencies: Mapping[tuple[PeerId, PeerId], float], link: _LinkRecord) -> float:
    return latencies.get((link.a, link.b)) or latencies.get((link.b, link.a)) or 0.0

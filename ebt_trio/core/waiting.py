"""Feeds that wait for room at sessions whose windows are full."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

from .feed import WAIT, Feed
from .link import Link

AT_ONCE: Final = 64
"""Thousands may wait, mostly for one place: not all are looked at for that."""


class Waiting:
    """A feed queues once at each session that could deliver it.

    Room comes from deliveries, declines, unfollows, blocks, ends of sessions, penalties, wider windows: rather than
    to wake at each of them, :meth:`drain` looks after every event.
    """

    def __init__(self) -> None:
        self.links: dict[Link, None] = {}
        self._feeds: dict[int, Feed] = {}

    def add(self, feed: Feed, links: Iterable[Link]) -> None:
        self._feeds[feed.number] = feed
        for link in links:
            link.waiting[feed.number] = None
            self.links[link] = None

    def remove(self, link: Link) -> None:
        """The session has ended; the feeds that wait there are looked at on their own account."""
        link.waiting.clear()
        self.links.pop(link, None)

    def drain(self, evaluate: Callable[[Feed], None]) -> None:
        """Let feeds go on where there is room now; those that cannot queue again."""
        again = True
        while again:
            again = False
            for link in list(self.links):
                if not link.has_room:
                    continue
                for number in list(islice(link.waiting, AT_ONCE)):
                    if link.load >= link.window:  # as has_room
                        break
                    del link.waiting[number]
                    again = True
                    feed = self._feeds.pop(number, None)
                    if feed is not None and feed.class_ is WAIT:
                        evaluate(feed)
                if not link.waiting:
                    self.links.pop(link, None)

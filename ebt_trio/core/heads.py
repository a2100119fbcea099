"""What is held of each feed, by its number, for whoever looks at thousands at once; see :class:`Heads`."""

from __future__ import annotations

from array import array

from .clock import NONE, nothing
from .feed import IDLE, Feed


class Heads:
    """Columns that repeat what the feeds have in them: to look into 100,000 objects takes ten times as long.

    :meth:`put` follows on every change, at the latest when an event has been handled; ``calm`` may be NONE for longer,
    while an append is under way.
    """

    __slots__ = ("calm", "durable")

    def __init__(self) -> None:
        self.durable = array("q")
        """As :attr:`Feed.durable`."""
        self.calm = array("q")
        """The lazy note that says just that, where the feed is followed and surely nobody is ahead; else NONE."""

    def grow(self, missing: int) -> None:
        """Make room for so many feeds that nothing is known of."""
        self.durable.extend(array("q", [0]) * missing)
        self.calm.extend(nothing(missing))

    def put(self, feed: Feed) -> None:
        """It may stand elsewhere now."""
        number, head = feed.number, feed.durable
        self.durable[number] = head
        calm = feed.class_ is IDLE and feed.followed and feed.highest <= feed.accepted
        self.calm[number] = head << 1 | 1 if calm else NONE

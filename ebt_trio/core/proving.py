"""What a peer holds that sends no ACKs: its PONG shows that it has taken what was sent before the PING.

Peers that acknowledge say by themselves how far they are: nothing here concerns them. One that does not, as a bridge to
another implementation, is asked for a PONG ``ack_delay`` after something was sent, and again as long as none comes.
"""

from __future__ import annotations

from . import events as ev
from .feed import Feed
from .link import Link
from .room import Room


class Proving:
    """Handles Pinged and Ponged, and what was sent."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def sent(self, link: Link, feed: Feed) -> None:
        """Messages of the feed go out now, on a session whose other side sends no ACKs."""
        self._room.hold(link, link.unproved, feed.number, self._room.config.ack_delay)

    def pinged(self, event: ev.Pinged) -> None:
        link = self._room.usable.get(event.session)
        if link is not None:
            link.proving = {number: link.cursor[number] for number in link.unproved}

    def ponged(self, event: ev.Ponged) -> None:
        """It took them: that is not yet a promise to keep them, but all that there is to know."""
        room = self._room
        link = room.usable.get(event.session)
        if link is None:
            return
        for number, sequence in link.proving.items():
            feed = room.feeds[number]
            if link.cursor[number] == sequence:
                link.let_go(link.unproved, number)
            if link.shares(feed) and link.heard[number] < sequence:
                link.memory.heard.put(number, sequence)
                room.track(link, feed)
        link.proving = {}

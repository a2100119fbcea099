"""What our own store says: appends done and failed, reads that failed, and what others wrote into it."""

from __future__ import annotations

from . import events as ev
from .actions import What
from .feed import Feed
from .link import SAY_EAGER, WANTS, Link
from .room import Room


class Storing:
    """Handles Loaded, Stored, Appended, AppendFailed, Disproved, ReadFailed, ReadMissing and TooLarge."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def loaded(self, event: ev.Loaded) -> None:
        for head in event.heads:
            feed = self._room.intern(head.feed)
            feed.first, feed.durable, feed.accepted = head.first, head.head, max(head.head, feed.accepted)
            self._room.heads.put(feed)

    def stored(self, event: ev.Stored) -> None:
        """As if delivered by a session called ``store``: ownership stays where it is."""
        room = self._room
        feed = room.intern(event.feed)
        if event.head <= feed.durable:
            return
        feed.first = event.first
        if event.head > feed.accepted:
            feed.accepted = event.head
            room.ownership.delivered(feed, None, room.now)
        self._advance(feed, event.head)

    def appended(self, event: ev.Appended) -> None:
        room = self._room
        numbers, feeds = room.numbers, room.feeds
        for id, head in event.heads:
            number = numbers.get(id)
            feed = room.intern(id) if number is None else feeds[number]
            feed.inflight -= 1
            if feed.failing:
                feed.failing = 0
                feed.asked_again = False
            if not feed.durable and feed.floor:
                feed.first = feed.floor + 1
            if head > feed.accepted:
                feed.accepted = head
                room.ownership.evaluate(feed, room.now)
            self._advance(feed, head)

    def _advance(self, feed: Feed, head: int) -> None:
        """The durable head has moved: everybody who has not declined the feed learns."""
        room = self._room
        feed.durable = max(feed.durable, head)
        room.heads.put(feed)
        if not feed.followed:
            return
        room.announce(feed)
        if feed.owner is not None and feed.owner.pending:
            self._ask_again(feed)

    def _ask_again(self, feed: Feed) -> None:
        """An eager note waits while an append is under way."""
        owner = feed.owner
        if owner is not None and feed.inflight == 0 and owner.pending.get(feed.number) is SAY_EAGER:
            self._room.wake(owner)

    def append_failed(self, event: ev.AppendFailed) -> None:
        room = self._room
        feed = room.intern(event.feed)
        feed.inflight -= 1
        feed.durable = max(feed.durable, event.head)
        feed.accepted = max(feed.durable, feed.floor)
        room.heads.put(feed)
        link = room.usable.get(event.session)
        if event.error is ev.AppendError.STORE:
            feed.failing = max(feed.failing, 0) + 1
            if link is not None:
                room.ownership.lost(feed, link, room.now)
        elif event.error is ev.AppendError.INVALID and link is not None:
            self._refuse(link, feed, event.detail)
        room.ownership.evaluate(feed, room.now)
        self._ask_again(feed)

    def disproved(self, event: ev.Disproved) -> None:
        room = self._room
        link = room.usable.get(event.session)
        if link is not None:
            self._refuse(link, room.intern(event.feed), event.detail)

    def _refuse(self, link: Link, feed: Feed, detail: str) -> None:
        if feed.number not in link.refused:
            link.refused.add(feed.number)
            self._room.decline(link, feed)
            self._room.report(What.INVALID, link.peer, feed.id, detail)

    def read_failed(self, event: ev.ReadFailed) -> None:
        room = self._room
        link = room.usable.get(event.session)
        if link is None:
            return
        number = room.intern(event.feed).number
        if number in link.ready:
            del link.ready[number]
            room.hold(link, link.retries, number, room.config.read_retry)

    def read_missing(self, event: ev.ReadMissing) -> None:
        """The next pull finds the cursor before the feed's first message, and sends a START."""
        room = self._room
        feed = room.intern(event.feed)
        feed.first = max(feed.first, event.first)
        link = room.usable.get(event.session)
        if link is not None:
            room.wake(link)

    def too_large(self, event: ev.TooLarge) -> None:
        room = self._room
        link = room.usable.get(event.session)
        if link is None:
            return
        number = room.intern(event.feed).number
        link.ready.pop(number, None)
        link.flags[number] &= ~WANTS
        detail = event.detail or f"message {event.sequence} does not fit what the peer takes"
        room.report(What.TOO_LARGE, link.peer, event.feed, detail)

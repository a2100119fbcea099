"""What we want: follows and blocks, effective in running sessions at once."""

from __future__ import annotations

from . import events as ev
from .actions import Close, What
from .room import Room

BYE_BLOCKED = 5


class Following:
    """Handles Follow, Unfollow, Forgotten, Block and Unblock."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def follow(self, event: ev.Follow) -> None:
        room = self._room
        feed = room.intern(event.feed)
        feed.last = event.last
        if feed.followed:
            for link in list(room.links):  # who has only the newest messages may do now
                room.ownership.announced(feed, link, room.now)
            return
        room.follow(feed)

    def unfollow(self, event: ev.Unfollow) -> None:
        room = self._room
        feed = room.followed.pop(event.feed, None)
        if feed is None:
            return
        feed.followed = False
        room.heads.put(feed)
        for link in room.links:
            room.decline(link, feed)

    def forgotten(self, event: ev.Forgotten) -> None:
        self.unfollow(ev.Unfollow(event.feed))
        feed = self._room.intern(event.feed)
        feed.first, feed.durable, feed.accepted, feed.floor = 1, 0, 0, 0
        self._room.heads.put(feed)

    def block(self, event: ev.Block) -> None:
        room = self._room
        key = (event.target, event.origin)
        if key in room.blocked:
            return
        room.blocked[key] = None
        for link in list(room.links):
            if event.origin is None:
                if link.peer != event.target:
                    continue
                room.actions.append(Close(link.session, BYE_BLOCKED, "blocked"))
            else:
                feed = room.intern(event.origin)
                if feed.number in link.refused or not room.may_be(link, event.target):
                    continue
                link.refused.add(feed.number)
                room.decline(link, feed)
            room.report(What.BLOCKED, link.peer, event.origin)

    def unblock(self, event: ev.Unblock) -> None:
        room = self._room
        room.blocked.pop((event.target, event.origin), None)
        if event.origin is None:
            return
        feed = room.intern(event.origin)
        others = [target for target, origin in room.blocked if origin == event.origin]
        allowed = [
            link
            for link in room.links
            if feed.number in link.refused
            and room.may_be(link, event.target)
            and not any(room.may_be(link, target) for target in others)
        ]
        for link in allowed:
            link.refused.discard(feed.number)
        if feed.followed:
            room.welcome(allowed, feed)

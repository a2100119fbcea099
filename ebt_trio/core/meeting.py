"""Sessions that come up and go down: initial notes, request skipping, two sessions with one peer."""

from __future__ import annotations

from itertools import compress
from operator import gt
from typing import Final

from . import events as ev
from .actions import Close, What
from .clock import nothing
from .following import BYE_BLOCKED
from .link import EAGER, Link
from .marks import marked
from .room import Room

BYE_REPLACED = 1
_EAGER: Final = bytes(bool(flags & EAGER) for flags in range(256))
"""Flags of a feed → 1 where it is eager: a loop over all feeds would take a hundred times as long."""


class Meeting:
    """Handles SessionUp and SessionDown."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def up(self, event: ev.SessionUp) -> None:
        room = self._room
        if (event.peer, None) in room.blocked:
            room.actions.append(Close(event.session, BYE_BLOCKED, "blocked"))
            return
        smaller = room.me < event.peer
        for other in list(room.links):
            if _same_peer(event, other):
                self._drop(other)
                if smaller:
                    room.actions.append(Close(other.session, BYE_REPLACED, "replaced by a newer session"))
        memory = room.memories.take(event.key)
        for other in room.links:
            if other.memory is memory:
                other.detach(room.names)
        link = Link(
            event.session,
            event.peer,
            room.names,
            memory,
            instance=event.instance,
            proved=event.proved,
            acks=event.acks,
            hold=room.config.hold(smaller),
        )
        room.sessions[event.session] = room.usable[event.session] = link
        room.ownership.joined(link)
        room.report(What.CONNECTED, link.peer)
        for target, origin in list(room.blocked):
            if origin is not None and room.may_be(link, target):
                link.refused.add(room.intern(origin).number)
        link.changed = memory.skippable(event.heard_digest)
        self._recall_claims(link)
        self._ask_author(link)
        room.wake(link)

    def _recall_claims(self, link: Link) -> None:
        """What it is remembered to hold beyond what is durable counts at once; the rest waits for initial notes."""
        room = self._room
        if link.heard == nothing(len(link.heard)):
            return
        for feed in compress(room.feeds, map(gt, link.heard, room.heads.durable)):
            if feed.followed and feed.number not in link.refused:
                room.ownership.announced(feed, link, room.now)
                room.track(link, feed)

    def _ask_author(self, link: Link) -> None:
        """The peer's own feed is the only one for which the initial note may be eager."""
        room = self._room
        feed = room.known(link.authored)
        if feed is None or not feed.followed or feed.number in link.refused or link.peer == room.me:
            return
        if not link.knows(feed):
            room.ownership.adopt(feed, link, room.now)
        room.track(link, feed)

    def down(self, link: Link) -> None:
        room = self._room
        if link.up:
            self._drop(link)
        del room.sessions[link.session]
        room.report(What.DISCONNECTED, link.peer)
        if not any(_same_peer(link, other) for other in room.links):
            # We, the larger id, have been ignoring older sessions that the other side may never have given up.
            for other in room.sessions.values():
                if _same_peer(link, other):
                    room.actions.append(Close(other.session, BYE_REPLACED, "its replacement has ended"))

    def _drop(self, link: Link) -> None:
        """The session counts no more: it is down, or a newer one with the same peer has come up."""
        room = self._room
        link.up = False
        del room.usable[link.session]
        concerned = set(link.open)
        concerned.update(marked(link.flags.translate(_EAGER)))
        room.ownership.left(link, [room.feeds[number] for number in sorted(concerned)], room.now)
        link.memory.in_use = False
        link.held.clear()
        link.spaced.clear()
        link.news.clear()
        link.noted.clear()
        link.owed.clear()
        link.retries.clear()
        link.unproved.clear()
        link.deadline = None


def _same_peer(link: Link | ev.SessionUp, other: Link) -> bool:
    """Who only says that he is somebody replaces nobody who has proved it."""
    same = (link.peer, link.instance, link.proved) == (other.peer, other.instance, other.proved)
    return link.instance is not None and same

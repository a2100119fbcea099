"""What peers say: notes, ACKs, STARTs and messages."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from . import events as ev
from .actions import Append, Followed, What
from .bulk import Bulk
from .clock import NONE
from .feed import Feed
from .link import ANNOUNCED, SAY_DECLINE, SAY_LAZY, WANTS, Link
from .note import DECLINED
from .room import Room
from .settling import settle
from .types import FeedId, Run

MANY: Final = 32
"""So many notes at once cost less than one by one."""


class Hearing:
    """Handles NotesReceived, AcksReceived, StartReceived and MessagesReceived."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._bulk = Bulk(room)

    # -- notes

    def notes(self, event: ev.NotesReceived) -> None:
        room = self._room
        link = room.usable.get(event.session)
        if link is None:
            return
        if not event.notes:
            link.in_initial = False
            room.check_synced(link)
            return
        link.statistics.notes_received += len(event.notes)
        notes = settle(room, link, event.notes) if len(event.notes) >= MANY else event.notes
        for id, note, known in self._bulk.notes(link, notes):
            feed = known or self._meet(link, id, note, event.notes)
            if feed is None:
                continue
            if note == DECLINED:
                self._declined(link, feed)
            elif self._replicates(link, feed):
                self._note(link, feed, note >> 1, bool(note & 1))
            else:
                self._unwanted(link, feed, note)
            room.track(link, feed)

    def _meet(self, link: Link, id: FeedId, note: int, named: Iterable[FeedId]) -> Feed | None:
        """A feed never heard of, and the others that the frame names: each session makes room for all of them at once.

        One too many to be remembered is declined, too.
        """
        room = self._room
        left = room.config.strangers - room.strangers
        if left > 0:
            fresh = list(islice((id for id in named if id not in room.numbers), left))
            room.strangers += len(fresh)
            room.intern_all(fresh)
            return room.known(id)
        if note != DECLINED:
            if room.should_replicate is not None and room.should_replicate(id, link.peer):
                return room.intern(id)
            if len(link.strangers) < room.config.notes_per_frame:
                link.strangers[id] = note >> 1
                room.wake(link)
        return None

    def _replicates(self, link: Link, feed: Feed) -> bool:
        """Do we replicate the feed with this peer? The user's hook may want to from now on."""
        room = self._room
        if feed.number in link.refused:
            return False
        if not feed.followed and room.should_replicate is not None and room.should_replicate(feed.id, link.peer):
            room.actions.append(Followed(feed.id))
            room.follow(feed)
        return feed.followed

    def _declined(self, link: Link, feed: Feed) -> None:
        """Never answered; what was told is told no more, on both sides."""
        number = feed.number
        say, doubt = link.pending.get(number), link.in_doubt(number)
        if link.told[number] != DECLINED:
            link.memory.told.put(number, NONE)
        link.forget(number)
        link.memory.heard.put(number, DECLINED)
        if doubt:  # the initial note, which tells what they know
            follows = feed.followed and number not in link.refused
            self._room.say(link, feed, SAY_LAZY if follows else SAY_DECLINE)
        elif link.told[number] == DECLINED and say is not None and say is not SAY_DECLINE:
            link.pending[number] = SAY_LAZY  # they know of our -1 only, and may be about to say the same
        self._room.ownership.leave(feed, link, self._room.now)

    def _unwanted(self, link: Link, feed: Feed, note: int) -> None:
        """A note for a feed that we don't replicate with this peer: -1, once."""
        number = feed.number
        if link.told[number] != DECLINED or number in link.pending or link.in_doubt(number):
            # Heard until the -1 is on its way: when it comes, they forget what they told.
            link.memory.heard.put(number, note >> 1)
            self._room.say(link, feed, SAY_DECLINE)
        elif link.heard[number] == DECLINED:
            link.memory.heard.put(number, NONE)

    def _note(self, link: Link, feed: Feed, sequence: int, lazy: bool) -> None:
        room, number = self._room, feed.number
        if link.heard[number] == DECLINED:
            link.memory.told.put(number, NONE)
            if link.changed is not None:
                link.changed.add(number)
        link.memory.heard.put(number, sequence)
        told = link.told[number]
        behind = False
        if lazy:
            link.flags[number] &= ~WANTS
            link.ready.pop(number, None)
            if link.cursor[number] > max(sequence, told):
                link.cursor[number] = sequence  # they had more, and it was not from us: it is gone there
            behind = feed.durable > max(sequence, told)
            if link.flags[number] & ANNOUNCED:
                room.noted(link, number)
        else:
            link.flags[number] |= WANTS
            link.cursor[number] = sequence
            link.let_go(link.retries, number)
            if sequence < feed.durable:
                link.ready[number] = None
                room.wake(link)
        if number in link.news:
            room.reconsider(link, feed)
        elif told < 0 or behind:
            room.tell(link, feed)
        if told < feed.durable <= sequence:
            room.owe(link, feed)
        room.ownership.announced(feed, link, room.now)

    # -- ACK and START

    def acks(self, event: ev.AcksReceived) -> None:
        room = self._room
        link = room.usable.get(event.session)
        if link is None:
            return
        link.statistics.acks_received += len(event.acks)
        for id, sequence in self._bulk.acks(link, event.acks):
            feed = room.known(id)
            if feed is None or (link.heard[feed.number] < 0 and not link.shares(feed)):
                continue
            link.memory.heard.put(feed.number, sequence)
            if not link.shares(feed):
                continue  # until our -1 has left, and they forget
            room.owe(link, feed)
            room.ownership.announced(feed, link, room.now)
            room.track(link, feed)

    def start(self, event: ev.StartReceived) -> None:
        """The peer has these feeds only from some sequence on."""
        room = self._room
        link = room.usable.get(event.session)
        if link is None:
            return
        for id, first in event.firsts.items():
            feed = room.known(id)
            if feed is not None and feed.followed:
                self._start(link, feed, first)

    def _start(self, link: Link, feed: Feed, first: int) -> None:
        room = self._room
        if feed.owner is link and feed.last and feed.empty and first > 1:
            # Not beyond what it claims: it would be ahead no longer, nor anybody else, and nobody would be asked again.
            floor = max(min(first, link.heard[feed.number]) - 1, 0)
            if floor != feed.floor:
                feed.floor = feed.accepted = floor
                room.ownership.ask(feed, link)
            room.ownership.evaluate(feed, room.now)
        elif feed.accepted + 1 < first:
            link.firsts[feed.number] = first
            detail = f"the peer serves from {first} on, we hold {feed.durable}"
            room.report(What.LATE, link.peer, feed.id, detail)
            room.ownership.leave(feed, link, room.now)

    # -- messages

    def messages(self, event: ev.MessagesReceived) -> None:
        room = self._room
        link = room.usable.get(event.session)
        if link is None:
            return
        accepted: list[Run] = []
        for run in self._bulk.runs(link, event.runs, accepted):
            count = len(run.payloads)
            link.statistics.messages_received += count
            link.count_delivery(count, room.now)
            feed = room.known(run.feed)
            if feed is None or not feed.followed or feed.number in link.refused:
                link.statistics.unwanted += count
                continue
            self._run(link, feed, run, accepted)
            room.track(link, feed)
        if accepted:
            room.actions.append(Append(link.session, accepted))

    def _run(self, link: Link, feed: Feed, run: Run, accepted: list[Run]) -> None:
        room, ownership, now = self._room, self._room.ownership, self._room.now
        heard, last = link.heard[feed.number], run.last
        if heard != DECLINED and last > heard:
            link.memory.heard.put(feed.number, last)
            feed.highest = max(feed.highest, last)
            if link.flags[feed.number] & WANTS and last > link.cursor[feed.number]:
                link.cursor[feed.number] = last  # both sides may be eager: nothing goes back to where it came from
            room.owe(link, feed)
        ownership.payload(feed, link, now)
        expected = feed.accepted + 1
        if last < expected:
            link.statistics.duplicates += len(run.payloads)
            ownership.duplicate(feed, link, now)
            room.wake(link)
        elif run.first > expected:
            link.statistics.gaps += 1
            ownership.lost(feed, link, now)
        else:
            known = expected - run.first
            link.statistics.duplicates += known
            payloads = run.payloads[known:] if known else run.payloads
            accepted.append(Run(feed.id, expected, payloads, late=feed.empty and feed.floor > 0))
            feed.accepted = last
            feed.inflight += 1
            ownership.delivered(feed, link, now)

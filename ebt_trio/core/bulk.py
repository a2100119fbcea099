"""What comes by the thousand when peers meet, in one loop: by the rules it would be dozens of calls for each feed.

Every method takes the plain ones, in order, and yields the others, for the rules. Plain is where the rules would do
just what is done here: :mod:`.hearing` has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .clock import NONE
from .feed import CLAIMED, IDLE, Feed
from .link import ANNOUNCED, MET, WANTS, Link
from .note import DECLINED
from .room import Room
from .types import FeedId, Run

Heard = tuple[FeedId, int, Feed | None]


class Bulk:
    """Takes notes, ACKs and messages of one session."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def notes(self, link: Link, notes: Mapping[FeedId, int]) -> Iterator[Heard]:
        """Take notes about feeds of which we have said how far we are, or are about to: they have been answered.

        They change at most who is ahead, and whom to send to. The others come with the feed, if it is known.
        """
        room = self._room
        ownership, now, numbers, feeds = room.ownership, room.now, room.numbers, room.feeds
        told, values, cursor, flags, refused = link.told, link.heard, link.cursor, link.flags, link.refused
        news, pending, ready, introduced = link.news, link.pending, link.ready, link.introduced
        differing, open_flags = link.open, link.open.flags
        put, evaluate = link.memory.heard.put, ownership.evaluate
        alone = ownership.links == [link] and not link.faults and not link.firsts
        for id, note in notes.items():
            number = numbers.get(id)
            if number is None:
                yield id, note, None
                continue
            feed = feeds[number]
            head, ours = note >> 1, feed.durable
            said, before, flag = told[number], values[number], flags[number]
            due = said == NONE and number >= introduced and not flag & MET and number not in pending  # Link.unmet()
            if not (
                note != DECLINED
                and (said == ours or due)
                and feed.followed
                and before != DECLINED
                and number not in refused
                and number not in news
            ):
                yield id, note, feed
                continue
            if not note & 1:
                flags[number] = flag | WANTS
                cursor[number] = head
                if link.retries:
                    link.let_go(link.retries, number)
                if head < ours:
                    ready[number] = None
                    room.woken[link] = None
            elif flag & (WANTS | ANNOUNCED) or cursor[number] > head or number in ready:
                yield id, note, feed
                continue
            if before != head:
                put(number, head)
            if feed.highest < head > ours:
                feed.highest = head
            if feed.class_ is not IDLE or feed.highest > feed.accepted:
                full = link.load >= link.window
                if full and alone and feed.class_ is IDLE and feed.owner is None and head > feed.accepted:
                    ownership.queue(feed, link, now)
                else:
                    evaluate(feed, now)
            if head == ours == said:
                if open_flags[number]:
                    differing.discard(number)
                    room.check_synced(link)
            elif not open_flags[number]:
                if not differing.count:
                    link.open_since = now
                differing.add(number)

    def acks(self, link: Link, acks: Mapping[FeedId, int]) -> Iterator[tuple[FeedId, int]]:
        """Take ACKs that say what we hold, and have said that we do: nothing is left to be said."""
        room = self._room
        numbers, feeds, told, values, refused = room.numbers, room.feeds, link.told, link.heard, link.refused
        differing, open_flags, put = link.open, link.open.flags, link.memory.heard.put
        for entry in acks.items():
            id, sequence = entry
            number = numbers.get(id)
            if number is None:
                yield entry
                continue
            feed = feeds[number]
            if not (
                told[number] == sequence == feed.durable == feed.accepted >= feed.highest
                and feed.class_ is IDLE
                and feed.followed
                and values[number] != DECLINED
                and number not in refused
            ):
                yield entry
                continue
            put(number, sequence)
            if open_flags[number]:
                open_flags[number] = 0
                differing.count -= 1
                if not differing.count:
                    room.check_synced(link)

    def runs(self, link: Link, runs: Iterable[Run], accepted: list[Run]) -> Iterator[Run]:
        """Take what comes next of feeds from their owner, as it has claimed: these very runs are to be stored."""
        room = self._room
        ownership, now = room.ownership, room.now
        numbers, feeds, values, refused = room.numbers, room.feeds, link.heard, link.refused
        statistics, patience = link.statistics, ownership.patience
        for run in runs:
            number = numbers.get(run.feed)
            if number is None:
                yield run
                continue
            feed = feeds[number]
            first, count = run.first, len(run.payloads)
            last = first + count - 1
            mark = feed.mark_link
            if not (
                feed.owner is link
                and first == feed.accepted + 1 <= last <= values[number]
                and feed.class_ is CLAIMED
                and feed.followed
                and feed.verdict_link is not link
                and feed.rival is None
                and (mark is None or mark is link)
                and not feed.floor
                and number not in refused
            ):
                yield run
                continue
            statistics.messages_received += count
            link.count_delivery(count, now)
            feed.accepted = last
            feed.inflight += 1
            run.feed = feed.id  # one string per feed, not one per frame
            accepted.append(run)
            feed.since = feed.progressed = now
            if not feed.failing:
                feed.asked_again = False
            if link.faults:
                link.faults.pop(number, None)
            link.suspect = False
            patience.owner_delivered(0.0)
            if last >= feed.highest:  # that was all: as in Ownership.evaluate()
                feed.class_ = IDLE
                feed.deadline = feed.mark_link = None
                if feed.load_link is not None:
                    link.load -= feed.load
                    feed.load, feed.load_link = 0, None
                    link.measure(0.0)
                if number in link.pending:
                    ownership.touched[feed] = None
            else:
                if mark is not None and last >= feed.mark_sequence:
                    feed.mark_link = None
                ownership.evaluate(feed, now)

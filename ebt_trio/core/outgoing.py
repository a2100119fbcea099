"""What a session may send, pulled when its transport can take more: nothing is queued per message."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from .actions import Outgoing
from .clock import NONE
from .feed import Feed
from .link import MET, OFFERED, SAY_DECLINE, SAY_EAGER, SAY_LAZY, SURE, WANTS, Link, take
from .note import DECLINED
from .types import FeedId, Range

RANGE_MESSAGES: Final = 512
"""The most messages of one feed in a turn if there are others; then it is the next feed's."""
TURN_MESSAGES: Final = 2048
TURN_FEEDS: Final = 256


def pull(link: Link, feeds: Sequence[Feed], limit: int, said: list[int], *, flush: bool) -> Outgoing:
    """Notes, ACKs and STARTs in the result count as said; messages only when :func:`commit` says so.

    :param limit: entries per frame
    :param said: takes the numbers of the feeds about which there is a note or an ACK
    """
    ranges = _ranges(link, feeds) if link.ready else []
    starts: dict[FeedId, int] = {}
    if link.starts:
        starts = {feeds[number].id: feeds[number].first for number in link.starts}
        link.starts.clear()
    notes = _notes(link, feeds, limit, said) if link.pending or link.strangers else {}
    acks = _acks(link, feeds, limit, said, flush=flush) if link.ready_acks or flush else {}
    return Outgoing(starts, notes, False, acks, ranges)


def _notes(link: Link, feeds: Sequence[Feed], limit: int, said: list[int]) -> dict[FeedId, int]:
    notes: dict[FeedId, int] = {}
    for number, say in link.pending.items():
        feed = feeds[number]
        if say is SAY_EAGER and feed.inflight:
            continue  # asking now would bring again what is on its way into the store
        if len(notes) >= limit:
            break
        said.append(number)
        if say is SAY_DECLINE:
            notes[feed.id] = DECLINED
            link.memory.told.put(number, DECLINED)
            link.flags[number] = link.flags[number] & ~OFFERED | SURE
            if link.heard[number] != DECLINED:
                link.memory.heard.put(number, NONE)  # when it comes, they forget what they told
            continue
        sequence = feed.durable
        if say is SAY_EAGER and not sequence:
            sequence = feed.floor
        notes[feed.id] = sequence << 1 | (say is SAY_LAZY)
        if link.heard[number] == DECLINED:
            link.flags[number] |= OFFERED
            sequence = NONE  # who declined does not remember it
        link.memory.told.put(number, sequence)
        if link.news:
            link.unhold(number)
    for number in said:
        del link.pending[number]
        link.flags[number] |= MET
    while link.strangers and len(notes) < limit:
        notes[link.strangers.popitem()[0]] = DECLINED
    link.statistics.notes_sent += len(notes)
    return notes


def _acks(link: Link, feeds: Sequence[Feed], limit: int, said: list[int], *, flush: bool) -> dict[FeedId, int]:
    if flush:
        link.ready_acks.update(dict.fromkeys(link.owed))
        link.owed.clear()
        link.deadline = link.earliest()
    told, heard, refused = link.told, link.heard, link.refused
    acks: dict[FeedId, int] = {}
    numbers: list[int] = []
    for number in take(link.ready_acks, islice(link.ready_acks, limit)):
        feed = feeds[number]
        if 0 <= told[number] != feed.durable and feed.followed and heard[number] != DECLINED and number not in refused:
            acks[feed.id] = feed.durable
            numbers.append(number)
    if numbers:
        link.memory.told.put_all(numbers, list(acks.values()))
        said += numbers
    link.statistics.acks_sent += len(acks)
    return acks


def _ranges(link: Link, feeds: Sequence[Feed]) -> list[Range]:
    ranges: list[Range] = []
    done: list[int] = []
    messages = 0
    most = RANGE_MESSAGES if len(link.ready) > 1 else TURN_MESSAGES
    for number in link.ready:
        feed = feeds[number]
        cursor = link.cursor[number]
        if not link.flags[number] & WANTS or cursor >= feed.durable:
            done.append(number)
        elif cursor + 1 < feed.first:
            link.flags[number] &= ~WANTS  # nothing until they ask again
            link.starts[number] = None
            done.append(number)
        else:
            count = min(feed.durable - cursor, most)
            ranges.append(Range(feed.id, cursor + 1, count))
            messages += count
            if messages >= TURN_MESSAGES or len(ranges) >= TURN_FEEDS:
                break
    for number in done:
        del link.ready[number]
    return ranges


def commit(link: Link, feed: Feed, first: int, count: int) -> bool:
    """Are messages ``first`` … of the feed, read meanwhile, still to be sent? Then move the cursor behind them."""
    number = feed.number
    if (
        not count
        or not link.flags[number] & WANTS
        or link.cursor[number] != first - 1
        or not feed.followed  # as in Link.shares()
        or link.heard[number] == DECLINED
        or number in link.refused
        or link.pending.get(number) is SAY_DECLINE
    ):
        return False
    last = first + count - 1
    link.cursor[number] = last
    if last > link.told[number] != DECLINED:
        link.memory.told.put(number, last)
    link.statistics.messages_sent += count
    link.ready.pop(number, None)
    if last < feed.durable:
        link.ready[number] = None  # behind the others
    return True

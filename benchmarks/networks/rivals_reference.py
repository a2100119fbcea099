"""The note rules of the JavaScript reference (npm ``epidemic-broadcast-trees`` 9.0.4, ``events.js`` and ``index.js``).

A note is a sequence and *receive* or *don't*; each side keeps for each neighbour a clock of the other's sequences, and
for each feed there whether it is sent (tx), wanted (rx), and up to where (sent). The rules:

- A link begins with notes for each feed followed: receive, unless the feed counts as being received from another
  neighbour. The client waits for the server's notes.
- A feed counts as being received from somebody with rx for it, if what he has been sent of *his own* feed is not -1
  (defect 2: the reference looks for his id where it means the feed's). At its best, peers' ids are feeds that all
  follow, as in Scuttlebutt: ``ids_are_feeds``. Else nobody is ever taken for a source, and what comes thrice is taken
  thrice. Also whoever has notes waiting to be sent counts as a source, of any feed.
- A note ahead of us, from whom we don't receive: receive from him, if there is no source or he is further than the
  source, who is then told not to send. A note behind us: what follows is sent, if wanted, or told in a note of our own.
- A new message goes, once stored, to who wants it and is exactly one behind. Who does not want it gets a note.
- A duplicate, stored already, from whom we receive: we tell him not to.
- Every 3 s, by a timer of the peer's own: each neighbour who has sent nothing for 3 s, in feeds that others have more
  of, is told not to send them; the next neighbour in turn who has anything of such a feed is asked.
- The end of a link forgets all about it; nobody else is asked. The clock that the neighbour had is kept for the next.

Left out, for nothing here sends it: declining, blocks, forks, failed reads and appends, paused streams. Reads take no
time. A message for which there has been no note makes a clock of NaN there (defect 5), here it counts as the note.
"""

from __future__ import annotations

from array import array
from typing import Any, Final

from ebt_trio.core.types import FeedId

from .rivals_wire import ALARM, PAYLOAD, Wire

NOTES: Final = 1
TIMEOUT: Final = 3.0

UNKNOWN: Final = -2
"""What is ``undefined`` or ``null`` there."""
REP: Final = 1
TX: Final = 2
RX: Final = 4

READ: Final = 0
"""An alarm: a message has been read."""
TICK: Final = 1
BEGIN: Final = 2
"""An alarm: the peer's clock for a new link has been read."""

Notes = dict[FeedId, int]


def _zero(sequence: int) -> int:
    return 0 if sequence == UNKNOWN else sequence


class Reference(Wire):
    """A tree per feed, as the reference makes it. Clocks and flags go by end (or peer) · number of feeds + feed.

    :param ids_are_feeds: everybody's id is a feed that all follow, with or without messages
    """

    def __init__(
        self,
        *args: Any,
        ids_are_feeds: bool = True,
        **options: Any,
    ) -> None:
        self.ids_are_feeds = ids_are_feeds
        super().__init__(*args, **options)

    def start(self) -> None:
        self.number = {FeedId(self.names[peer]): index for index, peer in enumerate(self.feeds)}
        self.ids = list(self.number)
        self.width = len(self.ids)
        self.own = array("i", [UNKNOWN]) * (len(self.names) * self.width)
        self.flags = bytearray()
        self.sent = array("i")
        self.clock = array("i")
        self.ready = bytearray()
        """By end: it is the server's, or the server's notes have come."""
        self.loaded = bytearray()
        """By end: the neighbour's clock has been read."""
        self.active: list[float] = []
        self.notes: dict[int, Notes] = {}
        """What the peer whose turn it is has to tell, by end."""
        self.messages: list[tuple[int, int]] = []
        """And what it has to send: end and message."""
        self.reads: list[tuple[int, int]] = []
        self.taken: list[bytearray] = []
        """By message and peer: it is stored, or on its way into the store."""
        self.numbers: dict[tuple[int, int], int] = {}
        """Of messages, by feed and sequence."""
        self.kept: dict[tuple[int, int], array[int]] = {}
        """Clocks of former neighbours, by peer and neighbour."""
        for peer in range(len(self.names)):
            self.later(self.rng.uniform(0, TIMEOUT), ALARM, peer, None, TICK)

    # -- what happens

    def up(self, end: int) -> None:
        peer, other = self.to[end ^ 1], self.to[end]
        self.flags += bytes(self.width)
        self.sent += array("i", [UNKNOWN]) * self.width
        self.clock += self.kept.get((peer, other)) or array("i", [UNKNOWN]) * self.width
        self.ready.append(end & 1)  # the first is the client
        self.loaded.append(0)
        self.active.append(-TIMEOUT)
        self.later(0.0, ALARM, peer, end, BEGIN)

    def down(self, end: int) -> None:
        peer, other = self.to[end ^ 1], self.to[end]
        self.kept[peer, other] = self.clock[end * self.width : (end + 1) * self.width]

    def posted(self, peer: int, message: int) -> None:
        run = self.runs[message]
        self.taken.append(bytearray(len(self.names)))
        self.numbers[self.number[run.feed], run.first] = message
        self.appended(peer, message)

    def stored(self, peer: int, message: int, value: int) -> None:
        run = self.runs[message]
        if _zero(self.own[peer * self.width + self.number[run.feed]]) == run.first - 1:
            self.appended(peer, message)
        else:
            self.taken[message][peer] = 0  # a gap: no application can append that

    def received(self, kind: int, end: int, message: Any, value: int) -> None:
        peer = self.to[end]
        if kind == NOTES:
            self._noted(end ^ 1, message)
        else:
            self._came(end ^ 1, message)
        self._update(peer)

    def alarm(self, peer: int, message: Any, value: int) -> None:
        if value == READ:
            self._read(peer, message)
        elif value == TICK:
            self.later(TIMEOUT, ALARM, peer, None, TICK)
            self._tick(peer)
        else:
            self.loaded[message] = 1
            if self.ready[message]:
                self._begin(message)
        self._update(peer)

    # -- the rules

    def _source(self, peer: int, feed: int, ignored: int) -> int | None:
        """The end from which this feed counts as being received."""
        for end in self.ends[peer]:
            if end == ignored:
                continue
            name = FeedId(self.names[self.to[end]])
            if end in self.notes and not self.notes[end].get(name, 0) & 1:
                return end
            if not self.flags[end * self.width + feed] & RX or not self.ready[end]:
                continue
            number = self.number.get(name)
            if number is None:
                if self.ids_are_feeds:
                    return end
            elif self.flags[end * self.width + number] and self.sent[end * self.width + number] != -1:
                return end
        return None

    def _note(self, end: int, feed: int, sequence: int, receive: bool) -> None:
        self.notes.setdefault(end, {})[self.ids[feed]] = _zero(sequence) << 1 | (not receive)
        at = end * self.width + feed
        if self.flags[at]:
            before, self.flags[at] = self.flags[at], self.flags[at] & ~RX | (RX if receive else 0)
            if before != self.flags[at]:
                names = self.names[self.to[end ^ 1]], self.names[self.to[end]]
                self.watch.asked(self.now, *names, self.ids[feed], receive)

    def _begin(self, end: int) -> None:
        peer = self.to[end ^ 1]
        self.notes.setdefault(end, {})  # said even if there is nothing to say
        for feed in range(self.width):
            at, own = end * self.width + feed, self.own[peer * self.width + feed]
            if self.clock[at] != -1 and _zero(self.clock[at]) != own:
                receive = self._source(peer, feed, end) is None
                self.flags[at], self.sent[at] = REP, UNKNOWN
                self._note(end, feed, own, receive)

    def _noted(self, end: int, notes: Notes) -> None:
        peer = self.to[end ^ 1]
        if not self.ready[end]:
            self.ready[end] = 1
            self._begin(end)
        for name, note in notes.items():
            feed = self.number[name]
            at, sequence = end * self.width + feed, note >> 1
            own = _zero(self.own[peer * self.width + feed])
            self.clock[at] = sequence
            if not self.flags[at]:
                self.flags[at] = REP
                self._note(end, feed, own, own < sequence and self._source(peer, feed, end) is None)
            elif not self.flags[at] & RX and sequence > own:
                source = self._source(peer, feed, end)
                if source is None or sequence > _zero(self.clock[source * self.width + feed]):
                    self.active[end] = self.now
                    self._note(end, feed, own, True)
                    if source is not None:
                        self._note(source, feed, own, False)
            wanted = not note & 1
            self.flags[at] = self.flags[at] & ~TX | (TX if wanted else 0)
            self.sent[at] = sequence
            if own > sequence and wanted:
                self.reads.append((end, feed))
            elif own > sequence:
                self._note(end, feed, own, bool(self.flags[at] & RX))

    def _came(self, end: int, message: int) -> None:
        run, peer = self.runs[message], self.to[end ^ 1]
        feed, sequence = self.number[run.feed], run.first
        at = end * self.width + feed
        own = self.own[peer * self.width + feed]
        new = own < sequence and not self.taken[message][peer]
        self.arrived(end ^ 1, message, new)
        if not self.flags[at]:
            return
        self.clock[at] = max(self.clock[at], sequence)
        self.sent[at] = max(self.sent[at], sequence)
        if own >= sequence:
            if self.flags[at] & RX:
                self._note(end, feed, own, False)
            return
        self.active[end] = self.now
        if new:
            self.taken[message][peer] = 1
            self.store(peer, message, 0)

    def appended(self, peer: int, message: int) -> None:
        run = self.runs[message]
        feed, sequence = self.number[run.feed], run.first
        self.own[peer * self.width + feed] = sequence
        for end in self.ends[peer]:
            if not (self.ready[end] and self.loaded[end]):
                continue
            at = end * self.width + feed
            clock, flags = self.clock[at], self.flags[at]
            if flags & TX and self.sent[at] == sequence - 1 and clock != UNKNOWN and sequence > clock:
                self.messages.append((end, message))
                self.sent[at] += 1
            elif clock != -1 and sequence > clock and (not flags or (not flags & TX and self.sent[at] != UNKNOWN)):
                self._note(end, feed, sequence, False)
        self._update(peer)

    def _read(self, peer: int, message: int) -> None:
        feed, sequence = self.number[self.runs[message].feed], self.runs[message].first
        for end in self.ends[peer]:
            at = end * self.width + feed
            if self.ready[end] and self.flags[at] & TX and self.sent[at] == sequence - 1:
                self.sent[at] += 1
                self.messages.append((end, message))
                if sequence < self.own[peer * self.width + feed] and (end, feed) not in self.reads:
                    self.reads.append((end, feed))

    def _tick(self, peer: int) -> None:
        ends = self.ends[peer]
        wanted: dict[int, int] = {}
        for end in ends:
            if not self.ready[end] or self.active[end] + TIMEOUT >= self.now:
                continue
            for feed in range(self.width):
                own, flags = self.own[peer * self.width + feed], self.flags[end * self.width + feed]
                if flags & RX and any(
                    self.clock[other * self.width + feed] > _zero(own) for other in ends if other != end
                ):
                    wanted[feed] = end
                    self._note(end, feed, own, False)
        for feed, ignored in wanted.items():
            turn = ends.index(ignored)
            for end in ends[turn + 1 :] + ends[:turn]:
                at = end * self.width + feed
                if _zero(self.clock[at]) != 0:
                    self.ready[end] = 1
                    if not self.flags[at]:
                        self.flags[at], self.sent[at] = REP, -1
                    self._note(end, feed, self.own[peer * self.width + feed], True)
                    self.active[end] = self.now
                    break

    def _update(self, peer: int) -> None:
        """Begin to read, and send what there is: messages first."""
        reads, self.reads = self.reads, []
        for end, feed in reads:
            sequence = self.sent[end * self.width + feed] + 1
            if (feed, sequence) in self.numbers and sequence <= self.own[peer * self.width + feed]:
                self.later(0.0, ALARM, peer, self.numbers[feed, sequence], READ)
        messages, self.messages = self.messages, []
        for end, message in messages:
            self.send(end, PAYLOAD, message, 0)
        said, self.notes = self.notes, {}
        for end, notes in said.items():
            self.push(end, NOTES, notes, 0, "notes", notes)

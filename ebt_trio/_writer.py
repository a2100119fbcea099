"""The sending half of a session: pulls from the core whatever the transport can take; see :class:`Writer`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import trio

from ._driver import Driver
from ._handshake import DEFAULT_FRAME, hello
from ._outbox import fitting, portions
from ._wire import Wire
from .core.actions import Outgoing
from .core.events import Pinged, ReadFailed, ReadMissing, TooLarge
from .core.types import FeedId, Range, Run, SessionId
from .errors import EBTError
from .frames import Ack, Bye, Messages, Notes, Ping, Pong, Resume, Start, run_size

__all__ = ["Writer"]

BATCHES: Final = (64 << 10, 256 << 10)
"""Bytes of payload per turn, at least and at most: enough that the cost of a turn vanishes, little enough that notes
need not wait long. A fast link gets more, a slow one less."""
FAST, SLOW = 0.01, 0.05
"""Seconds that sending them takes."""
GATHER: Final = 0.002
"""Seconds at most that messages which come one right after the other wait for a frame to share."""
MOST_TURNS: Final = 100
"""Likewise, in turns of the loop."""
QUIET: Final = 3
"""After so many turns of the loop without a message nobody is about to make one: a turn to get leave to, a turn to
append, and which task runs first in a turn is random."""
PONGS: Final = 16
"""Who sends more PINGs than that without reading gets no answer to the older ones."""
PING_APART: Final = 0.05
"""Seconds between PINGs that somebody waits for."""

MANY: Final = 100
"""So many entries stand in line with large frames that come in, before they become one that goes out."""
UNSIGNED: Final = "from message {first} on its author's signatures are bad: nobody else would take it"

Piece = tuple[FeedId, int, Sequence[bytes]]


class Writer:
    """Says HELLO, RESUME, then all that the core has for this session, and at last BYE.

    Nothing is queued here but what the protocol says at most once: answers to PINGs, and a PING. Somebody who reads
    slowly gets the newest notes, not all of them, and messages at his own pace.
    """

    def __init__(self, driver: Driver, wire: Wire, session: SessionId) -> None:
        self.their_frame = DEFAULT_FRAME
        """The longest frame that the other side takes, in bytes."""
        self.resume: Resume | None = None
        """Our RESUME, once their HELLO has come. Call :meth:`wake` after setting it."""
        self.is_up = False
        """Their RESUME has come, and the core knows of the session. Likewise."""
        self._driver = driver
        self._wire = wire
        self._session = session
        self.done = trio.Event()
        """BYE has been said."""
        self._wakeup = trio.Event()
        self._may_greet = False
        self._bye: Bye | None = None
        self._pongs: deque[int] = deque(maxlen=PONGS)
        self._ping_due = False
        self._pinged = 0
        self._ponged = 0
        self._pinged_at = float("-inf")
        self._batch = BATCHES[0]

    @property
    def is_finishing(self) -> bool:
        """Nothing but BYE will be sent any more."""
        return self._bye is not None

    def greet(self) -> None:
        """Say HELLO: the other side is one that we talk to, or may be."""
        self._may_greet = True
        self.wake()

    def wake(self) -> None:
        """There may be something to send."""
        self._wakeup.set()

    def answer(self, n: int) -> None:
        """A PING has come."""
        self._pongs.append(n)
        self.wake()

    def answered(self, n: int) -> bool:
        """A PONG has come. Is it the answer to the PING under way?"""
        if n != self._pinged or n == self._ponged:
            return False
        self._ponged = n
        return True

    def ping(self) -> None:
        """Send a PING, unless one is under way, or was a moment ago."""
        recently = trio.current_time() - self._pinged_at < PING_APART
        if not (self._ping_due or recently or self._ponged < self._pinged):
            self._ping_due = True
            self.wake()

    def finish(self, bye: Bye) -> None:
        """Say BYE after the frame that is being sent, and nothing else."""
        self._bye = bye
        self.wake()

    async def run(self) -> None:
        """Send until BYE has been said. Cancelling may break the wire in the middle of a frame.

        :raises TransportError: the link is broken
        """
        if await self._until(lambda: self._may_greet):
            await self._wire.send(hello(self._driver))
        if await self._until(lambda: self.resume is not None):
            assert self.resume is not None
            await self._wire.send(self.resume)
        if await self._until(lambda: self.is_up):
            await self._run_turns()
        assert self._bye is not None
        await self._wire.send(self._bye)
        await self._wire.half_close()
        self.done.set()

    async def _until(self, ready: Callable[[], bool]) -> bool:
        """False: it is time to say BYE."""
        while self._bye is None and not ready():
            self._wakeup = trio.Event()
            await self._wakeup.wait()
        return self._bye is None

    async def _run_turns(self) -> None:
        gathers = False
        while self._bye is None:
            self._wakeup = trio.Event()  # before looking: what comes up meanwhile is seen the next time
            more = await self._turn() and self._driver.core.has_more(self._session)
            gathers = gathers or self._wakeup.is_set()
            if self._bye is None and not more:
                await self._wakeup.wait()
                if gathers:
                    gathers = await self._gather()

    async def _gather(self) -> bool:
        """Let whoever is appending go on as long as it does so: a frame for many costs little more than one for one.

        Returns whether anything came, which is the best guess at whether it will the next time.
        """
        commits, until = self._driver.commits, trio.current_time() + GATHER
        before = stored = commits.stored
        quiet = 0
        for _ in range(MOST_TURNS):  # however the clock goes: in tests it may stand still
            if quiet == QUIET or self._bye is not None or trio.current_time() >= until:
                break
            await trio.lowlevel.checkpoint()
            quiet = quiet + 1 if stored == commits.stored else 0
            stored = commits.stored
        return stored != before

    async def _turn(self) -> bool:
        """Send what there is, at most one batch of messages. False: there was nothing."""
        pongs = list(self._pongs)
        self._pongs.clear()
        outgoing = self._pull(flush=bool(pongs))
        busy = bool(outgoing or pongs or self._ping_due)
        if outgoing.speaks:
            await self._announce(outgoing)
        while pongs and outgoing.acks and self._bye is None:  # every ACK owed goes before a PONG
            outgoing = self._pull(flush=True)
            await self._announce(outgoing)
        for n in pongs:
            if self._bye is None:
                await self._wire.send(Pong(n))
        if self._ping_due and self._bye is None:
            self._ping_due = False
            self._pinged += 1
            self._pinged_at = trio.current_time()
            self._driver.handle(Pinged(self._session))
            await self._wire.send(Ping(self._pinged))
        if outgoing.ranges and self._bye is None:
            await self._send_messages(outgoing.ranges)
        return busy

    def _pull(self, *, flush: bool) -> Outgoing:
        outgoing = self._driver.core.next_outgoing(self._session, trio.current_time(), flush=flush)
        if outgoing.ping:
            self.ping()
        return outgoing

    async def _announce(self, outgoing: Outgoing) -> None:
        notes, acks = outgoing.notes, outgoing.acks
        if (notes and len(notes) > MANY) or (acks and len(acks) > MANY):
            await self._driver.turns.wait()
        frames: list[Start | Notes | Ack] = [Start(firsts) for firsts in portions(outgoing.starts, self.their_frame)]
        frames.extend(Notes(notes) for notes in portions(outgoing.notes, self.their_frame))
        if outgoing.final:
            frames.append(Notes())
        frames.extend(Ack(acks) for acks in portions(outgoing.acks, self.their_frame))
        for frame in frames:
            if self._bye is not None:
                return
            await self._wire.send(frame)

    # -- messages ---------------------------------------------------------------------------------------------------

    async def _send_messages(self, ranges: Sequence[Range]) -> None:
        driver = self._driver
        runs: list[Run] = []
        room = self.their_frame
        pieces = await self._read(ranges)
        if not pieces:
            await trio.lowlevel.checkpoint()  # nothing of it could be had, the core knows: never spin on that
        endable = driver.format.endable
        for feed, first, payloads in pieces:
            while payloads and self._bye is None:
                fits, size = fitting(feed, payloads, room)
                taken = payloads if fits == len(payloads) else payloads[:fits]
                count = endable(feed, first, taken) if fits else 0
                if not count:
                    if not runs:
                        detail = UNSIGNED.format(first=first) if fits else ""
                        driver.handle(TooLarge(self._session, feed, first, detail))
                        break
                    await self._send_runs(runs)
                    runs, room = [], self.their_frame
                    continue
                if count < fits:
                    taken = taken[:count]
                    size = run_size(feed, count, sum(map(len, taken)))
                runs.append(Run(feed, first, taken))
                room -= size
                if count == len(payloads):
                    break
                first, payloads = first + count, payloads[count:]
        if runs:
            began = trio.current_time()
            if await self._send_runs(runs):
                self._adapt(trio.current_time() - began)

    async def _send_runs(self, runs: Sequence[Run]) -> bool:
        """Send those that are still wanted. False: none is."""
        runs = self._driver.core.commit_runs(self._session, runs, trio.current_time())
        self._driver.rearm()
        if not runs or self._bye is not None:
            return False
        await self._wire.send(Messages(runs))
        return True

    def _adapt(self, seconds: float) -> None:
        least, most = BATCHES
        if seconds < FAST:
            self._batch = min(self._batch * 2, most)
        elif seconds > SLOW:
            self._batch = max(self._batch // 2, least)

    async def _read(self, ranges: Sequence[Range]) -> list[Piece]:
        """What is there of the ranges, a batch at most: from the tail, and in one read from the store."""
        pieces: list[Piece] = []
        stored: list[Range] = []
        budget = self._batch
        for wanted in ranges:
            if budget <= 0:
                break
            payloads = self._driver.tail.read(wanted.feed, wanted.first, wanted.limit, budget)
            if payloads:
                pieces.append((wanted.feed, wanted.first, payloads))
                budget -= sum(map(len, payloads))
            else:
                stored.append(wanted)
        if stored:  # they have waited for their turn: however much is live, they get their share
            pieces.extend(await self._read_store(stored, max(budget, self._batch // 2)))
        return pieces

    async def _read_store(self, ranges: Sequence[Range], max_bytes: int) -> list[Piece]:
        try:
            results = await self._driver.store.read(ranges, max_bytes)
            pieces: list[Piece] = []
            missing: list[Range] = []
            for index, (wanted, payloads) in enumerate(zip(ranges, results, strict=True)):
                if payloads:
                    pieces.append((wanted.feed, wanted.first, payloads))
                elif not pieces or any(results[index:]):
                    missing.append(wanted)  # it was not for lack of room: others behind it were read, or none was
            for wanted in missing:
                await self._explain(wanted)
        except EBTError:
            for wanted in ranges:
                self._driver.handle(ReadFailed(self._session, wanted.feed))
            return []
        return pieces

    async def _explain(self, wanted: Range) -> None:
        """The store does not have what the core thinks it has: deleted or lost meanwhile."""
        held = await self._driver.store.head(wanted.feed)
        if held.head and held.first > wanted.first:
            self._driver.handle(ReadMissing(self._session, wanted.feed, held.first))
        else:
            self._driver.handle(ReadFailed(self._session, wanted.feed))

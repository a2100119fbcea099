"""The receiving half of a session: the handshake, then every frame to the core; see :class:`Reader`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final, TypeVar

import trio

from ._driver import Driver
from ._handshake import DEFAULT_FRAME, check, key_of, recall
from ._jobs import Arrival
from ._throttle import Throttle
from ._turns import LARGE
from ._wire import Wire
from ._writer import Writer
from .admission import Admit, Caller
from .core.events import AcksReceived, Disproved, MessagesReceived, NotesReceived, Ponged, SessionUp, StartReceived
from .core.types import FeedId, PeerId, Run, SessionId
from .errors import ByeCode, HandshakeError, NotAdmitted, RemoteProtocolError, StoreError, TransportError
from .frames import Ack, Bye, Frame, Hello, Messages, Notes, Ping, Pong, Resume, Start, Unknown

__all__ = ["Reader"]

TOGETHER: Final = 64 << 10
"""Bytes of frames that are taken together at most: like a frame, they are in memory until they are durable."""
AT_ONCE: Final = 1000
"""Entries, or runs, of a frame that the core takes before other tasks get their turn."""

_Said = TypeVar("_Said", Hello, Resume)


class Reader:
    """Receives until the remote says BYE or closes. The next frame is read when what was in the last is durable.

    :param admit: asked before we say anything where the transport has proved who it is, else after HELLO has come
    :param introduce: called with the peer's id and instance once its HELLO has been accepted
    :param ready: called once the core knows of the session
    """

    def __init__(
        self,
        driver: Driver,
        wire: Wire,
        writer: Writer,
        session: SessionId,
        *,
        admit: Admit | None,
        introduce: Callable[[PeerId, bytes | None], None],
        ready: Callable[[], None],
    ) -> None:
        self._driver = driver
        self._wire = wire
        self._writer = writer
        self._session = session
        self._admit = admit
        self._introduce = introduce
        self._ready = ready
        self._heard_at = trio.current_time()
        self._is_busy = False
        self._throttle = Throttle(driver.limits.bytes_per_second)
        self._throttled = driver.limits.bytes_per_second is not None or driver.limits.total_bytes_per_second is not None
        self._ahead: Frame | RemoteProtocolError | None = None
        """What has been taken from the wire already, and comes next."""

    @property
    def heard_at(self) -> float:
        """When a frame last came; now, while it is us who do not read."""
        return trio.current_time() if self._is_busy else self._heard_at

    @property
    def arriving_at(self) -> float:
        """When a part of a frame last came that is not complete; now, while it is us who do not read."""
        return trio.current_time() if self._is_busy else self._wire.transport.arriving_at

    async def run(self) -> Bye | None:
        """Receive until the end: the remote's BYE, or None if it closed without. Cancelling loses no message.

        :raises RemoteProtocolError: the remote broke a rule
        :raises Blocked: the peer is blocked here
        :raises TransportError: the link is broken, or was closed before HELLO and RESUME had come
        """
        transport = self._wire.transport
        if transport.peer_id is not None:
            self._let_in(transport.peer_id)
        if transport.peer_id is not None or self._admit is None:
            self._writer.greet()
        first = await self._expect(Hello)
        if first is None or isinstance(first, Bye):
            return first
        if transport.peer_id is None:
            self._let_in(first.id)
        check(first, self._driver, transport.peer_id, transport.address or "the other end")
        self._writer.greet()
        self._introduce(first.id, first.instance)
        self._wire.widen()
        self._writer.their_frame = first.max_frame or DEFAULT_FRAME
        key = key_of(first, transport.peer_id)
        if key is not None:
            await recall(self._driver, key)
        self._writer.resume = Resume(self._driver.core.heard_digest(key))
        self._writer.wake()
        second = await self._expect(Resume)
        if second is None or isinstance(second, Bye):
            return second
        proved = transport.peer_id is not None
        if key is not None and not self._driver.core.remembers(key):  # others have come in meanwhile, too many
            await recall(self._driver, key)
            if self._driver.core.heard_digest(key) != self._writer.resume.heard:
                raise StoreError(f"what is remembered of {first.id} could not be read again")
        self._driver.handle(SessionUp(self._session, first.id, first.instance, key, second.heard, first.acks, proved))
        self._ready()
        self._writer.is_up = True
        self._writer.wake()
        while (frame := await self._next()) is not None:
            if isinstance(frame, Bye):
                return frame
            await self._take(frame)
        return None

    def _let_in(self, peer: PeerId) -> None:
        """:raises NotAdmitted: nothing is to be had for this one"""
        driver, transport = self._driver, self._wire.transport
        caller = Caller(peer, transport.peer_id is not None, transport.address)
        if self._admit is not None and not driver.ask(self._admit, caller):
            raise NotAdmitted(
                f"{peer} is not admitted here" + ("" if caller.proved else ", by a link that proves nothing")
            )
        if driver.count_sessions(peer, caller.proved) >= driver.limits.sessions_per_peer:
            raise NotAdmitted(f"{peer} has {driver.limits.sessions_per_peer} sessions already")

    async def _expect(self, kind: type[_Said]) -> _Said | Bye | None:
        """The next frame of the handshake, or BYE. None: the session was ended here meanwhile."""
        name, seconds = kind.__name__.upper(), self._driver.limits.hello_timeout
        frame: Frame | None = None
        with trio.move_on_after(seconds) as patience:
            while isinstance(frame := await self._next(), Unknown):
                pass
        if self._writer.is_finishing:
            if frame is not None:
                await self._wire.discard()
            return None
        if patience.cancelled_caught:
            raise HandshakeError(f"expected {name} within {seconds:g} seconds, got nothing", ByeCode.TIMEOUT)
        if frame is None:
            raise TransportError(f"the remote closed the link before its {name} had come")
        if isinstance(frame, kind | Bye):
            return frame
        raise HandshakeError(f"expected {name}, got {type(frame).__name__.upper()}", ByeCode.PROTOCOL)

    async def _next(self) -> Frame | None:
        ahead, self._ahead = self._ahead, None
        if isinstance(ahead, RemoteProtocolError):
            raise ahead
        if ahead is not None:
            return ahead
        data = await self._wire.receive()
        self._heard_at = trio.current_time()
        if data is None:
            return None
        if self._throttled:
            await self._slow_down(len(data))
        if len(data) > LARGE:
            await self._in_line()
        return self._wire.decode(data)

    async def _slow_down(self, size: int) -> None:
        """Keep to the rates that are allowed."""
        until = max(self._throttle.take(size), self._driver.throttle.take(size))
        if until > self._heard_at:
            self._is_busy = True
            await trio.sleep_until(until)
            self._is_busy = False
            self._heard_at = trio.current_time()

    async def _in_line(self) -> None:
        """Wait until nobody else takes something large in this turn of the loop."""
        was_busy, self._is_busy = self._is_busy, True
        await self._driver.turns.wait()
        self._is_busy = was_busy
        self._heard_at = trio.current_time()

    def _with_the_next(self, runs: Sequence[Run]) -> Sequence[Run]:
        """Who is behind takes the messages that have come meanwhile in one go: one event, one commit."""
        together = list(runs)
        traffic = self._wire.traffic
        enough = traffic.bytes_received + TOGETHER
        while traffic.bytes_received < enough and len(together) < AT_ONCE:
            try:
                frame = self._wire.receive_nowait()
            except RemoteProtocolError as exc:
                self._ahead = exc  # for what comes before it, it does not matter
                break
            if not isinstance(frame, Messages):
                self._ahead = frame
                break
            together += frame.runs  # each run by itself: a bad one must not take a good one with it
        return together

    async def _take(self, frame: Frame) -> None:
        match frame:
            case Messages(runs):
                await self._store(runs if self._throttled else self._with_the_next(runs))
            case Notes(notes):
                await self._tell(NotesReceived, notes)
            case Ack(acks):
                await self._tell(AcksReceived, acks)
            case Start(firsts):
                await self._tell(StartReceived, firsts)
            case Ping(n):
                self._writer.answer(n)
            case Pong(n):
                if self._writer.answered(n):
                    self._driver.handle(Ponged(self._session))
            case Unknown():
                pass
            case _:
                raise RemoteProtocolError(f"expected no second {type(frame).__name__.upper()}, got one")

    async def _tell(self, kind: type[NotesReceived | AcksReceived | StartReceived], said: Mapping[FeedId, int]) -> None:
        """Give it to the core in portions, so that the loop never stops for long."""
        if len(said) <= AT_ONCE:
            self._driver.handle(kind(self._session, said))
            return
        entries = iter(said.items())
        while portion := dict(islice(entries, AT_ONCE)):
            self._driver.handle(kind(self._session, portion))
            await self._in_line()

    async def _compare(self, runs: Sequence[Run]) -> None:
        """What comes twice has to be the same. Where a run goes on behind that, its hash chain tells."""
        driver = self._driver
        for run in runs:
            if run.last <= driver.core.accepted(run.feed) and driver.core.shares(self._session, run.feed):
                detail = await driver.forks.compare(run, self._session)
                if detail is not None:
                    driver.handle(Disproved(self._session, run.feed, detail))

    async def _store(self, runs: Sequence[Run]) -> None:
        """Have the core and the store take messages; wait until what the core wanted is durable, or refused."""
        self._is_busy = True
        try:
            if self._driver.format.can_fork:
                await self._compare(runs)
            arrivals: list[Arrival] = []
            for start in range(0, len(runs), AT_ONCE):
                event = MessagesReceived(self._session, runs[start : start + AT_ONCE])
                if wanted := self._driver.handle(event):
                    arrivals.append(await self._driver.commits.receive(wanted))
                if start:
                    await self._in_line()
            for arrival in arrivals:
                if not arrival.done.is_set():  # even an event that is set takes a turn of the loop
                    await arrival.done.wait()
        finally:
            self._is_busy = False
        self._heard_at = trio.current_time()

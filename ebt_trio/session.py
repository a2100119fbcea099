"""EBT over one transport: its life from HELLO to BYE; see :class:`Session`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import trio

from ._beside import beside
from ._driver import Driver
from ._handshake import code_of, refusal
from ._reader import Reader
from ._sync import wait_synced
from ._wire import Wire
from ._writer import Writer
from .abc import Transport
from .admission import Admit
from .core.link import CoreStatistics
from .core.progress import Progress
from .core.types import PeerId
from .errors import ByeCode, CloseReason, RemoteProtocolError, SessionClosed, TransportError
from .frames import Bye
from .statistics import Statistics, Traffic

__all__ = ["Session", "run_session"]

CANCEL_GRACE: Final = 0.1
"""How long a cancelled session may take to say BYE, in seconds: hardly noticed, and enough if there is room."""


class Session:
    """One session with one peer, made by :meth:`EBT.session`, beside whose block it runs.

    It ends by itself when the remote ends it or the link breaks; by :meth:`aclose`, or at the end of the block.
    """

    def __init__(self, driver: Driver, transport: Transport, admit: Admit | None = None) -> None:
        self.id = driver.new_session_id()
        """Numbers the sessions of an EBT."""
        self.address = transport.address
        """Where the other end is, for people."""
        self.peer_id: PeerId | None = None
        """Who the other end is: None until its HELLO has come."""
        self.instance: bytes | None = None
        """Which process of that peer it is, if it says so: several may share one id."""
        self.proved = transport.peer_id is not None
        """The transport has proved who it is; if not, it only says so."""
        self._driver = driver
        self._wire = Wire(transport, driver.limits)
        self._writer = Writer(driver, self._wire, self.id)
        self._reader = Reader(
            driver, self._wire, self._writer, self.id, admit=admit, introduce=self._introduced, ready=self._is_ready
        )
        self._scope = trio.CancelScope()
        self._settled = trio.Event()
        """Ready, or over without having been."""
        self._closed = trio.Event()
        self.was_ready = False
        """Both sides have said HELLO and RESUME; stays true when the session has ended."""
        self._hurried = False
        self._reason: CloseReason | None = None
        self._error: Exception | None = None
        self._last_progress = Progress(0, 0, 0, 0, 0, 0, 0.0)
        self._last_counts = CoreStatistics()

    # -- for users --------------------------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Both sides have said HELLO and RESUME, and neither has ended the session."""
        return self.was_ready and self._reason is None

    async def wait_ready(self) -> PeerId:
        """Wait until both sides have said HELLO and RESUME; returns who the peer is. Cancelling changes nothing.

        :raises SessionClosed: the session has ended
        """
        await self._settled.wait()
        self._check_open()
        assert self.peer_id is not None
        return self.peer_id

    async def wait_synced(self) -> None:
        """Wait until all that either side has announced by now is durable at both ends; later news may be under way.

        Sends a PING now and then, which has the peer acknowledge. Cancelling changes nothing.

        :raises SessionClosed: the session has ended
        """
        await self.wait_ready()
        await wait_synced(self._driver, self)

    async def wait_closed(self) -> CloseReason:
        """Wait until the session is over and its transport closed; returns why. Cancelling changes nothing."""
        await self._closed.wait()
        assert self._reason is not None
        return self._reason

    async def aclose(self) -> None:
        """Say BYE, wait until the peer has closed or ``limits.bye_timeout`` is over, and close the transport.

        The block goes on. If cancelled, closes at once. Closing twice is fine.
        """
        self.close(ByeCode.DONE, "")
        try:
            await self._closed.wait()
        except trio.Cancelled:
            self.hurry()
            with trio.CancelScope(shield=True):
                await self._closed.wait()
            raise

    def progress(self) -> Progress:
        """How far along this session is; the last state when it has ended."""
        return self._driver.core.progress(self.id) if self.is_ready else self._last_progress

    def statistics(self) -> Statistics:
        """Counters of this session; they stay when it has ended."""
        counts = self._driver.core.statistics(self.id) if self.is_ready else self._last_counts
        return Statistics.of(self._wire.traffic, counts)

    def __repr__(self) -> str:
        state = "new" if not self.was_ready else "ready"
        return f"<Session {self.id} with {self.peer_id or self.address or '?'}: {self._reason or state}>"

    # -- for the driver ---------------------------------------------------------------------------------------------

    @property
    def close_reason(self) -> CloseReason | None:
        """Why it has ended, or is about to."""
        return self._reason

    @property
    def traffic(self) -> Traffic:
        """Frames and bytes so far."""
        return self._wire.traffic

    @property
    def arriving_at(self) -> float:
        """When something last came of what is still on its way in; now, while it is us who do not read."""
        return self._reader.arriving_at

    async def wait_settled(self) -> None:
        """Wait until it is ready, or over."""
        await self._settled.wait()

    def wake(self) -> None:
        """The core may have something to send."""
        self._writer.wake()

    def ping(self) -> None:
        """Have the peer acknowledge what it holds."""
        if self.is_ready:
            self._writer.ping()

    def close(self, code: int, text: str) -> None:
        """Begin to end the session; nothing more is sent but BYE. Does not wait."""
        known = ByeCode(code) if code in list(ByeCode) else code
        error = None
        if known not in (ByeCode.DONE, ByeCode.REPLACED, ByeCode.BLOCKED):
            error = RemoteProtocolError(text, known if isinstance(known, ByeCode) else None)
        self._end(CloseReason(known, text, by_remote=False), error, bye=Bye(code, text))

    def hurry(self) -> None:
        """End the session now: BYE only if no frame is being sent, and only if there is room for it."""
        if self._hurried:
            return
        self.close(ByeCode.DONE, "")
        self._hurried = True
        if self._wire.mid_frame or self._writer.done.is_set():
            self._scope.cancel()
        else:
            self._scope.deadline = min(self._scope.deadline, trio.current_time() + CANCEL_GRACE)

    async def run(self) -> None:
        """Run until the session is over. Whoever calls this shields it, and ends it with :meth:`close` or ``hurry``.

        Raises what the session failed with: a TransportError, a RemoteProtocolError, Blocked, or a bug.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._keep_alive)
                    await self._read()
                    nursery.cancel_scope.cancel()
        finally:
            await self._wire.close(patience=0 if self._hurried else self._driver.limits.bye_timeout)
            self._driver.past.add(self._wire.traffic)
            self._driver.sessions.pop(self.id, None)
            if self._reason is None:  # only if the whole run is torn down
                self._end(CloseReason(None, "aborted", by_remote=False))
            self._closed.set()
            self._driver.changed.fire()
        if self._error is not None:
            raise self._error

    # -- its tasks --------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            bye = await self._reader.run()
        except TransportError as exc:
            self._end(CloseReason(None, str(exc), by_remote=False), exc)
        except Exception as exc:
            code = code_of(exc)
            text = "internal error" if code is ByeCode.INTERNAL else str(exc)
            self._end(CloseReason(code, text, by_remote=False), exc, bye=Bye(code, text[:1000]))
            if not await self._wire.discard():
                await self._writer.done.wait()
        else:
            if bye is None:
                self._end(CloseReason(ByeCode.DONE, "closed without BYE", by_remote=True))
            else:
                said = ByeCode(bye.code) if bye.code in list(ByeCode) else bye.code
                self._end(CloseReason(said, bye.text, by_remote=True), refusal(bye, str(self.peer_id or self.address)))

    async def _write(self) -> None:
        try:
            await self._writer.run()
        except TransportError as exc:
            # What broke the link may be that the remote has said BYE and closed: that is still to be read.
            await trio.sleep(self._driver.limits.bye_timeout)
            self._end(CloseReason(None, str(exc), by_remote=False), exc)
        except Exception as exc:
            self._end(CloseReason(ByeCode.INTERNAL, "internal error", by_remote=False), exc)
        if self._hurried:
            self._scope.cancel()

    async def _keep_alive(self) -> None:
        patience = self._driver.limits.keepalive
        while True:
            await trio.sleep_until(self._reader.heard_at + patience)
            now = trio.current_time()
            if self._reader.heard_at + patience > now:
                continue
            self._writer.ping()
            await trio.sleep_until(now + patience)
            if self._reader.heard_at < now:  # what comes in answer may come at once
                text = f"heard nothing from {self.peer_id or self.address} for {2 * patience:g} seconds"
                reason = CloseReason(ByeCode.TIMEOUT, text, by_remote=False)
                self._end(reason, TransportError(text), bye=Bye(ByeCode.TIMEOUT, text))

    # -- its states -------------------------------------------------------------------------------------------------

    def _introduced(self, peer: PeerId, instance: bytes | None) -> None:
        self.peer_id, self.instance = peer, instance

    def _is_ready(self) -> None:
        if self._reason is None:
            self.was_ready = True
            self._settled.set()

    def _check_open(self) -> None:
        if self._reason is not None:
            raise SessionClosed(self._reason)

    def _end(self, reason: CloseReason, error: Exception | None = None, *, bye: Bye | None = None) -> None:
        """The session is over; the first reason is the reason. With ``bye`` that is still said, within a second."""
        if self._reason is not None:
            return
        if self.was_ready:
            self._last_progress = self._driver.core.progress(self.id)
            self._last_counts = self._driver.core.statistics(self.id)
        self._reason, self._error = reason, error
        self._settled.set()
        if bye is None:
            self._scope.cancel()
        else:
            self._scope.deadline = trio.current_time() + self._driver.limits.bye_timeout
            self._writer.finish(bye)
        self._driver.session_down(self.id)


@asynccontextmanager
async def run_session(
    driver: Driver, transport: Transport, admit: Admit | None = None
) -> AsyncGenerator[Session, None]:
    """A session beside the block; see :meth:`EBT.session`, which has the rules."""
    session = Session(driver, transport, admit)
    driver.sessions[session.id] = session

    def stop(hurry: bool) -> None:
        if hurry:
            session.hurry()
        else:
            session.close(ByeCode.DONE, "")

    async with beside(session.run, stop, "the session"):
        yield session

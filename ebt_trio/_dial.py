"""Keeping sessions up, with the other ends that we call and with those that call us: :func:`dial`, :func:`serve`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from random import Random
from typing import Final, TypeAlias

import anyio
import trio
from anyio.abc import ObjectStream

from ._driver import Driver
from ._wire import Wire
from .abc import Listener, Transport
from .admission import Admit
from .core.actions import What
from .core.types import PeerId
from .doorstep import Doorstep, source_of
from .errors import ByeCode, EBTError, LocalProtocolError, NotAdmitted
from .frames import Bye
from .session import Session, run_session
from .transport import as_transport, connect

__all__ = ["AnyTransport", "Backoff", "Connector", "dial", "serve"]

_log = logging.getLogger("ebt_trio")

AnyTransport: TypeAlias = "Transport | ObjectStream[bytes] | trio.abc.Channel[bytes]"
Connector: TypeAlias = Callable[[], Awaitable[AnyTransport]]
_Who: TypeAlias = tuple[PeerId, bytes, bool]
"""A peer, which process of it, and whether it has proved who it is."""

_FAILURES: Final = (
    EBTError,
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)
"""What a connector may raise because there is no connection now."""


class Backoff:
    """How long to wait before the next attempt: doubling, with jitter, so that peers do not all come back at once."""

    SHORTEST: Final = 0.1
    LONGEST: Final = 30.0

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._delay = self.SHORTEST

    def next(self) -> float:
        """Seconds: half to all of the current delay, which doubles."""
        delay, self._delay = self._delay, min(self._delay * 2, self.LONGEST)
        return delay * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._delay = self.SHORTEST


async def dial(driver: Driver, target: str | Connector) -> None:
    """Keep one session up; see :meth:`EBT.dial`. Returns when the EBT is left."""
    backoff = Backoff(driver.rng)
    where = target if isinstance(target, str) else getattr(target, "__name__", repr(target))
    last: _Who | None = None
    while driver.is_open:
        await _while_linked(driver, last)
        transport: Transport | None = None
        with driver.until_closing():
            try:
                transport = as_transport(await _reach(driver, target))
            except LocalProtocolError:
                raise
            except _FAILURES as exc:
                driver.report(What.FAILED, f"{where}: {exc}")
        if transport is not None:
            last = await _talk(driver, transport, backoff) or last
        with driver.until_closing():
            await trio.sleep(backoff.next())


async def _reach(driver: Driver, target: str | Connector) -> AnyTransport:
    if isinstance(target, str):
        return await connect(target, identity=driver.identity, network=driver.network)
    return await target()


def _who(session: Session) -> _Who | None:
    """Which process of which peer, as far as that is known."""
    if session.peer_id is None or session.instance is None:
        return None
    return session.peer_id, session.instance, session.proved


async def _while_linked(driver: Driver, last: _Who | None) -> None:
    """Wait while there is another session with whoever was there last, who has called us: one is enough."""
    while last is not None and driver.is_open and any(_who(other) == last for other in driver.sessions.values()):
        await driver.changed.wait()


async def _talk(driver: Driver, transport: Transport, backoff: Backoff) -> _Who | None:
    """One session, until it ends. After being replaced, until the one that replaced it has ended, too.

    Returns with whom.
    """
    if not driver.is_open:
        await Wire(transport, driver.limits).close(patience=0)
        return None
    session: Session | None = None
    try:
        async with run_session(driver, transport) as session:
            await session.wait_closed()
    except Exception as exc:
        _failed(driver, transport, session, exc)
    if session is None or session.close_reason is None or session.peer_id is None:
        return None
    who = _who(session)
    if session.close_reason.code == ByeCode.REPLACED:
        replaced_at = trio.current_time()
        await _while_linked(driver, who)
        if trio.current_time() < replaced_at + backoff.LONGEST:
            # Both sides call, and what crosses ends each other. So that this does not go on, one of them waits longer.
            if driver.me > session.peer_id:
                backoff.next()
            return who
    if session.was_ready:
        backoff.reset()
    return who


async def serve(driver: Driver, listener: Listener, admit: Admit | None, task_status: trio.TaskStatus[None]) -> None:
    """Have a session with whoever calls; see :meth:`EBT.serve`. Returns when the EBT is left."""
    running = 0
    doorstep = Doorstep(driver.limits.handshakes)

    async def handle(transport: Transport) -> None:
        nonlocal running
        if running >= driver.limits.sessions or not driver.is_open:
            await _refuse(driver, transport)
            return
        running += 1
        session: Session | None = None
        try:
            async with run_session(driver, transport, admit) as session:
                with _standing(doorstep, driver, session):
                    await session.wait_settled()
                await session.wait_closed()
        except Exception as exc:
            _failed(driver, transport, session, exc)
        finally:
            running -= 1

    with driver.until_closed():
        await listener.serve(handle, task_status=task_status)


@contextmanager
def _standing(doorstep: Doorstep, driver: Driver, session: Session) -> Generator[None]:
    """The session has not got through its handshake yet, and may be one too many."""

    def evict() -> None:
        driver.report(What.REFUSED, f"{session.address}: too many handshakes under way")
        session.hurry()

    place = doorstep.enter(source_of(session.address), evict)
    try:
        yield
    finally:
        place.leave()


async def _refuse(driver: Driver, transport: Transport) -> None:
    """BYE 7, and nothing else."""
    text = "no more sessions" if driver.is_open else "closing"
    driver.report(What.FAILED, f"{transport.address}: refused, {text}")
    wire = Wire(transport, driver.limits)
    try:
        with trio.move_on_after(driver.limits.bye_timeout):
            await wire.send(Bye(ByeCode.REFUSED, text))
            await wire.half_close()
            await wire.discard()
    except EBTError:
        pass  # gone already
    finally:
        await wire.close(patience=0)


def _failed(driver: Driver, transport: Transport, session: Session | None, exc: Exception) -> None:
    """A session has failed: that is told, and nothing else is harmed."""
    if not isinstance(exc, EBTError):
        _log.error("a session with %s failed: a bug", transport.address, exc_info=exc)
    peer = transport.peer_id if session is None else session.peer_id or transport.peer_id
    what = What.REFUSED if isinstance(exc, NotAdmitted) else What.FAILED
    driver.report(what, f"{transport.address}: {exc}", peer)

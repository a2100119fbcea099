"""The local peer, with its feeds, its sessions and its store; see :class:`EBT`."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Final

import trio

from . import _dial
from ._beside import beside
from ._dial import AnyTransport, Connector
from ._driver import Decide, Driver
from ._feeds import Feeds
from ._persisted import load, watch
from .abc import Format, Listener, Store
from .admission import Admit
from .core.config import Config
from .core.types import FeedId, PeerId
from .errors import ByeCode, LocalProtocolError
from .feeds.plain import PlainFormat
from .feeds.signed import SignedFormat
from .identity import Identity
from .limits import Limits
from .session import Session, run_session
from .stores.memory import MemoryStore
from .transport import as_transport

__all__ = ["EBT", "follow_all"]

NOTES_PER_FRAME: Final = 2000
"""Fewer than what others take, so that the loop never stops for long."""


def follow_all(feed: FeedId, peer: PeerId) -> bool:
    """For ``EBT(should_replicate=…)``: follow every feed that any peer names."""
    return True


class EBT(Feeds):
    """A peer: keeps its own feed and those it follows up to date with other peers, over whatever links there are.

    ::

        async with EBT("alice", MemoryStore()) as ebt:
            ebt.follow("bob")
            async with ebt.session(transport) as session:
                await ebt.append({"text": "hello bob!"})
                await session.wait_synced()

    :param identity: our peer id, and the id of our own feed, which is followed from the start. An :class:`Identity` (a
        key pair) means signed feeds, and links on which both ends prove who they are
    :param store: where feeds live; default: a :class:`MemoryStore`. Entering opens it, leaving closes it
    :param format: how content becomes payloads; default: :class:`SignedFormat` with an :class:`Identity`, else
        :class:`PlainFormat`
    :param stall_timeout: after how many seconds without a delivery a feed is asked for elsewhere
    :param graft_delay: after how many seconds a feed that others have newer is asked for there; a floor, adaptive
    :param lazy_interval: for how many seconds "I have more" is held back, to say it once for many messages; in a stream
        it is said every 45 lazy_intervals
    :param should_replicate: asked ``(feed, peer)`` when a peer names a feed that we don't follow; True follows it
    :param network: peers of different networks have nothing to do with each other
    :param limits: how much to take from others
    :param rng: decides between equals, and jitters; for tests that are to repeat

    Use it once, by ``async with``, inside of which everything else works. Leaving the block ends every session, with
    BYE, writes what is pending, and closes the store. What the block raises leaves unchanged. If the store fails on
    the way out, StoreError leaves, or becomes a note on the block's exception. Cancelled, sessions are cut off at once;
    the store is flushed and closed even so.
    """

    def __init__(
        self,
        identity: str | Identity,
        store: Store | None = None,
        *,
        format: Format | None = None,
        stall_timeout: float = 3.0,
        graft_delay: float = 0.1,
        lazy_interval: float = 0.02,
        should_replicate: Decide | None = None,
        network: str = "",
        limits: Limits | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if not isinstance(identity, str | Identity):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not check types
            raise LocalProtocolError(f"an identity is a str or an Identity, not {type(identity).__name__}")
        key = identity if isinstance(identity, Identity) else None
        limits = Limits() if limits is None else limits
        _check_config(network, limits, stall_timeout, graft_delay, lazy_interval)
        if format is None:
            format = PlainFormat() if key is None else SignedFormat(key)
        self._driver = Driver(
            PeerId(format.check_feed(str(identity))),
            MemoryStore() if store is None else store,
            format,
            config=Config(
                stall_timeout=stall_timeout,
                graft_delay=graft_delay,
                lazy_interval=lazy_interval,
                notes_per_frame=NOTES_PER_FRAME,
                strangers=limits.named_feeds,
                doubt_claims=key is not None,
            ),
            limits=limits,
            network=network,
            should_replicate=should_replicate,
            rng=random.Random() if rng is None else rng,
            identity=key,
        )
        self._running: AbstractAsyncContextManager[None] | None = None
        self._leaving = trio.Event()
        self._failure: Exception | None = None

    # -- being there ------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> EBT:
        """Open the store and load what it holds. Cancelling, or a failure, leaves it closed.

        :raises StoreError: the store cannot be opened or read
        :raises LocalProtocolError: entered before
        """
        if self._running is not None:
            raise LocalProtocolError("an EBT can be entered once: make another one, on the same store if you like")
        self._running = self._run()
        await self._running.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        assert self._running is not None
        return await self._running.__aexit__(kind, value, traceback)

    @asynccontextmanager
    async def _run(self) -> AsyncGenerator[None, None]:
        driver = self._driver
        try:
            await driver.store.open(driver.format.name)
            await load(driver)
        except BaseException:
            with trio.CancelScope(shield=True):
                await driver.store.close()
            raise
        driver.is_open = True
        async with beside(self._main, self._stop, "the EBT"):
            yield

    def _stop(self, hurry: bool) -> None:
        self._driver.start_closing()
        self._leaving.set()
        for session in tuple(self._driver.sessions.values()):
            if hurry:
                session.hurry()
            else:
                session.close(ByeCode.DONE, "")

    async def _main(self) -> None:
        """Everything that goes on beside the block; the writing to the store ends last."""
        driver = self._driver
        async with trio.open_nursery() as writing:
            writing.start_soon(self._guard, driver.commits.run)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._guard, driver.run_timer)
                nursery.start_soon(self._guard, watch, driver)
                await self._leaving.wait()
                while driver.sessions:
                    await driver.changed.wait()
                nursery.cancel_scope.cancel()
            driver.finish_closing()
            driver.commits.stop()
        await self._guard(driver.store.close)
        if self._failure is not None:
            raise self._failure

    async def _guard(self, part: Callable[..., Any], *args: Any) -> None:
        """What fails in one part ends all, in order; the first failure is told."""
        try:
            await part(*args)
        except Exception as exc:
            self._failure = self._failure or exc
            self._stop(False)

    # -- sessions ---------------------------------------------------------------------------------------------------

    def session(self, transport: AnyTransport) -> AbstractAsyncContextManager[Session]:
        """A session over ``transport``, beside an ``async with`` block. It closes the transport in the end.

        - Entering does not wait for the remote: that is what :meth:`Session.wait_ready` is for.
        - What the block raises leaves unchanged.
        - A session that fails cancels the block, and its error leaves, bare: TransportError, RemoteProtocolError with
          its kinds, or Blocked. If the block raises, too, its exception leaves, with a note about the session's.
        - When the remote ends the session in order, the block just goes on; what waits on the session raises
          SessionClosed.
        - Leaving says BYE and waits until the remote has closed, at most ``limits.bye_timeout`` seconds. Cancelled, it
          says BYE only if that takes no time and no frame is being sent, and closes.

        :raises LocalProtocolError: not a transport, or not open
        """
        self._driver.check_open()
        return run_session(self._driver, as_transport(transport))

    async def serve(
        self,
        listener: Listener,
        admit: Admit | None = None,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Have a session with whoever calls, for ever; use ``await nursery.start(ebt.serve, listener)``.

        A bad session is reported and ends alone. More than ``limits.sessions`` at once are refused. Returns when the
        EBT is left. Cancelling ends the sessions at once. Closing the listener is up to the caller.

        :param admit: whom to let in; None: everybody who is not blocked. Who is refused learns nothing, and is reported
            by :meth:`events` and the log. :func:`ebt_trio.allow` makes one of a set of ids.
        """
        self._driver.check_open()
        await _dial.serve(self._driver, listener, admit, task_status)

    async def dial(
        self, url_or_connector: str | Connector, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep one session up, for ever: reconnects when it ends, after 0.1 to 30 seconds, with jitter.

        ``task_status.started()`` is called at once. Failures are reported by :meth:`events` and the log. While
        the peer that was there last has a session with us that it has made itself, it is not called: one is enough.
        Returns when the EBT is left.

        :param url_or_connector: a URL for :func:`ebt_trio.connect`, or an async function that returns a transport
        :raises LocalProtocolError: a malformed URL, an unknown scheme, or not open
        """
        self._driver.check_open()
        task_status.started()
        await _dial.dial(self._driver, url_or_connector)


def _check_config(network: str, limits: Limits, *times: float) -> None:
    if len(network.encode()) > 1024:
        raise LocalProtocolError(f"a network may have 1024 bytes of UTF-8, not {len(network.encode())}")
    if limits.frame < limits.hello_frame:
        raise LocalProtocolError(f"limits.frame must be at least {limits.hello_frame} bytes, not {limits.frame}")
    if not all(0 < time < float("inf") for time in times):
        raise LocalProtocolError("stall_timeout, graft_delay and lazy_interval must be positive and finite")

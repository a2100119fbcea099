"""What listeners have in common: accepting from sockets, and one task per transport."""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import trio

from ebt_trio.abc import Listener, Transport
from ebt_trio.errors import TransportError

from .framed import FramedTransport

__all__ = ["Handler", "SocketListener", "run_handler"]

Handler = Callable[[Transport], Awaitable[Any]]
Prepare = Callable[[trio.SocketStream, str], Awaitable[Transport | None]]

_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""The machine has run out of something; connections wait in the backlog meanwhile."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0

_log = logging.getLogger("ebt_transports")


async def run_handler(handler: Handler, transport: Transport) -> None:
    """The life of an accepted transport: ``handler``, then closing, whatever happened."""
    async with transport:
        await handler(transport)


async def _frame(stream: trio.SocketStream, address: str) -> Transport:
    return FramedTransport(stream, address=address)


class SocketListener(Listener):
    """Accepts :class:`FramedTransport` from listening sockets.

    :param listeners: at least one; closed by :meth:`aclose`
    :param urls: where they listen
    :param address: says where an accepted stream comes from
    :param cleanup: called once when closing, before the sockets close
    :param prepare: makes a transport of an accepted stream and its address, or closes it and returns None
    """

    def __init__(
        self,
        listeners: Sequence[trio.SocketListener],
        urls: Sequence[str],
        address: Callable[[trio.SocketStream], str],
        cleanup: Callable[[], None] | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        self.urls = tuple(urls)
        self._listeners = tuple(listeners)
        self._address = address
        self._cleanup = cleanup
        self._prepare = _frame if prepare is None else prepare

    async def serve(self, handler: Handler, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept until cancelled; see :meth:`ebt_trio.abc.Listener.serve`. Once the listener has been closed, returns
        when the last handler has.

        When files or memory run out, it waits and goes on; connections that die before they are accepted are passed
        over.

        :raises TransportError: accepting failed for good
        """
        async with trio.open_nursery() as nursery:
            for listener in self._listeners:
                nursery.start_soon(self._accept, listener, handler, nursery)
            task_status.started()

    async def _accept(self, listener: trio.SocketListener, handler: Handler, nursery: trio.Nursery) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                stream = await listener.accept()
            except trio.ClosedResourceError:
                return
            except OSError as exc:
                if exc.errno not in _EXHAUSTED:
                    raise TransportError(f"cannot accept on {', '.join(self.urls)}: {exc}") from exc
                if pause == _FIRST_PAUSE:
                    _log.warning("cannot accept on %s for now: %s", ", ".join(self.urls), exc)
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                pause = _FIRST_PAUSE
                nursery.start_soon(self._run, handler, stream)

    async def _run(self, handler: Handler, stream: trio.SocketStream) -> None:
        transport = await self._prepare(stream, self._address(stream))
        if transport is not None:
            await run_handler(handler, transport)

    async def aclose(self) -> None:
        """Stop listening; running handlers go on. Closing twice is fine. Cancelling does not keep anything open."""
        cleanup, self._cleanup = self._cleanup, None
        if cleanup is not None:
            cleanup()
        for listener in self._listeners:
            listener.socket.close()
        await trio.lowlevel.checkpoint()

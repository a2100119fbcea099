"""A link that can be cut: a small TCP proxy; see :class:`CuttableLink`."""

from __future__ import annotations

from contextlib import suppress

import trio

__all__ = ["CuttableLink"]


class CuttableLink:
    """Forwards what comes to ``port`` on this machine, to ``target`` likewise, until :meth:`cut`."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._is_cut = False
        self._scopes: set[trio.CancelScope] = set()

    def cut(self) -> None:
        """Close every connection, and take no more."""
        self._is_cut = True
        for scope in self._scopes:
            scope.cancel()

    def mend(self) -> None:
        self._is_cut = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; ``port`` is known when it has started."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._forward, listeners)

    async def _forward(self, near: trio.SocketStream) -> None:
        if self._is_cut:
            return
        with trio.CancelScope() as scope, suppress(OSError):
            self._scopes.add(scope)
            try:
                async with await trio.open_tcp_stream("127.0.0.1", self._target) as far, trio.open_nursery() as nursery:
                    nursery.start_soon(_pump, near, far, scope)
                    nursery.start_soon(_pump, far, near, scope)
            finally:
                self._scopes.discard(scope)


async def _pump(source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for chunk in source:
            await sink.send_all(chunk)
        await sink.send_eof()
        return
    scope.cancel()

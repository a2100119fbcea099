"""Writing down what goes over a transport: :class:`Tapped`, :class:`TappedListener`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from ...abc import Listener, Transport
from .trace import Trace

__all__ = ["Tapped", "TappedListener"]


class Tapped(Transport):
    """A transport as it is, with its frames in the trace.

    :param who: sender and receiver, as the trace is to name them; and the other way round
    """

    def __init__(self, inner: Transport, trace: Trace, me: str, them: str) -> None:
        self._inner = inner
        self._trace = trace
        self.peer_id = inner.peer_id
        self.address = inner.address
        self._sends, self._receives = f"{me} > {them}", f"{me} < {them}"

    @property
    def max_frame(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride] - what is set is passed on
        return self._inner.max_frame

    @max_frame.setter
    def max_frame(self, size: int) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._inner.max_frame = size

    @property
    def arriving_at(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride] - likewise
        return self._inner.arriving_at

    @arriving_at.setter
    def arriving_at(self, time: float) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._inner.arriving_at = time

    async def send(self, item: bytes) -> None:
        self._trace.sent(self._sends, item)
        await self._inner.send(item)

    async def receive(self) -> bytes:
        frame = await self._inner.receive()
        self._trace.frame(self._receives, frame)
        return frame

    def receive_nowait(self) -> bytes | None:
        frame = self._inner.receive_nowait()
        if frame is not None:
            self._trace.frame(self._receives, frame)
        return frame

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()


class TappedListener(Listener):
    """A listener whose transports are tapped."""

    def __init__(self, inner: Listener, tap: Callable[[Transport], Transport]) -> None:
        self._inner = inner
        self._tap = tap
        self.urls = inner.urls

    async def serve(
        self,
        handler: Callable[[Transport], Awaitable[Any]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        async def handle(transport: Transport) -> None:
            await handler(self._tap(transport))

        await self._inner.serve(handle, task_status=task_status)

    async def aclose(self) -> None:
        await self._inner.aclose()

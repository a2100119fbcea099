"""Frames over a transport, counted, with one kind of error; see :class:`Wire`."""

from __future__ import annotations

from typing import Final

import anyio
import trio

from .abc import Transport
from .errors import FrameTooLarge, RemoteProtocolError, TransportError
from .frames import Frame, decode, encode
from .limits import Limits
from .statistics import Traffic

__all__ = ["Wire"]

_ENDS: Final = (anyio.EndOfStream, trio.EndOfChannel)
_BREAKS: Final = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    OSError,
)


class Wire:
    """Sends and receives whole frames. One task at a time sends, one receives.

    Until :meth:`widen`, frames of ``limits.hello_frame`` bytes at most are taken.
    """

    def __init__(self, transport: Transport, limits: Limits) -> None:
        self.transport = transport
        self.traffic = Traffic()
        self.mid_frame = False
        """A frame is being sent, or was cut off: whatever is sent behind it would be taken for the rest of it."""
        self._limits = limits
        transport.max_frame = limits.hello_frame

    def widen(self) -> None:
        """HELLO has come: take frames as long as our own HELLO says."""
        self.transport.max_frame = self._limits.frame

    async def send(self, frame: Frame) -> None:
        """Send a frame. Cancelling breaks the wire.

        :raises TransportError: the link is broken
        """
        data = encode(frame)
        self.mid_frame = True
        try:
            await self.transport.send(data)
        except _BREAKS as exc:
            raise self._broken("sending", exc) from exc
        self.mid_frame = False
        self.traffic.frames_sent += 1
        self.traffic.bytes_sent += len(data)

    async def half_close(self) -> None:
        """Nothing more will be sent. Never fails."""
        try:
            await self.transport.send_eof()
        except (TransportError, *_BREAKS):
            pass

    async def receive(self) -> bytes | None:
        """The bytes of the next frame, for :meth:`decode`, or None after an orderly end. Cancelling loses nothing.

        :raises TransportError: the link is broken
        :raises FrameTooLarge: too long
        """
        try:
            data = await self.transport.receive()
        except _ENDS:
            return None
        except _BREAKS as exc:
            raise self._broken("receiving", exc) from exc
        return self._counted(data)

    def decode(self, data: bytes) -> Frame:
        """What was received.

        :raises RemoteProtocolError: not a frame
        """
        return decode(data, self._limits)

    def receive_nowait(self) -> Frame | None:
        """A frame that has come whole by now, or None; no checkpoint.

        :raises RemoteProtocolError: not a frame, or too long
        """
        data = self.transport.receive_nowait()
        return None if data is None else decode(self._counted(data), self._limits)

    async def discard(self) -> bool:
        """Take what still comes, until the end. False: the link is broken."""
        while True:
            try:
                if await self.receive() is None:
                    return True
            except TransportError:
                return False
            except RemoteProtocolError:
                await trio.lowlevel.checkpoint()  # too long, too: whatever

    async def close(self, *, patience: float) -> None:
        """Close the transport; after ``patience`` seconds by force. Never fails, and cannot be cancelled."""
        with trio.move_on_after(0 if self.mid_frame else patience, shield=True):
            try:
                await self.transport.aclose()
            except (TransportError, *_BREAKS):
                pass

    def _counted(self, data: bytes) -> bytes:
        if len(data) > self.transport.max_frame:
            raise FrameTooLarge(f"expected a frame of at most {self.transport.max_frame} bytes, got one of {len(data)}")
        self.traffic.frames_received += 1
        self.traffic.bytes_received += len(data)
        return data

    def _broken(self, doing: str, exc: Exception) -> TransportError:
        where = f" with {self.transport.address}" if self.transport.address else ""
        return TransportError(f"the link{where} broke while {doing}: {str(exc) or type(exc).__name__}")

"""Transports inside one Trio run: a pair, and listeners by name (``memory://name``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import trio

from ebt_trio.abc import Listener, Scheme, Transport
from ebt_trio.errors import FrameTooLarge, LocalProtocolError, TransportError

from ._sockets import run_handler

__all__ = ["MemoryListener", "MemoryTransport", "connect", "listen", "memory_pair", "scheme"]


class MemoryTransport(Transport):
    """One end of a :func:`memory_pair`.

    ``peer_id`` and ``address`` may be set. Cancelling ``send`` leaves the frame unsent and the transport whole. A frame
    beyond ``max_frame`` is dropped when ``receive`` refuses it; receiving may go on.
    """

    def __init__(self, outgoing: trio.MemorySendChannel[bytes], incoming: trio.MemoryReceiveChannel[bytes]) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self.address = "memory"

    async def send(self, item: bytes) -> None:
        """Send one frame; waits while the other side has ``buffer`` frames to take.

        :raises TransportError: closed, here or there
        """
        try:
            await self._outgoing.send(item)
        except trio.ClosedResourceError as exc:
            raise TransportError(
                f"cannot send to {self.address}: it is closed on this side, or send_eof was called"
            ) from exc
        except trio.BrokenResourceError as exc:
            raise TransportError(f"the link to {self.address} broke: the other side has closed") from exc

    async def receive(self) -> bytes:
        """Return the next frame. Cancelling loses nothing.

        :raises anyio.EndOfStream: the other side has closed, and everything it sent has been received
        :raises TransportError: closed on this side
        :raises FrameTooLarge: a frame is longer than ``max_frame``
        """
        try:
            frame = await self._incoming.receive()
        except trio.EndOfChannel:
            raise anyio.EndOfStream from None
        except trio.ClosedResourceError as exc:
            raise TransportError(f"the link to {self.address} is closed on this side") from exc
        return self._checked(frame)

    def receive_nowait(self) -> bytes | None:
        """A frame that waits to be taken, or None.

        :raises FrameTooLarge: as :meth:`receive`
        """
        try:
            return self._checked(self._incoming.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
            return None

    def _checked(self, frame: bytes) -> bytes:
        if len(frame) > self.max_frame:
            raise FrameTooLarge(f"expected a frame of at most {self.max_frame} bytes, got one of {len(frame)}")
        return frame

    async def send_eof(self) -> None:
        """Say that nothing more will be sent; receiving goes on. Twice is fine."""
        self._outgoing.close()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close, at once if cancelled. Closing twice is fine. What has been sent to us but not received is lost."""
        self._outgoing.close()
        self._incoming.close()
        await trio.lowlevel.checkpoint()


def memory_pair(*, buffer: int = 16) -> tuple[MemoryTransport, MemoryTransport]:
    """Two transports, each the other end of the other.

    :param buffer: how many frames wait in each direction before ``send`` does
    """
    there: tuple[trio.MemorySendChannel[bytes], trio.MemoryReceiveChannel[bytes]] = trio.open_memory_channel(buffer)
    back: tuple[trio.MemorySendChannel[bytes], trio.MemoryReceiveChannel[bytes]] = trio.open_memory_channel(buffer)
    return MemoryTransport(there[0], back[1]), MemoryTransport(back[0], there[1])


class MemoryListener(Listener):
    """Listens under a name within this Trio run; made by :func:`listen`."""

    def __init__(self, name: str, names: dict[str, MemoryListener]) -> None:
        self.urls = (_PREFIX + name,)
        self._name = name
        self._names = names
        self._door, self._callers = trio.open_memory_channel[MemoryTransport](0)
        names[name] = self

    async def serve(
        self,
        handler: Callable[[Transport], Awaitable[Any]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept until cancelled; see :meth:`ebt_trio.abc.Listener.serve`. Once the listener has been closed, returns
        when the last handler has."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            try:
                async for transport in self._callers:
                    nursery.start_soon(run_handler, handler, transport)
            except trio.ClosedResourceError:
                pass

    async def aclose(self) -> None:
        """Stop listening; running handlers go on, and the name is free again. Closing twice is fine."""
        if self._names.get(self._name) is self:
            del self._names[self._name]
        self._callers.close()  # ends what waits at the door, too
        await trio.lowlevel.checkpoint()

    async def call(self, transport: MemoryTransport) -> None:
        """Hand over the far end of a pair; waits until a ``serve`` takes it. Cancelling takes it back."""
        await self._door.send(transport)


_PREFIX: Final = "memory://"

# Memory channels cannot cross threads, so a name is good within one Trio run; and with the run the names are gone.
_names_of_run: trio.lowlevel.RunVar[dict[str, MemoryListener]] = trio.lowlevel.RunVar("ebt_transports.memory")


def _names() -> dict[str, MemoryListener]:
    try:
        return _names_of_run.get()
    except LookupError:
        names: dict[str, MemoryListener] = {}
        _names_of_run.set(names)
        return names


async def connect(name: str) -> MemoryTransport:
    """Connect to the listener of this name; waits until its ``serve`` accepts. Cancelling leaves nothing behind.

    :raises TransportError: nobody listens under this name
    """
    listener = _names().get(name)
    if listener is None:
        await trio.lowlevel.checkpoint()
        raise TransportError(f"cannot connect to {_PREFIX}{name}: nobody listens under this name; call listen first")
    mine, theirs = memory_pair()
    mine.address = theirs.address = _PREFIX + name
    try:
        await listener.call(theirs)
    except trio.BrokenResourceError as exc:
        raise TransportError(f"cannot connect to {_PREFIX}{name}: its listener has just been closed") from exc
    return mine


async def listen(name: str) -> MemoryListener:
    """Listen under a name, which is taken until the listener is closed.

    :raises TransportError: the name is taken
    """
    await trio.lowlevel.checkpoint()
    names = _names()
    if name in names:
        raise TransportError(f"cannot listen on {_PREFIX}{name}: the name is in use; take another one")
    return MemoryListener(name, names)


def _name(url: str) -> str:
    name = url[len(_PREFIX) :]
    if url[: len(_PREFIX)].lower() != _PREFIX or not name:
        raise LocalProtocolError(f"expected memory://NAME, for example memory://hub, got {url!r}")
    return name


class _MemoryScheme:
    async def connect(self, url: str) -> Transport:
        return await connect(_name(url))

    async def listen(self, url: str) -> Listener:
        return await listen(_name(url))


scheme: Final[Scheme] = _MemoryScheme()

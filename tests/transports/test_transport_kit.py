"""check_transport must find what is wrong: each transport here breaks one promise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
import trio
from trio.testing import MockClock

from ebt_transports import memory_pair
from ebt_transports.memory import MemoryTransport
from ebt_trio.abc import PeerId, Transport
from ebt_trio.errors import TransportError
from ebt_trio.testing.transports import check_transport


class Wrong(Transport):
    """Keeps every promise; subclasses break one each."""

    def __init__(self, inner: MemoryTransport) -> None:
        self.inner = inner

    async def send(self, item: bytes) -> None:
        await self.inner.send(item)

    async def receive(self) -> bytes:
        self.inner.max_frame = self.max_frame
        return await self.inner.receive()

    async def send_eof(self) -> None:
        await self.inner.send_eof()

    async def aclose(self) -> None:
        await self.inner.aclose()


class Nameless(Wrong):
    address = None  # type: ignore[assignment]


class NumberedPeer(Wrong):
    peer_id = PeerId(7)  # type: ignore[arg-type]


class SmallFromTheStart(Wrong):
    max_frame = 1000


class Swapping(Wrong):
    """Every tenth frame waits for the next."""

    sent = 0
    kept: bytes | None = None

    async def send(self, item: bytes) -> None:
        self.sent += 1
        if self.sent % 10 == 9:
            self.kept = item
            await trio.lowlevel.checkpoint()
        else:
            await super().send(item)
            if self.kept is not None:
                kept, self.kept = self.kept, None
                await super().send(kept)


class Peeking(Wrong):
    """Returns without waiting what it returns again by receive."""

    kept: bytes | None = None

    def receive_nowait(self) -> bytes | None:
        self.kept = self.kept or self.inner.receive_nowait()
        return self.kept

    async def receive(self) -> bytes:
        kept, self.kept = self.kept, None
        return await super().receive() if kept is None else kept


class Splitting(Wrong):
    """Frames are what fits into a packet."""

    async def send(self, item: bytes) -> None:
        for start in range(0, len(item), 65536):
            await super().send(item[start : start + 65536])


class Mutable(Wrong):
    async def receive(self) -> bytes:
        return bytearray(await super().receive())  # type: ignore[return-value]


class Strict(Wrong):
    """Takes frames shorter than max_frame only."""

    async def receive(self) -> bytes:
        frame = await super().receive()
        if len(frame) >= self.max_frame:
            raise TransportError("too long")
        return frame


class HalfDuplex(Wrong):
    """While one sends, it does not receive."""

    def __init__(self, inner: MemoryTransport) -> None:
        super().__init__(inner)
        self.lock = trio.Lock()

    async def send(self, item: bytes) -> None:
        async with self.lock:
            await super().send(item)

    async def receive(self) -> bytes:
        async with self.lock:
            return await super().receive()


class Unbounded(Wrong):
    async def send(self, item: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.inner._outgoing.statistics().open_receive_channels == 0:
            raise TransportError("closed")
        self.inner._outgoing.send_nowait(item)


class Lossy(Wrong):
    """Cancelling receive loses the frame it had."""

    async def receive(self) -> bytes:
        frame = await super().receive()
        await trio.lowlevel.checkpoint()
        return frame


class Tearing(Wrong):
    """A cancelled send delivers what it had."""

    async def send(self, item: bytes) -> None:
        try:
            await super().send(item)
        except trio.Cancelled:
            self.inner._outgoing._state.data.append(item[:10])
            raise


class Boundless(Wrong):
    """Has never heard of max_frame."""

    async def receive(self) -> bytes:
        return await self.inner.receive()


class Fixed(Wrong):
    """Looks at max_frame only when it is made smaller for the first time."""

    async def receive(self) -> bytes:
        self.inner.max_frame = min(self.inner.max_frame, self.max_frame)
        return await self.inner.receive()


class NoEnd(Wrong):
    async def receive(self) -> bytes:
        try:
            return await super().receive()
        except anyio.EndOfStream:
            raise TransportError("closed by the other side") from None


class EndsOnce(Wrong):
    ended = False

    async def receive(self) -> bytes:
        if self.ended:
            await trio.sleep_forever()
        try:
            return await super().receive()
        except anyio.EndOfStream:
            self.ended = True
            raise


class ForgetsOnClose(Wrong):
    """Closing destroys what is under way."""

    async def aclose(self) -> None:
        self.inner._outgoing._state.data.clear()
        await super().aclose()


class ClosesBothWays(Wrong):
    async def send_eof(self) -> None:
        await self.aclose()


class ClosesOnce(Wrong):
    closed = False

    async def aclose(self) -> None:
        if self.closed:
            raise TransportError("closed already")
        self.closed = True
        await super().aclose()


class SendsIntoTheVoid(Wrong):
    async def send(self, item: bytes) -> None:
        try:
            await super().send(item)
        except TransportError as exc:
            if "other side has closed" not in str(exc):
                raise


class SleepsOn(Wrong):
    """A waiting receive does not notice aclose."""

    async def receive(self) -> bytes:
        try:
            return await super().receive()
        except TransportError:
            await trio.sleep_forever()
            raise


class SaysNothing(Wrong):
    """Closed or not: sending always works."""

    async def send(self, item: bytes) -> None:
        try:
            await super().send(item)
        except TransportError as exc:
            if "closed on this side" not in str(exc):
                raise


class ClosesSlowly(Wrong):
    """Cancelled before it has closed."""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()
        await super().aclose()


CASES: dict[type[Wrong], str] = {
    Nameless: "address None",
    NumberedPeer: "peer_id 7",
    SmallFromTheStart: "max_frame 1000",
    Swapping: "in the order",
    Peeking: "takes nothing away from receive",
    Splitting: "arrive whole",
    Mutable: "bytearray, not bytes",
    Strict: "is not too large",
    HalfDuplex: "at the same time|direction is full",
    Unbounded: "bytes were taken, and nobody received one",
    Lossy: "Cancelling receive loses nothing",
    Tearing: "part of a frame",
    Boundless: "FrameTooLarge",
    Fixed: "FrameTooLarge",
    NoEnd: "EndOfStream",
    EndsOnce: "no end within",
    ForgetsOnClose: "what was sent before",
    ClosesBothWays: "After send_eof",
    ClosesOnce: "aclose may be called twice|closed already",
    SendsIntoTheVoid: "1000 frames were taken",
    SleepsOn: "no end within",
    SaysNothing: "no error after aclose",
    ClosesSlowly: "even if it is cancelled",
}


@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
async def test_finds(kind: type[Wrong], autojump_clock: MockClock) -> None:
    @asynccontextmanager
    async def maker() -> AsyncIterator[tuple[Transport, Transport]]:
        # roomy, so that only what is wrong on purpose is wrong
        one, other = memory_pair(buffer=10_000 if kind is Unbounded else 16)
        yield kind(one), kind(other)

    with pytest.raises(AssertionError, match=CASES[kind]):
        await check_transport(maker, timeout=10)


async def test_the_frame_around_them_is_right(autojump_clock: MockClock) -> None:
    @asynccontextmanager
    async def maker() -> AsyncIterator[tuple[Transport, Transport]]:
        one, other = memory_pair()
        yield Wrong(one), Wrong(other)

    await check_transport(maker)


async def test_names_the_end_at_fault(autojump_clock: MockClock) -> None:
    @asynccontextmanager
    async def maker() -> AsyncIterator[tuple[Transport, Transport]]:
        one, other = memory_pair()
        yield one, Nameless(other)

    with pytest.raises(AssertionError, match="near: the second of the pair"):
        await check_transport(maker)

"""as_transport: anything that carries bytes objects."""

from __future__ import annotations

import anyio
import anyio.abc
import pytest
import trio
from anyio.streams.stapled import StapledObjectStream
from trio.testing import MemorySendStream, memory_stream_pair

from ebt_transports import memory_pair
from ebt_trio.errors import ByeCode, FrameTooLarge, LocalProtocolError, RemoteProtocolError, TransportError
from ebt_trio.transport import as_transport


class Channel(trio.abc.Channel[bytes]):
    """Gives ``item``, raises ``error``."""

    def __init__(self, item: object = b"", error: BaseException | None = None) -> None:
        self.item, self.error = item, error
        self.closed = 0

    async def send(self, value: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error

    async def receive(self) -> bytes:
        await self.send(b"")
        return self.item  # type: ignore[return-value]

    async def aclose(self) -> None:
        self.closed += 1
        await self.send(b"")


class Stream(Channel, anyio.abc.ObjectStream[bytes]):
    """The same for anyio."""

    async def send_eof(self) -> None:
        await self.send(b"")


def test_a_transport_stays_as_it_is() -> None:
    one, _ = memory_pair()
    assert as_transport(one) is one


async def test_an_anyio_stream() -> None:
    send, receive = anyio.create_memory_object_stream[bytes](1)
    async with as_transport(StapledObjectStream(send, receive)) as transport:
        assert transport.peer_id is None
        assert transport.address == "StapledObjectStream"
        await transport.send(b"to myself")
        assert await transport.receive() == b"to myself"
        await transport.send_eof()
        with pytest.raises(anyio.EndOfStream):
            await transport.receive()


@pytest.mark.parametrize("kind", [Channel, Stream])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (trio.BrokenResourceError("gone"), "the link to .* broke: gone"),
        (anyio.BrokenResourceError(), "the link to .* broke: BrokenResourceError"),
        (OSError("gone"), "the link to .* broke: gone"),
        (trio.ClosedResourceError(), "the link to .* is closed on this side"),
        (anyio.ClosedResourceError(), "the link to .* is closed on this side"),
    ],
    ids=lambda value: value.__class__.__module__,
)
async def test_errors_of_either_family(kind: type[Channel], error: Exception, said: str) -> None:
    stream = kind(error=error)
    transport = as_transport(stream)
    with pytest.raises(TransportError, match=said):
        await transport.receive()
    with pytest.raises(TransportError, match=said):
        await transport.send(b"x")
    if kind is Stream:
        with pytest.raises(TransportError, match=said):
            await transport.send_eof()
    await transport.aclose()
    assert stream.closed == 1


@pytest.mark.parametrize("error", [trio.EndOfChannel(), anyio.EndOfStream()])
async def test_the_end_of_either_family(error: Exception) -> None:
    with pytest.raises(anyio.EndOfStream):
        await as_transport(Channel(error=error)).receive()


async def test_other_errors_pass_through() -> None:
    with pytest.raises(ZeroDivisionError):
        await as_transport(Channel(error=ZeroDivisionError())).receive()


async def test_no_half_close() -> None:
    await as_transport(Stream(error=NotImplementedError())).send_eof()
    await as_transport(Channel()).send_eof()


async def test_a_text_message_is_no_frame() -> None:
    with pytest.raises(RemoteProtocolError, match="expected frames of bytes from Channel, got str") as caught:
        await as_transport(Channel("text")).receive()
    assert caught.value.code is ByeCode.MALFORMED


async def test_bytes_come_out() -> None:
    assert type(await as_transport(Channel(bytearray(b"x"))).receive()) is bytes


async def test_max_frame() -> None:
    transport = as_transport(Channel(b"four"))
    transport.max_frame = 4
    assert await transport.receive() == b"four"
    transport.max_frame = 3
    with pytest.raises(FrameTooLarge, match="at most 3 bytes, got one of 4"):
        await transport.receive()


def test_a_byte_stream_needs_frames() -> None:
    stream, _ = memory_stream_pair()
    with pytest.raises(
        LocalProtocolError, match=r"got StapledStream: a byte stream has no frames; put an .*FramedTransport"
    ):
        as_transport(stream)  # type: ignore[arg-type]


@pytest.mark.parametrize("thing", [None, b"", MemorySendStream()])
def test_anything_else_is_refused(thing: object) -> None:
    with pytest.raises(LocalProtocolError, match=f"expected a Transport, .*got {type(thing).__name__}$"):
        as_transport(thing)  # type: ignore[arg-type]

"""Frames on a byte stream: what is on the wire, and what happens when the stream misbehaves."""

from __future__ import annotations

import errno
from collections.abc import Callable

import anyio
import anyio.abc
import cbor2
import pytest
import trio
from trio.testing import (
    MemoryReceiveStream,
    MemorySendStream,
    MockClock,
    lockstep_stream_pair,
    memory_stream_one_way_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from ebt_transports import FramedTransport
from ebt_trio.errors import ByeCode, FrameTooLarge, LocalProtocolError, RemoteProtocolError, TransportError
from ebt_trio.frames import byte_string_head


def wrapped(frame: bytes) -> bytes:
    return byte_string_head(len(frame)) + frame


class Recorder(trio.abc.HalfCloseableStream):
    """A stream that remembers how it is used, and gives what it is told to."""

    def __init__(self, incoming: bytes = b"") -> None:
        self.writes: list[bytes] = []
        self.reads: list[int | None] = []
        self.incoming = incoming
        self.error: BaseException | None = None
        self.closed = 0

    def fail(self) -> None:
        if self.error is not None:
            raise self.error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.fail()
        self.writes.append(bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        self.fail()
        self.reads.append(max_bytes)
        data, self.incoming = self.incoming[:max_bytes], self.incoming[max_bytes:]
        return data

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        self.fail()

    async def aclose(self) -> None:
        self.closed += 1
        await trio.lowlevel.checkpoint()
        self.fail()


async def test_the_stream_is_a_cbor_sequence() -> None:
    here, there = memory_stream_pair()
    transport = FramedTransport(here)
    frames = [b"a", b"x" * 23, b"x" * 24, b"x" * 300, b"x" * 70_000]
    for frame in frames:
        await transport.send(frame)
    await transport.aclose()
    data = await there.receive_some()
    offset = 0
    for frame in frames:
        item = cbor2.dumps(frame)
        assert data[offset : offset + len(item)] == item
        offset += len(item)
    assert offset == len(data)


async def test_small_frames_go_out_in_one_write_and_large_ones_uncopied() -> None:
    stream = Recorder()
    transport = FramedTransport(stream)
    small, large = b"s" * 65536, b"l" * 65537
    await transport.send(small)
    assert stream.writes == [wrapped(small)]
    await transport.send(large)
    assert stream.writes[1:] == [byte_string_head(65537), large]


async def test_many_frames_arrive_with_one_read() -> None:
    stream = Recorder(wrapped(b"frame") * 1000)
    transport = FramedTransport(stream)
    for _ in range(1000):
        assert await transport.receive() == b"frame"
    assert stream.reads == [65536]


async def test_any_chunks_will_do() -> None:
    here, there = memory_stream_pair()
    transport = FramedTransport(here)
    frames = [b"one", b"x" * 300, b"three"]
    async with trio.open_nursery() as nursery:

        async def trickle() -> None:
            for byte in b"".join(map(wrapped, frames)):
                await there.send_all(bytes([byte]))

        nursery.start_soon(trickle)
        assert [await transport.receive() for _ in frames] == frames


@pytest.mark.parametrize("cut", range(1, 5))
async def test_a_cut_in_the_middle_of_a_frame_is_no_orderly_end(cut: int) -> None:
    transport = FramedTransport(Recorder(wrapped(b"whole") + wrapped(b"four")[:cut]), address="tcp://there:1")
    assert await transport.receive() == b"whole"
    for _ in range(2):
        with pytest.raises(TransportError, match="the link to tcp://there:1 was cut in the middle of a frame"):
            await transport.receive()


async def test_an_end_between_frames_is_orderly() -> None:
    transport = FramedTransport(Recorder(wrapped(b"whole")))
    assert await transport.receive() == b"whole"
    for _ in range(2):
        with pytest.raises(anyio.EndOfStream):
            await transport.receive()


async def test_too_large_is_found_by_the_head_alone() -> None:
    here, there = memory_stream_pair()
    transport = FramedTransport(here)
    transport.max_frame = 4096
    await there.send_all(byte_string_head(4097))
    with pytest.raises(FrameTooLarge, match="at most 4096 bytes, got one of 4097"):
        await transport.receive()


async def test_after_a_broken_rule_the_rest_is_discarded_up_to_its_end() -> None:
    rest = wrapped(b"x" * 5000) * 100
    stream = Recorder(wrapped(b"good") + rest)
    transport = FramedTransport(stream)
    transport.max_frame = 4999
    assert await transport.receive() == b"good"
    with pytest.raises(FrameTooLarge):
        await transport.receive()
    await transport.send(b"bye")
    with pytest.raises(anyio.EndOfStream):
        await transport.receive()
    assert stream.incoming == b""
    assert stream.writes == [wrapped(b"bye")]


@pytest.mark.parametrize("junk", [b"\x16\x03\x01", b"\x5f\x41x\xff", b"\x58\x01x"])
async def test_what_is_no_frame_is_the_fault_of_the_remote(junk: bytes) -> None:
    transport = FramedTransport(Recorder(junk))
    with pytest.raises(RemoteProtocolError) as caught:
        await transport.receive()
    assert caught.value.code is ByeCode.MALFORMED
    with pytest.raises(anyio.EndOfStream):
        await transport.receive()


async def test_receiving_from_the_buffer_is_a_checkpoint_that_loses_nothing() -> None:
    transport = FramedTransport(Recorder(wrapped(b"one") + wrapped(b"two")))
    assert await transport.receive() == b"one"
    with trio.CancelScope() as scope:
        scope.cancel()
        await transport.receive()
    assert scope.cancelled_caught
    with trio.testing.assert_checkpoints():
        assert await transport.receive() == b"two"


async def test_a_send_cancelled_before_its_first_byte_did_not_happen() -> None:
    stream = Recorder()
    transport = FramedTransport(stream)
    with trio.CancelScope() as scope:
        scope.cancel()
        await transport.send(b"never")
    assert scope.cancelled_caught
    await transport.send(b"frame")
    assert stream.writes == [wrapped(b"frame")]


async def test_a_send_cut_off_breaks_sending_and_nothing_else() -> None:
    here, there = lockstep_stream_pair()
    transport, other = FramedTransport(here, address="there"), FramedTransport(there)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.send, b"x" * 1000)
        await there.receive_some(10)
        nursery.cancel_scope.cancel()
    for call in (lambda: transport.send(b"more"), transport.send_eof):
        with pytest.raises(TransportError, match="cannot send to there: a send was cut off in the middle of a frame"):
            await call()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other.send, b"still here")
        assert await transport.receive() == b"still here"
    await transport.aclose()
    await other.aclose()


async def test_two_tasks_must_not_send_at_once() -> None:
    here, there = lockstep_stream_pair()
    transport, other = FramedTransport(here), FramedTransport(there)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.send, b"x" * 100_000)
        await wait_all_tasks_blocked()
        with pytest.raises(LocalProtocolError, match="one task at a time"):
            await transport.send(b"y")
        with pytest.raises(LocalProtocolError, match="one task at a time"):
            await transport.send_eof()
        assert await other.receive() == b"x" * 100_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.send, b"z")
        assert await other.receive() == b"z"


BROKEN = [
    trio.BrokenResourceError("socket connection broken: reset"),
    anyio.BrokenResourceError(),
    OSError(errno.EPIPE, "reset"),
]


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: f"{type(error).__module__}.{type(error).__name__}")
async def test_a_broken_stream_is_a_transport_error(error: Exception) -> None:
    if isinstance(error, anyio.BrokenResourceError):
        error.__cause__ = OSError(errno.ECONNRESET, "reset")
    stream = Recorder()
    stream.error = error
    transport = FramedTransport(stream, address="tcp://there:1")
    calls: list[Callable[[], object]] = [transport.receive, transport.send_eof]
    for call in calls:
        with pytest.raises(TransportError, match=r"the link to tcp://there:1 broke: .*reset"):
            await call()  # type: ignore[misc]
    await transport.aclose()
    assert stream.closed == 1


async def test_after_a_failed_send_nothing_more_is_sent() -> None:
    stream = Recorder()
    stream.error = OSError(errno.EPIPE, "Broken pipe")
    transport = FramedTransport(stream, address="there")
    with pytest.raises(TransportError, match=r"the link to there broke: .*Broken pipe"):
        await transport.send(b"x")
    stream.error = None
    with pytest.raises(TransportError, match=r"cannot send to there: it broke: .*Broken pipe"):
        await transport.send(b"x")
    assert stream.writes == []


@pytest.mark.parametrize("error", [trio.ClosedResourceError(), anyio.ClosedResourceError()])
async def test_a_closed_stream_is_a_transport_error(error: Exception) -> None:
    stream = Recorder()
    stream.error = error
    transport = FramedTransport(stream)
    with pytest.raises(TransportError, match="the link to the other side is closed on this side"):
        await transport.receive()
    with pytest.raises(TransportError, match="closed on this side"):
        await transport.send(b"x")


async def test_other_errors_pass_through() -> None:
    stream = Recorder()
    stream.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await FramedTransport(stream).receive()


async def test_frames_received_but_not_taken_are_gone_after_aclose() -> None:
    here, there = memory_stream_pair()
    transport = FramedTransport(here)
    await there.send_all(wrapped(b"one") * 2)
    await transport.receive()
    await transport.aclose()
    with pytest.raises(TransportError, match="closed on this side"):
        await transport.receive()


class NoHalfClose(anyio.abc.ByteStream):
    def __init__(self) -> None:
        self.sent = b""

    async def send(self, item: bytes) -> None:
        self.sent += item

    async def receive(self, max_bytes: int = 65536) -> bytes:
        raise anyio.EndOfStream

    async def send_eof(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class NoHalfCloseEither(trio.abc.Stream):
    sent = b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    async def wait_send_all_might_not_block(self) -> None: ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return b""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("kind", [NoHalfClose, NoHalfCloseEither])
async def test_send_eof_without_half_close(kind: type[NoHalfClose | NoHalfCloseEither]) -> None:
    stream = kind()
    transport = FramedTransport(stream)
    await transport.send(b"x")
    await transport.send_eof()
    await transport.send_eof()
    with pytest.raises(TransportError, match="send_eof has been called"):
        await transport.send(b"y")
    assert stream.sent == b"\x41x"
    with pytest.raises(anyio.EndOfStream):
        await transport.receive()
    await transport.aclose()


async def test_closing_in_the_middle_of_a_frame_does_not_wait(autojump_clock: MockClock) -> None:
    """TLS says good-bye behind what is being sent, which may never go."""

    class Polite(Recorder):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            await trio.sleep_forever()

        async def aclose(self) -> None:
            self.closed += 1
            await trio.sleep(60)

    stream = Polite()
    transport = FramedTransport(stream)
    with trio.move_on_after(1):
        await transport.send(b"x")
    start = trio.current_time()
    await transport.aclose()
    assert trio.current_time() == start
    assert stream.closed == 1


async def test_stapled_streams() -> None:
    out: MemorySendStream
    back: MemoryReceiveStream
    out, back = memory_stream_one_way_pair()
    transport = FramedTransport(trio.StapledStream(out, back))
    await transport.send(b"to myself")
    assert await transport.receive() == b"to myself"


@pytest.mark.parametrize("thing", [object(), b"", MemorySendStream()])
def test_what_is_no_stream_is_refused(thing: object) -> None:
    with pytest.raises(LocalProtocolError, match=f"got {type(thing).__name__}"):
        FramedTransport(thing)  # type: ignore[arg-type]

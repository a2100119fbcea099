"""In memory: bounds, names, and that nothing outlives anything."""

from __future__ import annotations

import gc
import weakref

import anyio
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from ebt_transports import memory, memory_pair
from ebt_trio.abc import PeerId, Scheme, Transport
from ebt_trio.errors import FrameTooLarge, LocalProtocolError, TransportError


@pytest.mark.parametrize("buffer", [0, 1, 16])
async def test_send_waits_when_the_buffer_is_full(buffer: int, autojump_clock: MockClock) -> None:
    one, other = memory_pair(buffer=buffer)
    sent = 0
    with trio.move_on_after(1):
        while True:
            await one.send(b"%d" % sent)
            sent += 1
    assert sent == buffer
    assert [await other.receive() for _ in range(sent)] == [b"%d" % number for number in range(sent)]
    async with trio.open_nursery() as nursery:  # the send that was cancelled did not happen, and did no harm
        nursery.start_soon(one.send, b"after")
        assert await other.receive() == b"after"


async def test_the_default_is_bounded(autojump_clock: MockClock) -> None:
    one, _ = memory_pair()
    with trio.move_on_after(1) as scope:
        for _ in range(17):
            await one.send(b"x")
    assert scope.cancelled_caught


def test_peer_id_and_address_can_be_set() -> None:
    one, other = memory_pair()
    assert one.peer_id is None
    one.peer_id = PeerId("bob")
    one.address = "bob's"
    assert (other.peer_id, other.address) == (None, "memory")


async def test_after_too_large_a_frame_the_next_ones_come() -> None:
    one, other = memory_pair()
    other.max_frame = 3
    for frame in (b"four", b"one"):
        await one.send(frame)
    with pytest.raises(FrameTooLarge, match="at most 3 bytes, got one of 4"):
        await other.receive()
    assert await other.receive() == b"one"


async def test_errors_in_words() -> None:
    one, other = memory_pair()
    await other.aclose()
    with pytest.raises(TransportError, match="the link to memory broke: the other side has closed"):
        await one.send(b"x")
    await one.send_eof()
    with pytest.raises(TransportError, match="closed on this side, or send_eof was called"):
        await one.send(b"x")
    with pytest.raises(TransportError, match="the link to memory is closed on this side"):
        await other.receive()


# Names


async def hello(transport: Transport) -> None:
    await transport.send(b"hello")


async def test_listen_and_connect_by_name() -> None:
    listener = await memory.listen("hub")
    assert listener.urls == ("memory://hub",)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, hello)
        for _ in range(3):
            async with await memory.connect("hub") as transport:
                assert await transport.receive() == b"hello"
                assert transport.address == "memory://hub"
                with pytest.raises(anyio.EndOfStream):
                    await transport.receive()
        await listener.aclose()


async def test_a_name_is_taken_until_the_listener_is_closed() -> None:
    listener = await memory.listen("hub")
    with pytest.raises(TransportError, match="cannot listen on memory://hub: the name is in use"):
        await memory.listen("hub")
    await listener.aclose()
    again = await memory.listen("hub")
    await listener.aclose()  # the old one: the name belongs to the new one now
    with pytest.raises(TransportError, match="in use"):
        await memory.listen("hub")
    await again.aclose()


async def test_nobody_there() -> None:
    with pytest.raises(TransportError, match="cannot connect to memory://nobody: nobody listens under this name"):
        await memory.connect("nobody")


async def test_connect_waits_for_serve_and_can_be_cancelled(autojump_clock: MockClock) -> None:
    listener = await memory.listen("hub")
    with trio.move_on_after(10) as scope:
        await memory.connect("hub")
    assert scope.cancelled_caught
    served: list[Transport] = []

    async def handler(transport: Transport) -> None:
        served.append(transport)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.serve, handler)
        await wait_all_tasks_blocked()
        assert not served  # nothing is left of the connect that was cancelled
        await listener.aclose()


async def test_closing_the_listener_ends_a_waiting_connect() -> None:
    listener = await memory.listen("hub")
    errors: list[TransportError] = []

    async def connect() -> None:
        with pytest.raises(TransportError, match="its listener has just been closed") as caught:
            await memory.connect("hub")
        errors.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connect)
        await wait_all_tasks_blocked()
        await listener.aclose()
    assert len(errors) == 1


def test_names_and_listeners_end_with_the_run() -> None:
    kept: list[weakref.ref[memory.MemoryListener]] = []

    async def main() -> None:
        kept.append(weakref.ref(await memory.listen("hub")))  # and forgets to close it

    for _ in range(2):
        trio.run(main)
    gc.collect()
    assert [ref() for ref in kept] == [None, None]


@pytest.mark.parametrize("url", ["memory://", "memory:hub", "tcp://hub"])
async def test_malformed_urls(url: str) -> None:
    for call in (memory.scheme.connect, memory.scheme.listen):
        with pytest.raises(LocalProtocolError, match="expected memory://NAME, for example memory://hub"):
            await call(url)


def test_is_a_scheme() -> None:
    assert isinstance(memory.scheme, Scheme)

"""check_transport on every transport there is here, and on transports that are wrong on purpose."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest
import trio
from anyio.streams.stapled import StapledObjectStream
from trio.testing import MockClock, lockstep_stream_pair

import ebt_trio.transport
from ebt_transports import FramedTransport, memory_pair
from ebt_trio.abc import Transport
from ebt_trio.errors import TransportError
from ebt_trio.testing.transports import check_transport
from ebt_trio.transport import as_transport

Pair = tuple[Transport, Transport]
Maker = Callable[[], AbstractAsyncContextManager[Pair]]


@asynccontextmanager
async def over_url(url: str) -> AsyncIterator[Pair]:
    """A pair whose second end was accepted by a listener."""
    listener = await ebt_trio.transport.listen(url)
    accepted: list[Transport] = []
    there = trio.Event()
    done = trio.Event()

    async def handler(transport: Transport) -> None:
        accepted.append(transport)
        there.set()
        await done.wait()

    async with trio.open_nursery() as nursery:
        await nursery.start(listener.serve, handler)
        try:
            one = await ebt_trio.transport.connect(listener.urls[0])
            await there.wait()
            await listener.aclose()  # what is connected goes on
            yield one, accepted[0]
        finally:
            done.set()
            with trio.CancelScope(shield=True):
                await listener.aclose()


@asynccontextmanager
async def in_memory() -> AsyncIterator[Pair]:
    yield memory_pair()


@asynccontextmanager
async def over_trio_streams() -> AsyncIterator[Pair]:
    one, other = lockstep_stream_pair()
    yield FramedTransport(one), FramedTransport(other)


@asynccontextmanager
async def over_anyio_sockets() -> AsyncIterator[Pair]:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, trio.open_nursery() as nursery:
        accepted: list[anyio.abc.SocketStream] = []
        there, done = trio.Event(), trio.Event()

        async def handler(stream: anyio.abc.SocketStream) -> None:
            accepted.append(stream)
            there.set()
            await done.wait()

        nursery.start_soon(listener.serve, handler)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        one = await anyio.connect_tcp("127.0.0.1", port)
        await there.wait()
        yield FramedTransport(one), FramedTransport(accepted[0])
        done.set()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def over_tls() -> AsyncIterator[Pair]:
    """Anonymous TLS, which needs no certificate and is good for nothing else."""
    contexts = [ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER)]
    for context in contexts:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aNULL:@SECLEVEL=0")
    here, there = trio.socket.socketpair()
    client = trio.SSLStream(trio.SocketStream(here), contexts[0])
    server = trio.SSLStream(trio.SocketStream(there), contexts[1], server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    yield FramedTransport(client), FramedTransport(server)


@asynccontextmanager
async def over_anyio_objects() -> AsyncIterator[Pair]:
    send, there = anyio.create_memory_object_stream[bytes](4)
    back, receive = anyio.create_memory_object_stream[bytes](4)
    yield as_transport(StapledObjectStream(send, receive)), as_transport(StapledObjectStream(back, there))


class StapledChannel(trio.abc.Channel[bytes]):
    def __init__(self, outgoing: trio.MemorySendChannel[bytes], incoming: trio.MemoryReceiveChannel[bytes]) -> None:
        self.outgoing, self.incoming = outgoing, incoming

    async def send(self, value: bytes) -> None:
        await self.outgoing.send(value)

    async def receive(self) -> bytes:
        return await self.incoming.receive()

    async def aclose(self) -> None:
        self.outgoing.close()
        await self.incoming.aclose()


@asynccontextmanager
async def over_trio_channels() -> AsyncIterator[Pair]:
    send, there = trio.open_memory_channel[bytes](4)
    back, receive = trio.open_memory_channel[bytes](4)
    yield as_transport(StapledChannel(send, receive)), as_transport(StapledChannel(back, there))


IN_PROCESS: dict[str, Maker] = {
    "memory": in_memory,
    "memory-url": lambda: over_url("memory://hub"),
    "trio-stream": over_trio_streams,
    "anyio-objects": over_anyio_objects,
    "trio-channel": over_trio_channels,
}


@pytest.mark.parametrize("kind", IN_PROCESS)
async def test_in_process(kind: str, autojump_clock: MockClock) -> None:
    await check_transport(IN_PROCESS[kind])


async def test_in_memory_under_a_real_clock() -> None:
    await check_transport(in_memory)


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://0.0.0.0:0"])
async def test_tcp(url: str) -> None:
    try:
        await (await ebt_trio.transport.listen(url)).aclose()
    except TransportError as exc:
        pytest.skip(str(exc))  # no IPv6 on this machine
    await check_transport(lambda: over_url(url))


async def test_unix(tmp_path: Path) -> None:
    await check_transport(lambda: over_url(f"unix://{tmp_path}/socket"))


async def test_anyio_sockets() -> None:
    await check_transport(over_anyio_sockets)


async def test_tls() -> None:
    await check_transport(over_tls)


@pytest.fixture
def patient_clock() -> MockClock:
    return MockClock(autojump_threshold=0.1)


async def test_tcp_under_a_virtual_clock(patient_clock: MockClock) -> None:
    await check_transport(lambda: over_url("tcp://127.0.0.1:0"))


async def test_no_task_stays_behind() -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    for maker in (in_memory, lambda: over_url("tcp://127.0.0.1:0")):
        await check_transport(maker)
    assert trio.lowlevel.current_statistics().tasks_living == before

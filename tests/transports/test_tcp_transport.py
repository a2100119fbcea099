"""TCP: URLs, errors in words, listeners that go on."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio
import trio.abc
import trio.socket
from trio.testing import MockClock

from ebt_transports import FramedTransport, tcp
from ebt_transports._sockets import SocketListener
from ebt_trio.abc import Listener, Scheme, Transport
from ebt_trio.errors import LocalProtocolError, TransportError


async def echo(transport: Transport) -> None:
    try:
        while True:
            await transport.send(await transport.receive())
    except anyio.EndOfStream:
        pass


async def test_connect_and_listen() -> None:
    async with trio.open_nursery() as nursery:
        listener = await tcp.listen("127.0.0.1", 0)
        await nursery.start(listener.serve, echo)
        (url,) = listener.urls
        assert url.startswith("tcp://127.0.0.1:")
        async with await tcp.connect("127.0.0.1", int(url.rpartition(":")[2])) as transport:
            await transport.send(b"hello")
            assert await transport.receive() == b"hello"
            assert transport.address == url
            assert transport.peer_id is None
        await listener.aclose()
        await listener.aclose()


async def test_connections_wait_until_served_and_are_named() -> None:
    listener = await tcp.listen("127.0.0.1", 0)
    seen: list[str] = []

    async def handler(transport: Transport) -> None:
        seen.append(transport.address)
        await transport.send(b"welcome")

    async with await tcp.scheme.connect(listener.urls[0]) as transport:
        assert isinstance(transport, FramedTransport)
        stream = transport._stream
        assert isinstance(stream, trio.SocketStream)
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        async with trio.open_nursery() as nursery:
            await nursery.start(listener.serve, handler)
            assert await transport.receive() == b"welcome"
            with pytest.raises(anyio.EndOfStream):  # closed after the handler
                await transport.receive()
            host, port = stream.socket.getsockname()
            assert seen == [f"tcp://{host}:{port}"]
            await listener.aclose()


@pytest.mark.parametrize(
    ("host", "reach"), [("0.0.0.0", "tcp://127.0.0.1:"), ("::", "tcp://[::1]:"), ("::1", "tcp://[::1]:")]
)
async def test_urls_can_be_connected_to(host: str, reach: str) -> None:
    try:
        listener = await tcp.listen(host, 0)
    except TransportError as exc:
        pytest.skip(str(exc))  # no IPv6 on this machine
    (url,) = listener.urls
    assert url.startswith(reach)
    async with await tcp.scheme.connect(url) as transport:
        assert transport.address == url
    await listener.aclose()


async def test_localhost_gets_a_url_for_each_address() -> None:
    listener = await tcp.listen("localhost", 0)
    for url in listener.urls:
        async with await tcp.scheme.connect(url):
            pass
    await listener.aclose()


async def test_the_port_is_free_again_after_closing() -> None:
    listener = await tcp.listen("127.0.0.1", 0)
    async with await tcp.scheme.connect(listener.urls[0]):
        await listener.aclose()
        again = await tcp.scheme.listen(listener.urls[0])
        assert again.urls == listener.urls
        await again.aclose()


async def refused(call: Awaitable[object]) -> str:
    with pytest.raises(TransportError) as caught:
        await call
    text = str(caught.value)
    assert "\n" not in text
    return text


async def test_port_in_use() -> None:
    listener = await tcp.listen("127.0.0.1", 0)
    text = await refused(tcp.scheme.listen(listener.urls[0]))
    assert text.startswith(f"cannot listen on {listener.urls[0]}: the port is in use; ")
    await listener.aclose()


async def test_not_our_address() -> None:
    text = await refused(tcp.listen("192.0.2.1", 0))
    assert text.startswith("cannot listen on tcp://192.0.2.1:0: not an address of this machine")


async def test_nobody_there() -> None:
    listener = await tcp.listen("127.0.0.1", 0)
    await listener.aclose()
    text = await refused(tcp.scheme.connect(listener.urls[0]))
    assert text.startswith(f"cannot connect to {listener.urls[0]}: nothing listens there; start the other side")


class Resolver(trio.abc.HostnameResolver):
    """Knows one host, and how its addresses fail."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def getaddrinfo(
        self,
        host: bytes | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        if host == b"two.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise NotImplementedError


async def test_unknown_host() -> None:
    trio.socket.set_custom_hostname_resolver(Resolver())
    text = await refused(tcp.connect("nosuch.example", 8008))
    assert text == (
        "cannot connect to tcp://nosuch.example:8008: the host name 'nosuch.example' is not known; "
        "check the name and the network"
    )
    assert "'nosuch.example' is not known" in await refused(tcp.listen("nosuch.example", 8008))


async def test_several_addresses_that_fail_alike_are_said_once() -> None:
    trio.socket.set_custom_hostname_resolver(Resolver("127.0.0.1", "127.0.0.2"))
    listener = await tcp.listen("127.0.0.1", 0)
    port = int(listener.urls[0].rpartition(":")[2])
    async with await tcp.connect("two.example", port):  # the first that works
        pass
    await listener.aclose()
    text = await refused(tcp.connect("two.example", port))
    assert text.count("nothing listens there") == 1


@pytest.mark.parametrize("host", ["x" * 300, "a..b", "ü" * 200])
async def test_a_host_that_cannot_be(host: str) -> None:
    assert "is not known" in await refused(tcp.connect(host, 1))


@pytest.mark.parametrize(
    "url",
    [
        "tcp://", "tcp://127.0.0.1", "tcp://:8008", "tcp://host:", "tcp://host:http", "tcp://host:65536", "tcp://host:-1",
        "tcp://::1:8008", "tcp://[::1]", "tcp://host:1/path", "tcp://me@host:1", "tcp://a b:1", "tcp:host:1",
        "tcp://host:1\n", "tcp://host:٣",
    ],
)  # fmt: skip
async def test_malformed_urls(url: str) -> None:
    for call in (tcp.scheme.connect, tcp.scheme.listen):
        with pytest.raises(LocalProtocolError, match=r"expected (tcp://HOST:PORT, for example tcp://|a port)"):
            await call(url)


async def test_ports_out_of_range() -> None:
    for call in (tcp.connect, tcp.listen):
        with pytest.raises(LocalProtocolError, match="expected a port from 0 to 65535"):
            await call("127.0.0.1", 65536)


def test_is_a_scheme() -> None:
    assert isinstance(tcp.scheme, Scheme)


# Listening


async def test_out_of_files_is_waited_out(caplog: pytest.LogCaptureFixture) -> None:
    resource = pytest.importorskip("resource")
    listener = await tcp.listen("127.0.0.1", 0)
    address = ("127.0.0.1", int(listener.urls[0].rpartition(":")[2]))
    hoard: list[int] = []

    async def handler(transport: Transport) -> None:
        await transport.send(await transport.receive())
        await listener.aclose()

    with socket.socket() as client:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], 256), limits[1]))
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(listener.serve, handler)
                with pytest.raises(OSError, match="Too many open files"):
                    hoard.extend(os.dup(client.fileno()) for _ in range(300))
                client.connect(address)
                client.sendall(b"\x45hello")
                with caplog.at_level(logging.WARNING, "ebt_transports"):
                    while not caplog.records:
                        await trio.lowlevel.checkpoint()
                for fd in hoard:
                    os.close(fd)
                hoard.clear()
            # served after all: the nursery has ended because the handler closed the listener
            client.settimeout(5)
            assert client.recv(100) == b"\x45hello"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for fd in hoard:
                os.close(fd)
    assert f"cannot accept on {listener.urls[0]} for now" in caplog.text


class Flaky:
    """A listening socket whose accept fails as it is told to."""

    def __init__(self, errors: list[int]) -> None:
        self.errors = errors
        self.socket = self
        self.times: list[float] = []

    async def accept(self) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        self.times.append(trio.current_time())
        if not self.errors:
            raise trio.ClosedResourceError
        raise OSError(self.errors.pop(0), "flaky")

    def close(self) -> None: ...


def flaky_listener(*errors: int) -> tuple[Flaky, SocketListener]:
    flaky = Flaky(list(errors))
    return flaky, SocketListener([flaky], ["tcp://flaky:1"], lambda _: "")  # type: ignore[list-item]


async def test_pauses_grow_and_the_log_stays_short(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    flaky, listener = flaky_listener(*[errno.ENFILE] * 8)
    await listener.serve(echo)
    pauses = [round(after - before, 3) for before, after in zip(flaky.times, flaky.times[1:], strict=False)]
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert len(caplog.records) == 1


async def test_other_accept_errors_end_serve() -> None:
    _, listener = flaky_listener(errno.EINVAL)
    with pytest.RaisesGroup(pytest.RaisesExc(TransportError, match="cannot accept on tcp://flaky:1")):
        await listener.serve(echo)


@pytest.fixture(params=["tcp://127.0.0.1:0", "memory://listener", "unix"])
def url(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    return f"unix://{tmp_path}/s" if request.param == "unix" else str(request.param)


async def listen(url: str) -> tuple[Listener, Callable[[], Awaitable[Transport]]]:
    from ebt_trio.transport import connect
    from ebt_trio.transport import listen as listen_on

    listener = await listen_on(url)
    return listener, lambda: connect(listener.urls[0])


async def test_serve_returns_after_closing_when_the_handlers_have(url: str) -> None:
    listener, connect = await listen(url)
    served = False

    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        nonlocal served
        await listener.serve(echo, task_status=task_status)
        served = True

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        async with await connect() as transport:
            await transport.send(b"1")
            assert await transport.receive() == b"1"
            await listener.aclose()
            await transport.send(b"2")  # running handlers go on
            assert await transport.receive() == b"2"
            assert not served
            with pytest.raises(TransportError):
                await connect()
    assert served
    await listener.serve(echo)  # closed: nothing to do


async def test_cancelling_serve_closes_what_it_serves_and_serve_may_be_called_again(url: str) -> None:
    listener, connect = await listen(url)
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.serve, echo)
        transport = await connect()
        await transport.send(b"1")
        assert await transport.receive() == b"1"
        nursery.cancel_scope.cancel()
    with pytest.raises(anyio.EndOfStream):
        await transport.receive()
    await transport.aclose()
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.serve, echo)
        async with await connect() as transport:
            await transport.send(b"2")
            assert await transport.receive() == b"2"
        await listener.aclose()


async def test_a_handlers_error_ends_serve_and_closes_the_transport(url: str) -> None:
    listener, connect = await listen(url)
    served: list[Transport] = []

    async def handler(transport: Transport) -> None:
        served.append(transport)
        await transport.receive()
        raise ZeroDivisionError

    async def client() -> None:
        async with await connect() as transport:
            await transport.send(b"x")
            with pytest.raises(anyio.EndOfStream):
                await transport.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        with pytest.RaisesGroup(ZeroDivisionError):
            await listener.serve(handler)
    with pytest.raises(TransportError):
        await served[0].send(b"x")
    await listener.aclose()


async def test_a_cancelled_connect_leaves_nothing(url: str) -> None:
    listener, connect = await listen(url)
    with trio.CancelScope() as scope:
        scope.cancel()
        await connect()
    assert scope.cancelled_caught
    await listener.aclose()


async def test_a_cancelled_close_closes(url: str) -> None:
    listener, connect = await listen(url)
    with trio.CancelScope() as scope:
        scope.cancel()
        await listener.aclose()
    with pytest.raises(TransportError):
        await connect()

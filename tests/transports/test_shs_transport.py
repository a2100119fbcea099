"""``shs+tcp://`` and ``shs+unix://``: encrypted links between ends that have proved who they are."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from ebt_transports import FramedTransport, shs, tcp
from ebt_transports.shs import SecretStream, network_key
from ebt_transports.shs.handshake import Client
from ebt_trio import connect, listen
from ebt_trio.abc import Listener, Transport
from ebt_trio.errors import AuthenticationError, LocalProtocolError, TransportError
from ebt_trio.identity import Identity, public_key_text
from ebt_trio.testing.transports import check_transport

ALICE, BOB, EVE = (Identity(bytes([number]) * 32) for number in (1, 2, 5))
Pair = tuple[Transport, Transport]


@asynccontextmanager
async def serving(listener: Listener) -> AsyncGenerator[trio.MemoryReceiveChannel[Transport]]:
    """Accepted transports come through the channel, and stay open to the end of the block."""
    send, receive = trio.open_memory_channel[Transport](1000)
    done = trio.Event()

    async def handler(transport: Transport) -> None:
        send.send_nowait(transport)
        await done.wait()

    async with listener, trio.open_nursery() as nursery:
        await nursery.start(listener.serve, handler)
        yield receive
        done.set()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def linked(url: str = "shs+tcp://127.0.0.1:0", network: str = "") -> AsyncIterator[Pair]:
    """Alice calls Bob."""
    listener = await listen(url, identity=BOB, network=network)
    async with serving(listener) as accepted:
        one = await connect(listener.urls[0], identity=ALICE, network=network)
        async with one:
            yield one, await accepted.receive()


async def secret_pair() -> tuple[SecretStream, SecretStream]:
    a, b = memory_stream_pair()
    found: dict[str, SecretStream] = {}

    async def serve() -> None:
        found["server"] = await SecretStream.server(b, BOB)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        client = await SecretStream.client(a, ALICE, BOB.public_key)
    return client, found["server"]


async def test_both_ends_know_each_other() -> None:
    async with linked() as (alice, bob):
        assert (alice.peer_id, bob.peer_id) == (BOB.id, ALICE.id)
        assert alice.address.startswith(f"shs+tcp://{BOB.id}@127.0.0.1:")
        assert bob.address.startswith(f"shs+tcp://{ALICE.id}@127.0.0.1:")
        await alice.send(b"hello")
        assert await bob.receive() == b"hello"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bob.send, bytes(500_000))
            assert await alice.receive() == bytes(500_000)


async def test_over_a_unix_socket(tmp_path: Path) -> None:
    async with linked(f"shs+unix://{tmp_path}/s") as (alice, bob):
        assert (alice.peer_id, bob.peer_id) == (BOB.id, ALICE.id)
        assert alice.address == f"shs+unix://{BOB.id}@{tmp_path}/s"
        await alice.send(b"hello")
        assert await bob.receive() == b"hello"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_conformance(kind: str, tmp_path: Path) -> None:
    @asynccontextmanager
    async def maker() -> AsyncIterator[Pair]:
        url = "shs+tcp://127.0.0.1:0" if kind == "tcp" else f"shs+unix://{tmp_path}/s"
        async with linked(url) as pair:
            yield pair

    await check_transport(maker)


# -- who is refused


@asynccontextmanager
async def door(**options: Any) -> AsyncGenerator[tuple[Listener, trio.MemoryReceiveChannel[Transport]]]:
    listener = await shs.listen("127.0.0.1", 0, BOB, **options)
    async with serving(listener) as accepted:
        yield listener, accepted


def port_of(listener: Listener) -> int:
    return int(listener.urls[0].rpartition(":")[2])


async def still_works(listener: Listener, accepted: trio.MemoryReceiveChannel[Transport]) -> None:
    with trio.fail_after(120):
        async with await connect(listener.urls[0], identity=ALICE) as one:
            other = await accepted.receive()
            await one.send(b"ping")
            assert await other.receive() == b"ping"


async def test_the_wrong_key_is_refused_and_the_listener_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async with door() as (listener, accepted):
        with pytest.raises(AuthenticationError, match="without a word: it has another key or another network"):
            await shs.connect("127.0.0.1", port_of(listener), EVE.id, ALICE)
        await still_works(listener, accepted)
    assert re.search(r"refused tcp://127.0.0.1:\d+: expected the secret handshake's proof", caplog.text)


async def test_another_network_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with door() as (listener, accepted):
        with pytest.raises(AuthenticationError):
            await connect(listener.urls[0], identity=ALICE, network="other")
        await still_works(listener, accepted)
    assert "under our network key" in caplog.text


async def exchange(port: int, *messages: bytes) -> bytes:
    """Say these over TCP; all that is answered until the end."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    answer = bytearray()
    async with stream:
        for message in messages:
            await stream.send_all(message)
        await stream.send_eof()
        try:
            while data := await stream.receive_some():
                answer += data
        except trio.BrokenResourceError:
            pass
    return bytes(answer)


async def test_a_flipped_bit_gets_no_more_than_the_messages_before_it() -> None:
    """Every eighth bit, over sockets; all of them are tried without."""
    random = Random(0)
    async with door() as (listener, accepted):
        port = port_of(listener)
        for bit in range(random.randrange(8), 8 * 64, 8):
            hello = bytearray(Client(ALICE, BOB.public_key, network_key()).hello())
            hello[bit // 8] ^= 1 << bit % 8
            assert await exchange(port, bytes(hello)) == b""
        for _ in range(20):
            hello = Client(ALICE, BOB.public_key, network_key()).hello()
            assert len(await exchange(port, hello, random.randbytes(112))) == 64
        await still_works(listener, accepted)


async def test_a_recorded_client_cannot_be_played_again() -> None:
    record: list[bytes] = []
    async with door() as (listener, accepted):
        a, b = memory_stream_pair()

        async def pump(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, keep: bool) -> None:
            async for data in source:
                if keep:
                    record.append(bytes(data))
                await sink.send_all(data)

        real = await trio.open_tcp_stream("127.0.0.1", port_of(listener))
        async with trio.open_nursery() as nursery, real:
            nursery.start_soon(pump, b, real, True)
            nursery.start_soon(pump, real, b, False)
            await SecretStream.client(a, ALICE, BOB.public_key)
            await accepted.receive()
            nursery.cancel_scope.cancel()
        assert len(b"".join(record)) == 64 + 112
        assert len(await exchange(port_of(listener), b"".join(record))) == 64
        with pytest.raises(trio.WouldBlock):
            accepted.receive_nowait()


async def test_a_key_that_is_no_id_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Ids never begin with a '-', so that they are never taken for options."""
    seeds = (Random(number).randbytes(32) for number in range(1000))
    odd = next(seed for seed in seeds if _begins_with_dash(seed))
    identity = object.__new__(Identity)
    from nacl.signing import SigningKey

    identity._key = SigningKey(odd)
    identity.public_key = bytes(identity._key.verify_key)
    async with door() as (listener, accepted):
        secret = await SecretStream.client(
            await trio.open_tcp_stream("127.0.0.1", port_of(listener)), identity, BOB.public_key
        )
        async with secret:
            with pytest.raises(trio.BrokenResourceError):
                await secret.receive_some()
        await still_works(listener, accepted)
    assert "is no identity: a public key's text must not begin with '-'" in caplog.text


def _begins_with_dash(seed: bytes) -> bool:
    try:
        Identity(seed)
    except LocalProtocolError:
        return True
    return False


# -- who does not go on


async def test_who_says_nothing_is_dropped_in_time(autojump_clock: MockClock) -> None:
    a, b = memory_stream_pair()
    with pytest.raises(TransportError, match="not finished within 5 seconds"):
        await SecretStream.server(b, BOB)
    assert trio.current_time() == pytest.approx(5.0)
    with pytest.raises(trio.BrokenResourceError):
        await a.send_all(b"x")


async def test_a_listener_that_says_nothing(autojump_clock: MockClock) -> None:
    a, _ = memory_stream_pair()
    with pytest.raises(TransportError, match="not finished within 2 seconds"):
        await SecretStream.client(a, ALICE, BOB.public_key, timeout=2)


async def test_half_handshakes_take_nobodys_place(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand of them from one host; meanwhile those who are honest get in, though from the same one here."""
    async with door(handshakes=50) as (listener, accepted):
        port = port_of(listener)
        waiting: list[trio.SocketStream] = []
        for number in range(1000):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            waiting.append(stream)
            if number % 2:
                await stream.send_all(Client(EVE, BOB.public_key, network_key()).hello())
            if number % 100 == 99:
                await still_works(listener, accepted)
        dropped = sum("too many handshakes at once" in record.message for record in caplog.records)
        assert 900 <= dropped <= 960
        for stream in waiting:
            await trio.aclose_forcefully(stream)


# -- the end


async def test_an_end_without_goodbye_is_no_end() -> None:
    client, server = await secret_pair()
    near, far = FramedTransport(client), FramedTransport(server)
    await near.send(b"last")
    await trio.aclose_forcefully(client)
    assert await far.receive() == b"last"
    with pytest.raises(TransportError, match="cut off: it ended without a goodbye"):
        await far.receive()


async def test_a_goodbye_is_an_end() -> None:
    client, server = await secret_pair()
    near, far = FramedTransport(client), FramedTransport(server)
    await near.send(b"last")
    await near.aclose()
    assert await far.receive() == b"last"
    with pytest.raises(anyio.EndOfStream):
        await far.receive()


async def test_closing_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    """The other side reads nothing, and there is no room for the goodbye."""

    class Full(trio.abc.Stream):
        def __init__(self, stream: trio.abc.Stream) -> None:
            self.stream = stream
            self.full = False

        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            if self.full:
                await trio.sleep_forever()
            await self.stream.send_all(data)

        async def wait_send_all_might_not_block(self) -> None:
            await trio.lowlevel.checkpoint()

        async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
            return await self.stream.receive_some(max_bytes)

        async def aclose(self) -> None:
            await self.stream.aclose()

    a, b = memory_stream_pair()
    full = Full(a)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(SecretStream.server, b, BOB)
        client = await SecretStream.client(full, ALICE, BOB.public_key)
    full.full = True
    before = trio.current_time()
    await client.aclose()
    assert trio.current_time() - before == pytest.approx(1.0)


async def test_what_is_changed_on_the_way_breaks_the_link() -> None:
    a, b = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(SecretStream.server, b, BOB)
        client = await SecretStream.client(a, ALICE, BOB.public_key)
    await b.send_all(bytes(100))
    with pytest.raises(TransportError, match="was not sealed by the other side"):
        await FramedTransport(client).receive()


async def test_anyio_streams_will_do() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, trio.open_nursery() as nursery:

        async def echo(stream: anyio.abc.ByteStream) -> None:
            secret = await SecretStream.server(stream, BOB)
            async with secret:
                await secret.send_all(await secret.receive_some())

        nursery.start_soon(listener.serve, echo)
        secret = await SecretStream.client(await anyio.connect_tcp("127.0.0.1", port), ALICE, BOB.public_key)
        async with secret:
            await secret.send_all(b"hello")
            assert await secret.receive_some() == b"hello"
        nursery.cancel_scope.cancel()


# -- what can be learned by listening


async def test_a_captured_stream_shows_neither_ids_nor_content() -> None:
    seen = bytearray()
    async with door() as (listener, accepted), trio.open_nursery() as nursery:

        async def wiretap(stream: trio.SocketStream) -> None:
            async with await trio.open_tcp_stream("127.0.0.1", port_of(listener)) as real, trio.open_nursery() as both:
                both.start_soon(copy, stream, real)
                both.start_soon(copy, real, stream)

        async def copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
            async for data in source:
                seen.extend(data)
                await sink.send_all(data)

        [tap] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, wiretap, [tap])
        one = await shs.connect("127.0.0.1", tap.socket.getsockname()[1], BOB.id, ALICE)
        other = await accepted.receive()
        await one.send(b"a secret message")
        await other.receive()
        await other.send(b"its secret answer")
        await one.receive()
        await one.aclose()
        nursery.cancel_scope.cancel()
    assert len(seen) > 400
    for secret in (
        *(identity.public_key for identity in (ALICE, BOB)),
        *(identity.id.encode() for identity in (ALICE, BOB)),
        b"a secret message",
        b"its secret answer",
        network_key(),
    ):
        assert secret not in seen


# -- how it is used


async def test_urls(tmp_path: Path) -> None:
    async with await listen("shs+tcp://127.0.0.1:0", identity=BOB) as listener:
        assert re.fullmatch(rf"shs\+tcp://{BOB.id}@127\.0\.0\.1:\d+", listener.urls[0])
        async with await listen(f"shs+unix://{BOB.id}@{tmp_path}/s", identity=BOB) as unix:
            assert list(unix.urls) == [f"shs+unix://{BOB.id}@{tmp_path}/s"]
    for url in ("shs+tcp://127.0.0.1:8008", "shs+unix:///tmp/s"):
        with pytest.raises(LocalProtocolError, match="where ID is the id of who listens there"):
            await connect(url, identity=ALICE)
    with pytest.raises(LocalProtocolError, match="expected a public key"):
        await connect("shs+tcp://bob@127.0.0.1:8008", identity=ALICE)
    with pytest.raises(LocalProtocolError, match="cannot listen as"):
        await listen(f"shs+tcp://{BOB.id}@127.0.0.1:0", identity=ALICE)
    with pytest.raises(LocalProtocolError, match="expected tcp://HOST:PORT"):
        await listen("shs+tcp://127.0.0.1", identity=ALICE)


async def test_without_an_identity_it_says_what_to_do() -> None:
    for call in (connect, listen):
        with pytest.raises(LocalProtocolError, match=r"give the peer an ebt_trio\.Identity instead of a name"):
            await call(f"shs+tcp://{BOB.id}@127.0.0.1:8008")


async def test_nobody_there() -> None:
    async with await tcp.listen("127.0.0.1", 0) as free:
        port = port_of(free)
    with pytest.raises(TransportError, match="nothing listens there"):
        await shs.connect("127.0.0.1", port, BOB.id, ALICE)


async def test_only_keys_can_be_called() -> None:
    assert public_key_text(BOB.public_key) == BOB.id
    with pytest.raises(LocalProtocolError):
        await shs.connect("127.0.0.1", 1, "bob", ALICE)
    a, _ = memory_stream_pair()
    with pytest.raises(LocalProtocolError, match="a network key has 32 bytes, not 3"):
        await SecretStream.client(a, ALICE, BOB.public_key, network=b"key")
    with pytest.raises(LocalProtocolError, match=r"a trio\.abc\.Stream, got list"):
        await SecretStream.client([], ALICE, BOB.public_key)  # type: ignore[arg-type]

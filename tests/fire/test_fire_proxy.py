"""Peers behind a proxy that does its worst: whatever it does, they are in sync as soon as it stops."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from proxy import Faults, Proxy, open_proxy

from ebt_trio import EBT, Identity, connect, listen

QUIET = 35.0
"""Seconds within which who has lost a link is back: the longest pause between two attempts, and a handshake."""


@pytest.fixture
def autojump_clock() -> trio.testing.MockClock:
    """The kernel gets a moment before time goes on."""
    return trio.testing.MockClock(autojump_threshold=0.005)


@pytest.fixture(params=["tcp", "unix", "shs+tcp"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Net:
    """Peers, each linked to others by proxies."""

    def __init__(self, stack: AsyncExitStack, nursery: trio.Nursery, scheme: str, folder: Path) -> None:
        self.peers: list[EBT] = []
        self.proxies: list[Proxy] = []
        self._stack, self._nursery, self._scheme, self._folder = stack, nursery, scheme, folder
        self._keys: list[Identity] = []

    async def peer(self) -> EBT:
        key = Identity.generate()
        me = EBT(key if self._scheme.startswith("shs") else f"p{len(self.peers)}", rng=Random(len(self.peers)))
        self._keys.append(key)
        self.peers.append(await self._stack.enter_async_context(me))
        return me

    async def join(self, a: int, b: int) -> Proxy:
        """``b`` dials ``a``, by way of a proxy."""
        number = len(self.proxies)
        place = f"{self._folder}/{number}.listener" if "unix" in self._scheme else "127.0.0.1:0"
        listener = await listen(f"{self._scheme}://{place}", identity=self._keys[a])
        await self._stack.enter_async_context(listener)
        await self._nursery.start(self.peers[a].serve, listener)
        proxy = await self._stack.enter_async_context(
            open_proxy(listener.urls[0], number, path=self._folder / f"{number}.proxy")
        )
        self.proxies.append(proxy)

        async def through() -> Any:
            return await connect(proxy.url, identity=self._keys[b])

        await self._nursery.start(self.peers[b].dial, through)
        return proxy

    def follow_each_other(self) -> None:
        for peer in self.peers:
            for other in self.peers:
                peer.follow(other.feed)

    async def in_sync(self, seconds: float) -> None:
        clock: dict[str, int] = {peer.feed: head for peer in self.peers if (head := peer.clock.get(peer.feed))}
        with trio.fail_after(seconds):
            for peer in self.peers:
                await peer.wait_for(clock)
        assert all(peer.clock == clock for peer in self.peers)


@asynccontextmanager
async def network(scheme: str, folder: Path, peers: int, *links: tuple[int, int]) -> AsyncGenerator[Net, None]:
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        net = Net(stack, nursery, scheme, folder)
        for _ in range(peers):
            await net.peer()
        net.follow_each_other()
        for a, b in links:
            await net.join(a, b)
        yield net
        nursery.cancel_scope.cancel()


FAULTS: dict[str, tuple[dict[str, Any], Callable[[Proxy], bool]]] = {
    "delays": ({"delay": 0.3, "jitter": 0.3}, lambda proxy: proxy.seen.bytes > 0),
    "splits": ({"split": 3}, lambda proxy: proxy.seen.bytes > 0),
    "merges": ({"merge": 0.3}, lambda proxy: proxy.seen.bytes > 0),
    "slows": ({"rate": 2000.0}, lambda proxy: proxy.seen.bytes > 0),
    "duplicates": ({"duplicate": True}, lambda proxy: proxy.seen.duplicates > 0),
    "truncates": ({"truncate": 300}, lambda proxy: proxy.seen.truncations > 0),
    "resets": ({"reset": 0.2}, lambda proxy: proxy.seen.resets > 0),
    "refuses": ({"refuse": True}, lambda proxy: proxy.seen.refusals > 0),
    "blackholes": ({"hole": True}, lambda proxy: proxy.faults.hole),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_in_sync_as_soon_as_it_stops(
    fault: str, scheme: str, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    faults, happened = FAULTS[fault]
    async with network(scheme, tmp_path, 2, (0, 1)) as net:
        (proxy,) = net.proxies
        await net.peers[0].append_many(range(20))
        await net.in_sync(5)
        proxy.set(**faults)
        if fault in ("refuses", "duplicates"):
            proxy.reset()  # it is for those who connect
        for number in range(10):
            for peer in net.peers:
                await peer.append_many([f"{number} " + "x" * 50] * 3)
            await trio.sleep(0.5)
        assert happened(proxy)
        proxy.set()
        if fault == "duplicates":
            proxy.truncate()
        await net.in_sync(QUIET)


async def test_a_blackhole_beyond_patience(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """A minute of silence ends a session at both ends; a link that works brings another one."""
    async with network("tcp", tmp_path, 2, (0, 1)) as net:
        await net.peers[0].append("before")
        await net.in_sync(5)
        net.proxies[0].set(hole=True)
        await trio.sleep(70)
        assert not any(session.is_ready for peer in net.peers for session in peer.sessions)
        for peer in net.peers:
            await peer.append("in the dark")
        net.proxies[0].set()
        await net.in_sync(QUIET)


async def test_one_side_of_a_triangle_is_a_blackhole(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """What does not come by one link comes by the others, within the patience for one feed."""
    async with network("tcp", tmp_path, 3, (0, 1), (0, 2), (1, 2)) as net:
        for peer in net.peers:
            await peer.append("before")
        await net.in_sync(5)
        net.proxies[1].set(hole=True)
        for number in range(5):
            await net.peers[0].append(number)
            await net.in_sync(5)


@pytest.mark.parametrize("links", [[(0, 1), (1, 2)], [(0, 1), (1, 2), (0, 2)]], ids=["line", "triangle"])
@pytest.mark.parametrize("seed", range(2))
async def test_everything_at_once(
    links: list[tuple[int, int]], seed: int, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Faults come and go at random, on every link, while everybody appends."""
    rng = Random(seed)
    async with network("tcp" if seed % 2 else "shs+tcp", tmp_path, 3, *links) as net:
        until = trio.current_time() + 10
        while trio.current_time() < until:
            proxy = rng.choice(net.proxies)
            proxy.set(**anything(rng))
            rng.choice([proxy.reset, proxy.truncate, nothing, nothing])()
            await rng.choice(net.peers).append_many([rng.randbytes(rng.choice([10, 100, 5000]))] * rng.randint(1, 5))
            await trio.sleep(rng.uniform(0, 0.6))
        for proxy in net.proxies:
            assert proxy.seen.connections > 1
            proxy.set()
        await net.in_sync(QUIET)


def nothing() -> None:
    pass


def anything(rng: Random) -> dict[str, Any]:
    """Some faults, any of them."""
    choices: dict[str, Any] = {
        "delay": rng.uniform(0, 0.5),
        "jitter": rng.uniform(0, 0.5),
        "rate": rng.choice([500.0, 5000.0, 50000.0]),
        "split": rng.choice([1, 10, 1000]),
        "merge": rng.uniform(0, 0.5),
        "hole": True,
        "refuse": True,
        "duplicate": True,
        "truncate": rng.choice([10, 1000, 10000]),
        "reset": 0.1,
    }
    return {name: choices[name] for name in rng.sample(sorted(choices), rng.randint(0, 3))}


async def test_the_proxy_without_faults_changes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """What is sent arrives as it is; the end does, too, at each half by itself; and faults do what they are called."""
    async with echo() as url, open_proxy(url) as proxy:
        sent = Random(0).randbytes(300_000)
        for faults in (Faults(), Faults(split=40_000), Faults(merge=0.1), Faults(delay=0.1), Faults(rate=100_000)):
            proxy.faults = faults
            began = trio.current_time()
            assert await through(proxy, sent) == sent
            assert trio.current_time() - began >= faults.delay * 2 + (2.9 if faults.rate else 0)
        proxy.set(truncate=1000)
        assert sent.startswith(part := await through(proxy, sent))
        assert len(part) < len(sent)
        proxy.set(reset=1.0)
        with pytest.raises(trio.BrokenResourceError):
            await through(proxy, sent)
        proxy.set(refuse=True)
        with pytest.raises(trio.BrokenResourceError):
            await through(proxy, sent)
        proxy.set(hole=True)
        with trio.move_on_after(100) as scope:
            await through(proxy, sent)
        assert scope.cancelled_caught
        proxy.set(duplicate=True)
        assert await through(proxy, sent) == sent
        assert proxy.seen.duplicates == 1
        assert len(proxy) == 0


async def through(proxy: Proxy, sent: bytes) -> bytes:
    """What comes back; an error of either direction is one."""
    received = bytearray()
    broken: list[OSError | trio.BrokenResourceError] = []
    async with await trio.open_tcp_stream("127.0.0.1", int(proxy.url.rpartition(":")[2])) as stream:

        async def send() -> None:
            try:
                await stream.send_all(sent)
                await stream.send_eof()
            except (trio.BrokenResourceError, OSError) as exc:
                broken.append(exc)  # the system tells it once, to whoever comes first

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            try:
                async for data in stream:
                    received += data
            except trio.BrokenResourceError as exc:
                broken.append(exc)
    await trio.sleep(2)
    if broken and not proxy.faults.truncate:
        raise trio.BrokenResourceError from broken[0]
    return bytes(received)


@asynccontextmanager
async def echo() -> AsyncGenerator[str, None]:
    """A server that sends back what comes."""

    async def handle(stream: trio.SocketStream) -> None:
        try:
            async for data in stream:
                await stream.send_all(data)
            await stream.send_eof()
        except (trio.BrokenResourceError, OSError):
            pass

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, [listener])
        yield f"tcp://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()

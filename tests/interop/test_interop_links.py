"""Links that end, break and freeze between our peers and those of the JavaScript reference."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import trio

COUNT = 3000


class Proxy:
    """Carries bytes between whoever connects and a port behind it, until it is told not to."""

    def __init__(self, target: int, budgets: Iterable[int | None]) -> None:
        self._target = target
        self._budgets = iter(budgets)
        self.port = 0
        self.cuts = 0
        self._flowing = trio.Event()
        self._flowing.set()

    def freeze(self) -> None:
        """Connections stay, and nothing moves on them any more."""
        self._flowing = trio.Event()

    def thaw(self) -> None:
        self._flowing.set()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._carry, [listener])

    async def _carry(self, near: trio.SocketStream) -> None:
        self._left = next(self._budgets, None)
        async with near, await trio.open_tcp_stream("127.0.0.1", self._target) as far:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._copy, near, far, nursery.cancel_scope)
                nursery.start_soon(self._copy, far, near, nursery.cancel_scope)
            for stream in (near, far):  # a reset, not an orderly end
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            async for chunk in source:
                await self._flowing.wait()
                if self._left is not None:
                    self._left -= len(chunk)
                    if self._left <= 0:
                        self.cuts += 1
                        break
                await sink.send_all(chunk)
            else:
                await sink.send_eof()
                return
        except trio.BrokenResourceError:
            pass
        scope.cancel()


@pytest.fixture
def proxied() -> Callable[..., Any]:
    """``await proxied(nursery, port, budgets)``: a :class:`Proxy` to that port.

    Its first connection is cut when ``budgets[0]`` bytes have passed, both ways together, and so on; None: never.
    """

    async def start(nursery: trio.Nursery, target: int, budgets: Iterable[int | None] = ()) -> Proxy:
        proxy = Proxy(target, budgets)
        await nursery.start(proxy.run)
        return proxy

    return start


@pytest.mark.parametrize("role", ["server", "client"])
async def test_reconnect(role: str, ours: Any, theirs: Any, joined: Any, ends: Any) -> None:
    """Three times in order: what either side wrote meanwhile crosses once, and the third time nothing does."""
    async with ours("alice", "zed") as alice, theirs("zed", "alice") as zed:
        for number, written in enumerate([100, 10, 0]):
            if written:
                await alice.append_many(range(written))
                await zed.append(*range(written))
            async with joined(*ends(role, alice, zed)):
                await zed.wait_peers("alice")
                await alice.wait_for({"zed": [100, 110, 110][number]})
                await zed.wait_for(alice=alice.clock["alice"])
                await alice.wait_synced()
                assert alice.progress().fraction == 1.0
            await zed.wait_peers()
        assert (await zed.count())["messagesIn"] == alice.statistics().messages_received == 110


async def test_dial_comes_back(ours: Any, theirs: Any, until: Any) -> None:
    """Whether the other side says BYE or resets the connection."""
    async with ours("alice", "zed") as alice, theirs("zed", "alice") as zed, trio.open_nursery() as nursery:
        nursery.start_soon(alice.dial, f"tcp://127.0.0.1:{await zed.listen()}")
        for number, end in enumerate([zed.close, zed.cut, zed.cut], 1):
            await alice.append(number)
            await zed.append(number)
            await alice.wait_for({"zed": number})
            await zed.wait_for(alice=number)
            await end("alice")
            await until(lambda: not alice.sessions)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("dialler", ["ours", "theirs"])
async def test_cut_in_mid_transfer(
    dialler: str, ours: Any, theirs: Any, serving: Any, proxied: Any, digest: Any
) -> None:
    """3,000 messages each way over connections that are reset after so many bytes: all arrives, in order, unharmed."""
    budgets = [100, 2_000, 50_000, 150_000, 300_000, None]
    async with ours("alice", "zed") as alice, theirs("zed", "alice") as zed, trio.open_nursery() as nursery:
        await alice.append_many([{"n": n, "text": "x" * 150} for n in range(COUNT)])
        await zed.append(*({"n": n, "text": "y" * 150} for n in range(COUNT)))
        if dialler == "ours":
            proxy = await proxied(nursery, await zed.listen(), budgets)
            nursery.start_soon(alice.dial, f"tcp://127.0.0.1:{proxy.port}")
        else:
            proxy = await proxied(nursery, await serving(nursery, alice), budgets)

            async def redial() -> None:
                while True:
                    await zed.connect(proxy.port)
                    await zed.wait_links(0)

            nursery.start_soon(redial)
        await alice.wait_for({"zed": COUNT})
        await zed.wait_for(alice=COUNT)
        await alice.wait_synced()
        assert proxy.cuts == len(budgets) - 1
        for feed in ("alice", "zed"):
            assert await digest(alice, feed) == await zed.digest(feed)
        assert (alice.statistics().gaps, (await zed.count())["gaps"]) == (0, 0)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("here", "there"), [("alice", "zed"), ("zoe", "bob")])
async def test_a_second_connection_replaces_the_first(
    here: str, there: str, ours: Any, theirs: Any, serving: Any, until: Any
) -> None:
    """Whichever side has the smaller id. The reference ends the older stream; the bridge says BYE 1 for it, and never
    ends a stream twice, which would take the newer one's state away (its defect 15)."""
    async with ours(here, there) as alice, theirs(there, here) as zed, trio.open_nursery() as nursery:
        port = await serving(nursery, alice)
        for number in range(1, 4):
            await zed.connect(port)
            await zed.append(number)
            await alice.append(number)
            await alice.wait_for({there: number})
            await zed.wait_for(**{here: number})
            await until(lambda: len(alice.sessions) == 1)
        assert alice.sessions[0].is_ready
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("here", "there"), [("alice", "zed"), ("zoe", "bob")])
async def test_both_call_each_other_at_once(
    here: str, there: str, ours: Any, theirs: Any, serving: Any, until: Any
) -> None:
    """They may disagree on which of the two connections is the newer one, and end both: then we dial again."""
    async with ours(here, there) as alice, theirs(there, here) as zed, trio.open_nursery() as nursery:
        port = await serving(nursery, alice)
        nursery.start_soon(alice.dial, f"tcp://127.0.0.1:{await zed.listen()}")
        await zed.connect(port)
        for number in range(1, 6):
            await alice.append(number)
            await zed.append(number)
            await alice.wait_for({there: number})
            await zed.wait_for(**{here: number})
        await until(lambda: len(alice.sessions) == 1)
        nursery.cancel_scope.cancel()


async def test_they_freeze_and_we_ask_elsewhere(ours: Any, theirs: Any, joined: Any, digest: Any) -> None:
    """Zed and bob both hold carol's feed; zed, asked for it, stops in the middle. When it goes on, nothing is amiss."""
    async with (
        ours("alice", "carol", "zed") as alice,
        ours("bob", "carol", "zed") as bob,
        theirs("zed", "carol", "alice", "bob") as zed,
    ):
        payloads = [{"n": n, "text": "z" * 2000} for n in range(COUNT)]
        await zed.append(*payloads, feed="carol")
        async with joined(zed, bob):
            await bob.wait_for({"carol": COUNT})
            async with joined(zed, alice):
                await alice.wait_for({"carol": 10})
                zed.freeze()
                try:
                    assert alice.clock["carol"] < COUNT
                    async with joined(bob, alice):
                        await alice.wait_for({"carol": COUNT})
                        assert alice.statistics().stalls >= 1
                        zed.thaw()
                        assert await digest(alice, "carol") == await zed.digest("carol")
                        await zed.append("live", feed="carol")
                        await alice.wait_for({"carol": COUNT + 1})
                        await alice.append("after all")
                        await zed.wait_for(alice=1)
                finally:
                    zed.thaw()


async def test_we_freeze_and_they_ask_elsewhere(
    ours: Any, theirs: Any, joined: Any, serving: Any, proxied: Any, digest: Any
) -> None:
    """The reference, asked to rotate by its own timeout, finds what it needs in our lazy notes."""
    async with (
        ours("alice", "carol", "zed") as alice,
        ours("bob", "carol", "zed") as bob,
        theirs("zed", "carol", "alice", "bob") as zed,
        trio.open_nursery() as nursery,
    ):
        payloads = [{"n": n, "text": "z" * 2000} for n in range(COUNT)]
        await alice.append_many(payloads, feed="carol")
        async with joined(alice, bob):
            await bob.wait_for({"carol": COUNT})
        proxy = await proxied(nursery, await serving(nursery, alice))
        await zed.connect(proxy.port)
        await zed.wait_for(carol=10)
        proxy.freeze()
        assert (await zed.clock())["carol"] < COUNT
        async with joined(bob, zed):
            await zed.wait_for(carol=COUNT)
            assert await digest(bob, "carol") == await zed.digest("carol")
            await bob.append("live")
            await zed.wait_for(bob=1)
        nursery.cancel_scope.cancel()

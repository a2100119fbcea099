"""Peers that want to harm: memory stays bounded, and honest peers notice nothing."""

from __future__ import annotations

import gc
import socket
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import anyio
import pytest
import trio
import trio.testing

from ebt_trio import EBT, FeedId, Identity, Limits, MemoryStore, PeerId, StoreError, What, allow, connect, listen
from ebt_trio.abc import Change
from ebt_trio.core import memories
from ebt_trio.core.types import Run
from ebt_trio.frames import Frame, Hello, Messages, Notes, Ping, Pong, Resume, decode, encode
from ebt_trio.testing import LinkEnd, connected, link

MEGABYTE = 1 << 20


def hello(id: str) -> list[Frame]:
    return [Hello(PeerId(id), instance=b"i" * 8, store=b"s" * 16, acks=True), Resume()]


async def say(end: LinkEnd, *frames: Frame) -> None:
    for frame in frames:
        await end.send(encode(frame))


def resident() -> int:
    """Bytes of memory that this process has; 0 where that cannot be told."""
    gc.collect()
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0


async def test_a_million_unknown_feeds(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob, trio.open_nursery() as nursery:
        bob.follow("alice")
        near, far = link()
        async with alice.session(near) as session, connected(alice, bob):
            nursery.start_soon(drain_quietly, far)
            await say(far, *hello("mallory"))
            await session.wait_ready()
            before = resident()
            for start in range(0, 1_000_000, 10_000):
                await say(far, Notes({FeedId(f"feed number {n}"): 14 for n in range(start, start + 10_000)}))
                if start % 200_000 == 0:
                    await alice.append(start)
                    with trio.fail_after(2):
                        await bob.wait_for(dict(alice.clock))
            await trio.sleep(1)
            assert resident() - before < 100 * MEGABYTE  # all of them would take several times as much
            assert len(alice._driver.core.feeds) <= Limits().named_feeds + 10
            assert alice.follows == {"alice"}
            await alice.append("still there")
            with trio.fail_after(1):
                await bob.wait_for(dict(alice.clock))
            assert session.is_ready
        nursery.cancel_scope.cancel()


async def test_a_thousand_half_handshakes_over_plain_links(autojump_clock: trio.testing.MockClock) -> None:
    """They come from one place; an honest caller from elsewhere gets in while they go on."""
    from ebt_trio.abc import Transport

    limits = Limits(handshakes=50, sessions=200)
    send, receive = trio.open_memory_channel[Transport](0)

    class Door:
        async def serve(self, handler, *, task_status=trio.TASK_STATUS_IGNORED):  # type: ignore[no-untyped-def]
            async with trio.open_nursery() as nursery:
                task_status.started()
                async for transport in receive:
                    nursery.start_soon(handler, transport)

    async with EBT("alice", limits=limits) as alice, EBT("bob") as bob, trio.open_nursery() as nursery:
        bob.follow("alice")
        await alice.append("hello")
        await nursery.start(alice.serve, Door())
        ends: list[LinkEnd] = []
        most = 0
        async with alice.events() as events:
            for number in range(1000):
                near, far = link()
                far.address = f"192.0.2.66:{1024 + number}"
                ends.append(near)
                await send.send(far)
                if number == 500:
                    near, far = link()
                    far.address = "198.51.100.7:4711"
                    await send.send(far)
                    nursery.start_soon(stay, bob, near)
                most = max(most, len(alice.sessions))
                await trio.sleep(0.01)
            with trio.fail_after(1):
                await bob.wait_for({"alice": 1})
            assert most <= 60
            refused = [event async for event in _some(events, What.REFUSED, 900)]
            assert all("192.0.2.66" in event.detail for event in refused)
            assert {session.peer_id for session in alice.sessions} >= {"bob"}
        nursery.cancel_scope.cancel()


async def stay(ebt: EBT, transport: LinkEnd) -> None:
    async with ebt.session(transport) as session:
        await session.wait_closed()


async def _some(events, what: What, count: int):  # type: ignore[no-untyped-def]
    async for event in events:
        if event.what is what:
            yield event
            count -= 1
        if not count:
            return


async def test_a_thousand_half_handshakes_over_encrypted_links() -> None:
    """Real sockets: whoever connects and says nothing is pushed out, and the listener goes on."""
    alice_key, bob_key = Identity.generate(), Identity.generate()
    async with (
        EBT(alice_key) as alice,
        EBT(bob_key) as bob,
        await listen("shs+tcp://127.0.0.1:0", identity=alice_key) as listener,
        trio.open_nursery() as nursery,
        AsyncExitStack() as stack,
    ):
        bob.follow(alice.feed)
        await alice.append("hello")
        await nursery.start(alice.serve, listener, allow({bob.id}))
        port = int(listener.urls[0].rpartition(":")[2])
        for number in range(1000):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            stack.push_async_callback(stream.aclose)
            if number % 2:
                await stream.send_all(bytes(40))
            if number == 900:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with trio.fail_after(120):
            async with bob.session(await connect(listener.urls[0], identity=bob_key)):
                await bob.wait_for({alice.feed: 1})
        assert not [session for session in alice.sessions if session.peer_id not in (None, bob.id)]
        nursery.cancel_scope.cancel()


async def test_a_claimed_id_over_a_plain_link(autojump_clock: trio.testing.MockClock) -> None:
    """It replaces nobody who has proved that id, and gets nothing that its author keeps from anybody."""
    alice_key, bob_key = Identity.generate(), Identity.generate()
    async with EBT(alice_key) as alice, EBT(bob_key) as bob, trio.open_nursery() as nursery:
        bob.follow(alice.feed)
        await alice.append("for bob")
        near, far = link()
        near.peer_id, far.peer_id = PeerId(bob.id), PeerId(alice.id)  # as an encrypted transport would
        async with alice.session(near) as honest, bob.session(far):
            await bob.wait_for({alice.feed: 1})
            for _ in range(20):
                liar, end = link()
                async with alice.session(liar) as false:
                    nursery.start_soon(drain_quietly, end)
                    await say(end, *hello(bob.id), Notes({alice.feed: 2 * 77}), Notes())
                    await false.wait_ready()
                    assert not false.proved
                    await trio.sleep(1)
            assert honest.is_ready
            await alice.append("and more")
            with trio.fail_after(1):
                await bob.wait_for({alice.feed: 2})
        nursery.cancel_scope.cancel()


async def test_who_comes_and_goes_while_nothing_can_be_saved(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told to them is lost, but for the last ones."""
    monkeypatch.setattr(memories, "IDLE_ENTRIES", 10 * memories.EMPTY)

    class Full(MemoryStore):
        async def update(self, change: Change, *, keep_peers: int) -> None:
            if change.remember:
                raise StoreError("no space left")
            await super().update(change, keep_peers=keep_peers)

    with suppress(StoreError):  # in the end, too
        async with EBT("alice", Full()) as alice, trio.open_nursery() as nursery:
            for number in range(100):
                near, far = link()
                nursery.start_soon(drain_quietly, far)
                async with alice.session(near) as session:
                    await say(far, *hello(f"mallory {number}"), Notes({FeedId("nobody's"): 15}), Notes())
                    await session.wait_ready()
                    await trio.sleep(0.2)
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
            assert 0 < len(alice._driver.core._room.memories._memories) < 30


async def drain_quietly(end: LinkEnd) -> None:
    with suppress(anyio.EndOfStream):
        while True:
            await end.receive()


async def test_stored_bytes_per_feed(autojump_clock: trio.testing.MockClock) -> None:
    limits = Limits(feed_bytes=10_000)
    async with EBT("alice") as alice, EBT("bob", MemoryStore(), limits=limits) as bob, bob.events() as events:
        for feed in ("alice", "carol"):
            bob.follow(feed)
        async with connected(alice, bob, delay=0.01) as (session, _):
            alice.follow("carol")
            await alice.append_many(["x" * 95] * 60)  # of 97 bytes
            await alice.append_many(["x"] * 10, feed="carol")
            await bob.wait_for({"alice": 60, "carol": 10})
            for _ in range(60):
                await alice.append("x" * 95)
                await trio.sleep(0.1)
            async for event in events:
                if event.what is What.INVALID:
                    break
            assert (event.peer, event.feed) == ("alice", "alice")
            assert "more than 10000 bytes" in event.detail
            assert bob.clock["alice"] == 103
            await alice.append("y", feed="carol")
            await bob.wait_for({"carol": 11})
            assert session.is_ready
        await bob.append_many(["x" * 1000] * 20)  # our own has no limit


async def test_a_gap_behind_a_corrupt_run_excuses_nobody(autojump_clock: trio.testing.MockClock) -> None:
    """One member sends both in one frame, another claims much and delivers nothing: who has it is asked even so."""
    alice = Identity.generate()
    feed = FeedId(alice.id)
    async with EBT(alice) as author, EBT(Identity.generate()) as bob, trio.open_nursery() as nursery:
        messages = [message.payload for message in await author.append_many(range(20))]
        corrupt = [messages[0], messages[1][:-1] + b"\x17"]
        bob.follow(feed)
        for name, claim, runs in (
            ("mallory", 4, [Run(feed, 1, corrupt), Run(feed, 3, messages[2:4])]),
            ("liar", 100, []),
        ):
            near, far = link(delay=0.001)
            nursery.start_soon(stay, bob, near)
            nursery.start_soon(polite, far)
            await say(far, *hello(Identity.generate().id), Notes({feed: claim << 1 | 1}), Notes())
            if runs:
                await say(far, Messages(runs))
            assert name
        await trio.sleep(1)
        async with connected(author, bob, delay=0.01):
            with trio.fail_after(10):
                await bob.wait_for({feed: 20})
        nursery.cancel_scope.cancel()


async def polite(end: LinkEnd) -> None:
    """Answers PINGs, and nothing else."""
    with suppress(anyio.EndOfStream):
        while True:
            frame = decode(await end.receive(), Limits())
            if isinstance(frame, Ping):
                await end.send(encode(Pong(frame.n)))

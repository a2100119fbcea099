"""Listening and calling: over memory and TCP, when links break, when there are too many, when two sessions meet."""

from __future__ import annotations

import logging
import random

import anyio
import pytest
import trio

from ebt_trio import EBT, ByeCode, EBTError, Limits, LocalProtocolError, connect, listen
from ebt_trio._dial import Backoff
from ebt_trio.abc import Transport
from ebt_trio.frames import Bye, Hello, decode
from ebt_trio.testing import LinkEnd, connected, link


@pytest.mark.parametrize("url", ["memory://hub", "tcp://127.0.0.1:0"])
async def test_a_hub_and_its_callers(url: str) -> None:
    async with (
        EBT("hub", should_replicate=lambda feed, peer: True) as hub,
        trio.open_nursery() as nursery,
        await listen(url) as listener,
    ):
        await nursery.start(hub.serve, listener)
        for name in ("a", "b", "c"):
            nursery.start_soon(caller, name, listener.urls[0])
        with trio.fail_after(120):
            await hub.wait_for({"a": 1, "b": 1, "c": 1})
            await hub.wait_synced()
        assert {session.peer_id for session in hub.sessions} == {"a", "b", "c"}
        assert hub.follows == {"hub", "a", "b", "c"}
        nursery.cancel_scope.cancel()


async def caller(name: str, url: str) -> None:
    async with EBT(name) as ebt, trio.open_nursery() as nursery:
        for feed in "abc":
            ebt.follow(feed)
        await nursery.start(ebt.dial, url)
        await ebt.append("x")
        await ebt.wait_for({"a": 1, "b": 1, "c": 1})
        await trio.sleep_forever()


class Caller:
    """A connector that gives one link after the other to a peer, or fails."""

    def __init__(self, callee: EBT, nursery: trio.Nursery) -> None:
        self.callee = callee
        self.nursery = nursery
        self.times: list[float] = []
        self.failing = False
        self.ends: list[LinkEnd] = []

    async def __call__(self) -> Transport:
        self.times.append(trio.current_time())
        if self.failing:
            raise OSError("no route to host")
        near, far = link(delay=0.01)
        self.ends.append(near)
        self.nursery.start_soon(self.answer, far)
        return near

    async def answer(self, far: LinkEnd) -> None:
        try:
            async with self.callee.session(far) as session:
                await session.wait_closed()
        except EBTError:
            pass


async def test_dial_comes_back_when_a_link_breaks(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob, trio.open_nursery() as nursery:
        bob.follow("alice")
        call = Caller(alice, nursery)
        await nursery.start(bob.dial, call)
        for number in range(5):
            await alice.append(number)
            await bob.wait_for({"alice": number + 1})
            call.ends[-1].cut()
        await alice.append("last")
        await bob.wait_for({"alice": 6})
        assert len(call.ends) == 6
        assert trio.current_time() < 5  # reset by each session that became ready
        nursery.cancel_scope.cancel()


async def test_dial_backs_off(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob, trio.open_nursery() as nursery, bob.events() as events:
        call = Caller(alice, nursery)
        call.failing = True
        await nursery.start(bob.dial, call)
        await trio.sleep(300)
        waits = [after - before for before, after in zip(call.times, call.times[1:], strict=False)]
        assert 0.05 <= waits[0] <= 0.1
        assert all(15 <= wait <= 30 for wait in waits[10:])
        assert len(waits) > 12
        event = await anext(events)
        assert event.what.value == "failed"
        assert "no route to host" in event.detail
        call.failing = False
        bob.follow("alice")
        await alice.append("x")
        await bob.wait_for({"alice": 1})
        nursery.cancel_scope.cancel()


def test_backoff_repeats_with_its_rng() -> None:
    def waits(seed: int) -> list[float]:
        backoff = Backoff(random.Random(seed))
        return [backoff.next() for _ in range(12)]

    assert waits(1) == waits(1) != waits(2)
    assert max(waits(1)) <= 30


@pytest.mark.parametrize("url", ["nonsense", "gopher://x:1"])
async def test_dial_a_bad_url(url: str) -> None:
    async with EBT("bob") as bob:
        with pytest.raises(LocalProtocolError):
            await bob.dial(url)


async def test_dial_and_serve_end_with_the_ebt(autojump_clock: trio.testing.MockClock) -> None:
    """Also where they run in a nursery that lives longer than the EBT."""
    async with await listen("memory://here"):
        async with trio.open_nursery() as nursery, EBT("alice") as alice, EBT("bob") as bob:
            await nursery.start(alice.serve, await listen("memory://there"))
            await nursery.start(bob.dial, "memory://there")
            await nursery.start(bob.dial, "memory://nobody")
            await nursery.start(bob.dial, "memory://here")  # never accepted
            bob.follow("alice")
            await alice.append("x")
            await bob.wait_for({"alice": 1})
            await trio.sleep(300)
            left = trio.current_time()
        assert trio.current_time() - left < 1


async def test_a_bad_session_ends_alone(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ebt_trio")
    async with (
        EBT("hub") as hub,
        trio.open_nursery() as nursery,
        hub.events() as events,
        await listen("memory://hub") as listener,
    ):
        await nursery.start(hub.serve, listener)
        good = await connect("memory://hub")
        async with EBT("bob") as bob, bob.session(good) as session:
            await session.wait_ready()
            async with await connect("memory://hub") as bad:
                await bad.send(b"GET / HTTP/1.1")
                while not isinstance(frame := decode(await bad.receive(), Limits()), Bye):
                    pass
                assert frame.code == ByeCode.MALFORMED
            await session.wait_synced()
            whats: list[str] = []
            async for event in events:
                whats.append(event.what.value)
                if {"connected", "failed"} <= set(whats):
                    break
        nursery.cancel_scope.cancel()
    assert any("connected, peer bob" in line for line in caplog.messages)
    assert any(record.levelno == logging.WARNING and "array" in record.getMessage() for record in caplog.records)


async def test_too_many_are_refused(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        EBT("hub", limits=Limits(sessions=2)) as hub,
        trio.open_nursery() as nursery,
        await listen("memory://hub") as listener,
    ):
        await nursery.start(hub.serve, listener)
        first, second, third = [await connect("memory://hub") for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked()
        assert decode(await third.receive(), Limits()) == Bye(ByeCode.REFUSED, "no more sessions")
        with pytest.raises(anyio.EndOfStream):
            await third.receive()
        await third.aclose()
        assert len(hub.sessions) == 2
        await first.aclose()
        await trio.testing.wait_all_tasks_blocked()
        fourth = await connect("memory://hub")
        assert isinstance(decode(await fourth.receive(), Limits()), Hello)
        for transport in (second, fourth):
            await transport.aclose()
        nursery.cancel_scope.cancel()


async def test_a_newer_session_replaces_the_older(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob:
        alice.follow("bob")
        bob.follow("alice")
        async with connected(alice, bob, delay=0.01) as (a1, b1):
            await b1.wait_ready()
            await trio.sleep(1)
            async with connected(alice, bob, delay=0.01) as (a2, b2):
                ours, theirs = await a1.wait_closed(), await b1.wait_closed()
                assert (ours.code, ours.by_remote) == (ByeCode.REPLACED, False)
                assert (theirs.code, theirs.by_remote) == (ByeCode.REPLACED, True)
                assert (await a2.wait_ready(), await b2.wait_ready()) == ("bob", "alice")
                await alice.append("x")
                await bob.append("y")
                await alice.wait_synced()
                assert alice.clock == bob.clock == {"alice": 1, "bob": 1}


@pytest.mark.parametrize("names", [("alice", "bob"), ("bob", "alice")])
async def test_both_dial_each_other(names: tuple[str, str], autojump_clock: trio.testing.MockClock) -> None:
    """One session stays, and nobody redials while it lives."""
    async with EBT(names[0]) as one, EBT(names[1]) as other, trio.open_nursery() as nursery:
        one.follow(names[1])
        other.follow(names[0])
        call, call_back = Caller(other, nursery), Caller(one, nursery)
        await nursery.start(one.dial, call)
        await nursery.start(other.dial, call_back)
        await trio.sleep(100)
        assert len(one.sessions) == len(other.sessions) == 1
        # Sessions that cross may look newest to one side each; then both go, and jitter decides.
        assert len(call.times) + len(call_back.times) <= 6
        await one.append("x")
        await other.append("y")
        await one.wait_synced()
        assert dict(other.clock) == dict(one.clock) == {names[0]: 1, names[1]: 1}
        attempts = len(call.times) + len(call_back.times)
        for end in (*call.ends, *call_back.ends):
            end.cut()
        await trio.sleep(100)
        assert len(one.sessions) == len(other.sessions) == 1
        assert len(call.times) + len(call_back.times) > attempts
        nursery.cancel_scope.cancel()


async def test_who_has_been_called_back_does_not_call(autojump_clock: trio.testing.MockClock) -> None:
    """One session with a peer is enough: a second would only take the first one's place."""
    async with EBT("alice") as alice, EBT("bob") as bob, trio.open_nursery() as nursery:
        call = Caller(alice, nursery)
        await nursery.start(bob.dial, call)
        await trio.sleep(1)
        call.failing = True
        call.ends[-1].cut()
        await trio.sleep(100)  # by now it waits for half a minute each time
        assert len(call.times) > 5
        call.failing = False
        async with connected(alice, bob) as (_, theirs):
            await theirs.wait_ready()
            attempts = len(call.times)
            await trio.sleep(200)
            assert len(call.times) == attempts
            assert theirs.is_ready
        await trio.sleep(100)
        assert len(call.times) == attempts + 1
        assert len(bob.sessions) == 1
        nursery.cancel_scope.cancel()


async def test_another_device_under_the_same_id_keeps_nobody_from_calling(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with EBT("alice") as phone, EBT("alice") as laptop, EBT("bob") as bob, trio.open_nursery() as nursery:
        call = Caller(phone, nursery)
        await nursery.start(bob.dial, call)
        await trio.sleep(1)
        async with connected(laptop, bob):
            call.ends[-1].cut()
            await trio.sleep(10)
            assert len(bob.sessions) == 2
        nursery.cancel_scope.cancel()


async def test_two_devices_under_one_id_are_two_peers(autojump_clock: trio.testing.MockClock) -> None:
    async with (
        EBT("alice") as alice,
        EBT("bob") as phone,
        EBT("bob") as laptop,
        connected(alice, phone) as (one, _),
        connected(alice, laptop) as (two, _),
    ):
        await one.wait_ready()
        await two.wait_ready()
        await trio.sleep(5)
        assert one.is_ready
        assert two.is_ready


async def test_a_block_ends_dialled_sessions_and_unblock_brings_them_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob, trio.open_nursery() as nursery:
        bob.follow("alice")
        call = Caller(alice, nursery)
        await nursery.start(bob.dial, call)
        await alice.append("x")
        await bob.wait_for({"alice": 1})
        bob.block("alice")
        await trio.sleep(10)
        assert not any(session.is_ready for session in bob.sessions)  # the next attempt may just be being refused
        await alice.append("y")
        await trio.sleep(60)
        assert bob.clock == {"alice": 1}
        bob.unblock("alice")
        await bob.wait_for({"alice": 2})
        nursery.cancel_scope.cancel()

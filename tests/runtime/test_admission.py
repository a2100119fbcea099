"""Who may come in, and how much one of them may take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from ebt_trio import EBT, Caller, HandshakeError, Limits, NotAdmitted, PeerId, What, allow
from ebt_trio.abc import Listener, Transport
from ebt_trio.admission import Admit
from ebt_trio.frames import Bye, Hello, decode, encode
from ebt_trio.testing import LinkEnd, link


class Door(Listener):
    """A listener to which the test brings the callers."""

    urls = ("door:",)

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[Transport](100)

    def call(self, proved: str | None = None, address: str = "caller:1") -> LinkEnd:
        near, far = link()
        far.peer_id = None if proved is None else PeerId(proved)
        far.address = address
        self._send.send_nowait(far)
        return near

    async def serve(
        self,
        handler: Callable[[Transport], Awaitable[Any]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        async with trio.open_nursery() as nursery:
            task_status.started()
            async for transport in self._receive:
                nursery.start_soon(handler, transport)

    async def aclose(self) -> None:
        self._send.close()
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def serving(ebt: EBT, admit: Admit | None):  # type: ignore[no-untyped-def]
    async with ebt, trio.open_nursery() as nursery:
        door = Door()
        await nursery.start(ebt.serve, door, admit)
        yield door
        nursery.cancel_scope.cancel()


async def frames(end: LinkEnd) -> list[Any]:
    """All that comes, until the end."""
    found: list[Any] = []
    async for data in end:
        found.append(decode(data, Limits()))
    return found


async def test_who_is_not_on_the_list_gets_a_bye_and_nothing_else(autojump_clock: trio.testing.MockClock) -> None:
    async with serving(EBT("alice"), allow({"bob"})) as door:
        end = door.call(proved="mallory")
        [only] = await frames(end)
        assert isinstance(only, Bye)
        assert (only.code, only.text) == (7, "mallory is not admitted here")
        assert "alice" not in repr(only)


@pytest.mark.parametrize("says", ["bob", "mallory"])
async def test_saying_to_be_on_the_list_is_not_enough(says: str, autojump_clock: trio.testing.MockClock) -> None:
    ebt = EBT("alice")
    async with serving(ebt, allow({"bob"})) as door, ebt.events() as events:
        end = door.call()
        await end.send(encode(Hello(PeerId(says))))
        [only] = await frames(end)
        assert isinstance(only, Bye)
        assert only.code == 7
        event = await anext(events)
        assert (event.what, event.peer) == (What.REFUSED, None)
        assert event.detail == f"caller:1: {says} is not admitted here, by a link that proves nothing"


async def test_the_log_says_who_was_refused(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(EBT("alice"), allow(())) as door:
        await frames(door.call(proved="mallory"))
        await trio.sleep(2)  # it waits a moment for the caller to go
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "caller:1: mallory is not admitted here" in caplog.text


async def test_who_is_on_the_list_comes_in_and_the_list_may_change(autojump_clock: trio.testing.MockClock) -> None:
    friends = {"bob"}
    async with serving(EBT("alice"), allow(friends)) as door, EBT("bob") as bob, EBT("carol") as carol:
        async with bob.session(door.call(proved="bob")) as session:
            assert await session.wait_ready() == "alice"
            await session.wait_synced()
        with pytest.raises(HandshakeError, match="carol is not admitted here"):
            async with carol.session(door.call(proved="carol")) as session:
                await trio.sleep_forever()
        friends.add("carol")
        async with carol.session(door.call(proved="carol")) as session:
            assert await session.wait_ready() == "alice"


async def test_admit_sees_who_calls_from_where(autojump_clock: trio.testing.MockClock) -> None:
    asked: list[Caller] = []

    def admit(caller: Caller) -> bool:
        asked.append(caller)
        return True

    async with serving(EBT("alice"), admit) as door, EBT("bob") as bob:
        for proved in ("bob", None):
            async with bob.session(door.call(proved, address=f"from {proved}")) as session:
                await session.wait_ready()
    assert asked == [Caller(PeerId("bob"), True, "from bob"), Caller(PeerId("bob"), False, "from None")]


async def test_an_admit_that_fails_lets_nobody_in(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def admit(caller: Caller) -> bool:
        raise RuntimeError("out of order")

    async with serving(EBT("alice"), admit) as door:
        [only] = await frames(door.call(proved="bob"))
        assert only.code == 7
    assert "out of order" in caplog.text


async def test_we_say_nothing_before_they_have_said_who_they_are(autojump_clock: trio.testing.MockClock) -> None:
    """Not even who we are. And who never says it is shown out in the end."""
    async with serving(EBT("alice"), lambda caller: True) as door:
        [only] = await frames(door.call())
        assert isinstance(only, Bye)
        assert (only.code, trio.current_time()) == (11, 5.0)


async def test_one_peer_has_so_many_sessions(autojump_clock: trio.testing.MockClock) -> None:
    """Those who have proved an id, and those who only say it, do not take each other's place."""
    limits = Limits(sessions_per_peer=2)
    async with serving(EBT("alice", limits=limits), None) as door, trio.open_nursery() as nursery:
        for proved in ("bob", "bob", None, None):
            nursery.start_soon(stay, "bob", door.call(proved))
        await trio.sleep(1)
        for proved in ("bob", None):
            async with EBT("bob") as bob:
                with pytest.raises(HandshakeError, match="has 2 sessions already"):
                    async with bob.session(door.call(proved)) as session:
                        await session.wait_closed()
        async with EBT("carol") as carol, carol.session(door.call("carol")) as session:
            await session.wait_ready()
        nursery.cancel_scope.cancel()


async def stay(name: str, end: LinkEnd) -> None:
    async with EBT(name) as ebt, ebt.session(end) as session:
        await session.wait_closed()


@pytest.mark.parametrize("limits", [Limits(bytes_per_second=10_000), Limits(total_bytes_per_second=10_000)])
async def test_a_session_is_read_no_faster_than_allowed(limits: Limits, autojump_clock: trio.testing.MockClock) -> None:
    """100 kB at 10 kB/s: a second's worth at once, then 9 seconds. nobody takes it for a stall or a dead link."""
    alice = EBT("alice", limits=limits, should_replicate=lambda feed, peer: True)
    async with serving(alice, None) as door, EBT("bob", limits=Limits(keepalive=7.0)) as bob:
        await bob.append_many([bytes(1000)] * 100)
        started = trio.current_time()
        async with bob.session(door.call("bob")) as session:
            await session.wait_synced()
            taken = trio.current_time() - started
            assert session.statistics().messages_sent == 100
    assert 9 <= taken <= 13


async def test_not_admitted_is_told_to_who_serves_by_hand() -> None:
    assert issubclass(NotAdmitted, HandshakeError)


# -- feeds that peers name


async def name_feeds(name: str, feeds: list[str], door: Door) -> None:
    """A peer that is known to have these feeds."""
    async with EBT(name) as ebt:
        for feed in feeds:
            ebt.follow(feed)
        async with ebt.session(door.call(name)) as session:
            await session.wait_synced()


async def test_one_peer_makes_us_follow_so_many_feeds_and_all_together_so_many(
    autojump_clock: trio.testing.MockClock,
) -> None:
    limits = Limits(adopted_feeds=5, total_adopted_feeds=8)
    alice = EBT("alice", limits=limits, should_replicate=lambda feed, peer: True)
    async with serving(alice, None) as door:
        await name_feeds("mallory", [f"m{number}" for number in range(20)], door)
        assert len(alice.follows - {"alice"}) == 5
        await name_feeds("bob", ["b1", "b2"], door)
        assert {"bob", "b1", "b2"} <= alice.follows
        await name_feeds("carol", ["c1"], door)
        assert len(alice.follows - {"alice"}) == 8


async def test_so_many_names_of_feeds_are_remembered(autojump_clock: trio.testing.MockClock) -> None:
    alice = EBT("alice", limits=Limits(named_feeds=10))
    async with serving(alice, None) as door:
        await name_feeds("mallory", [f"m{number}" for number in range(100)], door)
        assert len(alice._driver.core.feeds) == 11

"""Two peers in one process: the example of the documentation, and what a session does from HELLO to BYE."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from ebt_transports.memory import memory_pair
from ebt_trio import (
    EBT,
    ByeCode,
    CloseReason,
    HandshakeError,
    MemoryStore,
    RemoteProtocolError,
    SessionClosed,
    SQLiteStore,
    TransportError,
)
from ebt_trio.testing import connected, link


async def test_the_example_of_the_documentation(autojump_clock: trio.testing.MockClock) -> None:
    here, there = memory_pair()
    async with EBT("alice", MemoryStore()) as ebt, EBT("bob", MemoryStore()) as bob, trio.open_nursery() as nursery:
        ebt.follow("bob")
        bob.follow("alice")

        async def other_side() -> None:
            async with bob.session(there) as session:
                assert await session.wait_ready() == "alice"
                await session.wait_closed()

        nursery.start_soon(other_side)
        async with ebt.session(here) as session:
            await ebt.append({"text": "hello bob!"})
            await session.wait_synced()
        assert dict(bob.clock) == {"alice": 1}
        assert (await bob.get("alice", 1)).content == {"text": "hello bob!"}


async def test_both_ways_and_live(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob:
        alice.follow("bob")
        bob.follow("alice")
        await alice.append_many([f"a{number}" for number in range(1, 1001)])
        await bob.append_many([f"b{number}" for number in range(1, 501)])
        async with connected(alice, bob) as (ours, theirs):
            await ours.wait_synced()
            assert alice.clock == bob.clock == {"alice": 1000, "bob": 500}
            for number in range(10):
                await alice.append(f"live {number}")
                await alice.wait_synced()
                assert bob.clock["alice"] == 1001 + number
            await theirs.wait_synced()  # alice may still owe the ACK of bob's messages
            assert theirs.progress().fraction == 1.0
            assert ours.statistics().messages_sent == 1010
            assert theirs.statistics().messages_received == 1010
            assert theirs.statistics().duplicates == 0
        messages = await bob.read("alice", 1, 2000)
        assert [message.content for message in messages[:3]] == ["a1", "a2", "a3"]
        assert [message.sequence for message in messages] == list(range(1, 1011))


async def test_sqlite_under_an_autojump_clock(autojump_clock: trio.testing.MockClock, tmp_path: Path) -> None:
    path = tmp_path / "alice.db"
    async with EBT("alice", SQLiteStore(path, threads=False)) as alice, EBT("bob") as bob:
        alice.follow("bob")
        bob.follow("alice")
        await alice.append("one")
        await bob.append("two")
        async with connected(alice, bob):
            await alice.wait_synced()
    async with EBT("alice", SQLiteStore(path, threads=False)) as alice:
        assert alice.clock == {"alice": 1, "bob": 1}
        assert alice.follows == {"alice", "bob"}
        assert (await alice.get("bob", 1)).content == "two"


async def test_leaving_is_an_orderly_end_for_the_other_side(autojump_clock: trio.testing.MockClock) -> None:
    here, there = link()
    async with EBT("alice") as alice, EBT("bob") as bob, bob.session(there) as theirs:
        async with alice.session(here) as ours:
            assert await ours.wait_ready() == "bob"
        assert await ours.wait_closed() == CloseReason(ByeCode.DONE, "", by_remote=False)
        assert await theirs.wait_closed() == CloseReason(ByeCode.DONE, "", by_remote=True)
        for wait in (theirs.wait_ready, theirs.wait_synced):
            with pytest.raises(SessionClosed):
                await wait()
        assert not alice.sessions
        assert not bob.sessions
        assert trio.current_time() < 0.5


async def test_a_broken_link_cancels_the_block(autojump_clock: trio.testing.MockClock) -> None:
    near, far = link()
    async with EBT("alice") as alice, EBT("bob") as bob, trio.open_nursery() as nursery:

        async def other_side() -> None:
            with pytest.raises(TransportError):
                async with bob.session(far):
                    await trio.sleep_forever()

        nursery.start_soon(other_side)
        with pytest.raises(TransportError, match="broken"):  # noqa: PT012 - the block belongs to it
            async with alice.session(near) as session:
                await session.wait_ready()
                near.cut()
                await trio.sleep_forever()
        assert not alice.sessions


async def test_if_both_fail_the_block_wins_with_a_note(autojump_clock: trio.testing.MockClock) -> None:
    near, _ = link()
    mine = ValueError("mine")
    async with EBT("alice") as alice:
        with pytest.raises(ValueError, match="mine") as caught:  # noqa: PT012 - the block belongs to it
            async with alice.session(near):
                try:
                    await trio.sleep_forever()  # HELLO never comes
                finally:
                    raise mine
        assert caught.value is mine
        assert any("HELLO" in note for note in mine.__notes__)


async def test_an_error_of_the_session_leaves_bare_through_a_nursery_of_the_block(
    autojump_clock: trio.testing.MockClock,
) -> None:
    near, _ = link()
    async with EBT("alice") as alice:
        with pytest.raises(HandshakeError, match="HELLO"):
            async with alice.session(near), trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)


async def test_a_bug_in_a_session_is_not_hidden(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob:
        near, far = link()

        def broken(*args: object) -> None:
            raise ZeroDivisionError("a bug")

        async def other_side() -> None:
            with pytest.raises(RemoteProtocolError, match="internal") as caught:
                async with bob.session(far):
                    await trio.sleep_forever()
            assert caught.value.code is ByeCode.INTERNAL

        monkeypatch.setattr(alice._driver.core, "heard_digest", broken)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other_side)
            with pytest.raises(ZeroDivisionError, match="a bug"):
                async with alice.session(near):
                    await trio.sleep_forever()


async def test_links_without_any_delay_stay_up_while_idle(autojump_clock: trio.testing.MockClock) -> None:
    """The answer to a PING may come in the very same moment of virtual time."""
    async with EBT("alice") as alice, EBT("bob") as bob, connected(alice, bob) as (session, _):
        await session.wait_ready()
        await trio.sleep(3600)
        assert session.is_ready

"""Worlds of whole peers: what may go wrong in them, that they repeat, and that they see what is wrong."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from ebt_trio import EBT, MemoryStore, SQLiteStore, StoreError, TransportError, connect
from ebt_trio.testing import check_store
from ebt_trio.testing.world import Conditions, FaultyStore, World, WorldBroken, run_world

Body = Callable[[World], Awaitable[None]]


async def pair(world: World, *, both: bool = False, **conditions: float) -> None:
    world.peer("alice")
    world.peer("bob")
    world.link("alice", "bob", both=both, **conditions)  # type: ignore[arg-type]


async def in_sync(world: World, content: object) -> None:
    await world.peers["alice"].append(content)
    await world.settle()
    assert (await world.peers["bob"].ebt.read("alice"))[-1].content == content


@pytest.mark.parametrize("signed", [False, True])
def test_three_in_a_chain(signed: bool) -> None:
    async def body(world: World) -> None:
        alice, carol = world.peer("alice"), world.peer("carol")
        world.peer("bob")
        world.link("alice", "bob", delay=0.05)
        world.link("bob", "carol", jitter=0.01, delay=0.1, split=3)
        await alice.append("one", "two")
        await world.settle()
        world.assert_equal()
        assert [message.content for message in await carol.ebt.read(alice.id)] == ["one", "two"]
        assert all(session.proved is signed for session in carol.ebt.sessions)

    run_world(body, seed=3, signed=signed)


FAULTS: dict[str, list[tuple[Any, ...]]] = {
    "cut": [("cut", "alice", "bob")],
    "truncated": [("truncate", "alice", "bob", 3)],
    "down": [("down", "alice", "bob"), ("wait", 3), ("up", "alice", "bob")],
    "frozen for minutes": [("freeze", "alice", "bob"), ("wait", 120), ("thaw", "alice", "bob")],
    "killed": [("kill", "bob"), ("start", "bob")],
    "without power": [("power", "bob"), ("start", "bob")],
    "left": [("leave", "bob"), ("start", "bob")],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("signed", [False, True])
def test_they_meet_again(fault: str, signed: bool) -> None:
    async def body(world: World) -> None:
        await pair(world)
        alice, bob = world.peers["alice"], world.peers["bob"]
        await alice.append("before")
        await world.settle()
        first = alice.ebt.sessions[0]
        await world.play(FAULTS[fault])
        await bob.append("after")
        await alice.append("after, too")
        await world.settle()
        world.assert_equal()
        assert first.close_reason is not None
        assert len(alice.ebt.sessions) == len(bob.ebt.sessions) == 1

    run_world(body, seed=1, signed=signed)


def test_down_until_up() -> None:
    async def body(world: World) -> None:
        await pair(world)
        await in_sync(world, "before")
        world.down("alice", "bob")
        await world.peers["alice"].append("not yet")
        with pytest.raises(WorldBroken, match="bob has 1 of alice's 2"):
            await world.settle(patience=100)
        with pytest.raises(WorldBroken, match="bob has 1 of alice's 2"):
            world.assert_equal()
        world.up("alice", "bob")
        await world.settle()

    run_world(body)


def test_frozen_links_and_hosts_deliver_when_they_go_on() -> None:
    async def body(world: World) -> None:
        await pair(world)
        await in_sync(world, "before")
        bob = world.peers["bob"].ebt
        for stop, go in (
            (lambda: world.freeze("alice", "bob"), lambda: world.thaw("alice", "bob")),
            (lambda: world.stop("bob"), lambda: world.go("bob")),
        ):
            (session,) = bob.sessions
            stop()
            held = bob.clock["alice"]
            await world.peers["alice"].append("late")
            await trio.sleep(20)
            assert bob.clock["alice"] == held
            go()
            await world.settle()
            assert bob.sessions == (session,)

    run_world(body)


def test_slow_links_are_slow() -> None:
    async def body(world: World) -> None:
        await pair(world, delay=0.01, rate=10_000, window=4096)
        await world.settle()
        start = trio.current_time()
        await world.peers["alice"].append(b"x" * 100_000)
        await world.peers["bob"].ebt.wait_for({"alice": 1})
        assert 9.5 < trio.current_time() - start < 12

    run_world(body)


@pytest.mark.parametrize("delay", [0.01, 0.4, 0.8, 1.2])
@pytest.mark.parametrize("seed", [0, 1])
def test_both_sides_dial(delay: float, seed: int) -> None:
    """However long the link: sessions that end each other are not dialled again by both at once, for ever."""

    async def body(world: World) -> None:
        await pair(world, both=True, delay=delay)
        await world.peers["alice"].append("x")
        await world.settle(patience=40)
        await trio.sleep(60)
        assert [len(peer.ebt.sessions) for peer in world.peers.values()] == [1, 1]

    run_world(body, seed=seed)


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("delay", [0.0, 0.2])
def test_a_crash_keeps_what_was_acknowledged_and_no_more(power: bool, delay: float, tmp_path: Path) -> None:
    async def body(world: World) -> None:
        store = SQLiteStore(tmp_path / "alice.db", threads=False)
        alice = world.peer("alice", store=store, store_delay=delay)
        await alice.append("kept")
        await world.play([("append", "alice", 1), ("wait", delay / 10), ("power" if power else "kill", "alice")])
        assert not alice.is_up
        alice.start()
        await alice.append("then")
        messages = await alice.ebt.read("alice")
        assert {message.sequence: message.content for message in messages}.items() >= alice.acknowledged.items()
        assert alice.acknowledged[1] == "kept"
        assert len(alice.acknowledged) <= len(messages) <= alice.tried <= 3
        assert alice.starts == 2

    run_world(body)


def test_a_store_that_fails_for_a_while() -> None:
    async def body(world: World) -> None:
        await pair(world)
        await in_sync(world, "before")
        bob = world.peers["bob"]
        bob.break_store(writes=True)
        with pytest.raises(StoreError, match="no space left"):
            await bob.append("no")
        await world.peers["alice"].append("meanwhile")
        await trio.sleep(10)
        assert bob.ebt.clock["alice"] == 1
        bob.break_store(reads=True)
        await world.settle()
        with pytest.raises(StoreError, match="I/O error"):
            await bob.ebt.read("alice")
        bob.break_store()
        await world.settle()
        world.assert_equal()

    run_world(body)


async def test_a_faulty_store_is_a_store() -> None:
    await check_store(lambda name: FaultyStore(MemoryStore()))


async def test_a_store_without_power() -> None:
    inner = MemoryStore()
    store = FaultyStore(inner)
    async with EBT("alice", store) as alice:
        await alice.append("kept")
        store.cut_power()
        with pytest.raises(StoreError, match="power"):
            await alice.append("lost")
    async with EBT("alice", inner) as alice:
        assert [message.content for message in await alice.read("alice")] == ["kept"]


def test_a_peer_that_its_store_brings_down_comes_back() -> None:
    async def body(world: World) -> None:
        await pair(world)
        await in_sync(world, "before")
        bob = world.peers["bob"]
        bob.break_store(reads=True)
        bob.crash()
        bob.start()
        await trio.sleep(10)
        assert not bob.is_up
        bob.break_store()
        await in_sync(world, "after")

    run_world(body)


def test_an_application_dials_through_the_world() -> None:
    """What is not made by ``World.peer``: the names, the ports and the errors are those of TCP."""

    async def body(world: World) -> None:
        alice = world.peer("alice")
        await alice.append("x")
        async with EBT("zoe") as zoe, trio.open_nursery() as nursery:
            zoe.follow("alice")
            await nursery.start(zoe.dial, "tcp://alice:8008")
            await zoe.wait_for({"alice": 1})
            nursery.cancel_scope.cancel()
        for url in ("tcp://nobody:8008", "tcp://alice:1"):
            with pytest.raises(TransportError, match="cannot connect"):
                await connect(url)
        world.freeze("outside", "alice")
        with pytest.raises(TransportError, match="no answer"):
            await connect("tcp://alice:8008")

    run_world(body)


def test_who_follows_whom() -> None:
    async def body(world: World) -> None:
        alice, bob = world.peer("alice", follow=["bob"]), world.peer("bob", follow=["alice"])
        carol = world.peer("carol", follow=[])
        world.link("alice", "bob")
        world.link("bob", "carol")
        for peer in (alice, bob, carol):
            await peer.append(peer.name)
        await world.settle()
        assert set(bob.ebt.clock) == {"alice", "bob"}
        assert set(carol.ebt.clock) == {"carol"}
        await world.play([("follow", "carol", "alice"), ("wait", 1)])
        await world.settle()
        assert set(carol.ebt.clock) == {"carol", "alice"}

    run_world(body)


# -- that worlds see what is wrong


def test_an_error_in_the_log_breaks_the_world() -> None:
    async def body(world: World) -> None:
        world.peer("alice")
        await trio.sleep(1)
        logging.getLogger("ebt_trio").error("a bug")
        await trio.sleep(1)
        raise AssertionError("not reached")

    with pytest.raises(WorldBroken, match="logged: a bug") as caught:
        run_world(body, seed=77)
    (note,) = caught.value.__notes__
    assert "alice is up" in note
    assert "seed: 77" in note


def test_an_exception_in_a_task_breaks_the_world() -> None:
    async def body(world: World) -> None:
        async def bad() -> None:
            raise ZeroDivisionError

        world.spawn(bad)
        await trio.sleep_forever()

    with pytest.raises(ZeroDivisionError):
        run_world(body)


def test_a_failure_says_what_happened_and_how_to_do_it_again() -> None:
    async def body(world: World) -> None:
        await pair(world)
        await world.play([("append", "alice", 2), ("wait", 0.5)])
        assert world.peers["bob"].ebt.clock["alice"] == 3

    with pytest.raises(AssertionError) as caught:
        run_world(body, seed=5)
    (note,) = caught.value.__notes__
    assert "world.play([('append', 'alice', 2), ('wait', 0.5)])" in note
    assert "alice > bob MESSAGES alice:1-2" in note


def test_steps_have_to_be_known() -> None:
    async def body(world: World) -> None:
        await world.play([("explode", "alice")])

    with pytest.raises(ValueError, match="unknown step"):
        run_world(body)


# -- that they repeat

REPEAT = """
from ebt_trio.testing.world.scenarios import Settings, draw, run
for seed, signed in (8, 0.0), (9, 1.0):
    print(run(draw(seed, Settings(peers=(2, 3), steps=8, signed=signed, files=0.5)), seed).trace.digest())
"""


def test_the_same_seed_gives_the_same_run_bit_by_bit() -> None:
    """In two processes, with two ways to hash strings."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", REPEAT],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) == 2


def test_a_run_leaves_randomness_as_it_was() -> None:
    random.seed(4)
    expected = random.random()
    random.seed(4)

    async def body(world: World) -> None:
        random.random()

    run_world(body)
    assert random.random() == expected


def test_conditions_of_a_world_hold_for_all_links() -> None:
    async def body(world: World) -> None:
        await pair(world)
        await world.peers["alice"].append("x")
        await world.settle()
        hello = next(line for line in world.trace.lines() if "< bob HELLO" in line)
        assert float(hello.split()[0]) == pytest.approx(1.0)

    run_world(body, conditions=Conditions(delay=0.5))

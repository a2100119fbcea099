"""Cancelled at any point whatsoever, leaving any block leaves nothing behind and loses nothing that was promised."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import trio

from ebt_transports import tcp
from ebt_trio import EBT, EBTError, MemoryStore, SQLiteStore
from ebt_trio.abc import Store, Transport
from ebt_trio.testing import connected, link

Promises = list[tuple[str, int]]
"""(feed, sequence) of messages whose append has returned."""


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope after the n-th step of any task."""

    def __init__(self, step: int) -> None:
        self.left = step
        self.scope = trio.CancelScope()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()


async def scenario(stores: list[Store], ends: list[Transport], promises: Promises) -> None:
    """A bit of everything, with as many blocks as there are."""
    async with EBT("alice", stores[0]) as alice, EBT("bob", stores[1]) as bob:
        alice.follow("bob")
        async with alice.session(ends[0]) as session, bob.session(ends[1]):
            bob.follow("alice")
            for number in range(2):
                promises.append(("alice", (await alice.append(number)).sequence))
            await session.wait_synced()
            async with bob.subscribe("alice") as messages, trio.open_nursery() as nursery:
                nursery.start_soon(bob.append, "meanwhile")
                assert (await anext(messages)).content == 0
                promises.append(("alice", (await alice.append_many("xyz"))[-1].sequence))
                await bob.wait_for({"alice": 5})
            bob.unfollow("alice")
            await bob.flush()


def run_cancelled(
    step: int,
    make: Callable[[], list[Store]],
    body: Callable[[list[Store], list[Transport], Promises], Awaitable[None]],
) -> bool:
    """Run ``body`` cancelled after ``step`` steps, then look at what is left. False: it was not cancelled any more."""
    instrument = CancelAtStep(step)

    async def main() -> bool:
        stores, ends, promises = make(), list(link(capacity=2)), Promises()
        tasks = len(trio.lowlevel.current_root_task().child_nurseries), trio.lowlevel.current_statistics().tasks_living
        with instrument.scope:
            await body(stores, ends, promises)
        assert (
            len(trio.lowlevel.current_root_task().child_nurseries),
            trio.lowlevel.current_statistics().tasks_living,
        ) == tasks
        if not instrument.scope.cancelled_caught:
            return False
        store = stores[0]
        async with EBT("alice", store) as alice:  # it was closed, so it can be opened again
            for feed, sequence in promises:
                await alice.get(feed, sequence)
        return True

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), instruments=[instrument])


def memory_stores() -> list[Store]:
    return [MemoryStore(), MemoryStore()]


def test_cancelled_at_every_step() -> None:
    step = 1
    while run_cancelled(step, memory_stores, scenario):
        step += 1
    assert step > 100, f"only {step} steps: the scenario is not what it was"


def test_cancelled_at_many_steps_with_sqlite(tmp_path: Path) -> None:
    count = 0

    def stores() -> list[Store]:
        nonlocal count
        count += 1
        return [SQLiteStore(tmp_path / f"{name}{count}.db", threads=False) for name in ("alice", "bob")]

    step = 1
    while run_cancelled(step, stores, scenario):
        step += 13


async def cancelled_session(instrument: CancelAtStep) -> None:
    """Only a session is cancelled; its peers go on, and the next session makes good for all it left undone."""
    async with EBT("alice") as alice, EBT("bob") as bob:
        alice.follow("bob")
        bob.follow("alice")
        await alice.append_many(range(5))
        await bob.append_many(range(5))
        near, far = link(capacity=1)
        async with trio.open_nursery() as nursery:

            async def other_side() -> None:
                with suppress(EBTError):
                    async with bob.session(far) as session:
                        await session.wait_closed()

            nursery.start_soon(other_side)
            with instrument.scope:
                async with alice.session(near) as session:
                    await alice.append("during")
                    await session.wait_synced()
        assert not alice.sessions
        assert not bob.sessions
        async with connected(alice, bob) as (again, _):
            await alice.append("after")
            await again.wait_synced()
        assert alice.clock == bob.clock
        assert bob.clock["alice"] in (6, 7)


def test_a_session_cancelled_at_every_step() -> None:
    def run(step: int) -> int:
        instrument = CancelAtStep(step)
        clock = trio.testing.MockClock(autojump_threshold=0)
        trio.run(cancelled_session, instrument, clock=clock, instruments=[instrument])
        return step - instrument.left

    for step in range(1, run(10**9)):
        run(step)


async def tcp_scenario() -> None:
    async with EBT("alice") as alice, EBT("bob") as bob, trio.open_nursery() as nursery:
        bob.follow("alice")
        listener = await tcp.listen("127.0.0.1", 0)
        try:
            await nursery.start(alice.serve, listener)
            nursery.start_soon(bob.dial, listener.urls[0])
            await alice.append("x")
            await bob.wait_for({"alice": 1})
            nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await listener.aclose()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_no_thread_and_no_descriptor_is_left_behind() -> None:
    def run(step: int) -> int:
        """Returns how many steps it took."""
        instrument = CancelAtStep(step)

        async def main() -> None:
            with instrument.scope:
                await tcp_scenario()

        trio.run(main, instruments=[instrument])
        return step - instrument.left

    steps = run(10**9)
    gc.collect()
    descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for step in range(1, steps, 7):
        run(step)
    gc.collect()
    assert steps > 50
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert threading.active_count() == threads


@pytest.mark.parametrize("raising", [ValueError("mine"), KeyboardInterrupt(), ExceptionGroup("mine", [OSError()])])
async def test_what_the_block_raises_leaves_unchanged(
    raising: BaseException, autojump_clock: trio.testing.MockClock
) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    near, far = link()
    with pytest.raises(BaseException) as caught:  # noqa: PT011, PT012 - any at all, from as deep as it gets
        async with AsyncExitStack() as stack:
            alice = await stack.enter_async_context(EBT("alice"))
            bob = await stack.enter_async_context(EBT("bob"))
            ours = await stack.enter_async_context(alice.session(near))
            await stack.enter_async_context(bob.session(far))
            await ours.wait_ready()
            raise raising
    assert caught.value is raising
    assert caught.value.__context__ is None
    assert not getattr(caught.value, "__notes__", [])
    assert trio.lowlevel.current_statistics().tasks_living == before

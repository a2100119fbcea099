"""Who is busy, or hostile, takes one turn like anybody else: large frames stand in line, small ones do not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import trio
import trio.testing

from ebt_trio import EBT, EBTError, FeedId, PeerId
from ebt_trio._turns import LARGE, Turns
from ebt_trio.core.events import NotesReceived
from ebt_trio.frames import Hello, Notes, Resume, encode
from ebt_trio.testing import LinkEnd, connected, link

FLOODS = 12


async def flood(end: LinkEnd, number: int, *, stay: bool = False) -> None:
    await end.send(encode(Hello(PeerId(f"mallory {number}"), instance=b"i" * 8)))
    await end.send(encode(Resume()))
    for frame in range(6):
        await end.send(encode(Notes({FeedId(f"feed {frame:020d} {n}"): 14 for n in range(300)})))
    if not stay:
        await end.send_eof()


async def test_one_large_frame_in_a_turn_of_the_loop(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT("alice") as alice, EBT("bob") as bob, trio.open_nursery() as nursery:
        bob.follow("alice")
        large = turns = most = 0
        handle = alice._driver.handle

        def counting(event):  # type: ignore[no-untyped-def]
            nonlocal large
            large += isinstance(event, NotesReceived) and len(event.notes) == 300
            return handle(event)

        alice._driver.handle = counting  # type: ignore[method-assign]
        for number in range(FLOODS):
            near, far = link()
            nursery.start_soon(stay, alice, near)
            nursery.start_soon(flood, far, number)
        async with connected(alice, bob) as (session, _):
            await session.wait_ready()
            while large < FLOODS * 6:
                before = large
                await trio.lowlevel.checkpoint()
                turns, most = turns + 1, max(most, large - before)
                if large == FLOODS:
                    await alice.append("meanwhile")
            assert most <= 2, f"{most} large frames in one turn"
            await bob.wait_for(dict(alice.clock))
        nursery.cancel_scope.cancel()


async def test_one_large_answer_in_a_turn_of_the_loop(autojump_clock: trio.testing.MockClock) -> None:
    """All of these feeds are declined, one by one: to make such a frame takes as long as to take one."""
    async with EBT("alice") as alice, trio.open_nursery() as nursery:
        read = trio.Event()
        answers = turns = most = 0
        for number in range(FLOODS):
            near, far = link(capacity=1)
            send = near.send

            async def counting(data: bytes, send: Callable[[bytes], Awaitable[None]] = send) -> None:
                nonlocal answers
                answers += len(data) > LARGE
                await send(data)

            near.send = counting  # type: ignore[method-assign, assignment]
            nursery.start_soon(stay, alice, near)
            nursery.start_soon(partial(flood, far, number, stay=True))
            nursery.start_soon(hear_out, far, read)
        await trio.sleep(1)
        answers = 0
        read.set()
        while answers < FLOODS:  # all of them have something to say now
            before = answers
            await trio.lowlevel.checkpoint()
            turns, most = turns + 1, max(most, answers - before)
            assert turns < 10_000, f"only {answers} answers"
        assert most <= 2, f"{most} large frames in one turn"
        nursery.cancel_scope.cancel()


async def hear_out(end: LinkEnd, start: trio.Event) -> None:
    await start.wait()
    with suppress(EBTError):
        while True:
            await end.receive()


async def stay(ebt: EBT, transport: LinkEnd) -> None:
    with suppress(EBTError):
        async with ebt.session(transport) as session:
            await session.wait_closed()


async def test_whoever_stands_in_line_and_leaves_keeps_nobody_waiting(autojump_clock: trio.testing.MockClock) -> None:
    turns = Turns()
    passed: list[int] = []

    async def wait(number: int) -> None:
        with trio.CancelScope() as scope:
            scopes[number] = scope
            await turns.wait()
            passed.append(number)

    scopes: dict[int, trio.CancelScope] = {}
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(wait, number)
        await trio.lowlevel.checkpoint()
        for number in (1, 3):
            if number in scopes:
                scopes[number].cancel()
    assert set(passed) >= {0, 2, 4}

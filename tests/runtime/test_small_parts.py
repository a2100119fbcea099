"""The small parts of the runtime, each alone: tail cache, frames that fit, pending changes, messages, pulses."""

from __future__ import annotations

import random

import pytest
import trio

from ebt_trio import FeedId, InvalidMessage, Message, PlainFormat
from ebt_trio._beside import beside
from ebt_trio._changes import PendingChange
from ebt_trio._outbox import fitting, portions
from ebt_trio._pulse import Pulse
from ebt_trio._tail import Tail
from ebt_trio.abc import BlockEntry
from ebt_trio.core.types import PeerId, Run
from ebt_trio.frames import Messages, Notes, encode

A, B = FeedId("a"), FeedId("b")


def numbered(first: int, count: int, size: int = 10) -> list[bytes]:
    return [sequence.to_bytes(4, "big") * (size // 4) for sequence in range(first, first + count)]


# -- tail


def test_the_tail_gives_what_was_stored_last() -> None:
    tail = Tail()
    tail.add(Run(A, 1, numbered(1, 3)))
    tail.add(Run(A, 4, numbered(4, 2)))
    assert tail.read(A, 1, 100, 1 << 20) == numbered(1, 5)
    assert tail.read(A, 3, 2, 1 << 20) == numbered(3, 2)
    assert tail.read(A, 2, 100, 20) == numbered(2, 2)
    assert tail.read(A, 2, 100, 1) == numbered(2, 1), "the first one, whatever its size"
    assert tail.read(A, 6, 1, 100) == tail.read(B, 1, 1, 100) == []
    assert tail.payload(A, 5) == numbered(5, 1)[0]


def test_the_tail_is_bounded_in_bytes() -> None:
    tail = Tail(max_bytes=1000)
    for first in range(1, 1000, 10):
        tail.add(Run(A, first, numbered(first, 10, 8)))
    assert tail._size <= 1000
    assert tail.read(A, 1, 1, 100) == []
    assert tail.read(A, 995, 100, 1000) == numbered(995, 6, 8)
    tail.add(Run(A, 1001, [bytes(2000)]))
    assert tail.read(A, 1001, 1, 100) == []
    tail.add(Run(B, 1, [bytes(900)]))
    assert tail.payload(B, 1) == bytes(900)


def test_the_tail_never_bridges_a_gap() -> None:
    tail = Tail()
    tail.add(Run(A, 1, numbered(1, 3)))
    tail.add(Run(A, 7, numbered(7, 3)))
    assert tail.read(A, 1, 100, 1000) == []
    assert tail.read(A, 7, 100, 1000) == numbered(7, 3)
    tail.drop(A)
    assert tail.read(A, 7, 100, 1000) == []
    assert tail._size == 0


def test_the_tail_far_back_is_left_to_the_store() -> None:
    tail = Tail()
    for sequence in range(1, 3001):
        tail.add(Run(A, sequence, numbered(sequence, 1)))
    assert tail.read(A, 1, 1, 100) == []
    assert tail.read(A, 2500, 3, 100) == numbered(2500, 3)


def test_the_tail_against_a_model() -> None:
    rng = random.Random(5)
    tail, model = Tail(max_bytes=500), dict[FeedId, list[bytes]]({A: [], B: []})
    for _ in range(2000):
        feed = rng.choice((A, B))
        run = numbered(len(model[feed]) + 1, rng.randint(1, 5), rng.choice((4, 40)))
        tail.add(Run(feed, len(model[feed]) + 1, run))
        model[feed] += run
        feed, back, limit = rng.choice((A, B)), rng.randint(1, 20), rng.randint(1, 9)
        first = max(len(model[feed]) - back, 1)
        found = tail.read(feed, first, limit, 200)
        assert found == model[feed][first - 1 : first - 1 + len(found)]
        assert len(found) <= limit
    assert tail._size == sum(chunk.size for chunks in tail._feeds.values() for chunk in chunks) <= 500


def test_a_tail_without_room_knows_the_last_message_of_the_newest_run() -> None:
    tail = Tail(0)
    tail.add(Run(FeedId("a"), 4, [b"4", b"5"]))
    assert tail.payload(FeedId("a"), 5) == b"5"
    assert tail.payload(FeedId("a"), 4) is tail.payload(FeedId("a"), 6) is tail.payload(FeedId("b"), 5) is None
    tail.drop(FeedId("b"))
    assert tail.payload(FeedId("a"), 5) == b"5"
    tail.drop(FeedId("a"))
    assert tail.payload(FeedId("a"), 5) is None
    tail.add(Run(FeedId("a"), 4, [b"4"]))
    tail.add(Run(FeedId("b"), 1, [b"1"]))
    assert tail.payload(FeedId("a"), 4) is None
    assert tail.read(FeedId("b"), 1, 1, 100) == []


# -- frames that fit


@pytest.mark.parametrize("max_frame", [1024, 5000, 1 << 20])
@pytest.mark.parametrize("name", ["f{}", "ü" * 120 + "{}", "x" * 250 + "{}"])
def test_notes_are_cut_into_frames_that_fit(max_frame: int, name: str) -> None:
    notes = {FeedId(name.format(number)): 2**62 + number for number in range(500)}
    found: dict[FeedId, int] = {}
    for portion in portions(notes, max_frame):
        assert portion
        assert len(encode(Notes(portion))) <= max_frame
        found.update(portion)
    assert list(found.items()) == list(notes.items())
    assert list(portions({}, max_frame)) == []


def test_runs_are_cut_to_fit() -> None:
    rng = random.Random(1)
    for _ in range(200):
        payloads = [bytes(rng.randint(0, 400)) for _ in range(rng.randint(1, 50))]
        room = rng.randint(1, 8000)
        count, size = fitting(A, payloads, room)
        if count:
            assert len(encode(Messages([Run(A, 2**61, payloads[:count])]))) <= size <= room
        if count < len(payloads):
            assert len(encode(Messages([Run(A, 2**61, payloads[: count + 1])]))) > room - 40 - 5 * count, "no waste"


# -- pending changes


def test_the_last_word_counts_also_after_a_failed_write() -> None:
    pending = PendingChange()
    assert not pending
    pending.follow(A, 5)
    pending.follow(B, None)
    pending.block(BlockEntry(PeerId("x")), True)
    pending.forget(A)
    pending.remember({})
    change = pending.take()
    assert (change.follow, change.unfollow) == ({A: 5, B: None}, [])
    assert (change.block, change.forget) == ([BlockEntry(PeerId("x"))], [A])
    assert not pending
    pending.unfollow(B)
    pending.block(BlockEntry(PeerId("x")), False)
    pending.restore()
    change = pending.take()
    assert (change.follow, change.unfollow) == ({A: 5}, [B])
    assert (change.block, change.unblock, change.forget) == ([], [BlockEntry(PeerId("x"))], [A])


# -- messages


def test_a_message_is_frozen_and_decodes_once() -> None:
    class Counting(PlainFormat):
        decoded = 0

        def decode(self, feed: FeedId, sequence: int, payload: bytes) -> object:
            self.decoded += 1
            return super().decode(feed, sequence, payload)

    format = Counting()
    message = Message(A, 1, b"\x81\x01", format)
    assert format.decoded == 0
    assert message.content == [1]
    assert message.content is message.content
    assert format.decoded == 1
    with pytest.raises(AttributeError, match="frozen"):
        message.sequence = 2
    with pytest.raises(AttributeError, match="frozen"):
        del message.payload
    assert message == Message(A, 1, b"\x81\x01", PlainFormat())
    assert len({message, Message(A, 1, b"\x81\x01", format), Message(A, 2, b"\x81\x01", format)}) == 2
    assert message != "something else"
    assert repr(message) == "<Message a 1: 2 bytes>"
    with pytest.raises(InvalidMessage):
        Message(A, 1, b"\xff", format).content  # noqa: B018


# -- waiting


async def test_a_pulse_wakes_who_waits_and_remembers_nothing(autojump_clock: trio.testing.MockClock) -> None:
    pulse = Pulse()
    pulse.fire()
    with trio.move_on_after(1) as waited:
        await pulse.wait()
    assert waited.cancelled_caught
    woken = 0

    async def wait() -> None:
        nonlocal woken
        await pulse.wait()
        woken += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        pulse.fire()
    assert woken == 2


async def test_beside_main_ends_only_when_told(autojump_clock: trio.testing.MockClock) -> None:
    stopped = trio.Event()
    calls: list[bool] = []

    async def main() -> None:
        await stopped.wait()
        await trio.sleep(5 if not any(calls) else 1)

    def stop(hurry: bool) -> None:
        calls.append(hurry)
        stopped.set()

    with trio.move_on_after(3) as scope:
        async with beside(main, stop, "main"):
            await trio.sleep(10)
    assert scope.cancelled_caught
    assert calls[0] is True
    assert trio.current_time() == 4
    calls.clear()
    async with beside(main, stop, "main"):
        stopped = trio.Event()
    assert calls == [False]


async def test_what_the_block_raises_outlives_a_cancellation_on_the_way_out(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def main() -> None:
        await trio.sleep(5)

    with pytest.raises(ValueError, match="mine"), trio.move_on_after(1):
        async with beside(main, lambda hurry: None, "main"):
            raise ValueError("mine")
    assert trio.current_time() == 5

"""Defects of the reference outside of the core: frames from hostile peers, back-pressure, the end of everything.

The numbers are those of the list in ``docs/scenarios.md``. "Seen to fail" says what was broken to see the test bite.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import cbor2
import pytest
import trio

from ebt_trio import EBT, MemoryStore
from ebt_trio.core.types import FeedHead, Range, Run
from ebt_trio.errors import ByeCode, RemoteProtocolError, StoreError
from ebt_trio.frames import Ack, Bye, Frame, Hello, Messages, Notes, Resume, Start, decode, encode
from ebt_trio.limits import Limits
from ebt_trio.testing import LinkEnd, link

LIMITS = Limits()
MALLORY = Hello("mallory", instance=b"12345678", store=b"a store of bytes", acks=True)


class Mallory:
    """The other end of a session: says what it likes, and keeps what it hears."""

    def __init__(self, end: LinkEnd) -> None:
        self.end = end
        self.heard: list[Frame] = []

    async def say(self, *frames: Frame | bytes) -> None:
        for frame in frames:
            await self.end.send(frame if isinstance(frame, bytes) else encode(frame))

    async def listen(self) -> None:
        """Until the other side closes."""
        try:
            while True:
                self.heard.append(decode(await self.end.receive(), LIMITS))
        except anyio.EndOfStream:
            await self.end.aclose()


@asynccontextmanager
async def facing(ebt: EBT, errors: list[BaseException], **options: Any) -> AsyncGenerator[Mallory]:
    """A session of ``ebt`` with mallory; ``errors`` gets what it ends with."""
    here, there = link(**options)
    ended = trio.Event()

    async def session() -> None:
        try:
            async with ebt.session(here) as session:
                await session.wait_closed()
        except RemoteProtocolError as error:
            errors.append(error)
        finally:
            ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(session)
        yield Mallory(there)
        with trio.move_on_after(2):
            await ended.wait()
        nursery.cancel_scope.cancel()


def byes(frames: Sequence[Frame]) -> list[int]:
    return [frame.code for frame in frames if isinstance(frame, Bye)]


# -- 16: a remote can crash it; 18: non-integer notes are taken as requests

ODD_FIRST = {
    "messages before HELLO": encode(Messages([Run("bob", 1, [b"x"])])),
    "notes before HELLO": encode(Notes({"bob": 2})),
    "RESUME before HELLO": encode(Resume()),
    "null": cbor2.dumps(None),
    "nothing": b"",
    "an empty array": cbor2.dumps([]),
    "a map": cbor2.dumps({"bob": 2}),
    "HELLO with null": cbor2.dumps([0, None]),
    "HELLO without id": cbor2.dumps([0, {"ebt": 1}]),
}


@pytest.mark.parametrize("frame", ODD_FIRST.values(), ids=ODD_FIRST.keys())
async def test_16_anything_first(frame: bytes, autojump_clock: trio.testing.MockClock) -> None:
    """The session ends with a BYE and a clear error; the peer lives, and its other sessions do.

    Seen to fail: Reader._expect returns whatever comes first.
    """
    errors: list[BaseException] = []
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        here, there = link()
        async with alice.session(here) as honest, bob.session(there):
            await honest.wait_ready()
            async with facing(alice, errors) as mallory:
                await mallory.say(frame)
                with trio.move_on_after(10):
                    await mallory.listen()
            assert len(errors) == 1
            assert byes(mallory.heard)[0] in (ByeCode.MALFORMED, ByeCode.PROTOCOL)
            await alice.append("still here")
            await honest.wait_synced()
            assert bob.clock == {"alice": 1}


ODD_LATER = {
    "messages before their note": encode(Messages([Run("bob", 5, [b"x"]), Run("nobody", 1, [b"x"])])),
    "acks before notes": encode(Ack({"bob": 7, "nobody": 7})),
    "start before notes": encode(Start({"bob": 7, "nobody": 7})),
    "a note for __proto__": encode(Notes({"__proto__": 2, "constructor": 3, "toString": -1})),
    "no notes, twice": encode(Notes({})) + b"",
}


@pytest.mark.parametrize("frame", ODD_LATER.values(), ids=ODD_LATER.keys())
async def test_16_anything_in_any_order(frame: bytes, autojump_clock: trio.testing.MockClock) -> None:
    """What is well-formed and out of place is taken for what it says; the session goes on, and does its work."""
    errors: list[BaseException] = []
    async with EBT("alice") as alice:
        alice.follow("bob")
        async with facing(alice, errors) as mallory:
            await mallory.say(MALLORY, Resume(), frame, frame, Notes({"bob": 1 << 1 | 1}), Notes({}))
            await mallory.say(Messages([Run("bob", 1, [cbor2.dumps("late, and welcome")])]))
            await alice.wait_for({"bob": 1})
        assert not errors


NO_NOTES = {
    "a float": 2.0,
    "a bool": True,
    "null": None,
    "text": "2",
    "bytes": b"2",
    "an array": [2],
    "below -1": -2,
    "beyond 63 bits": 2**63,
    "a big number": 2**70,
}


@pytest.mark.parametrize("note", NO_NOTES.values(), ids=NO_NOTES.keys())
async def test_18_a_note_is_an_integer(note: object, autojump_clock: trio.testing.MockClock) -> None:
    """Nothing else is taken for a request: nothing is sent, and the session ends as malformed.

    Seen to fail: frames reads a note with ``int()``.
    """
    frame = cbor2.dumps([1, {"alice": note}])
    with pytest.raises(RemoteProtocolError):
        decode(frame, LIMITS)
    errors: list[BaseException] = []
    async with EBT("alice") as alice:
        await alice.append("secret")
        async with facing(alice, errors) as mallory:
            await mallory.say(MALLORY, Resume(), frame)
            with trio.move_on_after(10):
                await mallory.listen()
    assert byes(mallory.heard) == [ByeCode.MALFORMED]
    assert not [frame for frame in mallory.heard if isinstance(frame, Messages)]


# -- 17: a note for __proto__


async def test_17_names_are_data(autojump_clock: trio.testing.MockClock) -> None:
    """Feeds may be called anything: ``__proto__`` is declined once as any other, and followed as any other.

    Seen to fail: Hearing._unwanted answers every time.
    """
    errors: list[BaseException] = []
    async with EBT("alice") as alice:
        alice.follow("__proto__")
        async with facing(alice, errors) as mallory:
            await mallory.say(MALLORY, Resume(), Notes({"__proto__": 3, "__class__": 3}), Notes({}))
            await mallory.say(Messages([Run("__proto__", 1, [cbor2.dumps("a message")])]))
            await alice.wait_for({"__proto__": 1})
            await trio.sleep(1)
            await mallory.say(Notes({"__class__": 3}))
            with trio.move_on_after(1):
                await mallory.listen()
        said = [
            (feed, note) for frame in mallory.heard if isinstance(frame, Notes) for feed, note in frame.notes.items()
        ]
        assert said.count(("__class__", -1)) == 1
        assert (await alice.get("__proto__", 1)).content == "a message"


# -- 20: no back-pressure


async def test_20_a_paused_link_holds_a_few_frames(autojump_clock: trio.testing.MockClock) -> None:
    """Mallory asks for alice's feed and does not read: of 20,000 messages no more leave the store than the link takes.

    Seen to fail: the link has room for 100,000 frames.
    """
    errors: list[BaseException] = []
    async with EBT("alice") as alice, facing(alice, errors, capacity=4) as mallory:
        await mallory.say(MALLORY, Resume(), Notes({"alice": 0}), Notes({}))
        await trio.sleep(1)
        for _ in range(200):
            await alice.append_many(["x" * 200] * 100)
            await trio.sleep(0.01)
        counts = alice.statistics()
        assert counts.messages_sent < 2000
        assert counts.bytes_sent < 8 * 64 * 1024
    assert not errors


class SlowStore(MemoryStore):
    """Appends take a second each."""

    def __init__(self) -> None:
        super().__init__()
        self.appending = False

    async def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
        self.appending = True
        await trio.sleep(1)
        self.appending = False
        return await super().append(runs)


async def test_20_no_more_is_read_than_the_store_has_taken(autojump_clock: trio.testing.MockClock) -> None:
    """A frame a message, and a store that takes a second: the next frame stays on the link until the last is durable.

    Seen to fail: Reader._store does not wait for its jobs.
    """
    errors: list[BaseException] = []
    store = SlowStore()
    async with EBT("alice", store) as alice:
        alice.follow("bob")
        async with facing(alice, errors, capacity=200) as mallory:
            await mallory.say(MALLORY, Resume(), Notes({"bob": 100 << 1 | 1}), Notes({}))
            for sequence in range(1, 101):
                await mallory.say(Messages([Run("bob", sequence, [cbor2.dumps(sequence)])]))
            for _ in range(10):
                await trio.sleep(0.7)
                received = alice.statistics().messages_received
                assert received <= alice.clock.get("bob", 0) + 1
            assert 5 <= alice.clock["bob"] <= 10


# -- 23: no close


async def test_23_leaving_ends_everything(autojump_clock: trio.testing.MockClock) -> None:
    """Out of the block: no task, no timer is left, also with sessions that were busy.

    Seen to fail: a system task that sleeps for ever, started by EBT.
    """
    before = trio.lowlevel.current_statistics()
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        here, there = link(delay=0.1)
        async with alice.session(here), bob.session(there):
            await alice.append_many(range(1000))
            await trio.sleep(0.25)
    after = trio.lowlevel.current_statistics()
    assert after.tasks_living == before.tasks_living
    assert after.run_sync_soon_queue_size == 0
    assert after.seconds_to_next_deadline == float("inf")


# -- 24: an empty content is taken for notes


@pytest.mark.parametrize("content", ["", {}, [], None, 0, False, b"", {"alice": 3}], ids=repr)
async def test_24_empty_contents_are_contents(content: object, autojump_clock: trio.testing.MockClock) -> None:
    """A message is a message, whatever is in it, also what looks like notes.

    Seen to fail: the Writer leaves out payloads of empty contents.
    """
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        here, there = link()
        async with alice.session(here) as session, bob.session(there):
            await alice.append(content)
            await alice.append("after")
            await session.wait_synced()
        assert [message.content for message in await bob.read("alice")] == [content, "after"]


def test_24_an_empty_payload_is_a_payload() -> None:
    frame = Messages([Run("alice", 1, [b""]), Run("bob", 7, [b"", b""])])
    assert decode(encode(frame), LIMITS) == frame


# -- 26: one read in flight per feed and peer


class SlowReads(MemoryStore):
    """Reads take 5 ms each."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    async def read(self, ranges: Sequence[Range], max_bytes: int) -> Sequence[Sequence[bytes]]:
        self.reads += 1
        await trio.sleep(0.005)
        return await super().read(ranges, max_bytes)


async def test_26_slow_reads_are_few(autojump_clock: trio.testing.MockClock) -> None:
    """10,000 messages from a store that takes 5 ms for each read: some dozens of reads.

    Seen to fail: outgoing.RANGE_MESSAGES = 1.
    """
    store = SlowReads()
    async with EBT("alice", store) as alice:
        for _ in range(20):
            await alice.append_many(["x" * 100] * 500)
    async with EBT("alice", store) as alice, EBT("bob") as bob:
        bob.follow("alice")
        before = store.reads
        here, there = link()
        async with alice.session(here) as session, bob.session(there):
            await session.wait_synced()
        assert bob.clock == {"alice": 10_000}
        assert store.reads - before <= 100

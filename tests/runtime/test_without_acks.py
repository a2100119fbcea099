"""A session with a peer that sends no ACKs, as a bridge to another implementation: PONGs take their place."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
import trio

from ebt_trio import EBT, Limits, PeerId, Session
from ebt_trio.core.types import FeedId
from ebt_trio.frames import Ack, Frame, Hello, Messages, Notes, Ping, Pong, Resume, decode, encode
from ebt_trio.testing import LinkEnd, link

ALICE = FeedId("alice")


class Mute:
    """A peer that wants all of alice's feed, and answers PINGs or not."""

    def __init__(self, end: LinkEnd) -> None:
        self._end = end
        self.pongs = 0
        """How many PINGs to answer from now on."""
        self.frames: list[Frame] = []

    async def run(self) -> None:
        for frame in (Hello(PeerId("bob"), acks=False), Resume(), Notes({ALICE: 0}), Notes()):
            await self._end.send(encode(frame))
        with suppress(anyio.EndOfStream):
            while True:
                frame = decode(await self._end.receive(), Limits())
                self.frames.append(frame)
                if isinstance(frame, Ping) and self.pongs:
                    self.pongs -= 1
                    await self._end.send(encode(Pong(frame.n)))
        await self._end.aclose()

    def count(self, kind: type[Frame]) -> int:
        return sum(isinstance(frame, kind) for frame in self.frames)


@asynccontextmanager
async def alice_and_mute() -> AsyncGenerator[tuple[EBT, Session, Mute], None]:
    near, far = link()
    mute = Mute(far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mute.run)
        async with EBT("alice") as alice, alice.session(near) as session:
            await alice.append_many(range(100))
            yield alice, session, mute


async def test_wait_synced_returns_once_a_pong_has_come(autojump_clock: trio.testing.MockClock) -> None:
    async with alice_and_mute() as (_, session, mute):
        with trio.move_on_after(10) as patience:
            await session.wait_synced()
        assert patience.cancelled_caught, "nobody has said that it has come"
        assert mute.count(Ping) == 1, "the first has not been answered"
    async with alice_and_mute() as (_, session, mute):
        mute.pongs = 100
        with trio.fail_after(1):
            await session.wait_synced()
        assert mute.count(Messages) == 1
        assert session.progress().fraction == 1.0


async def test_progress_completes_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    """Nobody waits, so it takes the second for which an ACK would have been held back."""
    async with alice_and_mute() as (alice, _, mute):
        mute.pongs = 100
        await trio.sleep(0.9)
        assert (alice.progress().send, mute.count(Ping)) == (100, 0)
        await trio.sleep(0.3)
        assert (alice.progress().fraction, mute.count(Ping)) == (1.0, 1)
        await alice.append("one more")
        assert alice.progress().send == 1
        await trio.sleep(1.5)
        assert (alice.progress().fraction, mute.count(Ping)) == (1.0, 2)
        await trio.sleep(20)
        assert (mute.count(Ping), mute.count(Ack)) == (2, 0)

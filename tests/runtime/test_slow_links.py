"""Links on which one frame takes longer than a stall timeout."""

from __future__ import annotations

import trio
import trio.testing

from ebt_transports import FramedTransport
from ebt_trio import EBT


class Slow(trio.abc.Stream):
    """A byte stream that brings so many bytes per second, a little at a time."""

    def __init__(self, stream: trio.abc.Stream, rate: float) -> None:
        self._stream = stream
        self._rate = rate

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(1000)
        await trio.sleep(len(data) / self._rate)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def slow_pair(rate: float) -> tuple[FramedTransport, FramedTransport]:
    a, b = trio.testing.memory_stream_pair()
    return FramedTransport(Slow(a, rate)), FramedTransport(Slow(b, rate))


async def test_what_arrives_slowly_is_not_asked_for_again(autojump_clock: trio.testing.MockClock) -> None:
    """A message of 200 kB at 20 kB/s takes 10 seconds, three stall timeouts; batches of small ones take 3 and more."""
    near, far = slow_pair(20_000)
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        await alice.append(bytes(200_000))
        await alice.append_many([bytes(1000)] * 300)
        async with alice.session(near) as session, bob.session(far):
            with trio.fail_after(60):
                await bob.wait_for({"alice": 301})
            await session.wait_synced()
            assert session.statistics().messages_sent == 301
            assert bob.statistics().stalls == 0

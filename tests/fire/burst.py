"""A burst through slow links: everything arrives everywhere, in order, and nobody keeps more of it than a few batches.

::

    python tests/fire/burst.py --messages 20000

Five peers, in a line and in a full mesh, over TCP; one link is slow (a proxy). One of them appends one message after
the other, as fast as it can. Prints, for each, how long it took, what came twice, and the peak of memory above what the
stores hold.
"""

from __future__ import annotations

import argparse
import json
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import combinations
from typing import Any, Final

import trio
from proxy import open_proxy

from ebt_trio import EBT, MemoryStore, connect, listen
from ebt_trio.testing import connected

__all__ = ["OVERLAYS", "Burst", "by_memory", "by_tcp", "run"]

PEERS: Final = 5
OVERLAYS: Final[dict[str, Sequence[tuple[int, int]]]] = {
    "line": [(n, n + 1) for n in range(PEERS - 1)],
    "mesh": list(combinations(range(PEERS), 2)),
}
SLOW: Final = (1, 2)
"""The link that is slow: in the middle of the line."""
SIZE: Final = 100

Joined = Callable[[EBT, EBT, bool], AbstractAsyncContextManager[Any]]


class Burst:
    """What became of one."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.appending = 0.0
        """Seconds until the last ``append`` had returned."""
        self.duplicates = 0
        self.stored = 0
        """Bytes that the stores hold, payloads and what is around them."""
        self.peak = 0
        """The most memory there was at once, stores included."""
        self.out_of_order: list[str] = []


async def run(overlay: str, messages: int, joined: Joined, *, patience: float) -> Burst:
    """One peer appends so many messages, back to back; everybody else gets them, by links that ``joined`` makes.

    :raises TooSlowError: not everything was everywhere within ``patience`` seconds
    """
    burst = Burst()
    tracemalloc.start()
    try:
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(EBT(f"p{n}", MemoryStore())) for n in range(PEERS)]
            for peer in peers[1:]:
                peer.follow("p0")
            nursery = await stack.enter_async_context(trio.open_nursery())
            for a, b in OVERLAYS[overlay]:
                await stack.enter_async_context(joined(peers[a], peers[b], (a, b) == SLOW))
            for peer in peers[1:]:
                nursery.start_soon(check, peer, messages, burst)
            while not all(peer.sessions and all(s.is_ready for s in peer.sessions) for peer in peers):  # noqa: ASYNC110
                await trio.sleep(0.01)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            began = trio.current_time()
            for number in range(messages):
                await peers[0].append(f"{number:{SIZE}d}")
            burst.appending = trio.current_time() - began
            with trio.fail_after(patience):
                for peer in peers:
                    await peer.wait_for({"p0": messages})
            burst.seconds = trio.current_time() - began
            burst.peak = tracemalloc.get_traced_memory()[1] - before
            await trio.sleep(1.5)  # what is on its way is gone
            burst.stored = tracemalloc.get_traced_memory()[0] - before
            burst.duplicates = sum(peer.statistics().duplicates for peer in peers)
            nursery.cancel_scope.cancel()
    finally:
        tracemalloc.stop()
    return burst


async def check(peer: EBT, messages: int, burst: Burst) -> None:
    """Each message is delivered once, in order."""
    number = 0
    async with peer.subscribe("p0") as feed:
        async for message in feed:
            if (message.sequence, int(message.content)) != (number + 1, number):
                burst.out_of_order.append(f"{peer.id}: {message.sequence} behind {number}")
            number += 1


def by_memory(delay: float, slow: float) -> Joined:
    """Links in memory, for virtual time."""

    def joined(a: EBT, b: EBT, is_slow: bool) -> AbstractAsyncContextManager[Any]:
        return connected(a, b, delay=slow if is_slow else delay)

    return joined


def by_tcp(rate: float) -> Joined:
    """Real sockets, by way of proxies; the slow one takes so many bytes per second."""

    @asynccontextmanager
    async def joined(a: EBT, b: EBT, is_slow: bool) -> Any:
        async with AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(trio.open_nursery())
            listener = await stack.enter_async_context(await listen("tcp://127.0.0.1:0"))
            await nursery.start(a.serve, listener)
            proxy = await stack.enter_async_context(open_proxy(listener.urls[0]))
            if is_slow:
                proxy.set(rate=rate, delay=0.05)
            yield await stack.enter_async_context(b.session(await connect(proxy.url)))
            nursery.cancel_scope.cancel()

    return joined


async def main(messages: int, rate: float) -> None:
    for overlay in OVERLAYS:
        burst = await run(overlay, messages, by_tcp(rate), patience=600)
        print(json.dumps({"overlay": overlay, "messages": messages, **vars(burst)}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=200_000.0, help="bytes per second of the slow link")
    options = parser.parse_args()
    trio.run(main, options.messages, options.rate)

"""How fast messages get from one peer to another, on this machine: over each transport, between each kind of stores.

    python benchmarks/throughput.py [--messages N] [--size BYTES]

Both peers run in this process, so both ends share one core. Time is from the first connection until everything is
durable at the other end.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from ebt_trio import EBT, Identity, MemoryStore, SQLiteStore, connect, listen
from ebt_trio.abc import Store

BATCH = 1000


Ids = tuple[str, str] | tuple[Identity, Identity]


async def replicate(
    ids: Ids,
    stores: tuple[Store, Store],
    url: str,
    messages: int,
    size: int,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, float, float]:
    """Seconds to write, seconds to replicate, by ``clock``, and bytes on the wire per message."""
    content = b"x" * size
    async with EBT(ids[0], stores[0]) as alice, EBT(ids[1], stores[1]) as bob, await listen(url) as listener:
        bob.follow(alice.feed)
        began = clock()
        for done in range(0, messages, BATCH):
            await alice.append_many([content] * min(BATCH, messages - done))
        written = clock()
        async with trio.open_nursery() as nursery:
            await nursery.start(alice.serve, listener)
            async with bob.session(await connect(listener.urls[0])):
                await bob.wait_for({alice.feed: messages})
                replicated = clock()
                sent = alice.statistics().bytes_sent
                assert alice.statistics().messages_sent == messages
            nursery.cancel_scope.cancel()
    return written - began, replicated - written, sent / messages


async def main(messages: int, size: int) -> None:
    print(f"{messages} messages of {size} bytes")
    print(
        f"{'transport':<10} {'stores':<8} {'append µs':>10} {'replicate µs':>13} {'messages/s':>11} {'wire bytes':>11}"
    )
    with TemporaryDirectory() as folder:
        urls = {"memory": "memory://bench", "tcp": "tcp://127.0.0.1:0", "unix": f"unix://{folder}/bench.sock"}
        for transport, url in urls.items():
            for kind in ("memory", "sqlite"):
                files = [Path(folder, f"{transport}-{name}.db") for name in ("alice", "bob")]
                made = [MemoryStore() if kind == "memory" else SQLiteStore(file) for file in files]
                writing, replicating, wire = await replicate(("alice", "bob"), (made[0], made[1]), url, messages, size)
                each = 1e6 / messages
                print(
                    f"{transport:<10} {kind:<8} {writing * each:>10.2f} {replicating * each:>13.2f} "
                    f"{messages / replicating:>11,.0f} {wire:>11.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=300, help="bytes of content")
    options = parser.parse_args()
    trio.run(main, options.messages, options.size)

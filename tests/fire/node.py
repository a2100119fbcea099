"""The node that everybody calls, in a process of its own: ``python node.py FOLDER HONEST``; for ``hundreds.py``."""

from __future__ import annotations

import argparse
import logging
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Final

import trio
from children import Parent
from gauge import start_tracing, take

from ebt_trio import EBT, Identity, LocalProtocolError, SQLiteStore, listen

__all__ = ["PAD", "key"]

EVERY: Final = 0.25
"""Seconds between the node's own messages."""
PAD: Final = 4000
"""Bytes in each message: what is kept in memory of them is full before long."""


def key(name: str) -> Identity:
    """The same for the same name, in every process."""
    for salt in range(100):
        try:
            return Identity(sha256(f"{name} {salt}".encode()).digest())
        except LocalProtocolError:
            pass  # one in 64 begins with a hyphen
    raise AssertionError


class Node:
    """Follows all honest peers, lets in whoever calls, and says so many things a second."""

    def __init__(self, ebt: EBT, parent: Parent) -> None:
        self._ebt = ebt
        self._parent = parent
        self._writing = trio.CancelScope()

    async def write(self) -> None:
        with self._writing:
            while True:
                await self._ebt.append({"at": time.monotonic(), "pad": bytes(PAD)})
                await trio.sleep(EVERY)

    async def measure(self) -> None:
        while True:
            stalled = trio.current_time()
            await trio.sleep(1)
            ready = sum(session.is_ready for session in self._ebt.sessions)
            lag = trio.current_time() - stalled - 1
            self._parent.say("sample", **asdict(take()), sessions=len(self._ebt.sessions), ready=ready, lag=lag)

    async def obey(self) -> None:
        async for order in self._parent.orders():
            match order["do"]:
                case "quiet":
                    self._writing.cancel()
                    await trio.sleep(0.5)
                    self._parent.say("quiet", head=self._ebt.clock.get(self._ebt.feed, 0))
                case "wait":
                    await self._ebt.wait_for(order["clock"])
                    self._parent.say("has all", statistics=asdict(self._ebt.statistics()))


async def main(folder: Path, honest: int) -> None:
    me, parent = key("node"), Parent()
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        ebt = await stack.enter_async_context(EBT(me, SQLiteStore(folder / "node.db", synchronous="NORMAL")))
        for number in range(honest):
            ebt.follow(key(f"honest {number}").id)
        urls: list[str] = []
        for url in ("tcp://127.0.0.1:0", "shs+tcp://127.0.0.1:0"):
            listener = await stack.enter_async_context(await listen(url, identity=me))
            await nursery.start(ebt.serve, listener)
            urls += listener.urls
        node = Node(ebt, parent)
        start_tracing()
        parent.say("listening", urls=urls)
        nursery.start_soon(node.write)
        nursery.start_soon(node.measure)
        await node.obey()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("honest", type=int)
    logging.getLogger("ebt_trio").setLevel(logging.CRITICAL)
    logging.getLogger("ebt_transports").setLevel(logging.CRITICAL)
    trio.run(main, *vars(parser.parse_args()).values())

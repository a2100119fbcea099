"""Honest peers of the node, many in one process: ``python honest.py COUNT URL URL``; for ``hundreds.py``."""

from __future__ import annotations

import argparse
import logging
import time
from contextlib import AsyncExitStack
from random import Random
from typing import Final

import trio
from children import Parent
from node import PAD, key

from ebt_trio import EBT, What

EVERY: Final = 2.0
"""Seconds between a peer's own messages, about."""
FRIENDS: Final = 3
"""Of so many others it follows the feeds, too, which come by way of the node."""


class Crowd:
    """All of them, and what they have seen."""

    def __init__(self, parent: Parent) -> None:
        self.peers: list[EBT] = []
        self._parent = parent
        self._late: list[float] = []
        """Since the last report: seconds from making a message until a peer that wants it has it."""
        self._fresh: dict[tuple[int, str], float] = {}
        """When a peer last had something new of the node's feed."""
        self._failures = 0
        self._last_failure = ""
        self._writing = trio.CancelScope()

    async def write(self, number: int, rng: Random) -> None:
        await trio.sleep(rng.uniform(0, EVERY))
        while not self._writing.cancel_called:
            await self.peers[number].append({"at": time.monotonic(), "pad": bytes(PAD // 10)})
            await trio.sleep(rng.uniform(0.5, 1.5) * EVERY)

    async def read(self, number: int) -> None:
        """What is new, and how old it is by then."""
        peer = self.peers[number]
        began = time.monotonic()
        self._fresh[number, "node"] = began
        async with peer.subscribe() as messages:
            async for message in messages:
                if message.feed == peer.feed:
                    continue
                self._fresh[number, "node"] = now = time.monotonic()
                if message.content["at"] > began:  # not what there was before
                    self._late.append(now - message.content["at"])

    async def watch(self, number: int) -> None:
        async with self.peers[number].events() as events:
            async for event in events:
                if event.what in (What.FAILED, What.REFUSED):
                    self._failures += 1
                    self._last_failure = str(event)

    async def report(self) -> None:
        while True:
            await trio.sleep(1)
            late, self._late = sorted(self._late), []
            now = time.monotonic()
            self._parent.say(
                "crowd",
                at=now,
                ready=sum(any(session.is_ready for session in peer.sessions) for peer in self.peers),
                oldest=max(now - at for at in self._fresh.values()),
                count=len(late),
                p50=late[len(late) // 2] if late else 0.0,
                p99=late[len(late) * 99 // 100] if late else 0.0,
                latest=late[-1] if late else 0.0,
                failures=self._failures,
                failure=self._last_failure,
                cpu=time.process_time(),
            )

    async def obey(self) -> None:
        async for order in self._parent.orders():
            match order["do"]:
                case "quiet":
                    self._writing.cancel()
                    await trio.sleep(0.5)
                    self._parent.say("quiet", clock={peer.feed: peer.clock.get(peer.feed, 0) for peer in self.peers})
                case "wait":
                    for peer in self.peers:
                        await peer.wait_for({feed: n for feed, n in order["clock"].items() if feed in peer.follows})
                    self._parent.say("has all")


async def main(count: int, urls: list[str]) -> None:
    parent = Parent()
    crowd = Crowd(parent)
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        keys = [key(f"honest {number}") for number in range(count)]
        for number in range(count):
            peer = await stack.enter_async_context(EBT(keys[number], rng=Random(number)))
            peer.follow(key("node").id)
            for friend in range(1, min(FRIENDS, count - 1) + 1):
                peer.follow(keys[(number + friend) % count].id)
            crowd.peers.append(peer)
            nursery.start_soon(crowd.read, number)
            nursery.start_soon(crowd.watch, number)
            nursery.start_soon(peer.dial, urls[number % len(urls)])
            nursery.start_soon(crowd.write, number, Random(number))
        nursery.start_soon(crowd.report)
        await crowd.obey()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("urls", nargs="+", help="of the node; they take turns")
    logging.getLogger("ebt_trio").setLevel(logging.CRITICAL)
    trio.run(main, *vars(parser.parse_args()).values())

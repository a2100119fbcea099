"""Nodes that run for long, on links that break: everything stays equal, and nothing grows.

::

    python tests/fire/soak.py --minutes 30 --json soak.json

Five nodes with SQLite stores in a ring with a chord, over TCP and Unix sockets with the secret handshake, each link by
way of a proxy (``proxy.py``) that does something to it every few seconds. All of them append all the time. Every now
and then a node is restarted on its file, and somebody joins, fetches everything, and leaves. Memory, objects,
descriptors and tasks are looked at every second; over the second half none of them may have a trend (``trend.py``).
In the end the proxies stop, and all stores are equal, message by message.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import trio
from gauge import Sample, start_tracing, stop_tracing, take
from proxy import Proxy, open_proxy
from trend import concluded, usage

from ebt_trio import EBT, EBTError, Identity, SQLiteStore, connect, listen

__all__ = ["run"]

NODES: Final = 5
LINKS: Final = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 2))
EVERY: Final = 0.25
"""Seconds between a node's messages."""
PAD: Final = 2000
"""Bytes in each: what is kept of them in memory is full before long."""
RESTARTS: Final = 15.0
"""Seconds between them, about."""
JOINERS: Final = 20.0
FAULTS: Final = 3.0
SETTLED: Final = 120.0
"""Seconds that the end may take, and a joiner."""


class Node:
    """A peer whose file, key and place stay the same, however often it is restarted."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number = number
        self.key = Identity.generate()
        self.ebt: EBT | None = None
        self.changed = trio.Event()
        self.appended = 0
        """What ``append`` has returned for: this is never to be lost."""
        self.kind = "unix" if number % 2 else "tcp"
        self.place = f"{folder}/{number}.socket" if number % 2 else "127.0.0.1:0"
        self._path = folder / f"{number}.db"
        self._again = trio.CancelScope()

    def store(self) -> SQLiteStore:
        return SQLiteStore(self._path, synchronous="NORMAL")

    def restart(self) -> None:
        self._is(None)  # at once: nobody is to begin anything at an EBT that is being closed
        self._again.cancel()

    async def run(self, soak: Soak) -> None:
        while True:
            with trio.CancelScope() as self._again:
                async with EBT(self.key, self.store()) as ebt:
                    for other in soak.nodes:
                        ebt.follow(other.key.id)
                    async with await listen(f"shs+{self.kind}://{self.place}", identity=self.key) as listener:
                        if self.kind == "tcp":
                            self.place = listener.urls[0].rpartition("@")[2]
                        if not self._again.cancel_called:
                            self._is(ebt)
                        async with trio.open_nursery() as nursery:
                            nursery.start_soon(ebt.serve, listener)
                            for proxy in soak.dials(self.number):
                                nursery.start_soon(ebt.dial, soak.connector(self.key, proxy))
            self._is(None)
            if not self._again.cancel_called:
                return
            soak.restarts += 1
            await trio.sleep(0.1)

    def _is(self, ebt: EBT | None) -> None:
        self.ebt = ebt
        self.changed.set()
        self.changed = trio.Event()

    async def running(self) -> EBT:
        while self.ebt is None:
            await self.changed.wait()
        return self.ebt

    async def write(self, soak: Soak) -> None:
        """Append for as long as the soak goes on; a restart in the middle may or may not have stored the last one."""
        while not soak.is_quiet:
            ebt = await self.running()
            with trio.move_on_after(10), soak.tolerated():
                message = await ebt.append({"at": time.monotonic(), "pad": bytes(PAD)})
                self.appended = message.sequence
            await trio.sleep(EVERY * soak.rng.uniform(0.5, 1.5))


class Soak:
    """All of it."""

    def __init__(self, folder: Path, seed: int, pace: float) -> None:
        self.rng = Random(seed)
        self.pace = pace
        self.folder = folder
        self.nodes = [Node(number, folder) for number in range(NODES)]
        self.proxies: dict[tuple[int, int], Proxy] = {}
        self.samples: list[Sample] = []
        self.is_quiet = False
        self.restarts = self.joined = self.faults = 0
        self.problems: list[str] = []

    def dials(self, number: int) -> list[Proxy]:
        return [proxy for (_, dialling), proxy in self.proxies.items() if dialling == number]

    def connector(self, key: Identity, proxy: Proxy) -> Any:
        async def by_proxy() -> Any:
            return await connect(proxy.url, identity=key)

        return by_proxy

    def tolerated(self) -> Any:
        """What may happen to who appends at a node that is being restarted."""
        return suppress(EBTError)

    async def run(self, seconds: float, progress: bool) -> None:
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            for number, (a, b) in enumerate(LINKS):
                target = f"shs+{self.nodes[a].kind}://{self.nodes[a].key.id}@"
                place = "127.0.0.1:1" if self.nodes[a].kind == "tcp" else self.nodes[a].place
                opening = open_proxy(target + place, number, path=self.folder / f"{number}.proxy")
                self.proxies[a, b] = await stack.enter_async_context(opening)
            for node in self.nodes:
                nursery.start_soon(node.run, self)
            start_tracing()
            began = time.monotonic()
            async with trio.open_nursery() as writers:  # what they append at last is compared, too
                for node in self.nodes:
                    writers.start_soon(node.write, self)
                async with trio.open_nursery() as mischief:
                    for task in (self._follow_places, self._misbehave, self._restart, self._join, self._measure):
                        mischief.start_soon(task)
                    while (passed := time.monotonic() - began) < seconds:
                        await trio.sleep(min(10.0, seconds - passed))
                        if progress:
                            print(self.line(time.monotonic() - began), flush=True)
                    mischief.cancel_scope.cancel()
                self.is_quiet = True
            nursery.start_soon(self._follow_places)
            for proxy in self.proxies.values():
                proxy.set()
            await self._compare()
            nursery.cancel_scope.cancel()

    # -- what goes on -----------------------------------------------------------------------------------------------

    async def _follow_places(self) -> None:
        """A node that is restarted listens at another port: its proxies learn of it."""
        while True:
            for (a, _), proxy in self.proxies.items():
                node = self.nodes[a]
                proxy.target = f"shs+{node.kind}://{node.key.id}@{node.place}"
            await trio.sleep(0.1)

    async def _misbehave(self) -> None:
        rng = self.rng
        while True:
            await trio.sleep(rng.uniform(0, 2 * FAULTS) / self.pace)
            proxy = rng.choice(list(self.proxies.values()))
            self.faults += 1
            proxy.set(**rng.choice(MISCHIEF))
            if rng.random() < 0.3:
                rng.choice([proxy.reset, proxy.truncate])()

    async def _restart(self) -> None:
        while True:
            await trio.sleep(self.rng.uniform(0.5, 1.5) * RESTARTS / self.pace)
            self.rng.choice(self.nodes).restart()

    async def _join(self) -> None:
        """Somebody new fetches all there is, from whom nothing stands between."""
        while True:
            await trio.sleep(self.rng.uniform(0.5, 1.5) * JOINERS / self.pace)
            node = self.rng.choice(self.nodes)
            wanted = dict((await node.running()).clock)
            path, key = self.folder / f"joiner {self.joined}.db", Identity.generate()
            with trio.move_on_after(SETTLED) as patience:
                async with EBT(key, SQLiteStore(path, synchronous="NORMAL")) as joiner, trio.open_nursery() as nursery:
                    for feed in wanted:
                        joiner.follow(feed)

                    async def straight(node: Node = node, key: Identity = key) -> Any:
                        return await connect(f"shs+{node.kind}://{node.key.id}@{node.place}", identity=key)

                    nursery.start_soon(joiner.dial, straight)
                    await joiner.wait_for(wanted)
                    nursery.cancel_scope.cancel()
            if patience.cancelled_caught:
                self.problems.append(f"a joiner had not everything after {SETTLED:g} seconds")
            self.joined += 1
            for file in self.folder.glob(f"{path.name}*"):
                file.unlink()

    async def _measure(self) -> None:
        while True:
            self.samples.append(take())
            await trio.sleep(1)

    # -- the end ----------------------------------------------------------------------------------------------------

    async def _compare(self) -> None:
        ebts = [await node.running() for node in self.nodes]
        clock: dict[str, int] = {str(ebt.feed): ebt.clock.get(ebt.feed, 0) for ebt in ebts}
        for node in self.nodes:
            if clock[node.key.id] < node.appended:
                self.problems.append(f"node {node.number} has lost its messages from {clock[node.key.id]} on")
        with trio.move_on_after(SETTLED) as patience:
            for ebt in ebts:
                await ebt.wait_for(clock)
            for feed, head in clock.items():
                await self._same(ebts, feed, head)
        if patience.cancelled_caught:
            behind = {node.number: dict(node.ebt.clock) for node in self.nodes if node.ebt}
            self.problems.append(f"not equal after {SETTLED:g} seconds: {behind}")

    async def _same(self, ebts: list[EBT], feed: str, head: int) -> None:
        for first in range(1, head + 1, 200):
            parts = [[message.payload for message in await ebt.read(feed, first, 200)] for ebt in ebts]
            if not all(part == parts[0] and part for part in parts):
                self.problems.append(f"{feed} differs from {first} on")

    def line(self, seconds: float) -> str:
        """How it goes, for people."""
        if not self.samples:
            return f"{seconds:5.0f} s: nothing yet"
        sample, clocks = self.samples[-1], [node.ebt.clock for node in self.nodes if node.ebt]
        totals = [sum(clock.values()) for clock in clocks]
        return (
            f"{seconds:5.0f} s: {max(totals, default=0)} messages, the last {min(totals, default=0)}; traced "
            f"{sample.traced / 1e6:.1f} MB, resident {sample.resident / 1e6:.0f} MB, {sample.objects} objects, "
            f"{sample.files} files, {sample.tasks} tasks; {self.faults} faults, {self.restarts} restarts, "
            f"{self.joined} joiners"
        )


MISCHIEF: Final[tuple[dict[str, Any], ...]] = (
    *({}, {}, {"delay": 0.2, "jitter": 0.3}, {"split": 50}, {"merge": 0.2}, {"rate": 20_000.0}, {"hole": True}),
    *({"refuse": True}, {"duplicate": True}, {"truncate": 50_000}, {"reset": 0.02}),
)


async def run(seconds: float, *, seed: int = 0, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """The whole of it. ``failed`` in what is returned says what was not as it has to be.

    :param quick: something happens ten times as often
    """
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), seed, 10 if quick else 1)
        try:
            await soak.run(seconds, progress)
        finally:
            stop_tracing()
        messages = sum(node.appended for node in soak.nodes)
    grows, used = usage(soak.samples, seconds)
    seen = [proxy.seen for proxy in soak.proxies.values()]
    return {
        "failed": soak.problems + grows,
        "seconds": seconds,
        "seed": seed,
        "messages": messages,
        "faults": soak.faults,
        "restarts": soak.restarts,
        "joiners": soak.joined,
        "connections": sum(one.connections for one in seen),
        "resets": sum(one.resets for one in seen),
        "truncations": sum(one.truncations for one in seen),
        "duplicates": sum(one.duplicates for one in seen),
        "bytes": sum(one.bytes for one in seen),
        **used,
    }


async def main(options: argparse.Namespace) -> int:
    result = await run(60 * options.minutes, seed=options.seed, progress=True)
    return concluded(result, options.json)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="a file for the result")
    for name in ("ebt_trio", "ebt_transports"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sys.exit(trio.run(main, parser.parse_args()))

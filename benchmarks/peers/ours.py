"""Peers of ours in a process of their own, to be measured: ``python -m benchmarks.peers.ours``; see ``commands.py``."""

from __future__ import annotations

import cProfile
import gc
import tracemalloc
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import trio

from benchmarks.peers.commands import Arrivals, Commands, paced, windowed
from benchmarks.peers.names import age, name, named, stamped
from ebt_trio import EBT, FeedId, Identity, MemoryStore, PlainFormat, SignedFormat, SQLiteStore, connect, listen
from ebt_trio.abc import Change, FeedHead, Format, Run, Store
from ebt_trio.errors import StoreError, TransportError
from ebt_trio.feeds.signed import CONTENT
from ebt_trio.transport import proves

FILLING = 5_000
"""Messages in one transaction when a store is filled."""


def count(arrived: Arrivals, runs: Sequence[Run], stored: Sequence[FeedHead | StoreError], at: int) -> None:
    for run, head in zip(runs, stored, strict=True):
        if not isinstance(head, StoreError):
            arrived.add(len(run.payloads))
            if arrived.timed:
                arrived.ages.extend(age(payload[at : at + 8]) for payload in run.payloads)


class Counting(Store):
    """Over a store: says what is stored."""

    arrived: Arrivals | None = None
    content_at = 2
    """Where a content begins in its payload: one of 24 to 255 bytes follows a head of two."""

    async def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
        stored = await super().append(runs)  # type: ignore[safe-super]
        if self.arrived is not None:
            count(self.arrived, runs, stored, self.content_at)
        return stored


class CountingMemory(Counting, MemoryStore):
    immediate = True


class CountingSQLite(Counting, SQLiteStore):
    pass


async def fill(store: Store, format: Format, names: Sequence[str], heads: Sequence[int], size: int) -> None:
    """Messages as the author would have made them, without one."""
    for at in range(0, len(names), FILLING):
        follow: dict[FeedId, int | None] = {FeedId(feed): None for feed in names[at : at + FILLING]}
        await store.update(Change(follow=follow), keep_peers=1)
    runs: list[Run] = []
    waiting = 0
    content = bytes(size)
    for feed, head in zip(map(FeedId, names), heads, strict=True):
        previous: bytes | None = None
        for first in range(1, head + 1, FILLING):
            run: list[bytes] = []
            for sequence in range(first, min(first + FILLING, head + 1)):
                previous = format.encode(feed, sequence, content, previous)
                run.append(previous)
            runs.append(Run(feed, first, run))
            waiting += len(run)
            if waiting >= FILLING:
                await store.append(runs)
                runs, waiting = [], 0
    await store.append(runs)


class Ours(Commands):
    """One peer, or several of which each has its own store."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = AsyncExitStack()
        self._peers: list[EBT] = []
        self._names: list[str] = []
        self._identities: list[Identity | None] = []
        self._profile = cProfile.Profile()

    def sent(self) -> int:
        return sum(peer.statistics().bytes_sent for peer in self._peers)

    async def do_open(
        self,
        peer: int,
        feeds: int,
        size: int,
        head: int = 0,
        ahead: int = 0,
        peers: int = 1,
        database: str | None = None,
        signed: bool = False,
        names: Sequence[str] | None = None,
        counted: bool = True,
    ) -> list[str] | None:
        """So many feeds, each up to ``head``, the first ``ahead`` by one more. Returns their names where signed.

        Then an author can make them only for itself: ``names`` are given to the others.
        """
        made = names is None and signed
        identities = [Identity.generate() for _ in range(feeds)] if made else []
        self._names = list(names) if names is not None else [str(one) for one in identities] or named(feeds)
        heads = [head + (number < ahead) for number in range(feeds)]
        for number in range(peers):
            store = CountingMemory() if database is None else CountingSQLite(database)
            key = (identities[0] if made else Identity.generate()) if signed else None
            await self._fill(store, identities, heads, size, signed)
            store.content_at = 2 + CONTENT if signed else 2
            store.arrived = self.arrived if counted else None
            peer_of_ours = EBT(name("peer", peer + number) if key is None else key, store)
            self._peers.append(await self._stack.enter_async_context(peer_of_ours))
            self._identities.append(key)
        for url in ("tcp://", "unix://", "shs+tcp://"):
            proves(url)  # what is imported when a scheme is first used belongs to starting
        gc.collect()
        gc.freeze()  # as `ebt run` does; see docs/performance.md
        return self._names if made else None

    async def _fill(
        self, store: Store, identities: Sequence[Identity], heads: Sequence[int], size: int, signed: bool
    ) -> None:
        await store.open(SignedFormat.name if signed else PlainFormat.name)
        if identities:
            for identity, head in zip(identities, heads, strict=True):
                await fill(store, SignedFormat(identity), [str(identity)], [head], size)
        else:
            await fill(store, PlainFormat(), self._names, heads, size)
        await store.close()

    async def do_listen(self, url: str, peer: int = 0) -> str:
        secret = url.startswith("shs+")
        listener = await listen(url, identity=self._identities[peer]) if secret else await listen(url)
        await self.nursery.start(self._peers[peer].serve, listener)
        return listener.urls[0]

    async def do_connect(self, url: str, peer: int | None = None) -> None:
        """All peers of this process, or that one."""
        secret = url.startswith("shs+")
        for number in range(len(self._peers)) if peer is None else [peer]:
            transport = await connect(url, identity=self._identities[number]) if secret else await connect(url)
            await self.nursery.start(self._session, self._peers[number], transport)

    async def _session(self, peer: EBT, transport: Any, task_status: trio.TaskStatus[None]) -> None:
        with suppress(TransportError):  # the other process may be the first to end, without a word
            async with peer.session(transport) as session:
                task_status.started()
                await session.wait_closed()

    async def do_close(self) -> None:
        for peer in self._peers:
            for session in peer.sessions:
                await session.aclose()

    async def do_extend(self, feeds: int, size: int) -> None:
        """One more message of each of the first so many feeds."""
        for feed in self._names[:feeds]:
            await self._peers[0].append(bytes(size), feed=feed)

    async def do_produce(self, count: int, per_second: float, size: int, together: bool = False) -> None:
        """Messages of the first feed, at a steady pace; ``together``: what is due at a time in one call."""
        await paced(count, per_second, partial(self._produce, size, together))

    async def do_windowed(self, count: int, in_flight: int, size: int, together: bool = False) -> None:
        """Likewise, as fast as they arrive; all peers but the author are counted, and in this process."""
        produce = partial(self._produce, size, together)
        await windowed(self.arrived, count, in_flight, len(self._peers) - 1, produce)

    async def _produce(self, size: int, together: bool, due: int) -> None:
        peer, feed = self._peers[0], self._names[0]
        if together:
            await peer.append_many([stamped(size) for _ in range(due)], feed=feed)
        else:
            for _ in range(due):
                await peer.append(stamped(size), feed=feed)

    async def do_received(self) -> int:
        """Payloads, those included that were there already."""
        return sum(peer.statistics().messages_received for peer in self._peers)

    async def do_profile(self, on: bool, path: str = "") -> None:
        """Profile what comes until it is called again; the result is for ``pstats``."""
        if on:
            self._profile = cProfile.Profile()
            self._profile.enable()
        else:
            self._profile.disable()
            self._profile.dump_stats(path)

    async def do_heap(self, last: bool = False) -> int:
        """Bytes that Python objects take; the first call starts counting, which costs time, and the last ends it."""
        gc.collect()
        if not tracemalloc.is_tracing():
            tracemalloc.start()
        found = tracemalloc.get_traced_memory()[0]
        if last:
            tracemalloc.stop()
        return found


if __name__ == "__main__":
    trio.run(Ours().run)

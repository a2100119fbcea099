"""A peer at work on a store, until somebody stops it: the one whose promises are tried, and the one it talks to.

Everything at once: single appends and several, in groups, import in bulk, messages of other sources, receiving in bulk
and live, being read from, follows, blocks and deletions, forks; with a checkpoint every few pages.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import trio
from evidence import digest

from ebt_trio import (
    EBT,
    ForkDetected,
    Identity,
    LocalProtocolError,
    MemoryStore,
    Message,
    PlainFormat,
    SQLiteStore,
    StoreError,
    allow,
    connect,
    listen,
)
from ebt_trio.abc import Format, Transport
from ebt_trio.core.note import decode_note
from ebt_trio.core.types import FeedHead, Run
from ebt_trio.feeds.signed import SignedFormat
from ebt_trio.frames import Ack, Messages, Notes, decode
from ebt_trio.limits import Limits

__all__ = ["Note", "Plan", "Synchronous", "make_partner", "partner_at", "work"]

Note = Callable[[str], None]
Synchronous = str
"""FULL, NORMAL, or, to see that losses are found, OFF, which no user can ask for, and EARLY, of a store that lies."""

_OTHERS: Final = 4
_LIMITS: Final = Limits()


def _identity(rng: Random) -> Identity:
    while True:
        with suppress(LocalProtocolError):
            return Identity(rng.randbytes(32))


@dataclass(frozen=True)
class Plan:
    """What a seed decides."""

    seed: int
    me: str | Identity
    partner: str | Identity
    others: Sequence[str | Identity]
    """Authors whose feeds the partner has. The last one's are of another branch at ours, if feeds are signed."""
    scheme: str
    checkpoint: int
    """After how many pages."""
    longest: int
    """Bytes in a message."""
    bulk: int
    """Messages of each other feed."""

    @classmethod
    def of(cls, seed: int) -> Plan:
        rng = Random(seed)
        signed = rng.random() < 0.5
        names: list[str | Identity] = [_identity(rng) for _ in range(_OTHERS + 2)] if signed else []
        names = names or ["alice", "bob", *(f"other{number}" for number in range(_OTHERS))]
        schemes = ["tcp", "unix", "shs+tcp", "shs+unix"] if signed else ["tcp", "unix"]
        return cls(
            seed,
            names[0],
            names[1],
            names[2:],
            rng.choice(schemes),
            rng.choice((1, 4, 20, 100, 1000)),
            rng.choice((20, 300, 3000, 60_000)),
            rng.choice((0, 50, 500)),
        )

    @property
    def format(self) -> Format:
        return SignedFormat() if isinstance(self.me, Identity) else PlainFormat()

    def url(self, folder: Path) -> str:
        """Where the partner listens."""
        return f"{self.scheme}://" + (f"{folder}/socket" if "unix" in self.scheme else "127.0.0.1:0")

    def text(self, rng: Random) -> bytes:
        return rng.randbytes(rng.randint(0, self.longest if rng.random() < 0.1 else min(self.longest, 100)))


async def make_partner(plan: Plan) -> MemoryStore:
    """The store of who is talked to, with feeds to send."""
    store, rng = MemoryStore(), Random(plan.seed)
    async with EBT(plan.partner, store) as partner:
        for author in plan.others:
            async with EBT(author) as other:
                await partner.add(await other.append_many([plan.text(rng) for _ in range(plan.bulk)]))
    return store


@asynccontextmanager
async def partner_at(plan: Plan, store: MemoryStore, folder: Path) -> AsyncGenerator[tuple[EBT, str]]:
    """Who is talked to, and where: follows what we write, and writes now and then."""
    rng = Random()
    identity = plan.partner if isinstance(plan.partner, Identity) else None
    admit = allow({str(plan.me)}) if plan.scheme.startswith("shs") else None
    async with (
        await listen(plan.url(folder), identity=identity) as listener,
        EBT(plan.partner, store, should_replicate=lambda feed, peer: True) as partner,
        trio.open_nursery() as nursery,
    ):
        for feed in (plan.me, *plan.others):
            partner.follow(str(feed))

        async def write() -> None:
            while True:
                await partner.append_many([plan.text(rng) for _ in range(rng.choice((1, 1, 1, 50)))])
                await trio.sleep(rng.expovariate(200))

        nursery.start_soon(write)
        await nursery.start(partner.serve, listener, admit)
        yield partner, listener.urls[0]
        nursery.cancel_scope.cancel()


class _Noted(Transport):
    """Notes what a frame promises before it is sent."""

    def __init__(self, inner: Transport, note: Callable[..., None]) -> None:
        self._inner = inner
        self._note = note
        self.peer_id, self.address = inner.peer_id, inner.address

    async def send(self, item: bytes) -> None:
        match decode(item, _LIMITS):
            case Notes(notes):
                for feed, one in notes.items():
                    if (sequence := decode_note(one)[0]) > 0:
                        self._note("said", feed, sequence)
            case Ack(acks):
                for feed, sequence in acks.items():
                    self._note("said", feed, sequence)
            case Messages(runs):
                for run in runs:
                    self._note("has", run.feed, run.first, [digest(payload) for payload in run.payloads])
            case _:
                pass
        await self._inner.send(item)

    async def receive(self) -> bytes:
        self._inner.max_frame = self.max_frame
        return await self._inner.receive()

    def receive_nowait(self) -> bytes | None:
        return self._inner.receive_nowait()

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Worn(SQLiteStore):
    """Checkpoints as often as the plan says; may sync less than it should."""

    def __init__(self, path: Path, checkpoint: int, synchronous: Synchronous) -> None:
        super().__init__(path, synchronous="NORMAL" if synchronous == "NORMAL" else "FULL")
        self._pragmas = [f"wal_autocheckpoint = {checkpoint}"]
        if synchronous == "OFF":
            self._pragmas.append("synchronous = OFF")

    async def open(self, format: str) -> None:
        await super().open(format)
        assert self._opened is not None
        for pragma in self._pragmas:
            self._opened.writer.connection.execute(f"PRAGMA {pragma}")


class _Early(_Worn):
    """What a store must not do: says that messages are durable one transaction too early."""

    _late: Sequence[Run] = ()

    async def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
        late, self._late = self._late, runs
        await super().append(late)
        return [FeedHead(run.feed, 1, run.last) for run in runs]


async def work(
    plan: Plan, path: Path, url: str, note: Note, rng: Random, *, synchronous: Synchronous = "FULL", seconds: float
) -> None:
    """Be the peer whose promises are noted, for some seconds."""

    def say(*what: Any) -> None:
        note(json.dumps(what))

    async def dialled() -> Transport:
        identity = plan.me if isinstance(plan.me, Identity) else None
        return _Noted(await connect(url, identity=identity), say)

    store = (_Early if synchronous == "EARLY" else _Worn)(path, plan.checkpoint, synchronous)
    async with EBT(plan.me, store) as ebt:
        say("store", store.id.hex())
        appending = [partial(_append, plan, ebt, say, rng, number) for number in range(rng.randint(0, 3))]
        others = [partial(job, plan, ebt, say, rng) for job in (_import, _add, _decide) if rng.random() < 0.7]
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                for job in (*appending, *others, partial(ebt.dial, dialled)):
                    nursery.start_soon(job)


def _has(say: Callable[..., None], messages: Sequence[Message]) -> None:
    if messages:
        say("has", messages[0].feed, messages[0].sequence, [digest(message.payload) for message in messages])


def _feed(plan: Plan, number: int) -> str | None:
    """Of names one may write several feeds."""
    return f"mine{number}" if number and isinstance(plan.me, str) else None


async def _append(plan: Plan, ebt: EBT, say: Callable[..., None], rng: Random, number: int) -> None:
    while True:
        _has(say, [await ebt.append(plan.text(rng), feed=_feed(plan, number))])


async def _import(plan: Plan, ebt: EBT, say: Callable[..., None], rng: Random) -> None:
    while True:
        contents = [plan.text(rng) for _ in range(rng.choice((2, 30, 400)))]
        _has(say, await ebt.append_many(contents, feed=_feed(plan, 2)))


async def _add(plan: Plan, ebt: EBT, say: Callable[..., None], rng: Random) -> None:
    """From some other source: the last one's feed, from the beginning; if it is signed, on another branch."""
    other = plan.others[-1]
    async with EBT(other) as source:
        mine: list[Message] = []
        while True:
            try:
                if str(other) not in ebt.forks:
                    mine += await source.append_many([plan.text(rng) for _ in range(rng.randint(1, 20))])
                    before = ebt.clock.get(source.feed, 0)
                    await ebt.add(mine)
                    _has(say, await ebt.read(source.feed, before + 1))
            except ForkDetected:
                pass
            known = list(ebt.forks)
            await ebt.flush()
            for feed in known:
                say("fork", feed)
            await trio.sleep(rng.expovariate(500))


async def _decide(plan: Plan, ebt: EBT, say: Callable[..., None], rng: Random) -> None:
    """Follow the partner and the others, and let some go."""
    for feed in (plan.partner, *plan.others):
        say("deciding", "follow", str(feed))
        ebt.follow(str(feed))
    await ebt.flush()
    for feed in (plan.partner, *plan.others):
        say("decided", "follow", str(feed), True)
    while True:
        await trio.sleep(rng.expovariate(100))
        kind = rng.choice(("follow", "follow", "block", "forget"))
        id = str(rng.choice(plan.others[:-1]))
        if kind == "block":
            say("deciding", "block", id)
            blocked = (id, None) in ebt.blocks
            (ebt.unblock if blocked else ebt.block)(id)
            await ebt.flush()
            say("decided", "block", id, not blocked)
            continue
        followed = id in ebt.follows
        say("deciding", "follow", id)
        if kind == "forget":
            say("forgetting", id)
            ebt.forget(id)
            followed = True
        else:
            (ebt.unfollow if followed else ebt.follow)(id)
        await ebt.flush()
        say("decided", "follow", id, not followed)
        if kind == "forget":
            say("forgot", id)

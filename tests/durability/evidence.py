"""What a peer has promised, as it noted it itself, and whether a store keeps it; see :class:`Evidence`.

A note is a list in JSON. The peer makes it right after a call that promises something has returned, and right before
it says something to another peer, so that whatever has been noted has been promised by then.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import trio

from ebt_trio import EBT, EBTError, Fork, Identity, SQLiteStore
from ebt_trio.abc import Format
from ebt_trio.core.types import Range, Run

__all__ = ["Evidence", "Found", "digest", "lost_in"]


def digest(payload: bytes) -> str:
    return blake2b(payload, digest_size=8).hexdigest()


@dataclass
class Found:
    """What is in a store."""

    id: bytes
    payloads: dict[str, dict[int, bytes]] = field(default_factory=dict[str, "dict[int, bytes]"])
    follows: set[str] = field(default_factory=set[str])
    blocks: set[str] = field(default_factory=set[str])
    forks: dict[str, Fork] = field(default_factory=dict[str, Fork])
    clocks: list[tuple[str, int | None, int | None]] = field(default_factory=list["tuple[str, int | None, int | None]"])
    """Remembered of any peer: feed, told, heard."""


class Evidence:
    """All promises so far, over any number of lives on one store."""

    def __init__(self) -> None:
        self.count = 0
        """How many messages are promised."""
        self._wrong: list[str] = []
        """Promises that contradict each other."""
        self._id: str | None = None
        self._heads: dict[str, int] = {}
        self._digests: dict[str, dict[int, str]] = {}
        self._decided: dict[tuple[str, str], bool] = {}
        self._forks: set[str] = set()
        self._forgetting: set[str] = set()
        self._forgotten: set[str] = set()
        """At least once. What was told of them once may be more than what is there now; then it is said anew."""

    def note(self, line: str) -> None:
        said: list[Any] = json.loads(line)
        match said:
            case ["store", str(id)]:
                if self._id not in (None, id):
                    self._wrong.append(f"the store's id was {self._id}, and then {id}")
                self._id = id
            case ["has", str(feed), int(first), list(digests)]:
                self._has(feed, first, digests)
            case ["said", str(feed), int(head)]:
                if feed not in self._forgetting:
                    self._heads[feed] = max(head, self._heads.get(feed, 0))
            case ["deciding", str(kind), str(id)]:
                self._decided.pop((kind, id), None)
            case ["decided", str(kind), str(id), bool(decision)]:
                self._decided[kind, id] = decision
            case ["forgetting", str(feed)]:
                self._forgetting.add(feed)
                self._forgotten.add(feed)
                self._heads.pop(feed, None)
                self._digests.pop(feed, None)
            case ["forgot", str(feed)]:
                self._forgetting.discard(feed)
            case ["fork", str(feed)]:
                self._forks.add(feed)
            case _:
                raise ValueError(line)

    def _has(self, feed: str, first: int, digests: list[str]) -> None:
        if feed in self._forgetting:
            return
        self._heads[feed] = max(first + len(digests) - 1, self._heads.get(feed, 0))
        known = self._digests.setdefault(feed, {})
        for sequence, one in enumerate(digests, first):
            if known.setdefault(sequence, one) != one:
                self._wrong.append(f"two messages {sequence} of {feed} were promised")
        self.count += len(digests)

    @property
    def promises(self) -> bool:
        return bool(self._id or self._heads or self._decided or self._forks or self._wrong)

    def missing(self, found: Found) -> list[str]:
        """What was promised and is not there."""
        lost = self._wrong[:9]
        if self._id not in (None, found.id.hex()):
            lost.append(f"the store's id was {self._id}, it is {found.id.hex()}")
        for feed, head in self._heads.items():
            there = max(found.payloads.get(feed, {}), default=0)
            if there < head:
                lost.append(f"feed {feed}: {head} promised, {there} there")
        for feed, digests in self._digests.items():
            payloads = found.payloads.get(feed, {})
            wrong = [
                sequence
                for sequence, one in digests.items()
                if sequence not in payloads or digest(payloads[sequence]) != one
            ]
            if wrong:
                lost.append(f"feed {feed}: messages {min(wrong)} to {max(wrong)}, {len(wrong)} of them, are not there")
        there_are = {"follow": found.follows, "block": found.blocks}
        for (kind, id), decision in self._decided.items():
            if (id in there_are[kind]) != decision:
                lost.append(f"{kind} {id}: {decision} was promised")
        lost += [f"the proof that {feed} has forked is not there" for feed in self._forks - found.forks.keys()]
        for feed, told, _ in found.clocks:
            there = max(found.payloads.get(feed, {}), default=0)
            if told is not None and told > there and feed not in self._forgotten:
                lost.append(f"feed {feed}: remembered to have told {told}, {there} there")
        return lost


def _examine(path: Path, format: Format) -> Found:
    """Open the store like anybody would, and read all that is in it.

    :raises EBTError: it does not open, or cannot be read
    :raises AssertionError: it is not sound
    """
    found = trio.run(_read, path, format)
    with closing(sqlite3.connect(path)) as connection:
        _check_file(connection, found)
        found.clocks = connection.execute("SELECT feed, told, heard FROM clocks").fetchall()
    return found


async def _read(path: Path, format: Format) -> Found:
    store = SQLiteStore(path, threads=False)
    await store.open(format.name)
    try:
        found = Found(store.id)
        for feed, first, head in await store.heads(None, 1 << 30):
            (payloads,) = await store.read([Range(feed, first, head - first + 1)], 1 << 40)
            assert len(payloads) == head - first + 1, f"feed {feed} has a gap"
            format.validate(Run(feed, first, payloads), None)
            found.payloads[feed] = dict(enumerate(payloads, first))
        found.follows = {feed for feed, _ in await store.follows(None, 1 << 30)}
        found.blocks = {entry.target for entry in await store.blocks() if entry.origin is None}
        found.forks = {fork.feed: fork for fork in await store.forks()}
    finally:
        await store.close()
    return found


def _check_file(connection: sqlite3.Connection, found: Found) -> None:
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    (rows,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    assert rows == sum(map(len, found.payloads.values())), "there are messages that no feed has"
    (orphans,) = connection.execute(
        "SELECT count(*) FROM clocks WHERE peer NOT IN (SELECT number FROM peers)"
    ).fetchone()
    assert orphans == 0, "something is remembered of nobody"


def _go_on(path: Path, identity: str | Identity, found: Found) -> None:
    """Start a peer on the store, and write a message.

    :raises EBTError: it does not start, or not write
    """

    async def run() -> None:
        async with EBT(identity, SQLiteStore(path, threads=False)) as ebt:
            if str(identity) not in found.forks:
                message = await ebt.append("after it")
                assert message.sequence == len(found.payloads.get(str(identity), {})) + 1

    trio.run(run)


def lost_in(path: Path, evidence: Evidence, identity: str | Identity, format: Format) -> Sequence[str]:
    """Everything that is wrong with the store; goes on writing to it."""
    if not evidence.promises and not path.exists():
        return []
    try:
        found = _examine(path, format)
        lost = evidence.missing(found)
        _go_on(path, identity, found)
        return lost
    except (EBTError, AssertionError, sqlite3.Error) as error:
        return [f"{type(error).__name__}: {error}"]

"""Sizes that a simulation reckons are those of the real encoder."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from ebt_trio.core.note import MAX_NOTE
from ebt_trio.core.types import MAX_SEQUENCE, FeedId, PeerId, Run
from ebt_trio.frames import Ack, Frame, Messages, Notes, Start, encode
from ebt_trio.testing.simulation import Simulation
from ebt_trio.testing.simwire import wire_size
from ebt_trio.testing.watch import Watch

EDGES = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, MAX_SEQUENCE]
LENGTHS = [0, 1, 23, 24, 255, 256, 65_535, 65_536]


def real(kind: str, content: Any) -> int:
    frames: dict[str, Frame] = {
        "notes": Notes(content) if kind == "notes" else Notes(),
        "acks": Ack(content) if kind == "acks" else Ack({}),
        "start": Start(content) if kind == "start" else Start({}),
    }
    return len(encode(Messages(content) if kind == "messages" else frames[kind]))


@pytest.mark.parametrize("kind", ["notes", "acks", "start"])
@pytest.mark.parametrize("count", [0, 1, 23, 24, 256])
def test_maps(kind: str, count: int) -> None:
    rng = Random(count)
    numbers = [-1, MAX_NOTE, *EDGES] if kind == "notes" else EDGES
    content = {FeedId("é" * rng.randrange(1, 200) + str(number)): rng.choice(numbers) for number in range(count)}
    assert wire_size(kind, content) == real(kind, content)


@pytest.mark.parametrize("edge", [edge for edge in EDGES if edge])
def test_each_number(edge: int) -> None:
    for kind in ("notes", "acks", "start"):
        assert wire_size(kind, {FeedId("a"): edge}) == real(kind, {FeedId("a"): edge})
    runs = [Run(FeedId("a"), edge, [b""])]
    assert wire_size("messages", runs) == real("messages", runs)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("runs", [1, 22, 23])
def test_messages(length: int, runs: int) -> None:
    content = [Run(FeedId(f"feed {number}"), 1, [bytes(length)] * (1 + number * 12)) for number in range(runs)]
    if length > 300:
        content = [Run(run.feed, 1, run.payloads[:2]) for run in content]
    assert wire_size("messages", content) == real("messages", content)


class Sizes(Watch):
    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.real: Counter[str] = Counter()

    def sent(self, now: float, sender: PeerId, receiver: PeerId, kind: str, content: Any, size: int) -> None:
        self.total[kind] += size
        self.real[kind] += real(kind, content)


def exchange(watch: Sizes, *, sizes: bool) -> None:
    sim = Simulation(watch=watch, sizes=sizes)
    alice, bob = sim.peer("alice"), sim.peer("bob", follow=["alice", "carol"])
    alice.append(100)
    alice.store.firsts[FeedId("carol")] = 5
    alice.store.feeds[FeedId("carol")] = [b"a payload"] * 3
    alice.crash()
    alice.restart()
    alice.follow("carol")
    sim.connect("alice", "bob")
    sim.settle()
    assert bob.clock == {"alice": 100}
    alice.append(1)
    sim.settle()


def test_in_a_simulation() -> None:
    """What is told to who watches, frame by frame, with all kinds of frames."""
    watch = Sizes()
    exchange(watch, sizes=True)
    assert watch.total == watch.real
    assert set(watch.total) == {"notes", "messages", "acks", "start"}


def test_sizes_are_off_where_nobody_asks() -> None:
    watch = Sizes()
    exchange(watch, sizes=False)
    assert not watch.total.total()

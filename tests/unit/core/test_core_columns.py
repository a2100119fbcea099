"""What is done to many feeds at once is the same as one by one, whatever their numbers are."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import islice
from random import Random

import pytest

from ebt_trio.core.clock import LOG_LENGTH, NONE, Memory, PeerClock, Rows, entry_digest
from ebt_trio.core.columns import fill, joined, mark, taken
from ebt_trio.core.marks import first_marked, marked
from ebt_trio.core.types import FeedId, Remembered

COUNT = 12
NAMES = [FeedId(f"f{number}") for number in range(COUNT)]


def some(random: Random) -> Sequence[int]:
    """Numbers that follow each other, or not."""
    start = random.randrange(COUNT)
    numbers = list(range(start, random.randrange(start, COUNT) + 1))
    if random.random() < 0.5:
        numbers = random.sample(range(COUNT), random.randrange(1, COUNT))
    return joined(numbers)


def value(random: Random) -> int:
    return random.choice([-1, 0, 1, 1, 1000])


def test_what_follows_each_other_is_a_range() -> None:
    assert joined([4]) == range(4, 5)
    assert joined([4, 5, 6]) == range(4, 7)
    for other in ([4, 6], [6, 5, 4], [4, 6, 5, 7], [4, 4, 6]):
        assert joined(other) is other


@pytest.mark.parametrize("seed", range(50))
def test_columns(seed: int) -> None:
    random = Random(seed)
    column = array("q", [value(random) for _ in range(COUNT)])
    flags = bytearray(random.choices(range(3), k=COUNT))
    numbers = some(random)
    assert taken(column, numbers) == array("q", [column[number] for number in numbers])
    assert taken(flags, numbers) == bytes(flags[number] for number in numbers)
    assert taken(NAMES, numbers) == [NAMES[number] for number in numbers]
    values = [value(random) for _ in numbers]
    new_column, new_flags = list(column), list(flags)
    for number, new in zip(numbers, values, strict=True):
        new_column[number] = new
        new_flags[number] = 1
    fill(column, numbers, values)
    mark(flags, numbers, 1)
    assert (list(column), list(flags)) == (new_column, new_flags)


@pytest.mark.parametrize("seed", range(50))
def test_the_first_that_are_marked(seed: int) -> None:
    random = Random(seed)
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        flags = bytearray(random.random() < share for _ in range(COUNT))
        for limit in (1, 3, COUNT, 2 * COUNT):
            assert list(first_marked(flags, limit)) == list(islice(marked(flags), limit))
    assert first_marked(bytearray(b"\0\1\1\1\0"), 2) == range(1, 3)
    assert first_marked(bytearray(b"\0\1\1\1\0"), 4) == range(1, 4)
    assert first_marked(bytearray(b"\0\1\1"), 4) == range(1, 3)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("seed", range(50))
def test_put_all(seed: int, log: bool) -> None:
    random = Random(seed)
    marks = bytearray(COUNT), bytearray(COUNT)
    many, single = (PeerClock(NAMES, unsaved, log=log) for unsaved in marks)
    before = [0]
    for _ in range(20):
        numbers = some(random)
        values = [value(random) for _ in numbers]
        many.put_all(numbers, values)
        for number, new in zip(numbers, values, strict=True):
            single.put(number, new)
        assert (many.values, many.stale, many._outdated, many._log) == (
            single.values,
            single.stale,
            single._outdated,
            single._log,
        )
        assert marks[0] == marks[1]
        if random.random() < 0.5:
            before.append(many.digest())
            assert before[-1] == single.digest()
    for digest in before:
        assert many.changed_since(digest) == single.changed_since(digest)


def test_more_at_once_than_the_log_takes() -> None:
    names = [FeedId(str(number)) for number in range(3 * LOG_LENGTH)]
    many, single = (PeerClock(names, bytearray(len(names)), log=True) for _ in range(2))
    kept = 3 * LOG_LENGTH
    assert many._log is not None
    assert single._log is not None
    for value in (7, 8):  # nothing was said before, and something was
        many.put_all(range(len(names)), [value] * len(names))
        for number in range(len(names)):
            single.put(number, value)
        assert many._log[-kept:] == single._log[-kept:]
        assert len(many._log) < 2 * kept


@pytest.mark.parametrize("seed", range(100))
def test_digests_and_rows(seed: int) -> None:
    random = Random(seed)
    memory = Memory(None, NAMES)
    saved = {name: Remembered(name, 1, value(random)) for name in NAMES[: random.randrange(COUNT)]}
    for number, row in enumerate(saved.values()):
        memory.load(number, row)
    for _ in range(20):
        numbers, values = some(random), [value(random)] * COUNT
        clocks = random.choice([(memory.told,), (memory.heard,), (memory.told, memory.heard)])
        for clock in clocks:
            clock.put_all(numbers, values[: len(numbers)])
        if random.random() < 0.2:
            memory.told.put(numbers[0], NONE)
        match random.randrange(4):
            case 0:
                rows = memory.take_unsaved(random.randrange(1, COUNT))
                saved.update((row.feed, row) for row in rows)
            case 1:
                memory.renew(random.randrange(1, COUNT))
            case 2:
                memory.heard_digest()
    rows = memory.take_unsaved(COUNT)
    assert not memory.has_unsaved
    saved.update((row.feed, row) for row in rows)
    assert rows == list(rows)
    for number, name in enumerate(NAMES):
        told, heard = memory.told.values[number], memory.heard.values[number]
        row = (name, None if told == NONE else told, None if heard == NONE else heard)
        assert saved.get(name, (name, None, None)) == row
    while memory.renew(3):
        pass
    for clock in (memory.told, memory.heard):
        assert not any(clock.stale)
        assert not clock._outdated
        entries = [entry_digest(name, one) for name, one in zip(NAMES, clock.values, strict=True) if one != NONE]
        assert clock._digest == sum(entries) % 2**128


def test_no_rows() -> None:
    assert list(Rows([], [], [])) == []

"""Clocks with digests, and how far back they can tell what changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ebt_trio.core.clock import DECLINED, LOG_LENGTH, NONE, Memory, PeerClock, entry_digest
from ebt_trio.core.types import FeedId, PeerId, PeerKey, Remembered

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "vectors" / "frames.json").read_text())[
    "digests"
]
NAMES = [FeedId("a"), FeedId("b"), FeedId("c")]
KEY = PeerKey(PeerId("bob"), b"store", False)


def clock(names: list[FeedId] = NAMES, *, log: bool = True) -> PeerClock:
    return PeerClock(names, bytearray(len(names)), log=log)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["digest"][:8])
def test_digest_vectors(vector: dict[str, Any]) -> None:
    entries = [(FeedId(feed), int(sequence)) for feed, sequence in vector["entries"]]
    total = sum(entry_digest(feed, sequence) for feed, sequence in entries) % 2**128
    assert total.to_bytes(16, "big").hex() == vector["digest"]
    remembered = clock([feed for feed, _ in entries])
    for number, (_, sequence) in enumerate(entries):
        remembered.put(number, sequence)
    assert remembered.digest().to_bytes(16, "big").hex() == vector["digest"]


def test_nothing_sums_up_to_zero() -> None:
    assert clock().digest() == 0


def test_the_digest_is_of_the_values_not_of_the_way_there() -> None:
    there, straight = clock(), clock()
    there.put(0, 5)
    there.put(1, DECLINED)
    assert there.digest() != 0
    there.put(0, 7)
    there.put(1, NONE)
    there.put(2, 1)
    straight.put(2, 1)
    straight.put(0, 7)
    assert there.digest() == straight.digest() == (entry_digest(NAMES[0], 7) + entry_digest(NAMES[2], 1)) % 2**128


def test_nothing_has_changed_since_now() -> None:
    told = clock()
    told.put(0, 5)
    assert told.changed_since(told.digest()) == set()


def test_changed_since_goes_back_over_the_log() -> None:
    told = clock()
    digests = [told.digest()]
    for number, value in [(0, 5), (1, 6), (0, 7), (1, DECLINED), (0, NONE), (2, 8)]:
        told.put(number, value)
        digests.append(told.digest())
    changed = [told.changed_since(digest) for digest in digests]
    assert changed == [{0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {0, 2}, {2}, set()]


def test_a_digest_that_never_was() -> None:
    told = clock()
    told.put(0, 5)
    assert told.changed_since(12345) is None


def test_the_newest_moment_with_that_digest_counts() -> None:
    told = clock()
    told.put(0, 1)
    same = told.digest()
    told.put(1, 1)
    told.put(1, NONE)
    told.put(2, 1)
    assert told.changed_since(same) == {2}


def test_putting_the_same_again_is_no_change() -> None:
    unsaved = bytearray(len(NAMES))
    told = PeerClock(NAMES, unsaved, log=True)
    told.put(0, NONE)
    assert not any(unsaved)
    told.put(0, 1)
    unsaved[0] = 0
    told.put(0, 1)
    assert not any(unsaved)


def test_the_log_is_limited() -> None:
    told = clock()
    told.put(1, 1)
    before = told.digest()
    for sequence in range(LOG_LENGTH):
        told.put(0, sequence)
    assert told.changed_since(before) == {0}
    told.put(0, LOG_LENGTH)
    assert told.changed_since(before) is None


def test_without_a_log_only_now_is_known() -> None:
    heard = clock(log=False)
    heard.put(0, 1)
    before = heard.digest()
    heard.put(0, 2)
    assert heard.changed_since(before) is None
    assert heard.changed_since(heard.digest()) == set()


def test_load_is_no_change_to_undo_or_to_save() -> None:
    unsaved = bytearray(len(NAMES))
    told = PeerClock(NAMES, unsaved, log=True)
    told.load(0, 5)
    assert not any(unsaved)
    assert told.digest() == entry_digest(NAMES[0], 5)
    assert told.changed_since(0) is None
    told.load(0, 6)
    assert told.digest() == entry_digest(NAMES[0], 6)


def test_feeds_numbered_later_have_room() -> None:
    names = list(NAMES)
    told = PeerClock(names, bytearray(4), log=True)
    names.append(FeedId("d"))
    told.grow()
    told.grow()
    told.put(3, 1)
    assert list(told.values) == [NONE, NONE, NONE, 1]


# -- both directions


def test_the_digest_for_a_resume() -> None:
    memory = Memory(KEY, NAMES)
    assert memory.heard_digest() == b""
    memory.heard.put(1, 3)
    assert memory.heard_digest() == entry_digest(NAMES[1], 3).to_bytes(16, "big")


def test_what_can_be_skipped() -> None:
    ours, theirs = Memory(KEY, NAMES), Memory(KEY, NAMES)
    ours.told.put(0, 3)
    theirs.heard.put(0, 3)
    digest = theirs.heard_digest()
    assert ours.skippable(digest) == set()
    ours.told.put(1, 4)
    assert ours.skippable(digest) == {1}
    assert ours.skippable(b"") is None
    assert ours.skippable(digest[1:]) is None
    assert ours.skippable(bytes(16)) == {0, 1}  # what they had before they heard anything


def test_load_takes_what_is_there() -> None:
    memory = Memory(KEY, NAMES)
    memory.load(0, Remembered(NAMES[0], 3, None))
    memory.load(1, Remembered(NAMES[1], None, DECLINED))
    assert list(memory.told.values) == [3, NONE, NONE]
    assert list(memory.heard.values) == [NONE, DECLINED, NONE]


def test_a_copy_is_nobodys() -> None:
    memory = Memory(KEY, NAMES)
    memory.told.put(0, 3)
    memory.heard.put(1, 4)
    copy = memory.copy(NAMES)
    assert copy.key is None
    assert (list(copy.told.values), list(copy.heard.values)) == ([3, NONE, NONE], [NONE, 4, NONE])
    copy.told.put(0, 9)
    assert memory.told.values[0] == 3


def test_unsaved_rows_are_taken_once() -> None:
    memory = Memory(KEY, NAMES)
    memory.told.put(0, 3)
    memory.heard.put(0, 2)
    memory.heard.put(1, DECLINED)
    memory.told.put(2, 1)
    memory.told.put(2, NONE)
    rows = [*memory.take_unsaved(2), *memory.take_unsaved(2)]
    assert sorted(rows) == [
        Remembered(NAMES[0], 3, 2),
        Remembered(NAMES[1], None, DECLINED),
        Remembered(NAMES[2], None, None),
    ]
    assert memory.take_unsaved(2) == []


def test_rows_are_a_sequence() -> None:
    memory = Memory(KEY, NAMES)
    memory.told.put_all([0, 1, 2], [3, 4, DECLINED])
    rows = memory.take_unsaved(10)
    assert rows == [Remembered(name, told, None) for name, told in zip(NAMES, (3, 4, -1), strict=True)]
    assert rows[1] == Remembered(NAMES[1], 4, None)
    assert rows[1:] == list(rows)[1:]
    assert rows != list(rows)[1:]
    assert rows != 3
    assert repr(rows) == repr(list(rows))


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    names = [FeedId(str(number)) for number in range(3 * LOG_LENGTH)]
    many, single = clock(names), clock(names)
    for numbers, value in [(range(10), 1), (range(LOG_LENGTH), 2), (range(LOG_LENGTH, 3 * LOG_LENGTH), 3)]:
        many.put_all(list(numbers), [value] * len(numbers))
        for number in numbers:
            single.put(number, value)
        assert many.values == single.values
        before = many.digest()
        assert before == single.digest()
    for told in (many, single):
        told.put(5, 9)
        assert told.changed_since(before) == {5}


def test_what_was_loaded_again_counts_once() -> None:
    told = clock()
    told.load(0, 5)
    assert told.digest() == entry_digest(NAMES[0], 5)
    told.load(0, 6)
    told.load(0, 7)
    assert told.digest() == entry_digest(NAMES[0], 7)

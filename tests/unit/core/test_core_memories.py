"""What of all that is remembered stays in this process."""

from __future__ import annotations

import pytest

from ebt_trio.core import clock
from ebt_trio.core import memories as module
from ebt_trio.core.clock import entry_digest
from ebt_trio.core.memories import Memories
from ebt_trio.core.types import FeedId, PeerId, PeerKey, Remembered

NAMES = [FeedId("f"), FeedId("g")]


def key(peer: str) -> PeerKey:
    return PeerKey(PeerId(peer), b"store", False)


def test_nobody_is_remembered_at_first() -> None:
    memories = Memories(NAMES)
    assert not memories.has(key("bob"))
    assert memories.heard_digest(key("bob")) == b""
    assert memories.heard_digest(None) == b""
    assert memories.take_unsaved(10) == {}


def test_a_session_without_key_is_remembered_by_nobody() -> None:
    memories = Memories(NAMES)
    memory = memories.take(None)
    memory.told.put(0, 1)
    assert memories.take_unsaved(10) == {}


def test_the_same_peer_gets_the_same_memory() -> None:
    memories = Memories(NAMES)
    assert memories.take(key("bob")) is memories.take(key("bob"))
    assert memories.take(key("bob")) is not memories.take(key("carol"))
    assert memories.has(key("bob"))


def test_rows_are_recalled_also_of_feeds_numbered_since() -> None:
    names = list(NAMES)
    memories = Memories(names)
    memories.recall(key("bob"), [(0, Remembered(NAMES[0], 1, 2))])
    names.append(FeedId("h"))
    memories.recall(key("bob"), [(2, Remembered(names[2], 3, None))])
    memory = memories.take(key("bob"))
    assert list(memory.told.values) == [1, -2, 3]
    assert memories.heard_digest(key("bob")) == memory.heard_digest() != b""


def test_recalling_nothing_is_remembering_that() -> None:
    memories = Memories(NAMES)
    memories.recall(key("bob"), [])
    assert memories.has(key("bob"))


def test_unsaved_rows_up_to_a_limit_over_all_peers() -> None:
    memories = Memories(NAMES)
    for peer in ("bob", "carol"):
        memory = memories.take(key(peer))
        memory.told.put(0, 1)
        memory.told.put(1, 1)
    taken = [memories.take_unsaved(3) for _ in range(3)]
    assert [{key.peer: len(rows) for key, rows in rows.items()} for rows in taken] == [
        {"bob": 2, "carol": 1},
        {"carol": 1},
        {},
    ]


def test_the_least_recently_used_is_dropped_when_saved_and_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_ENTRIES", 4)
    monkeypatch.setattr(module, "EMPTY", 0)
    memories = Memories(NAMES)
    for peer in ("bob", "carol", "dave", "erin"):
        memory = memories.take(key(peer))
        memory.told.put(0, 1)
        memory.in_use = peer == "bob"
    memories.take(key("carol")).in_use = False  # again, so that dave is the oldest
    memories.take_unsaved(10)
    assert memories.has(key("dave"))  # only now is all saved
    memories.take_unsaved(10)
    assert [memories.has(key(peer)) for peer in ("bob", "carol", "dave", "erin")] == [True, True, False, True]
    memories.take_unsaved(10)
    assert [memories.has(key(peer)) for peer in ("bob", "carol", "dave", "erin")] == [True, True, False, True]


def test_when_more_is_said_than_can_be_saved_the_oldest_is_dropped_unsaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the store as it was before, or not at all; the next handshake is longer."""
    monkeypatch.setattr(module, "IDLE_ENTRIES", 2 * len(NAMES))
    monkeypatch.setattr(module, "EMPTY", 0)
    memories = Memories(NAMES)
    for number in range(10):
        memory = memories.take(key(f"talker {number}"))
        memory.told.put(0, 1)
        memory.in_use = number == 0
    memories.take_unsaved(1)
    assert [number for number in range(10) if memories.has(key(f"talker {number}"))] == [0, 6, 7, 8, 9]


def test_those_of_whom_nothing_is_remembered_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says HELLO is one more, and there is no end of names; others are being saved all the time."""
    monkeypatch.setattr(module, "IDLE_ENTRIES", 10 * module.EMPTY)
    memories = Memories([])
    for number in range(100):
        memories.recall(key(f"nobody {number}"), [])
    memories.take_unsaved(10)
    assert [number for number in range(100) if memories.has(key(f"nobody {number}"))] == list(range(90, 100))

    memories = Memories(NAMES)
    for number in range(100):
        memories.take(key(f"nobody {number}")).in_use = False
        talker = memories.take(key("bob"))
        talker.told.put(0, number)
        assert memories.take_unsaved(10), "never is there nothing to save"
    assert memories.has(key("bob"))
    assert sum(memories.has(key(f"nobody {number}")) for number in range(100)) < 12


def test_the_digest_is_right_whatever_was_saved_before() -> None:
    memories = Memories(NAMES)
    memory = memories.take(key("bob"))
    memory.told.put(0, 1)
    memory.heard.put(0, 1)
    memory.heard.put(1, 2)
    memories.take_unsaved(10)
    memory.heard.put(1, 3)
    memory.heard.put(0, -2)
    memory.told.put(1, 3)
    expected = entry_digest(NAMES[1], 3)
    assert memories.heard_digest(key("bob")) == expected.to_bytes(16, "big")
    assert memory.told.digest() == (entry_digest(NAMES[0], 1) + expected) % 2**128


def test_while_a_session_lasts_nothing_is_hashed_and_afterwards_all_is() -> None:
    memories = Memories(NAMES)
    memory = memories.take(key("bob"))
    memories.take(key("carol")).told.put(0, 1)
    memory.told.put(0, 1)
    memory.heard.put(1, 2)
    assert len(memories.take_unsaved(10)) == 2
    assert not memories.renew_idle(1), "both are in use"
    assert memory.told.stale == b"\1\0"
    memory.in_use = False
    assert [memories.renew_idle(1) for _ in range(3)] == [True, True, False]
    assert memory.told.stale == memory.heard.stale == b"\0\0"
    assert memory.told.digest() == entry_digest(NAMES[0], 1)
    memory.heard.put(1, 3)
    memories.take_unsaved(10)
    assert memory.heard.stale == b"\0\0", "what is saved later is hashed with it"


def test_no_more_than_so_many_older_values_are_kept_for_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "OUTDATED_MOST", 1)
    memories = Memories(NAMES)
    memory = memories.take(key("bob"))
    for value, stale in ((1, 2), (2, 0)):
        memory.heard.put_all(range(2), [value, value])
        memories.take_unsaved(10)
        assert memory.heard.stale.count(1) == stale
        memory.heard.digest()
    assert memory.heard.digest() == sum(entry_digest(name, 2) for name in NAMES) % 2**128


def test_digests_are_brought_up_to_date_in_portions() -> None:
    memories = Memories(NAMES)
    assert not memories.renew(key("bob"), 1), "there is nothing of him"
    memory = memories.take(key("bob"))
    memory.heard.put(1, 2)
    memory.told.put(0, 3)
    assert [memories.renew(key("bob"), 1) for _ in range(3)] == [True, True, False]
    assert 1 not in memory.heard.stale + memory.told.stale
    assert memories.heard_digest(key("bob")) == entry_digest(NAMES[1], 2).to_bytes(16, "big")

"""The exploration itself, within bounds small enough for every day; ``exhaustive.py`` by itself goes on from there."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from ebt_trio.core.feed import Class, Feed
from ebt_trio.core.link import Link
from ebt_trio.core.ownership import Ownership


@pytest.fixture
def exhaustive(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import exhaustive

    return exhaustive


@pytest.fixture
def canonical(exhaustive: ModuleType) -> ModuleType:
    return sys.modules["exhaustive_canonical"]


def test_two_peers_two_messages_a_cut_and_a_reconnection_completely(exhaustive: ModuleType) -> None:
    exploration = exhaustive.Exploration(exhaustive.CLEAN, exhaustive.Rows())
    exploration.run()
    assert exploration.complete
    assert len(exploration.seen) > 1000
    assert len(exploration.rests) > 1


def test_a_triangle_two_messages_completely(exhaustive: ModuleType) -> None:
    exploration = exhaustive.Exploration(exhaustive.Bounds("triangle", settled=True), exhaustive.Rows())
    exploration.run()
    assert exploration.complete
    assert len(exploration.seen) > 400


def test_a_bound_on_states(exhaustive: ModuleType) -> None:
    exploration = exhaustive.Exploration(exhaustive.Bounds("triangle"), exhaustive.Rows())
    exploration.run(states=500)
    assert not exploration.complete
    assert 500 <= len(exploration.seen) < 600


def test_walks_with_all_faults(exhaustive: ModuleType) -> None:
    rows = exhaustive.Rows()
    for bounds in exhaustive.WALKS.values():
        exploration = exhaustive.Exploration(bounds, rows)
        assert exploration.walk(3) == 3
        assert exploration.steps > 50
    assert len(rows) > 15


def test_a_walk_ends_in_time(exhaustive: ModuleType) -> None:
    exploration = exhaustive.Exploration(exhaustive.CLEAN, exhaustive.Rows())
    assert exploration.walk(10, seconds=-1) == 0


# -- does it bite?


def test_a_feed_that_is_forgotten_is_found(exhaustive: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another is ahead, the owner's time is over, and nothing comes of it."""
    monkeypatch.setattr(Ownership, "_overtaken", lambda self, feed, now: setattr(feed, "deadline", None))
    exploration = exhaustive.Exploration(exhaustive.Bounds("triangle", early=1, settled=True), exhaustive.Rows())
    with pytest.raises(exhaustive.Broken, match=r"never stuck[^\n]*\nthe way there:\n  append 0"):
        exploration.run(states=20_000)


def test_a_row_that_does_something_else_is_found(exhaustive: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Ownership._claimed

    def claimed(self: Ownership, feed: Feed, owner: Link, others: bool, now: float) -> None:
        original(self, feed, owner, others, now)
        feed.class_ = Class.UNCLAIMED

    monkeypatch.setattr(Ownership, "_claimed", claimed)
    exploration = exhaustive.Exploration(exhaustive.CLEAN, exhaustive.Rows())
    with pytest.raises(exhaustive.Broken, match="TableBroken: owner ahead: claimed"):
        exploration.run()


def test_lost_messages_are_found(exhaustive: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who declares everything skippable never hears what got lost with a link."""
    monkeypatch.setattr("ebt_trio.core.clock.Memory.skippable", lambda self, heard: set())
    exploration = exhaustive.Exploration(exhaustive.CLEAN, exhaustive.Rows())
    with pytest.raises(exhaustive.Broken, match=r"eventual delivery|honest progress"):
        exploration.run()


def test_livelocks_are_found(exhaustive: ModuleType) -> None:
    exploration = exhaustive.Exploration(exhaustive.CLEAN, exhaustive.Rows())
    exploration.run()
    exploration.rests = exploration.rests[:1]
    with pytest.raises(exhaustive.Broken, match="never at rest any more"):
        exploration._check_rest_in_reach()


# -- nothing is left out


def test_every_attribute_of_a_feed_counts_or_has_no_future(canonical: ModuleType) -> None:
    assert set(Feed.__slots__) == canonical.FEED | canonical.FEED_WITHOUT_FUTURE


def test_every_attribute_of_a_link_counts_or_has_no_future(canonical: ModuleType) -> None:
    assert set(Link.__slots__) == canonical.LINK | canonical.LINK_WITHOUT_FUTURE

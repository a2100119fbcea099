"""Deadlines in order of time."""

from __future__ import annotations

import pytest

from ebt_trio.core.clock import Memory
from ebt_trio.core.link import Link
from ebt_trio.core.timers import Timers
from ebt_trio.core.types import FeedId, PeerId, SessionId


class Thing:
    def __init__(self, deadline: float | None = None) -> None:
        self.armed: float | None = None
        self.deadline = deadline


def fired(timers: Timers[Thing], now: float) -> list[Thing]:
    """Each lets go of its time when it is looked at."""
    things: list[Thing] = []
    for thing in timers.expired(now):
        things.append(thing)
        thing.deadline = None
    return things


def test_nothing_is_due() -> None:
    timers: Timers[Thing] = Timers()
    timers.arm(Thing())
    assert timers.next() is None
    assert fired(timers, 100) == []


def test_in_order_of_time_and_not_before() -> None:
    timers: Timers[Thing] = Timers()
    late, early = Thing(2.0), Thing(1.0)
    timers.arm(late)
    timers.arm(early)
    assert timers.next() == 1.0
    assert fired(timers, 0.5) == []
    assert fired(timers, 2.0) == [early, late]
    assert timers.next() is None


def test_a_deadline_that_comes_nearer() -> None:
    timers: Timers[Thing] = Timers()
    thing = Thing(5.0)
    timers.arm(thing)
    thing.deadline = 3.0
    timers.arm(thing)
    assert timers.next() == 3.0
    assert fired(timers, 3.0) == [thing]
    thing.deadline = 9.0
    timers.arm(thing)
    assert fired(timers, 5.0) == []  # the entry of before
    assert timers.next() == 9.0


def test_a_deadline_that_is_put_off() -> None:
    timers: Timers[Thing] = Timers()
    thing = Thing(3.0)
    timers.arm(thing)
    thing.deadline = 5.0
    timers.arm(thing)
    assert timers.next() == 5.0
    assert fired(timers, 4.0) == []
    assert fired(timers, 5.0) == [thing]


def test_put_off_and_seen_only_when_it_expires() -> None:
    timers: Timers[Thing] = Timers()
    thing = Thing(3.0)
    timers.arm(thing)
    thing.deadline = 5.0
    assert fired(timers, 4.0) == []
    assert timers.next() == 5.0


def test_a_deadline_that_goes_away() -> None:
    timers: Timers[Thing] = Timers()
    thing = Thing(3.0)
    timers.arm(thing)
    thing.deadline = None
    assert timers.next() is None
    assert thing.armed is None
    assert fired(timers, 4.0) == []


def test_a_thing_that_is_due_again_is_armed_again() -> None:
    timers: Timers[Thing] = Timers()
    thing = Thing(1.0)
    timers.arm(thing)
    for expired in timers.expired(1.0):
        expired.deadline = 2.0
    assert timers.next() == 2.0


def test_one_entry_a_time_is_enough() -> None:
    timers: Timers[Thing] = Timers()
    thing = Thing(1.0)
    for _ in range(3):
        timers.arm(thing)
    assert fired(timers, 1.0) == [thing]
    thing.deadline = 1.0
    assert fired(timers, 1.0) == []  # not armed


def test_an_earlier_and_a_stale_entry() -> None:
    timers: Timers[Thing] = Timers()
    thing = Thing(5.0)
    timers.arm(thing)
    thing.deadline = 1.0
    timers.arm(thing)
    thing.deadline = 5.0
    assert timers.next() == 5.0
    assert fired(timers, 5.0) == [thing]


def link_that_holds() -> Link:
    names = [FeedId("f"), FeedId("g"), FeedId("h")]
    link = Link(
        SessionId(1),
        PeerId("p"),
        names,
        Memory(None, names),
        instance=None,
        proved=False,
        acks=True,
        hold=0,
    )
    link.held.update({0: 2.0, 1: 3.0})
    link.owed.update({0: 5.0})
    link.retries.update({2: 1.0})
    link.deadline = link.earliest()
    return link


def test_the_deadline_of_a_link_is_what_is_due_first_of_all_it_holds_back() -> None:
    link = link_that_holds()
    assert link.deadline == 1.0
    link.let_go(link.retries, 2)
    assert link.deadline == 2.0
    link.let_go(link.held, 1)
    link.let_go(link.held, 2)  # it is not there
    assert link.deadline == 2.0
    link.let_go(link.held, 0)
    assert link.deadline == 5.0
    link.let_go(link.owed, 0)
    assert link.deadline is None


def test_what_is_let_go_without_being_first_does_not_make_the_link_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    link = link_that_holds()

    def looked(link: Link) -> float | None:
        pytest.fail("looked")

    monkeypatch.setattr(Link, "earliest", looked)
    link.let_go(link.held, 0)
    link.let_go(link.held, 0)
    assert link.deadline == 1.0

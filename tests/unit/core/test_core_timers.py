"""The heap of deadlines."""

from __future__ import annotations

from ebt_trio.core.timers import Timers


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

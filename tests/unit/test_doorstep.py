"""How many may wait at the door."""

from __future__ import annotations

import pytest

from ebt_trio.doorstep import Doorstep, source_of


class Crowd:
    def __init__(self, capacity: int) -> None:
        self.doorstep = Doorstep(capacity)
        self.evicted: list[str] = []

    def come(self, name: str, source: str):  # type: ignore[no-untyped-def]
        return self.doorstep.enter(source, lambda: self.evicted.append(name))


def test_the_greediest_source_loses_its_oldest() -> None:
    crowd = Crowd(3)
    crowd.come("honest", "a")
    crowd.come("flood 1", "b")
    crowd.come("flood 2", "b")
    assert crowd.evicted == []
    for number in (3, 4, 5):
        crowd.come(f"flood {number}", "b")
    assert crowd.evicted == ["flood 1", "flood 2", "flood 3"]
    crowd.come("honest 2", "c")
    assert crowd.evicted[3:] == ["flood 4"]
    assert len(crowd.doorstep) == 3


def test_who_has_left_makes_room() -> None:
    crowd = Crowd(1)
    place = crowd.come("one", "a")
    place.leave()
    place.leave()
    assert len(crowd.doorstep) == 0
    crowd.come("two", "a")
    assert crowd.evicted == []
    crowd.come("three", "b")
    assert len(crowd.evicted) == 1


def test_who_was_evicted_need_not_leave_but_may() -> None:
    crowd = Crowd(1)
    place = crowd.come("one", "a")
    crowd.come("two", "a")
    place.leave()
    assert crowd.evicted == ["one"]
    assert len(crowd.doorstep) == 1


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("tcp://192.0.2.7:8008", "192.0.2.7"),
        ("192.0.2.7:1", "192.0.2.7"),
        ("shs+tcp://key@192.0.2.7:8008", "192.0.2.7"),
        ("tcp://[2001:db8:1:2:3::4]:8008", "2001:db8:1:2::/64"),
        ("tcp://[2001:db8:1:2:9::4]:9", "2001:db8:1:2::/64"),
        ("tcp://[fe80::1%eth0]:9", "fe80::/64"),
        ("tcp://[::ffff:192.0.2.7]:9", "192.0.2.7"),
        ("tcp://peer.example:9", "peer.example"),
        ("unix:///run/ebt.sock", ""),
        ("memory", ""),
        ("", ""),
    ],
)
def test_sources(address: str, source: str) -> None:
    assert source_of(address) == source

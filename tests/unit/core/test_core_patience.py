"""How long to wait for an owner."""

from __future__ import annotations

from ebt_trio.core.patience import GRAFT_DELAY_MAX, Patience
from ebt_trio.core.replicator import Config


def test_the_configured_waits_at_first() -> None:
    patience = Patience(Config(stall_timeout=5.0, graft_delay=0.2))
    assert (patience.stall_timeout(0.0), patience.graft_delay) == (5.0, 0.2)


def test_the_graft_delay_doubles_up_to_a_second() -> None:
    patience = Patience(Config())
    delays = []
    for _ in range(5):
        patience.grafted_too_early()
        delays.append(patience.graft_delay)
    assert delays == [0.2, 0.4, 0.8, GRAFT_DELAY_MAX, GRAFT_DELAY_MAX]


def test_the_graft_delay_decays_to_what_is_configured() -> None:
    patience = Patience(Config())
    patience.grafted_too_early()
    patience.owner_delivered(0.0)
    assert patience.graft_delay == 0.2 * 0.99
    for _ in range(200):
        patience.owner_delivered(0.0)
    assert patience.graft_delay == 0.1


def test_an_owner_has_twice_the_time_that_it_has_been_late() -> None:
    patience = Patience(Config())
    patience.owner_delivered(0.04)
    assert patience.graft_delay == 0.1
    patience.owner_delivered(0.09)
    assert patience.graft_delay == 0.18
    patience.owner_delivered(0.05)
    assert patience.graft_delay == 0.18 * 0.99
    patience.owner_delivered(7.0)
    assert patience.graft_delay == GRAFT_DELAY_MAX


def test_what_is_configured_is_a_floor_beyond_a_second_too() -> None:
    patience = Patience(Config(graft_delay=2.0))
    patience.grafted_too_early()
    assert patience.graft_delay == 2.0
    patience.owner_delivered(3.0)
    assert patience.graft_delay == 2.0


def test_the_stall_timeout_doubles_up_to_16_times() -> None:
    patience = Patience(Config())
    timeouts = []
    for _ in range(6):
        patience.stalled_too_early(0.0)
        timeouts.append(patience.stall_timeout(0.0))
    assert timeouts == [6, 12, 24, 48, 48, 48]


def test_the_stall_timeout_halves_every_60_seconds() -> None:
    patience = Patience(Config())
    for _ in range(3):
        patience.stalled_too_early(100.0)
    timeouts = [patience.stall_timeout(100.0 + after) for after in (0, 59, 60, 119, 120, 180, 240, 100_000)]
    assert timeouts == [24, 24, 12, 12, 6, 3, 3, 3]


def test_doubling_starts_from_what_is_left() -> None:
    patience = Patience(Config())
    for _ in range(3):
        patience.stalled_too_early(0.0)
    patience.stalled_too_early(60.0)
    assert patience.stall_timeout(60.0) == 24
    assert patience.stall_timeout(119.0) == 24
    patience.stalled_too_early(10_000.0)
    assert patience.stall_timeout(10_000.0) == 6

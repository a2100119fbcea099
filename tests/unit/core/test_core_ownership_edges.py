"""Where one comparison or one operator of ownership.py makes the difference: what mutants of it survived without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ebt_trio.core import ownership, rivals
from ebt_trio.core.feed import Class, Verdict
from ebt_trio.core.types import FeedId

if TYPE_CHECKING:
    from conftest import Bench

STALL = 3.0
GRAFT = 0.1


def owned(bench: type[Bench], *others: str, have: int = 1) -> Bench:
    """A peer that has got everything from bob; the others are in sync."""
    peer = bench()
    peer.up("bob", f"f={have},lazy", f"f:1-{have}", "end")
    for name in others:
        peer.up(name, f"f={have},lazy", "end")
    return peer


def test_the_figures_of_the_table_of_defaults() -> None:
    """As docs/scheduler.md has them; other tests take some of them from the module."""
    assert (ownership.PENALTY, ownership.PENALTY_MAX, ownership.STRIKES_MAX) == (30.0, 600.0, 5)
    assert (rivals.RIVAL_LEAD, rivals.RIVAL_APART, rivals.RIVAL_WINS, rivals.SWAP_APART) == (0.03, 0.1, 3, 5)
    assert (ownership.LOAD_CAP, ownership.BUSY, ownership.WRONG_GRAFT_WITHIN) == (256, 8, 2)


# -- the mark


def test_a_delivery_beyond_the_mark_clears_it_and_the_next_announcer_has_its_own_time(bench: type[Bench]) -> None:
    peer = owned(bench, "carol", "dave", "eve")
    peer.hear("carol", "f=2,lazy")
    peer.wait(0.05)
    peer.hear("dave", "f=9,lazy")
    peer.hear("eve", "f=5,lazy")
    peer.hear("bob", "f:2-3")
    feed = peer.feed()
    assert feed.mark_link is peer.link("dave")
    assert (feed.mark_sequence, feed.mark_time) == (9, peer.now)


def test_a_mark_far_along_the_feed_is_cleared_when_it_is_reached(bench: type[Bench]) -> None:
    peer = owned(bench, "carol", "dave", have=1000)
    peer.hear("carol", "f=1001,lazy")
    peer.wait(0.05)
    peer.hear("dave", "f=1009,lazy")
    peer.hear("bob", "f:1001")
    assert peer.feed().mark_link is peer.link("dave")


# -- a rival


def test_a_delivery_beyond_what_the_rival_announced_counts_as_well(bench: type[Bench]) -> None:
    peer = owned(bench, "carol")
    for sequence in (2, 4, 6):
        peer.wait(1)
        peer.hear("carol", f"f={sequence},lazy")
        peer.now += 0.05
        peer.hear("bob", f"f:{sequence}-{sequence + 1}")
    assert peer.owner() == "carol"


@pytest.mark.parametrize(("lead", "wins"), [(0.03, False), (0.031, True)])
def test_a_win_is_a_lead_of_more_than_30_ms(bench: type[Bench], lead: float, wins: bool) -> None:
    peer = owned(bench, "carol")
    peer.hear("carol", "f=2,lazy")
    peer.now = lead
    peer.hear("bob", "f:2")
    assert (peer.feed().rival is peer.link("carol")) is wins


@pytest.mark.parametrize(("ago", "moves"), [(5.0, True), (4.9375, False)])
def test_five_seconds_after_a_swap_the_next_may_come(bench: type[Bench], ago: float, moves: bool) -> None:
    peer = owned(bench, "carol")
    for sequence in (2, 3, 4):
        peer.wait(1)
        peer.hear("carol", f"f={sequence},lazy")
        peer.now += 0.0625
        peer.feed().swapped = peer.now - ago
        peer.hear("bob", f"f:{sequence}")
    assert (peer.owner() == "carol") is moves


# -- who is best


def test_of_two_that_are_loaded_the_less_loaded_is_asked(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g", "h", "i"])
    for name in ("bob", "carol"):
        peer.up(name, "end")
        peer.link(name).window = 1000
    peer.hear("bob", "g=256,lazy", "h=256,lazy")
    peer.hear("carol", "i=256,lazy")
    assert (peer.link("bob").load, peer.link("carol").load) == (512, 256)
    peer.up("former", "f=1,lazy", "f:1", "end")
    peer.hear("bob", "f=2,lazy")
    peer.hear("carol", "f=2,lazy")
    peer.down("former")
    assert peer.owner("f") == "carol"


@pytest.mark.parametrize("handicap", ["suspicion", "load", "an old fault"])
def test_the_first_announcer_gets_the_feed_of_an_overtaken_owner_whatever_else_speaks_for_another(
    bench: type[Bench], handicap: str
) -> None:
    peer = owned(bench, "carol", "dave")
    if handicap == "suspicion":
        peer.link("carol").suspect = True
    elif handicap == "load":
        peer.link("carol").window = 1000
        peer.follow("g")
        peer.hear("carol", "g=256,lazy")
    else:
        peer.link("carol").faults[0] = ownership.Fault(1, peer.now - 31, peer.now - 1)
    peer.hear("carol", "f=2,lazy")
    peer.hear("dave", "f=2,lazy")
    peer.wait(GRAFT)
    assert peer.feed().verdict is Verdict.GRAFT
    assert peer.owner() == "carol"


# -- a late start


@pytest.mark.parametrize("how", ["down", "decline", "overtaken"])
def test_what_a_late_start_has_brought_is_kept_when_its_owner_is_released(bench: type[Bench], how: str) -> None:
    peer = bench(follow=[])
    peer.follow("f", last=3)
    peer.up("bob", "f=10,lazy", "end")
    assert peer.out("bob") == ["f=7,eager"]
    peer.hear("bob", "f:8-10")
    peer.up("carol", "f=11,lazy", "end")
    if how == "down":
        peer.down("bob")
    elif how == "decline":
        peer.hear("bob", "f=declined")
    else:
        peer.wait(GRAFT)
    assert peer.core.accepted(FeedId("f")) == 10
    assert peer.owner() == "carol"
    assert peer.out("carol") == ["f=10,eager"]
    peer.hear("carol", "f:11")
    assert peer.appended == ["f:8-10", "f:11-11"]


# -- patience


def test_what_is_outstanding_at_the_graft_is_what_was_delivered_and_the_load_of_others(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("bob", "g=2,lazy", "g:1", "end")
    peer.hear("bob", "f=3,lazy")
    assert (peer.link("bob").delivered, peer.link("bob").load, peer.feed("f").load) == (1, 4, 3)
    assert peer.feed("f").allowance == 2


def test_eight_timeouts_of_any_length(bench: type[Bench]) -> None:
    arriving = {"at": float("-inf")}
    peer = bench(arriving=lambda session: arriving["at"], stall_timeout=2.5)
    peer.up("bob", "f=9,lazy", "end")
    while not peer.link("bob").faults and peer.now < 30:
        arriving["at"] = peer.now
        peer.wait(0.5)
    assert peer.now == 20


@pytest.mark.parametrize(("after", "doubled"), [(2.0, True), (2.1, False)])
def test_the_verdict_is_wrong_only_within_two_seconds_of_a_young_peer(
    bench: type[Bench], after: float, doubled: bool
) -> None:
    peer = owned(bench, "carol")
    peer.hear("carol", "f=2,lazy")
    peer.wait(GRAFT)
    assert peer.feed().verdict_time == GRAFT
    peer.now += after
    peer.hear("bob", "f:2")
    assert (peer.core.ownership.patience.graft_delay > GRAFT) is doubled


def test_duplicates_that_come_long_after_are_pruned_again(bench: type[Bench]) -> None:
    peer = owned(bench, "carol")
    peer.out("carol")
    peer.wait(1)
    peer.hear("carol", "f:1")
    assert peer.out("carol") == ["f=1,lazy"]
    peer.wait(STALL + 1)
    peer.hear("carol", "f:1")
    assert peer.out("carol") == ["f=1,lazy"]
    assert peer.stands() == (Class.IDLE, "bob", None)


def test_who_has_delivered_more_than_was_outstanding_at_the_graft_is_not_busy(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("bob", "g=2,lazy", "end")
    peer.hear("bob", "f=1,lazy")
    peer.wait(1)
    peer.hear("bob", "g:1", "g:1", "g:1")
    assert peer.link("bob").delivered > peer.feed("f").allowance
    peer.wait(2)
    assert peer.link("bob").statistics.stalls == 1


@pytest.mark.parametrize(("apart", "wins"), [(0.099, 1), (0.1, 2)])
def test_wins_count_from_a_tenth_of_a_second_apart(bench: type[Bench], apart: float, wins: int) -> None:
    peer = owned(bench, "carol")
    peer.hear("carol", "f=2,lazy")
    peer.feed().rival, peer.feed().rival_wins, peer.feed().rival_time = peer.link("carol"), 1, 0.0
    peer.now = apart
    peer.hear("bob", "f:2")
    assert peer.feed().rival_wins == wins


# -- who has just been grafted


def test_a_gap_before_any_progress_asks_again(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=9,lazy", "end")
    assert peer.out("bob") == ["f=0,eager"]
    peer.hear("bob", "f:4")
    assert peer.out("bob") == ["f=0,eager"]


def test_who_is_asked_because_all_are_penalised_has_all_the_time_of_its_strikes(bench: type[Bench]) -> None:
    peer = bench()
    for name in ("bob", "carol"):
        peer.up(name, "f=1,lazy", "end")
    for _ in range(2):
        left = peer.stands()[2]
        assert left == STALL
        peer.wait(left)
    assert peer.stands() == (Class.CLAIMED, "bob", 2 * STALL)


def test_who_owns_a_feed_no_longer_is_sent_what_it_wants_of_it_all_the_same(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,eager", "f:1", "end")
    peer.up("carol", "f=2,lazy", "end")
    peer.wait(GRAFT)
    assert peer.owner() == "carol"
    assert peer.out("bob", flush=True) == ["f=1,lazy"]
    peer.hear("carol", "f:2")
    assert peer.out("bob") == ["f:2-2"]


def test_who_never_delivers_may_be_given_up_any_number_of_times(bench: type[Bench]) -> None:
    """A penalty is no number that overflows after a day."""
    peer = bench()
    peer.up("liar", "f=3,lazy", "end")
    link, number = peer.link("liar"), peer.core.feeds[0].number
    for _ in range(1100):
        peer.wait(110)
    assert link.faults[number].strikes >= 1100
    assert link.faults[number].until - peer.now <= 600

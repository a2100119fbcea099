"""The table of events in docs/scheduler.md, row by row: what moves a feed, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ebt_trio.core.actions import What
from ebt_trio.core.feed import Class, Verdict
from ebt_trio.core.ownership import PENALTY_MAX

if TYPE_CHECKING:
    from conftest import Bench

STALL = 3.0
GRAFT = 0.1


def owned(bench: type[Bench], owner: str = "bob", *others: str, have: int = 1) -> Bench:
    """A peer that has got everything from ``owner``; the others are in sync."""
    peer = bench()
    peer.up(owner, f"f={have},lazy", f"f:1-{have}", "end")
    for name in others:
        peer.up(name, f"f={have},lazy", "end")
    peer.wait(10)
    for name in (owner, *others):
        peer.out(name, flush=True)
    assert peer.stands() == (Class.IDLE, owner, None)
    return peer


# -- the next message, from anyone


def test_the_owner_stays_whoever_delivers(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.hear("carol", "f:2")
    assert peer.appended[-1] == "f:2-2"
    assert peer.stands() == (Class.IDLE, "bob", None)


def test_our_own_append_moves_nothing(bench: type[Bench]) -> None:
    peer = owned(bench, "bob")
    peer.store("f", 2)
    assert peer.stands() == (Class.IDLE, "bob", None)


def test_a_delivery_wipes_off_strikes_penalty_and_suspicion(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.wait(STALL)
    assert peer.link("bob").faults
    assert peer.link("bob").suspect
    peer.hear("bob", "f:1")
    assert not peer.link("bob").faults
    assert not peer.link("bob").suspect
    assert peer.stands() == (Class.CLAIMED, "bob", STALL)


def test_a_delivery_that_serves_the_mark_clears_it(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol", "dave")
    peer.hear("carol", "f=2,lazy")
    peer.hear("dave", "f=3,lazy")
    assert peer.feed().mark_link is peer.link("carol")
    peer.hear("bob", "f:2")
    # dave is ahead still, and now the first to be so
    assert peer.feed().mark_link is peer.link("dave")


def test_a_delivery_that_does_not_serve_the_mark_keeps_it(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.hear("carol", "f=9,lazy")
    peer.wait(0.05)
    peer.hear("bob", "f:2")
    assert peer.feed().mark_time == 10.0
    assert peer.stands() == (Class.UNCLAIMED, "bob", 0.05)


# -- duplicates


def test_a_duplicate_from_the_owner_is_ignored(bench: type[Bench]) -> None:
    peer = owned(bench, "bob")
    peer.hear("bob", "f:1")
    assert peer.out("bob") == []
    assert peer.link("bob").statistics.duplicates == 1


def test_a_duplicate_from_another_is_answered_with_lazy_and_moves_nothing(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.hear("carol", "f:1")
    assert peer.owner() == "bob"
    assert peer.woken >= {"carol"}
    assert peer.out("carol") == ["f=1,lazy"]
    assert peer.link("carol").statistics.duplicates == 1
    assert peer.link("carol").statistics.prunes == 1


def test_further_duplicates_are_in_flight_already(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.hear("carol", "f:1")
    peer.out("carol")
    peer.wait(STALL - 0.1)
    peer.hear("carol", "f:1")
    assert peer.out("carol") == []
    peer.wait(0.1)
    peer.hear("carol", "f:1")
    assert peer.out("carol") == ["f=1,lazy"]


def test_what_a_former_owner_has_under_way_is_no_reason_to_prune_again(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.hear("carol", "f=2,lazy")
    peer.wait(GRAFT)
    assert peer.out("bob") == ["f=1,lazy"]
    peer.out("carol")
    peer.hear("carol", "f:2")
    peer.out("bob")
    peer.hear("bob", "f:2")
    assert peer.out("bob") == []
    assert peer.link("bob").statistics.prunes == 1


# -- gaps


def test_a_gap_from_the_owner_asks_once_from_our_head(bench: type[Bench]) -> None:
    peer = owned(bench, "bob")
    peer.hear("bob", "f=9,lazy", "f:4-5")
    assert peer.appended == ["f:1-1"]
    assert peer.out("bob") == ["f=1,eager"]
    peer.hear("bob", "f:6", "f:7")
    assert peer.out("bob") == []
    assert peer.link("bob").statistics.gaps == 3


def test_after_progress_a_gap_asks_again(bench: type[Bench]) -> None:
    peer = owned(bench, "bob")
    peer.hear("bob", "f:3")
    peer.out("bob")
    peer.hear("bob", "f:2-3", "f:5")
    assert peer.out("bob") == ["f=3,eager"]


def test_a_gap_from_another_is_ignored_but_shows_that_it_is_ahead(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.hear("carol", "f:3")
    assert peer.out("carol") == []
    assert peer.heard("carol") == 3
    assert peer.stands() == (Class.UNCLAIMED, "bob", GRAFT)


def test_a_run_that_overlaps_is_taken_from_where_it_is_new(bench: type[Bench]) -> None:
    peer = owned(bench, "bob")
    peer.hear("bob", "f:1-3")
    assert peer.appended[-1] == "f:2-3"
    assert peer.link("bob").statistics.duplicates == 1


# -- the owner leaves


@pytest.mark.parametrize("how", ["decline", "down", "block"])
def test_when_the_owner_leaves_another_is_asked_at_once(bench: type[Bench], how: str) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    peer.up("carol", "f=1,lazy", "end")
    if how == "decline":
        peer.hear("bob", "f=declined")
    elif how == "down":
        peer.down("bob")
    else:
        peer.block("bob", "f")
    assert peer.stands() == (Class.CLAIMED, "carol", STALL)
    assert peer.out("carol") == ["f=0,eager"]


def test_who_declines_is_not_told_that_it_was_pruned(bench: type[Bench]) -> None:
    peer = owned(bench, "bob")
    peer.hear("bob", "f=declined")
    assert peer.owner() is None
    assert peer.out("bob") == []
    assert peer.link("bob").statistics.prunes == 0


def test_without_other_candidates_the_feed_has_no_owner(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.down("bob")
    assert peer.stands() == (Class.IDLE, None, None)


def test_the_mark_of_a_session_that_ends_passes_on(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol", "dave")
    peer.hear("carol", "f=2,lazy")
    peer.wait(0.05)
    peer.hear("dave", "f=2,lazy")
    peer.down("carol")
    assert peer.feed().mark_link is peer.link("dave")
    peer.wait(GRAFT)
    assert peer.owner() == "dave"


# -- the deadline of an owner that claims


def test_a_stall_is_a_strike_and_the_feed_goes_to_another(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=4,lazy", "end")
    peer.up("carol", "f=1,lazy", "end")
    peer.out("bob")
    peer.wait(STALL)
    assert peer.stands() == (Class.CLAIMED, "carol", STALL)
    fault = peer.link("bob").faults[0]
    assert (fault.strikes, fault.since, fault.until) == (1, 3.0, 33.0)
    assert peer.link("bob").suspect
    assert peer.link("bob").statistics.stalls == 1
    report = next(report for report in peer.reports if report.what is What.STALLED)
    assert (report.peer, report.feed, report.detail) == ("bob", "f", "claims 4, we hold 0")
    assert peer.out("bob") == ["f=0,lazy"]
    assert peer.out("carol") == ["f=0,eager"]


def test_penalties_double_up_to_ten_minutes(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    penalties = []
    for _ in range(7):
        left = peer.stands()[2]
        assert left is not None
        peer.wait(left)
        penalties.append(peer.link("bob").faults[0].until - peer.now)
    assert penalties == [30, 60, 120, 240, 480, PENALTY_MAX, PENALTY_MAX]


def test_the_only_candidate_is_asked_again_and_kept(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    peer.out("bob")
    peer.wait(STALL)
    assert peer.stands() == (Class.CLAIMED, "bob", 2 * STALL)
    assert peer.out("bob") == ["f=0,eager"]
    assert peer.feed().verdict is None
    assert peer.link("bob").statistics.grafts == 1


def test_who_is_busy_with_what_was_asked_before_is_let_be(bench: type[Bench]) -> None:
    """f is asked for behind 60 messages of g, which take their time."""
    peer = bench(follow=["f", "g"])
    peer.up("bob", "g=60,lazy", "end")
    peer.hear("bob", "f=1,lazy")
    for first in range(1, 60, 10):
        peer.wait(2)
        peer.hear("bob", f"g:{first}-{first + 9}")
    assert peer.link("bob").statistics.stalls == 0
    assert peer.stands("f")[:2] == (Class.CLAIMED, "bob")
    peer.wait(STALL)  # nothing at all comes any more
    peer.wait(STALL)
    assert peer.link("bob").statistics.stalls == 1


def test_who_has_delivered_all_that_was_outstanding_at_the_graft_is_not_busy(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("bob", "g=2,lazy", "end")
    peer.hear("bob", "f=1,lazy")
    peer.wait(1)
    peer.hear("bob", "g:1")
    assert peer.link("bob").delivered == 1
    assert peer.feed("f").allowance == 2  # not 3: f is not outstanding before itself
    peer.hear("bob", "g:1")  # a duplicate counts
    peer.wait(2)
    assert peer.link("bob").statistics.stalls == 1


def test_nobody_is_busy_for_ever(bench: type[Bench]) -> None:
    """bob claims plenty of g, too, and lets some of it trickle: that buys f eight timeouts, no more."""
    peer = bench(follow=["f", "g"])
    peer.up("bob", "g=60,lazy", "end")
    peer.hear("bob", "f=1000,lazy")
    peer.up("carol", "f=1,lazy", "end")
    for sequence in range(1, 23):
        peer.wait(2)
        assert peer.stands("f")[1] == "bob"
        peer.hear("bob", f"g:{sequence}")
        if sequence == 11:
            peer.hear("bob", "f:1")  # progress: from here on, as at the graft
            peer.hear("carol", "f=2,lazy")
    peer.wait(STALL)
    assert peer.stands("f")[1] == "carol"


def test_busy_means_within_the_stall_timeout(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("bob", "g=60,lazy", "g:1-10", "end")
    peer.hear("bob", "f=1,lazy")
    peer.wait(STALL)  # the last payload is exactly so old
    assert peer.link("bob").statistics.stalls == 2  # of f and of g


# -- the deadline of an owner that does not claim


def test_the_first_announcer_gets_the_feed_of_an_owner_that_is_overtaken(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol", "dave")
    peer.hear("dave", "f=2,lazy")
    peer.hear("carol", "f=2,lazy")
    peer.wait(GRAFT)
    assert peer.stands() == (Class.CLAIMED, "dave", STALL)
    assert peer.feed().verdict is Verdict.GRAFT
    assert peer.out("bob") == ["f=1,lazy"]
    assert peer.out("dave") == ["f=1,eager"]
    assert peer.out("carol") == []
    assert peer.link("bob").statistics.prunes == 1
    assert peer.reported(What.PRUNED) == ["bob"]
    assert peer.reported(What.GRAFTED) == ["bob", "dave"]


def test_the_first_announcer_is_passed_over_when_it_is_full(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol", "dave")
    peer.follow("g")
    peer.hear("dave", "g=64,lazy")
    peer.hear("dave", "f=2,lazy")
    peer.hear("carol", "f=2,lazy")
    peer.wait(GRAFT)
    assert peer.owner() == "carol"


def test_the_first_announcer_is_passed_over_when_it_takes_back_what_it_said(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol", "dave")
    peer.hear("dave", "f=2,lazy")
    peer.hear("carol", "f=2,lazy")
    peer.hear("dave", "f=1,lazy")
    peer.wait(GRAFT)
    assert peer.owner() == "carol"


# -- the verdict proves wrong


def test_an_overtaken_owner_that_delivers_after_all_doubles_the_graft_delay(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.hear("carol", "f=2,lazy")
    peer.wait(GRAFT)
    peer.hear("bob", "f:2")
    assert peer.core.ownership.patience.graft_delay == 2 * GRAFT
    assert peer.feed().verdict is None
    peer.hear("bob", "f:2")
    assert peer.core.ownership.patience.graft_delay == 2 * GRAFT


@pytest.mark.parametrize(("after", "doubled"), [(2.0, True), (2.1, False)])
def test_the_verdict_is_wrong_only_within_two_seconds(bench: type[Bench], after: float, doubled: bool) -> None:
    peer = owned(bench, "bob", "carol")
    peer.hear("carol", "f=2,lazy")
    peer.wait(GRAFT)
    peer.now = peer.feed().verdict_time + after
    peer.hear("bob", "f:2")
    assert (peer.core.ownership.patience.graft_delay > GRAFT) is doubled


def test_what_the_new_owner_delivers_proves_nothing(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.hear("carol", "f=2,lazy")
    peer.wait(GRAFT)
    peer.hear("carol", "f:2")
    assert peer.feed().verdict is Verdict.GRAFT
    assert peer.core.ownership.patience.graft_delay == GRAFT


def test_a_stalled_owner_that_delivers_after_all_doubles_the_stall_timeout(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.up("carol", "f=2,lazy", "end")
    peer.wait(STALL)
    assert peer.owner() == "carol"
    peer.hear("bob", "f:1")
    assert peer.core.ownership.patience.stall_timeout(peer.now) == 2 * STALL
    assert not peer.link("bob").faults
    assert peer.stands() == (Class.CLAIMED, "carol", 2 * STALL)


def test_even_a_duplicate_proves_the_verdict_of_a_stall_wrong(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    peer.up("carol", "f=1,lazy", "end")
    peer.wait(STALL)
    peer.hear("carol", "f:1")
    peer.hear("bob", "f:1")
    assert not peer.link("bob").faults


def test_each_delivery_of_the_owner_lets_the_graft_delay_decay(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.core.ownership.patience.graft_delay = 0.8
    peer.hear("carol", "f:2")
    assert peer.core.ownership.patience.graft_delay == 0.8
    peer.hear("bob", "f:3")
    assert peer.core.ownership.patience.graft_delay == 0.8 * 0.99


def test_an_owner_that_is_late_now_and_then_is_given_the_time(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    patience = peer.core.ownership.patience
    peer.hear("carol", "f=2,lazy")
    peer.now += 0.08
    peer.hear("bob", "f:2")
    assert patience.graft_delay == pytest.approx(0.16)
    peer.hear("carol", "f=3,lazy")
    assert peer.stands() == (Class.UNCLAIMED, "bob", pytest.approx(0.16))


def test_what_another_delivers_or_nobody_announced_says_nothing_about_the_owner(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    patience = peer.core.ownership.patience
    peer.hear("carol", "f=2,lazy")
    peer.now += 0.08
    peer.hear("carol", "f:2")
    assert patience.graft_delay == GRAFT
    peer.now += 0.08
    peer.hear("bob", "f:3")
    assert patience.graft_delay == GRAFT


def test_an_owner_that_claims_is_not_late(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.hear("carol", "f=3,lazy")
    peer.hear("bob", "f=3,lazy")
    peer.now += 0.09
    peer.hear("bob", "f:2-3")
    assert peer.core.ownership.patience.graft_delay == GRAFT


def test_the_verdict_against_a_session_that_ends_is_forgotten(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    peer.hear("carol", "f=2,lazy")
    peer.wait(GRAFT)
    peer.hear("bob", "f=declined")
    assert peer.feed().verdict is None
    assert peer.feed().verdict_link is None


# -- improve


def race(peer: Bench, sequence: int, lead: float, rival: str = "carol", owner: str = "bob") -> None:
    """``rival`` announces a message, and ``lead`` seconds later ``owner`` delivers it."""
    peer.hear(rival, f"f={sequence},lazy")
    peer.now += lead
    peer.hear(owner, f"f:{sequence}")


def test_who_is_three_times_ahead_of_the_owner_gets_the_feed(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    for sequence in (2, 3, 4):
        assert peer.owner() == "bob"
        peer.wait(1)
        race(peer, sequence, 0.05)
    assert peer.stands() == (Class.IDLE, "carol", None)
    assert peer.out("bob") == ["f=4,lazy"]
    assert peer.out("carol")[0] == "f=4,eager"


@pytest.mark.parametrize("lead", [0.0, 0.029])
def test_a_lead_of_less_than_30_ms_is_none(bench: type[Bench], lead: float) -> None:
    peer = owned(bench, "bob", "carol")
    for sequence in range(2, 6):
        peer.wait(1)
        race(peer, sequence, lead)
    assert peer.owner() == "bob"


def test_wins_count_only_100_ms_apart(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    for sequence in (2, 3, 4, 5):
        race(peer, sequence, 0.04)
    assert peer.owner() == "bob"
    assert peer.feed().rival_wins == 2


def test_a_win_of_somebody_else_starts_anew(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol", "dave")
    for sequence, rival in enumerate(["carol", "carol", "dave", "carol", "carol"], start=2):
        peer.wait(1)
        race(peer, sequence, 0.05, rival)
        assert peer.owner() == "bob"


def test_a_delivery_that_nobody_announced_before_starts_anew(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    for sequence in (2, 3):
        peer.wait(1)
        race(peer, sequence, 0.05)
    peer.wait(1)
    peer.hear("bob", "f:4")
    assert peer.feed().rival is None
    peer.wait(1)
    race(peer, 5, 0.05)
    assert peer.owner() == "bob"


def test_a_delivery_below_the_mark_says_nothing(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    for sequence in (2, 3):
        peer.wait(1)
        race(peer, sequence, 0.05)
    peer.wait(1)
    peer.hear("carol", "f=5,lazy")
    peer.now += 0.05
    peer.hear("bob", "f:4")
    assert peer.feed().rival_wins == 2
    peer.hear("bob", "f:5")
    assert peer.owner() == "carol"


def test_the_owners_own_announcement_is_no_rivals(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    for sequence in (2, 3, 4):
        peer.wait(1)
        race(peer, sequence, 0.05, "bob")
    assert peer.feed().rival is None


def test_five_seconds_between_swaps(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    sequence = 1

    def races(rival: str, owner: str) -> int:
        nonlocal sequence
        for count in range(1, 20):
            sequence += 1
            peer.wait(1)
            race(peer, sequence, 0.05, rival, owner)
            if peer.owner() == rival:
                return count
        raise AssertionError("never moved")

    assert races("carol", "bob") == 3
    assert races("bob", "carol") == 5


def test_a_rival_that_has_left_gets_nothing(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    for sequence in (2, 3):
        peer.wait(1)
        race(peer, sequence, 0.05)
    assert peer.feed().rival is peer.link("carol")
    peer.down("carol")
    assert peer.feed().rival is None
    peer.wait(1)
    peer.hear("bob", "f:4")
    assert peer.owner() == "bob"


def test_a_rival_that_declines_meanwhile_gets_nothing(bench: type[Bench]) -> None:
    peer = owned(bench, "bob", "carol")
    for sequence in (2, 3):
        peer.wait(1)
        race(peer, sequence, 0.05)
    peer.hear("carol", "f=4,lazy")
    peer.hear("carol", "f=declined")
    peer.now += 0.05
    peer.hear("bob", "f:4")
    assert peer.owner() == "bob"


def test_a_penalised_rival_gets_nothing(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("carol", "f=1,lazy", "end")
    peer.up("bob", "end")
    peer.wait(STALL)
    peer.hear("bob", "f=1,lazy")  # moves, carol being penalised
    peer.hear("bob", "f:1")
    assert peer.owner() == "bob"
    for sequence in (2, 3, 4, 5):
        peer.now += 1
        race(peer, sequence, 0.05)
    assert peer.link("carol").penalised(0, peer.now)
    assert peer.owner() == "bob"


# -- adopt: a feed from its own author


def test_a_feed_is_asked_from_its_author_at_once(bench: type[Bench]) -> None:
    peer = bench(follow=["bob", "carol"])
    peer.up("bob", quiet=False)
    assert peer.out("bob") == ["bob=0,eager", "carol=0,lazy", "end"]
    assert peer.stands("bob") == (Class.IDLE, "bob", None)


def test_an_author_takes_over_from_an_idle_owner(bench: type[Bench]) -> None:
    peer = bench(follow=["bob"])
    peer.up("carol", "bob=1,lazy", "bob:1", "end")
    peer.up("bob")
    assert peer.owner("bob") == "bob"
    assert peer.out("carol")[0] == "bob=1,lazy"


def test_an_author_does_not_take_over_from_an_owner_that_is_delivering(bench: type[Bench]) -> None:
    peer = bench(follow=["bob"])
    peer.up("carol", "bob=5,lazy", "end")
    peer.up("bob", quiet=False)
    assert peer.owner("bob") == "carol"
    assert peer.out("bob") == ["bob=0,lazy", "end"]


def test_an_author_of_whose_feed_only_the_newest_are_wanted_is_asked_when_it_has_said_how_many(
    bench: type[Bench],
) -> None:
    peer = bench(follow=[])
    peer.follow("bob", last=2)
    peer.up("bob", quiet=False)
    assert peer.out("bob") == ["bob=0,lazy", "end"]
    peer.hear("bob", "bob=9,lazy")
    assert peer.out("bob") == ["bob=7,eager"]


def test_an_author_that_was_ahead_in_the_session_before_is_claimed_at_once(bench: type[Bench]) -> None:
    peer = bench(follow=["bob"])
    peer.up("bob", "bob=3,lazy", "end", store=b"theirs")
    peer.down("bob")
    peer.feed("bob").highest = 0  # as after a restart
    peer.up("again", peer="bob", store=b"theirs", quiet=False)
    assert peer.stands("bob") == (Class.CLAIMED, "again", STALL)
    assert peer.out("again") == ["bob=0,eager", "end"]
    assert peer.link("again").statistics.grafts == 1


def test_our_own_feed_is_not_adopted_from_our_own_id(bench: type[Bench]) -> None:
    peer = bench(me="me", follow=["me"])
    peer.up("other device", peer="me", quiet=False)
    assert peer.out("other device") == ["me=0,lazy", "end"]


# -- what is still on its way


def test_a_large_frame_may_take_its_time(bench: type[Bench]) -> None:
    """As long as parts of it come, and at most eight stall timeouts."""
    arriving = {"at": float("-inf")}
    peer = bench(arriving=lambda session: arriving["at"])
    peer.up("bob", "f=9,lazy", "end")
    for _ in range(23):
        arriving["at"] = peer.now
        peer.wait(1.0)
    assert peer.reported(What.STALLED) == []
    for _ in range(4):
        arriving["at"] = peer.now
        peer.wait(1.0)
    assert peer.reported(What.STALLED) == ["bob"]


def test_a_frame_of_which_nothing_comes_any_more_is_a_stall(bench: type[Bench]) -> None:
    arriving = {"at": float("-inf")}
    peer = bench(arriving=lambda session: arriving["at"])
    peer.up("bob", "f=9,lazy", "end")
    peer.wait(2.0)
    arriving["at"] = peer.now
    peer.wait(2.9)
    assert peer.reported(What.STALLED) == []
    peer.wait(0.2)
    assert peer.reported(What.STALLED) == ["bob"]

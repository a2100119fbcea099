"""Every row of the table at the top of ownership.py, one test each or more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ebt_trio.core.feed import Class

if TYPE_CHECKING:
    from conftest import Bench

STALL = 3.0
GRAFT = 0.1


def penalise(peer: Bench, label: str, feed: str = "f") -> None:
    """The session, which owns the feed and claims it, lets its deadline pass."""
    assert peer.owner(feed) == label
    left = peer.stands(feed)[2]
    assert left is not None
    peer.wait(left)
    assert peer.link(label).penalised(peer.feed(feed).number, peer.now)


# -- nobody ahead: IDLE, no deadline, no mark, the owner stays


def test_no_session_no_deadline(bench: type[Bench]) -> None:
    peer = bench()
    assert peer.stands() == (Class.IDLE, None, None)
    assert peer.core.next_deadline() is None


def test_a_peer_that_has_what_we_have_is_not_asked(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=3,lazy", "end")
    assert peer.stands() == (Class.IDLE, None, None)
    assert peer.out("bob") == []


def test_when_the_owner_has_delivered_all_it_stays_without_deadline_and_mark(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.hear("bob", "f:1-2")
    assert peer.stands() == (Class.IDLE, "bob", None)
    assert peer.feed().mark_link is None
    assert peer.link("bob").load == 0


def test_a_claim_taken_back_leaves_the_feed_idle(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.hear("bob", "f=0,lazy")
    assert peer.stands() == (Class.IDLE, "bob", None)
    assert peer.feed().highest == 0
    assert peer.core.next_deadline() is None


def test_a_feed_that_is_not_followed_is_idle_whoever_is_ahead(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", "f=2,lazy", "end")
    assert peer.stands() == (Class.IDLE, None, None)


# -- no owner, an unpenalised session ahead has room: graft best at once


def test_who_is_ahead_is_asked_at_once(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    assert peer.stands() == (Class.CLAIMED, "bob", STALL)
    assert peer.out("bob") == ["f=0,eager"]
    assert peer.link("bob").load == 2


def choose(peer: Bench, *candidates: str) -> str | None:
    """These announce f=9 while another owns the feed; then that one goes, and all are free to be asked."""
    peer.up("former", "f=9,lazy", "end")
    for name in candidates:
        peer.hear(name, "f=9,lazy")
    assert peer.owner() == "former"
    peer.down("former")
    return peer.owner()


def test_best_is_the_first_announcer(bench: type[Bench]) -> None:
    for names in (("bob", "carol"), ("carol", "bob")):
        peer = bench()
        for name in names:
            peer.up(name, "end")
        peer.up("former", "f=1,lazy", "f:1", "end")
        peer.hear("carol", "f=2,lazy")
        peer.hear("bob", "f=2,lazy")
        peer.down("former")
        assert peer.owner() == "carol"


def test_best_is_not_suspect(bench: type[Bench]) -> None:
    peer = bench()
    for name in ("bob", "carol"):
        peer.up(name, "end")
    peer.link("bob").suspect = True
    assert choose(peer, "bob", "carol") == "carol"


def test_best_has_the_lowest_load(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    for name in ("bob", "carol"):
        peer.up(name, "end")
        peer.link(name).window = 1000
    peer.hear("bob", "g=256,lazy")
    assert peer.link("bob").load == 256
    assert choose(peer, "bob", "carol") == "carol"


def test_loads_that_differ_by_less_than_256_are_alike(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    for name in ("bob", "carol"):
        peer.up(name, "end")
        peer.link(name).window = 1000
    peer.hear("bob", "g=255,lazy")
    assert choose(peer, "bob", "carol") == "bob"  # the first that comes to mind


def test_a_lower_load_counts_less_than_suspicion(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    for name in ("bob", "carol"):
        peer.up(name, "end")
        peer.link(name).window = 1000
    peer.hear("bob", "g=256,lazy")
    peer.link("carol").suspect = True
    assert choose(peer, "bob", "carol") == "bob"


def test_best_is_not_who_is_most_ahead(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("former", "f=1,lazy", "end")
    peer.up("bob", "f=2,lazy", "end")
    peer.up("carol", "f=1000,lazy", "end")
    peer.down("former")
    assert peer.owner() == "bob"


def test_equals_are_drawn_by_lot(bench: type[Bench]) -> None:
    """The mark is held by who has no room."""
    drawn = set()
    for seed in range(20):
        peer = bench(seed=seed)
        for name in ("full", "bob", "carol"):
            peer.up(name, "end")
        full(peer, "full")
        drawn.add(choose(peer, "full", "bob", "carol"))
    assert drawn == {"bob", "carol"}


def test_best_has_the_oldest_penalty(bench: type[Bench]) -> None:
    """b → c → d → b."""
    peer = bench()
    owners = []
    for name in ("bob", "carol", "dave"):
        peer.up(name, "f=1,lazy", "end")
    for _ in range(4):
        owner = peer.owner()
        assert owner is not None
        owners.append(owner)
        penalise(peer, owner)
    assert owners[3] == owners[0]
    assert len(set(owners[:3])) == 3


def test_who_was_never_penalised_comes_before_who_served_its_time(bench: type[Bench]) -> None:
    peer = bench()
    for name in ("bob", "carol"):
        peer.up(name, "end")
    peer.hear("bob", "f=1,lazy")
    penalise(peer, "bob")
    peer.hear("bob", "f=declined")
    peer.wait(60)
    peer.link("bob").suspect = False
    assert choose(peer, "bob", "carol") == "carol"


# -- no owner, all such sessions full: WAIT, queued once per session


def full(peer: Bench, *names: str) -> None:
    """Each of these owes us a window of feed ``w-<name>``."""
    for name in names:
        peer.follow(f"w-{name}")
        peer.hear(name, f"w-{name}=64,lazy")
        assert not peer.link(name).has_room


def test_full_windows_wait(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "end")
    peer.up("carol", "end")
    full(peer, "bob", "carol")
    peer.hear("bob", "f=1,lazy")
    peer.hear("carol", "f=1,lazy")
    assert peer.stands() == (Class.WAIT, None, None)
    assert [0 in peer.link(name).waiting for name in ("bob", "carol")] == [True, True]


def test_what_waits_goes_on_when_there_is_room(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "end")
    full(peer, "bob")
    peer.hear("bob", "f=1,lazy")
    peer.hear("bob", "w-bob:1")
    assert peer.stands() == (Class.CLAIMED, "bob", STALL)
    assert not peer.link("bob").waiting


def test_one_session_with_room_is_enough(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "end")
    peer.up("carol", "end")
    full(peer, "bob")
    assert choose(peer, "bob", "carol") == "carol"


@pytest.mark.parametrize("how", ["decline", "unfollow", "block", "down", "penalty", "wider window"])
def test_all_that_makes_room_wakes_who_waits(bench: type[Bench], how: str) -> None:
    peer = bench()
    peer.up("bob", "end")
    full(peer, "bob")
    peer.hear("bob", "f=1,lazy")
    assert peer.stands()[0] is Class.WAIT
    if how == "decline":
        peer.hear("bob", "w-bob=declined")
    elif how == "unfollow":
        peer.unfollow("w-bob")
    elif how == "block":
        peer.block("bob", "w-bob")
    elif how == "down":
        peer.up("carol", "f=1,lazy", "end")
        peer.down("bob")
    elif how == "penalty":
        peer.up("carol", "w-bob=64,lazy", "end")
        peer.wait(STALL)  # w-bob moves to carol
    else:
        peer.hear("bob", "w-bob:1-64")
        assert peer.link("bob").window == 128
    assert peer.stands()[0] is Class.CLAIMED


def test_waiting_with_an_owner_that_is_not_ahead_moves_when_there_is_room(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "f:1", "end")
    peer.up("carol", "end")
    full(peer, "carol")
    peer.hear("carol", "f=2,lazy")
    assert peer.stands() == (Class.UNCLAIMED, "bob", GRAFT)
    peer.wait(GRAFT)
    assert peer.stands() == (Class.WAIT, "bob", None)
    peer.hear("carol", "w-carol:1")
    assert peer.stands() == (Class.CLAIMED, "carol", STALL)


def test_waiting_ends_when_the_owner_announces_after_all(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "f:1", "end")
    peer.up("carol", "end")
    full(peer, "carol")
    peer.hear("carol", "f=2,lazy")
    peer.wait(GRAFT)
    peer.hear("bob", "f=2,lazy")
    assert peer.stands() == (Class.CLAIMED, "bob", STALL)


# -- no owner, all penalised: the oldest penalty, at once


def test_when_all_are_penalised_the_oldest_penalty_is_asked(bench: type[Bench]) -> None:
    peer = bench()
    for name in ("bob", "carol"):
        peer.up(name, "f=1,lazy", "end")
    first = peer.owner()
    assert first is not None
    penalise(peer, first)
    second = peer.owner()
    assert second not in (None, first)
    penalise(peer, second)
    assert peer.owner() == first
    assert peer.stands()[0] is Class.CLAIMED


# -- owner ahead


def test_strikes_double_the_stall_timeout_up_to_32_times(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    waits = []
    for _ in range(8):
        left = peer.stands()[2]
        assert left is not None
        waits.append(left)
        peer.wait(left)
    assert waits == [3, 6, 12, 24, 48, 96, 96, 96]


def test_an_owner_with_strikes_gets_a_graft_delay_when_an_unpenalised_other_claims(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    penalise(peer, "bob")
    peer.hear("bob", "f=0,lazy")
    peer.wait(30)
    peer.hear("bob", "f=1,lazy")  # its penalty is over, it owns the feed still
    assert peer.stands() == (Class.CLAIMED, "bob", 2 * STALL)
    peer.up("carol", "f=1,lazy", "end")
    assert peer.stands() == (Class.CLAIMED, "bob", GRAFT)
    peer.wait(GRAFT)
    assert peer.owner() == "carol"


def test_other_claims_do_not_hasten_an_owner_without_strikes(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    peer.up("carol", "f=9,lazy", "end")
    assert peer.stands() == (Class.CLAIMED, "bob", STALL)


def test_the_deadline_is_counted_from_the_last_progress(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=9,lazy", "end")
    peer.wait(2)
    peer.hear("bob", "f:1")
    assert peer.stands() == (Class.CLAIMED, "bob", STALL)


def test_evaluation_alone_does_not_put_the_deadline_off(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=9,lazy", "end")
    peer.wait(2)
    peer.hear("bob", "f=10,lazy")
    peer.up("carol", "f=10,lazy", "end")
    assert peer.stands() == (Class.CLAIMED, "bob", STALL - 2)


def test_an_owner_that_announces_anew_has_all_its_time(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "f:1", "end")
    peer.wait(50)
    peer.hear("bob", "f=2,lazy")
    assert peer.stands() == (Class.CLAIMED, "bob", STALL)


# -- owner not ahead


def test_the_owner_has_a_graft_delay_to_catch_up_with_others(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "f:1", "end")
    peer.up("carol", "end")
    peer.wait(10)
    peer.hear("carol", "f=2,lazy")
    assert peer.stands() == (Class.UNCLAIMED, "bob", GRAFT)
    peer.hear("bob", "f:2")
    assert peer.stands() == (Class.IDLE, "bob", None)


def test_an_owner_that_reaches_its_own_claim_has_not_announced_the_next(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    peer.up("carol", "f=3,lazy", "end")
    peer.hear("bob", "f:1")
    assert peer.stands() == (Class.UNCLAIMED, "bob", GRAFT)


def test_the_graft_delay_counts_from_the_later_of_mark_and_class(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.up("carol", "f=3,lazy", "end")
    peer.wait(1)
    peer.hear("bob", "f:1-2")
    assert peer.feed().mark_time == 1.0
    peer.wait(0.04)
    peer.up("dave", "f=3,lazy", "end")
    assert peer.stands() == (Class.UNCLAIMED, "bob", 0.06)


def test_only_penalised_sessions_ahead_wait_for_the_first_end_of_a_penalty(bench: type[Bench]) -> None:
    peer = bench()
    for name in ("bob", "carol"):
        peer.up(name, "f=9,lazy", "end")
    first = peer.owner()
    assert first is not None
    penalise(peer, first)
    second = peer.owner()
    assert second is not None
    penalise(peer, second)
    assert peer.owner() == first
    peer.hear(first, "f=0,lazy")  # the owner takes back what it said
    class_, owner, left = peer.stands()
    assert (class_, owner) == (Class.PENALTY, first)
    assert left == 30
    peer.wait(30)
    assert peer.stands()[0] is Class.UNCLAIMED
    peer.wait(GRAFT)
    assert peer.owner() == second


# -- owner penalised, an unpenalised other ahead: move now


def test_a_penalised_owner_gives_way_at_once(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    penalise(peer, "bob")
    assert peer.owner() == "bob"
    peer.out("bob")
    peer.up("carol", "f=1,lazy", "end")
    assert peer.owner() == "carol"
    assert peer.out("bob") == ["f=0,lazy"]
    assert peer.out("carol") == ["f=0,eager"]


def test_a_penalised_owner_is_left_when_there_is_room(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    penalise(peer, "bob")
    peer.up("carol", "end")
    full(peer, "carol")
    peer.hear("carol", "f=1,lazy")
    assert peer.stands() == (Class.WAIT, "bob", None)
    peer.hear("carol", "w-carol:1")
    assert peer.owner() == "carol"


# -- load


def test_a_feed_counts_at_most_256_towards_the_load(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=100000,lazy", "end")
    assert peer.link("bob").load == 256
    peer.hear("bob", "f:1-200")
    assert peer.link("bob").load == 256


def test_load_follows_what_is_outstanding(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("bob", "f=10,lazy", "g=5,lazy", "end")
    assert peer.link("bob").load == 15
    peer.hear("bob", "f:1-4")
    assert peer.link("bob").load == 11
    peer.hear("bob", "g=declined")
    assert peer.link("bob").load == 6


def test_a_penalised_owner_is_no_load(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=10,lazy", "end")
    penalise(peer, "bob")
    assert peer.owner() == "bob"
    assert peer.link("bob").load == 0


def test_evaluate_is_idempotent(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    peer.up("carol", "f=3,lazy", "end")
    peer.hear("bob", "f:1")
    before = peer.stands()
    for _ in range(3):
        peer.core.ownership.evaluate(peer.feed(), peer.now)
        assert peer.stands() == before

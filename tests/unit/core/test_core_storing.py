"""What our own store says; its errors are never blamed on a peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebt_trio.core import events as ev
from ebt_trio.core.actions import What
from ebt_trio.core.feed import Class
from ebt_trio.core.types import FeedHead, FeedId

if TYPE_CHECKING:
    from conftest import Bench

STALL = 3.0
INVALID = ev.AppendError.INVALID
DROPPED = ev.AppendError.DROPPED


def asked(bench: type[Bench], claims: int = 9) -> Bench:
    """A peer with a slow store that has asked bob."""
    peer = bench()
    peer.up("bob", f"f={claims},lazy", "end")
    assert peer.out("bob") == ["f=0,eager"]
    peer.slow = True
    return peer


# -- what is there


def test_loaded_is_where_we_start(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.handle(ev.Loaded([FeedHead(FeedId("f"), 3, 7), FeedHead(FeedId("g"), 1, 0)]))
    assert peer.core.clock == {"f": 7}
    assert (peer.core.first(FeedId("f")), peer.core.accepted(FeedId("f"))) == (3, 7)


def test_what_the_store_got_otherwise_is_a_delivery_by_nobody(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.up("carol", "f=0,lazy", "end")
    peer.wait(1)
    peer.store("f", 1)
    assert peer.stands() == (Class.CLAIMED, "bob", STALL)
    peer.store("f", 2)
    assert peer.stands() == (Class.IDLE, "bob", None)
    assert peer.out("carol") == ["f=2,lazy"]


def test_old_news_from_the_store(bench: type[Bench]) -> None:
    peer = bench(have={"f": 5})
    peer.up("bob", "f=5,lazy", "end")
    peer.store("f", 5)
    peer.store("f", 4)
    assert peer.core.clock == {"f": 5}
    assert peer.out("bob") == []


def test_another_process_stores_what_is_on_its_way_here_too(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1-3")
    peer.store("f", 2)
    assert (peer.core.clock, peer.core.accepted(FeedId("f"))) == ({"f": 2}, 3)
    assert peer.stands() == (Class.CLAIMED, "bob", STALL)
    peer.stored()
    assert peer.core.clock == {"f": 3}


def test_an_append_may_find_more_than_was_handed_over(bench: type[Bench]) -> None:
    peer = asked(bench, claims=3)
    peer.hear("bob", "f:1")
    peer.heads["f"] = 3  # another process
    peer.stored()
    assert (peer.core.clock, peer.core.accepted(FeedId("f"))) == ({"f": 3}, 3)
    assert peer.stands() == (Class.IDLE, "bob", None)


# -- two heads


def test_only_what_is_durable_is_announced_and_sent(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.up("carol", "f=0,lazy", "end")
    peer.up("dave", "f=0,eager", "end")
    peer.slow = True
    peer.hear("bob", "f:1-2")
    assert peer.out("carol") == peer.out("dave") == []
    assert peer.core.clock == {}
    peer.stored()
    assert peer.out("carol") == ["f=2,lazy"]
    assert peer.out("dave") == ["f:1-2"]
    assert peer.core.clock == {"f": 2}


def test_receiving_goes_by_what_was_handed_over(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1", "f:1-2", "f:3")
    assert peer.appended == ["f:1-1", "f:2-2", "f:3-3"]
    assert peer.feed().inflight == 3


# -- failed appends


def test_a_failed_append_is_not_blamed_on_the_peer_and_asked_for_again_once(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1-2")
    peer.fails()
    assert peer.core.accepted(FeedId("f")) == 0
    assert "bob" in peer.woken
    assert peer.out("bob") == ["f=0,eager"]
    peer.hear("bob", "f:1")
    peer.fails()
    assert peer.out("bob") == []
    assert peer.owner() == "bob"
    assert not peer.link("bob").faults


def test_while_the_store_fails_the_owner_is_asked_at_each_deadline_only(bench: type[Bench]) -> None:
    peer = asked(bench)
    for _ in range(3):
        peer.hear("bob", "f:1")
        peer.fails()
        peer.out("bob")
        left = peer.stands()[2]
        assert left is not None
        peer.wait(left)
        assert peer.out("bob") == ["f=0,eager"]
    assert peer.link("bob").statistics.stalls == 0
    assert not peer.link("bob").faults


def test_what_comes_behind_a_failed_append_is_a_gap_and_not_asked_for_again(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1-2", "f:3-4")
    peer.fails()
    assert peer.out("bob") == []  # what follows is on its way into the store, in vain
    peer.fails()
    assert peer.out("bob") == ["f=0,eager"]
    peer.hear("bob", "f:5-6")
    assert peer.out("bob") == []


def test_when_the_store_works_again_a_later_loss_is_asked_for_again(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1-2")
    peer.fails()
    peer.out("bob")
    peer.hear("bob", "f:1-2")
    peer.stored()
    assert peer.feed().failing == 0
    peer.hear("bob", "f:4")
    assert peer.out("bob") == ["f=2,eager"]


def test_a_delivery_is_no_progress_while_the_store_fails(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1")
    peer.fails()
    assert peer.feed().asked_again
    peer.hear("bob", "f:1")
    assert peer.feed().asked_again
    peer.stored()
    assert not peer.feed().asked_again


def test_part_of_a_failed_append_may_be_held(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1-4")
    peer.heads["f"] = 2
    peer.fails()
    assert (peer.core.clock, peer.core.accepted(FeedId("f"))) == ({"f": 2}, 2)
    assert peer.out("bob") == ["f=2,eager"]


def test_a_failed_append_of_another_session_is_left_to_the_owner(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.up("carol", "f=2,lazy", "end")
    peer.hear("carol", "f:1-2")
    peer.fails()
    assert peer.out("carol") == []
    assert peer.out("bob") == []
    assert peer.stands()[:2] == (Class.CLAIMED, "bob")


def test_a_failed_append_of_a_session_that_is_gone(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1-2")
    peer.down("bob")
    peer.up("carol", "f=2,lazy", "end")
    assert peer.stands() == (Class.IDLE, None, None)
    peer.fails()
    assert peer.stands() == (Class.CLAIMED, "carol", STALL)
    assert peer.out("carol") == ["f=0,eager"]


def test_a_failed_late_start_starts_there_again(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.follow("f", last=3)
    peer.up("bob", "f=10,lazy", "end")
    peer.out("bob")
    peer.slow = True
    peer.hear("bob", "f:8-9")
    peer.fails()
    assert (peer.core.accepted(FeedId("f")), peer.feed().floor) == (7, 7)
    assert peer.out("bob") == ["f=7,eager"]


# -- invalid messages


def test_an_invalid_message_stops_the_feed_from_that_peer_only(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.up("carol", "f=9,lazy", "end")
    peer.hear("bob", "f:1-2")
    peer.fails(INVALID)
    assert [(report.peer, report.feed, report.detail) for report in peer.reports if report.what is What.INVALID] == [
        ("bob", "f", "by hand")
    ]
    assert peer.out("bob") == ["f=declined"]
    assert peer.owner() == "carol"
    assert peer.closed == []
    peer.hear("bob", "f=9,lazy", "f:1")
    assert peer.out("bob") == []
    assert peer.feed().failing == 0


def test_an_invalid_message_of_a_session_that_is_gone(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1-2")
    peer.down("bob")
    peer.fails(INVALID)
    assert peer.reported(What.INVALID) == []
    assert peer.core.accepted(FeedId("f")) == 0


def test_a_stop_can_be_undone(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1-2")
    peer.fails(INVALID)
    peer.out("bob")
    peer.unblock("bob", "f")
    assert peer.out("bob") == ["f=0,lazy"]
    peer.hear("bob", "f=9,lazy")
    assert peer.owner() == "bob"


# -- messages that are not wanted, and those that prove a peer wrong


def test_dropped_messages_are_nobodys_fault(bench: type[Bench]) -> None:
    peer = asked(bench, claims=2)
    peer.reports.clear()
    peer.hear("bob", "f:1-2")
    peer.fails(DROPPED)
    assert (peer.core.clock, peer.core.accepted(FeedId("f")), peer.feed().inflight) == ({}, 0, 0)
    assert peer.stands() == (Class.CLAIMED, "bob", STALL)
    assert (peer.feed().failing, peer.feed().asked_again) == (0, False)
    assert not peer.link("bob").faults
    assert peer.out("bob") == []  # nobody asks for them at once
    assert peer.reports == []


def test_dropped_messages_end_where_the_store_is(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1-4")
    peer.heads["f"] = 2
    peer.fails(DROPPED)
    assert (peer.core.clock, peer.core.accepted(FeedId("f"))) == ({"f": 2}, 2)


def test_a_dropped_late_start_starts_there_again(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.follow("f", last=3)
    peer.up("bob", "f=10,lazy", "end")
    peer.out("bob")
    peer.slow = True
    peer.hear("bob", "f:8-9")
    peer.fails(DROPPED)
    assert peer.core.accepted(FeedId("f")) == 7


def test_who_is_disproved_is_asked_for_that_feed_no_more(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("bob", "f=2,lazy", "g=1,lazy", "end")
    peer.up("carol", "f=2,lazy", "end")
    peer.out("bob")
    peer.disproved("bob", "f", "message 1 is not what it was")
    assert [(report.peer, report.feed, report.detail) for report in peer.reports if report.what is What.INVALID] == [
        ("bob", "f", "message 1 is not what it was")
    ]
    assert peer.out("bob") == ["f=declined"]
    assert peer.closed == []
    assert (peer.owner("f"), peer.owner("g")) == ("carol", "bob")
    assert peer.out("carol") == ["f=0,eager"]
    peer.hear("bob", "f:1-2")
    assert peer.appended == []
    assert peer.link("bob").statistics.unwanted == 2


def test_who_is_disproved_twice_is_told_and_reported_once(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.hear("bob", "f:1-2")
    peer.disproved("bob", "f")
    assert peer.out("bob") == ["f=declined"]
    peer.disproved("bob", "f")
    peer.fails(INVALID)
    assert peer.reported(What.INVALID) == ["bob"]
    assert peer.out("bob") == []


def test_who_is_disproved_after_it_left(bench: type[Bench]) -> None:
    peer = asked(bench)
    peer.down("bob")
    peer.disproved("bob", "f")
    assert peer.reported(What.INVALID) == []
    peer.up("again", "f=9,lazy", "end", peer="bob")
    assert peer.owner() == "again"


# -- reads


def test_a_failed_read_is_tried_again_after_a_second(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=0,eager", "end")
    peer.pull("bob")
    peer.read_failed("bob", "f")
    assert peer.out("bob") == []
    peer.woken.clear()
    peer.wait(1)
    assert peer.woken == {"bob"}
    assert peer.out("bob") == ["f:1-2"]


def test_whoever_asks_again_does_not_wait_for_it(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=0,eager", "end")
    peer.pull("bob")
    peer.read_failed("bob", "f")
    peer.hear("bob", "f=1,eager")
    assert peer.out("bob") == ["f:2-2"]
    assert peer.core.next_deadline() is None


def test_a_failed_read_of_what_is_wanted_no_longer(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=0,eager", "end")
    peer.pull("bob")
    peer.hear("bob", "f=0,lazy")
    peer.read_failed("bob", "f")
    assert peer.core.next_deadline() is None
    peer.down("bob")
    peer.read_failed("bob", "f")
    assert peer.core.next_deadline() is None


def test_a_message_too_large_for_the_peer_stops_that_feed_there(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 2, "g": 1})
    peer.up("bob", "f=0,eager", "g=0,eager", "end")
    peer.pull("bob")
    peer.too_large("bob", "f", 1)
    assert peer.reported(What.TOO_LARGE) == ["bob"]
    assert peer.reports[-1].detail == "message 1 does not fit what the peer takes"
    assert peer.out("bob") == ["g:1-1"]
    peer.store("f", 3)
    assert peer.out("bob") == ["f=3,lazy"]
    peer.reports.clear()
    peer.down("bob")
    peer.too_large("bob", "f", 1)
    assert peer.reported(What.TOO_LARGE) == []


def test_a_message_that_cannot_go_to_a_peer_for_another_reason(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=0,eager", "end")
    peer.pull("bob")
    peer.too_large("bob", "f", 2, "its format is not known there")
    report = peer.reports[-1]
    assert (report.what, report.peer, report.feed) == (What.TOO_LARGE, "bob", "f")
    assert report.detail == "its format is not known there"
    assert peer.out("bob") == []


def test_a_store_that_failed_excuses_the_owner_once(bench: type[Bench]) -> None:
    """After that, who claims and does not deliver is to blame, whatever our store did before."""
    peer = asked(bench)
    peer.hear("bob", "f:1")
    peer.fails()
    peer.wait(5)
    assert not [report for report in peer.reports if report.what is What.STALLED]
    peer.wait(30)
    assert [report.peer for report in peer.reports if report.what is What.STALLED][:1] == ["bob"]


def test_a_store_that_goes_on_failing_is_tried_once_a_while(bench: type[Bench]) -> None:
    """At once after the first failure, and after that whenever the owner would have stalled."""
    peer = asked(bench)
    for expected in (["f=0,eager"], []):
        peer.hear("bob", "f:1")
        peer.fails()
        assert peer.out("bob") == expected
    for _ in range(3):
        peer.wait(5)
        assert peer.out("bob") == ["f=0,eager"]
        peer.hear("bob", "f:1")
        peer.fails()
        assert peer.out("bob") == []
    assert not [report for report in peer.reports if report.what is What.STALLED]

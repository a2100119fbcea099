"""What a note, an ACK or a START does, apart from ownership."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ebt_trio.core.actions import What
from ebt_trio.core.clock import NONE
from ebt_trio.core.feed import Class
from ebt_trio.core.link import WANTS
from ebt_trio.core.note import DECLINED

if TYPE_CHECKING:
    from conftest import Bench


# -- answering


def holding(bench: type[Bench], me: str = "me") -> Bench:
    """A note about f, the second of the session, is held back: we have two messages, bob has none."""
    peer = bench(me)
    peer.up("bob", "f=0,lazy", "end")
    peer.store("f", 1)
    peer.out("bob")
    peer.store("f", 2)
    return peer


def test_a_note_for_a_feed_we_have_said_something_about_is_not_answered(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=3,lazy")
    assert peer.out("bob") == []


@pytest.mark.parametrize("mode", ["lazy", "eager"])
def test_a_note_for_a_feed_we_have_said_nothing_about_is_answered_once(bench: type[Bench], mode: str) -> None:
    peer = bench(follow=[])
    peer.up("bob", "end")
    peer.follow("f")
    peer.up("carol", quiet=False)
    peer.link("carol").pending.clear()  # as if left out by request skipping
    peer.hear("carol", f"f=0,{mode}")
    assert peer.out("carol") == ["f=0,lazy", "end"]
    peer.hear("carol", f"f=0,{mode}")
    assert peer.out("carol") == []


def test_a_lazy_note_below_our_head_is_answered_only_with_news(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=0,lazy")
    assert peer.out("bob") == []  # 3 was told at the start
    peer.hear("bob", "f=2,lazy")
    assert peer.out("bob") == []


def test_a_lazy_note_below_what_was_told_is_answered_when_we_have_more(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=9,lazy", "end")
    peer.out("bob")
    peer.hear("bob", "f:4")
    assert peer.told("bob") == 3
    peer.hear("bob", "f=2,lazy")  # it was restored from a backup
    assert peer.out("bob") == ["ack f=4"]  # it owns the feed: an ACK, that stops nothing


def test_a_note_says_how_far_the_peer_is_also_backwards(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=3,lazy")
    assert peer.heard("bob") == 3
    peer.hear("bob", "f=1,lazy")
    assert peer.heard("bob") == 1
    assert peer.link("bob").statistics.notes_received == 2


# -- announcements


def test_a_held_note_is_not_sent_when_it_is_news_no_longer(bench: type[Bench]) -> None:
    peer = holding(bench, "zoe")
    peer.hear("bob", "f=2,lazy")
    peer.wait(0.1)
    assert peer.out("bob") == []
    peer.wait(1)
    assert peer.out("bob") == ["ack f=2"]  # that we have it, too


def test_a_held_note_is_dropped_with_the_feed(bench: type[Bench]) -> None:
    peer = holding(bench, "zoe")
    peer.hear("bob", "f=declined")
    assert peer.core.next_deadline() is None
    assert peer.out("bob") == []


def test_a_note_that_is_sent_anyway_saves_the_held_one(bench: type[Bench]) -> None:
    peer = holding(bench, "zoe")
    peer.unfollow("f")
    peer.follow("f")
    assert peer.out("bob") == ["f=2,lazy"]
    peer.wait(1)
    assert peer.out("bob") == []


def test_what_they_turn_out_to_have_is_not_announced(bench: type[Bench]) -> None:
    peer = holding(bench)
    peer.hear("bob", "ack f=2")
    peer.wait(0.5)
    assert peer.out("bob") == []


def test_who_is_pushed_to_gets_no_note(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=0,eager", "end")
    peer.store("f", 1)
    assert peer.out("bob") == ["f:1-1"]
    peer.wait(5)
    assert peer.out("bob") == []


@pytest.mark.parametrize("acks", [True, False])
def test_messages_do_not_go_back_to_where_they_came_from(bench: type[Bench], acks: bool) -> None:
    """Both sides may be eager for one feed, as a peer of the reference is from the start."""
    peer = bench()
    peer.up("bob", "f=0,eager", "end", "f:1-2", acks=acks)
    assert peer.out("bob") == []
    peer.store("f", 3)
    assert peer.out("bob") == ["f:3-3"]
    peer.hear("bob", "f=1,eager")
    assert peer.out("bob") == ["f:2-3"], "it asks, it gets"


def test_the_owner_learns_by_ack_what_came_from_elsewhere(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "f:1", "end")
    peer.out("bob", flush=True)
    peer.store("f", 2)
    assert peer.out("bob") == ["ack f=2"]
    assert peer.owner() == "bob"


def test_an_owner_that_does_not_understand_ack_gets_an_eager_note(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "f:1", "end", acks=False)
    peer.out("bob")
    peer.store("f", 2)
    assert peer.out("bob") == ["f=2,eager"]


def test_who_declined_learns_nothing(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=declined", "end")
    peer.store("f", 1)
    assert peer.out("bob") == []


# -- declined


def test_declined_is_never_answered_and_ends_what_was_told(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=0,eager")
    peer.hear("bob", "f=declined")
    assert peer.out("bob") == []
    assert (peer.told("bob"), peer.heard("bob")) == (NONE, DECLINED)
    assert not peer.link("bob").flags[0] & WANTS
    assert peer.link("bob").cursor[0] == NONE


def test_who_changes_its_mind_is_answered_again(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=declined")
    peer.hear("bob", "f=0,lazy")
    assert peer.out("bob") == ["f=3,lazy"]
    peer.hear("bob", "f=declined")
    peer.hear("bob", "f=0,eager")
    assert peer.out("bob") == ["f=3,lazy", "f:1-3"]


def test_a_feed_we_do_not_follow_is_declined_once(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", "f=3,lazy")
    assert peer.out("bob") == ["f=declined"]
    assert (peer.told("bob"), peer.heard("bob")) == (DECLINED, NONE)
    peer.hear("bob", "f=4,eager")
    assert peer.out("bob") == []
    assert peer.heard("bob") == NONE


def test_both_decline_and_both_have_said_so(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", "f=3,lazy")
    peer.out("bob")
    peer.hear("bob", "f=declined")
    assert (peer.told("bob"), peer.heard("bob")) == (DECLINED, DECLINED)


# -- should_replicate


def test_the_hook_may_want_a_feed_that_a_peer_names(bench: type[Bench]) -> None:
    asked = []

    def hook(feed: str, peer: str) -> bool:
        asked.append((feed, peer))
        return feed.startswith("good")

    peer = bench(follow=[], should_replicate=hook)
    peer.up("carol", "end")
    peer.up("bob", "good=1,lazy", "bad=1,lazy", "end")
    assert asked == [("good", "bob"), ("bad", "bob")]
    assert peer.followed == ["good"]
    assert peer.core.follows == {"good"}
    assert peer.out("bob") == ["good=0,eager", "bad=declined"]
    assert peer.out("carol") == ["good=0,lazy"]


def test_the_hook_is_not_asked_about_what_is_followed_blocked_or_declined(bench: type[Bench]) -> None:
    def hook(feed: str, peer: str) -> bool:
        raise AssertionError

    peer = bench(follow=["f"], should_replicate=hook)
    peer.block("bob", "g")
    peer.up("bob", "f=1,lazy", "g=1,lazy", "h=declined", "end")
    assert peer.out("bob") == ["f=0,eager", "g=declined"]


# -- ACK


def test_an_ack_says_how_far_the_peer_is(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=0,eager", "end")
    peer.out("bob")
    assert peer.core.progress().send == 3
    peer.hear("bob", "ack f=3")
    assert peer.core.progress().fraction == 1.0
    assert peer.link("bob").statistics.acks_received == 1
    assert peer.link("bob").flags[0] & WANTS  # it moves neither mode nor cursor
    assert peer.link("bob").cursor[0] == 3


def test_an_ack_may_announce(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=0,lazy", "end")
    peer.hear("bob", "ack f=2")
    assert peer.owner() == "bob"


def test_an_ack_for_what_is_not_shared_is_ignored(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("bob", "f=declined", "end")
    peer.unfollow("g")
    peer.hear("bob", "ack f=2", "ack g=2", "ack h=2")
    assert peer.heard("bob") == DECLINED
    assert peer.heard("bob", "g") == NONE
    assert [feed.id for feed in peer.core.feeds] == ["f", "g"]


def test_an_ack_at_our_head_is_acknowledged_where_they_do_not_know_of_us(bench: type[Bench]) -> None:
    peer = holding(bench)
    peer.hear("bob", "ack f=2")
    assert peer.out("bob", flush=True) == ["ack f=2"]


def test_acks_that_are_due_within_a_tenth_of_a_second_leave_together(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g", "h"])
    peer.up("bob", "f=2,lazy", "g=2,lazy", "h=2,lazy", "end")
    peer.out("bob")
    for feed, after in (("f", 0.0), ("g", 0.09), ("h", 0.02)):
        peer.wait(after)
        peer.hear("bob", f"{feed}:1-2")
    peer.wait(0.85)
    assert peer.out("bob") == []
    peer.wait(0.05)  # f is due
    assert peer.out("bob") == ["ack f=2", "ack g=2"]
    peer.wait(0.08)
    assert peer.out("bob") == []
    peer.wait(0.04)
    assert peer.out("bob") == ["ack h=2"]


# -- START and late starts


def test_a_follower_that_wants_all_looks_elsewhere(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=9,lazy", "end")
    peer.hear("bob", "start f=5")
    assert peer.stands() == (Class.IDLE, None, None)
    assert peer.reported(What.LATE) == ["bob"]
    assert peer.out("bob") == ["f=0,lazy"]
    peer.up("carol", "f=4,lazy", "end")
    assert peer.owner() == "carol"
    peer.hear("carol", "f:1-4")
    assert peer.stands()[:2] == (Class.UNCLAIMED, "carol")  # now bob can serve what comes next
    peer.wait(0.1)
    assert peer.owner() == "bob"


def test_a_start_below_what_we_need_next_is_nothing(bench: type[Bench]) -> None:
    peer = bench(have={"f": 4})
    peer.up("bob", "f=9,lazy", "end")
    peer.hear("bob", "start f=5")
    assert peer.owner() == "bob"
    assert peer.reported(What.LATE) == []


def test_a_start_for_what_is_not_followed_is_nothing(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=9,lazy", "end")
    peer.unfollow("f")
    peer.hear("bob", "start f=5", "start g=5")
    assert not peer.link("bob").firsts


def test_a_late_start_asks_for_the_newest(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.follow("f", last=3)
    peer.up("bob", "f=10,lazy", "end")
    assert peer.out("bob") == ["f=7,eager"]
    peer.hear("bob", "f:8-10")
    assert peer.appended == ["f:8-10"]
    assert peer.core.first("f") == 8  # type: ignore[arg-type]
    assert peer.core.clock == {"f": 10}
    peer.hear("bob", "f:11")
    assert peer.appended == ["f:8-10", "f:11-11"]


def test_only_the_first_run_is_late(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.follow("f", last=3)
    peer.up("bob", "f=10,lazy", "end")
    peer.out("bob")
    peer.slow = True
    peer.hear("bob", "f:8", "f:9")
    assert [run.late for _, run in peer.appends] == [True, False]


def test_a_late_start_with_less_than_so_many_begins_at_the_beginning(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.follow("f", last=30)
    peer.up("bob", "f=10,lazy", "end")
    assert peer.out("bob") == ["f=0,eager"]
    peer.hear("bob", "f:1-10")
    assert peer.core.first("f") == 1  # type: ignore[arg-type]


def test_a_late_start_where_something_is_stored_continues_there(bench: type[Bench]) -> None:
    peer = bench(follow=[], have={"f": 2})
    peer.follow("f", last=3)
    peer.up("bob", "f=10,lazy", "end")
    assert peer.out("bob") == ["f=2,eager"]


def test_a_late_start_accepts_a_later_one(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.follow("f", last=8)
    peer.up("bob", "f=10,lazy", "end")
    assert peer.out("bob") == ["f=2,eager"]
    peer.hear("bob", "start f=5")
    assert peer.out("bob") == ["f=4,eager"]
    peer.hear("bob", "f:5-10")
    assert peer.core.first("f") == 5  # type: ignore[arg-type]


def late(bench: type[Bench]) -> Bench:
    """Only the newest 8 messages of f are wanted; bob is asked, and carol has them, too."""
    peer = bench(follow=[])
    peer.follow("f", last=8)
    peer.up("bob", "f=10,lazy", "end")
    peer.up("carol", "f=10,lazy", "end")
    return peer


def test_the_start_of_another_than_the_owner_does_not_move_a_late_start(bench: type[Bench]) -> None:
    peer = late(bench)
    peer.hear("carol", "start f=5")
    assert peer.feed().floor == 2
    assert peer.reported(What.LATE) == ["carol"]


def test_a_start_beyond_what_the_owner_claims_does_not_keep_the_feed_from_others(bench: type[Bench]) -> None:
    peer = late(bench)
    peer.hear("bob", "start f=1000000")
    assert peer.stands() == (Class.CLAIMED, "bob", 3.0)
    peer.hear("bob", "start f=1000000")
    peer.out("bob")
    peer.hear("bob", "start f=1000000")
    assert peer.out("bob") == []
    peer.wait(3.0)
    assert peer.owner() == "carol"
    assert peer.out("carol") == ["f=2,eager"]


def test_an_owner_that_leaves_before_a_late_start_leaves_nothing(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.follow("f", last=3)
    peer.up("bob", "f=10,lazy", "end")
    peer.down("bob")
    assert (peer.feed().floor, peer.feed().accepted) == (0, 0)
    peer.up("carol", "f=6,lazy", "end")
    assert peer.out("carol") == ["f=3,eager"]


# -- messages


def test_messages_of_what_is_not_followed_are_dropped_and_counted(bench: type[Bench]) -> None:
    peer = bench()
    peer.block("bob", "f")
    peer.up("bob", "end")
    peer.hear("bob", "f:1-2", "g:1-3")
    assert peer.appended == []
    assert peer.link("bob").statistics.unwanted == 5
    assert peer.link("bob").statistics.messages_received == 5


def test_messages_show_how_far_the_peer_is(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    peer.hear("bob", "f:1-3")
    assert peer.heard("bob") == 3
    peer.hear("bob", "f:2")
    assert peer.heard("bob") == 3


def test_messages_from_who_declined_are_taken_but_say_nothing(bench: type[Bench]) -> None:
    """They were on their way."""
    peer = bench()
    peer.up("bob", "f=declined", "end")
    peer.hear("bob", "f:1")
    assert peer.heard("bob") == DECLINED
    assert peer.core.clock == {"f": 1}


@pytest.mark.parametrize("what", ["f=1,lazy", "ack f=1", "start f=5", "f:1", "end"])
def test_what_comes_on_a_session_that_is_gone_is_nothing(bench: type[Bench], what: str) -> None:
    peer = bench()
    peer.up("bob", "end")
    peer.down("bob")
    peer.reports.clear()
    peer.hear("bob", what)
    assert peer.appended == []
    assert peer.reports == []


# -- the window


def test_a_window_that_drains_fast_doubles(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=10000,lazy", "end")
    peer.wait(0.24)
    peer.hear("bob", "f:1-63")
    assert peer.link("bob").window == 64
    peer.hear("bob", "f:64")
    assert peer.link("bob").window == 128


def test_a_window_that_drains_slowly_halves_down_to_32(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=10000,lazy", "end")
    first = 1
    windows = []
    for count in (64, 32, 32):
        peer.wait(1.01)
        peer.hear("bob", f"f:{first}-{first + count - 1}")
        first += count
        windows.append(peer.link("bob").window)
    assert windows == [32, 32, 32]


def test_a_window_that_drains_in_between_stays(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=10000,lazy", "end")
    for now, first in ((0.25, 1), (1.25, 65)):
        peer.now = now
        peer.hear("bob", f"f:{first}-{first + 63}")
        assert peer.link("bob").window == 64


def test_a_window_has_an_end(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1000000,lazy", "end")
    first = 1
    for _ in range(12):
        count = peer.link("bob").window
        peer.hear("bob", f"f:{first}-{first + count - 1}")
        first += count
    # one feed counts 256 at most: a window is full, and measured, only with several
    assert peer.link("bob").window == 16_384


def test_a_window_that_is_not_full_is_not_measured(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=63,lazy", "end")
    peer.hear("bob", "f:1-63")
    assert peer.link("bob").window_since is None
    assert peer.link("bob").window == 64


def test_the_measure_ends_when_nothing_is_asked_for(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=64,lazy", "end")
    assert peer.link("bob").window_since == 0.0
    peer.hear("bob", "f=declined")
    assert peer.link("bob").window_since is None


# -- feeds without end


def test_a_feed_too_many_is_declined_and_not_remembered(bench: type[Bench]) -> None:
    peer = bench(follow=[], strangers=1)
    peer.up("bob", "a=1,lazy", "b=1,lazy", "c=declined", "b=2,lazy", "end")
    assert "bob" in peer.woken
    assert peer.out("bob") == ["a=declined", "b=declined"]
    assert [feed.id for feed in peer.core.feeds] == ["a"]
    peer.hear("bob", "b=3,lazy")
    assert peer.out("bob") == ["b=declined"]


def test_a_feed_too_many_may_be_wanted(bench: type[Bench]) -> None:
    peer = bench(follow=[], strangers=0, should_replicate=lambda feed, peer: feed == "good")
    peer.up("bob", "good=1,lazy", "bad=1,lazy", "end")
    assert peer.followed == ["good"]
    assert peer.out("bob") == ["good=0,eager", "bad=declined"]


def test_declines_of_feeds_too_many_are_bounded_and_come_in_frames(bench: type[Bench]) -> None:
    peer = bench(follow=[], strangers=0, notes_per_frame=2)
    peer.up("bob", "end")
    peer.out("bob")
    peer.hear("bob", "a=1,lazy", "b=1,lazy", "c=1,lazy")
    assert len(peer.out("bob")) == 2
    assert peer.out("bob") == []  # the third asks again some day


def test_a_feed_too_many_that_is_followed_before_the_minus_one_has_left(bench: type[Bench]) -> None:
    peer = bench(follow=[], strangers=0)
    peer.up("bob", "f=3,lazy", "end")
    peer.follow("f")
    assert peer.out("bob") == ["f=0,eager"]


def test_a_feed_too_many_that_is_blocked_before_the_minus_one_has_left(bench: type[Bench]) -> None:
    peer = bench(follow=[], strangers=0)
    peer.up("bob", "f=3,lazy", "end")
    peer.block("bob", "f")
    assert peer.out("bob") == ["f=declined"]

"""Follows and blocks work in running sessions, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebt_trio.core import events as ev
from ebt_trio.core.actions import What
from ebt_trio.core.clock import NONE
from ebt_trio.core.feed import Class
from ebt_trio.core.note import DECLINED
from ebt_trio.core.types import FeedId

if TYPE_CHECKING:
    from conftest import Bench


def forget(peer: Bench, feed: str) -> None:
    peer.heads.pop(feed, None)
    peer.handle(ev.Forgotten(FeedId(feed)))


# -- follow


def declined_before(bench: type[Bench]) -> Bench:
    """Bob was told in an earlier session that f is not replicated, and is back."""
    peer = bench(have={"f": 2})
    peer.up("bob", "f=2,lazy", "end", store=b"bobs")
    peer.unfollow("f")
    assert peer.out("bob") == ["f=declined"]
    peer.down("bob")
    peer.up("again", peer="bob", store=b"bobs", quiet=False)
    return peer


def test_following_is_told_to_every_session_also_to_those_that_declined(bench: type[Bench]) -> None:
    peer = bench(follow=[], have={"f": 2})
    peer.up("bob", "end")
    peer.up("carol", "f=declined", "end")
    peer.follow("f")
    assert peer.out("bob") == ["f=2,lazy"]
    assert peer.out("carol") == ["f=2,lazy"]


def test_following_again_says_nothing(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "end")
    peer.follow("f", last=3)
    assert peer.out("bob") == []
    assert peer.feed().last == 3


def test_who_declined_does_not_remember_what_it_is_told(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", "f=declined", "end")
    peer.follow("f")
    peer.out("bob")
    assert (peer.told("bob"), peer.heard("bob")) == (NONE, DECLINED)


def test_a_claim_heard_before_the_minus_one_has_left_counts(bench: type[Bench]) -> None:
    """They have not been told yet that we decline: they will not say it again."""
    peer = bench(follow=[])
    peer.up("bob", "f=3,lazy", "end")
    peer.follow("f")
    assert peer.owner() == "bob"
    assert peer.out("bob") == ["f=0,eager"]


def test_following_what_was_declined_waits_for_their_answer(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", "f=3,lazy", "end")
    assert peer.out("bob") == ["f=declined"]
    peer.follow("f")
    assert peer.out("bob") == ["f=0,lazy"]
    assert peer.stands() == (Class.IDLE, None, None)
    peer.hear("bob", "f=3,lazy")
    assert peer.owner() == "bob"


def test_a_followed_author_is_asked_at_once(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", "end")
    peer.follow("bob")
    assert peer.out("bob") == ["bob=0,eager"]


# -- unfollow


def test_unfollowing_declines_wherever_something_was_said(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=2,lazy", "end")
    peer.up("carol", "end")
    peer.up("dave", "f=declined", "end")
    peer.unfollow("f")
    assert peer.out("bob") == ["f=declined"]
    assert peer.out("carol") == ["f=declined"]
    assert peer.out("dave") == []
    assert (peer.told("bob"), peer.heard("bob")) == (DECLINED, NONE)


def test_a_note_that_takes_back_our_decline_is_said_though_theirs_comes(bench: type[Bench]) -> None:
    """Both have declined, and both take it back: somebody has to say so."""
    peer = bench(have={"f": 2})
    peer.up("bob", "f=2,lazy", "end")
    peer.unfollow("f")
    assert peer.out("bob") == ["f=declined"]
    peer.follow("f")
    peer.hear("bob", "f=declined")
    assert peer.out("bob") == ["f=2,lazy"]
    peer.hear("bob", "f=3,lazy")
    assert peer.owner() == "bob"


def test_a_decline_drops_a_note_that_takes_nothing_back(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=2,lazy", "end")
    peer.hear("bob", "f=1,lazy")
    peer.unfollow("f")
    peer.follow("f")
    peer.hear("bob", "f=declined")
    assert peer.out("bob") == []


def test_unfollowing_takes_back_a_note_to_who_had_declined(bench: type[Bench]) -> None:
    """It may have changed its mind before the note came."""
    peer = bench(follow=[], have={"f": 2})
    peer.up("bob", "end")
    peer.hear("bob", "f=declined")
    peer.follow("f")
    assert peer.out("bob") == ["f=2,lazy"]
    peer.unfollow("f")
    assert peer.out("bob") == ["f=declined"]
    peer.follow("f")
    peer.unfollow("f")
    assert peer.out("bob") == []


def test_unblocking_before_the_decline_has_left_forgets_nothing(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=0,eager", "end")
    assert peer.out("bob") == ["f:1-2"]
    peer.block("bob", "f")
    peer.hear("bob", "ack f=2")
    peer.unblock("bob", "f")
    assert peer.heard("bob") == 2


def test_a_decline_of_an_earlier_session_is_said_again_unless_it_is_remembered(bench: type[Bench]) -> None:
    peer = declined_before(bench)
    peer.block("bob", "f")
    peer.unblock("bob", "f")
    assert "f=declined" in peer.out("again")


def test_who_declines_by_itself_hears_a_decline_of_an_earlier_session_again(bench: type[Bench]) -> None:
    """It may have been lost, or not: once it is said, both know that they remember the same."""
    peer = declined_before(bench)
    peer.hear("again", "f=declined")
    assert "f=declined" in peer.out("again")
    assert peer.told("again") == DECLINED
    peer.hear("again", "f=3,lazy")
    assert peer.out("again") == []


def test_unfollowing_what_is_not_followed_says_nothing(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", "end")
    peer.unfollow("f")
    assert peer.out("bob") == []


def test_unfollowing_drops_owner_cursor_and_all_that_was_to_be_said(bench: type[Bench]) -> None:
    peer = bench("zoe", have={"f": 2})
    peer.up("bob", "f=0,eager", "end")
    peer.up("carol", "f=9,lazy", "end")
    peer.unfollow("f")
    assert peer.stands() == (Class.IDLE, None, None)
    assert peer.out("bob") == ["f=declined"]
    assert peer.out("carol") == ["f=declined"]
    peer.wait(10)
    assert peer.out("bob", flush=True) == peer.out("carol", flush=True) == []


def test_unfollow_and_follow_before_anything_was_sent_is_no_change(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=1,lazy", "end")
    peer.unfollow("f")
    peer.follow("f")
    assert peer.out("bob") == ["f=2,lazy"]


def test_messages_that_come_after_unfollowing_are_not_appended(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.unfollow("f")
    peer.hear("bob", "f:1")
    assert peer.appended == []


def test_an_append_that_is_done_after_unfollowing_is_not_announced(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.slow = True
    peer.hear("bob", "f:1")
    peer.unfollow("f")
    peer.out("bob")
    peer.stored()
    assert peer.core.clock == {"f": 1}
    assert peer.out("bob", flush=True) == []


# -- forget


def test_forgetting_starts_from_nothing(bench: type[Bench]) -> None:
    peer = bench(have={"f": 4})
    peer.up("bob", "f=4,lazy", "end")
    forget(peer, "f")
    assert peer.core.clock == {}
    assert peer.out("bob") == ["f=declined"]
    peer.follow("f")
    assert peer.out("bob") == ["f=0,lazy"]
    peer.hear("bob", "f=4,lazy")
    assert peer.out("bob") == ["f=0,eager"]


def test_forgetting_a_late_start(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.follow("f", last=2)
    peer.up("bob", "f=9,lazy", "f:8-9", "end")
    assert peer.core.first(FeedId("f")) == 8
    forget(peer, "f")
    assert (peer.core.first(FeedId("f")), peer.core.accepted(FeedId("f"))) == (1, 0)


def test_forgetting_what_was_never_heard_of(bench: type[Bench]) -> None:
    peer = bench()
    forget(peer, "g")
    assert peer.core.clock == {}


# -- block


def test_a_blocked_peer_is_sent_away_and_kept_away(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "end")
    peer.block("bob")
    assert peer.closed == [("bob", 5)]
    assert peer.reported(What.BLOCKED) == ["bob"]
    assert peer.core.blocks == {("bob", None)}
    peer.block("bob")
    assert peer.closed == [("bob", 5)]
    peer.down("bob")
    peer.reports.clear()
    peer.up("again", peer="bob")
    assert peer.closed[1:] == [("again", 5)]
    assert peer.reports == []
    assert peer.out("again") == []
    peer.down("again")
    assert peer.reports == []


def test_a_block_of_a_peer_is_nobody_elses(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=0,eager", "end")
    peer.up("carol", "f=0,eager", "end")
    peer.block("bob")
    assert [label for label, _ in peer.closed] == ["bob"]
    assert peer.reported(What.BLOCKED) == ["bob"]
    assert peer.out("carol") == ["f:1-2"]


def test_an_unblocked_peer_may_come(bench: type[Bench]) -> None:
    peer = bench()
    peer.block("bob")
    peer.unblock("bob")
    peer.up("bob", quiet=False)
    assert peer.out("bob") == ["f=0,lazy", "end"]


def test_a_feed_blocked_for_a_peer_is_declined_and_not_sent(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 2})
    peer.up("bob", "f=0,eager", "end")
    peer.up("carol", "f=0,eager", "end")
    peer.block("bob", "f")
    assert peer.out("bob") == ["f=declined"]
    assert peer.out("carol") == ["f:1-2"]
    assert peer.reported(What.BLOCKED) == ["bob"]
    peer.hear("bob", "f=0,eager")
    assert peer.out("bob") == []
    assert peer.closed == []


def test_a_block_of_before_holds_for_a_new_session(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.block("bob", "f")
    peer.up("bob", quiet=False)
    peer.hear("bob", "f=0,eager")
    assert peer.out("bob") == ["f=declined", "end"]


def test_a_block_is_for_one_peer_only(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.block("bob", "f")
    peer.up("carol", "f=0,eager", "end")
    assert peer.out("carol") == ["f:1-2"]


def test_following_a_blocked_feed_says_nothing_to_that_peer(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.block("bob", "f")
    peer.up("bob", "end")
    peer.up("carol", "end")
    peer.follow("f")
    assert peer.out("bob") == []
    assert peer.out("carol") == ["f=0,lazy"]


def test_unblocking_a_feed_is_a_fresh_note(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=0,lazy", "end")
    peer.up("carol", "end")
    peer.block("bob", "f")
    peer.out("bob")
    peer.unblock("bob", "f")
    assert peer.core.blocks == set()
    assert peer.out("bob") == ["f=2,lazy"]
    assert peer.out("carol") == []


def test_unblocking_a_feed_that_is_not_followed_says_nothing(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", "end")
    peer.block("bob", "f")
    peer.unblock("bob", "f")
    peer.unblock("carol", "f")
    assert peer.out("bob") == []


def test_unblocking_what_is_not_blocked_says_nothing(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=0,lazy", "end")
    peer.unblock("bob", "f")
    assert peer.out("bob") == []


def test_a_blocked_author_is_not_asked_for_its_feed(bench: type[Bench]) -> None:
    peer = bench(follow=["bob"])
    peer.block("bob", "bob")
    peer.up("bob", quiet=False)
    assert peer.out("bob") == ["end"]
    assert peer.owner("bob") is None


def test_who_has_only_the_newest_is_asked_when_these_are_wanted(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("alice", "start f=5", "f=10,lazy", "end")
    assert peer.owner() is None
    peer.follow("f", last=3)
    assert peer.owner() == "alice"


def test_who_is_found_to_be_ahead_while_others_are_told_is_asked(bench: type[Bench]) -> None:
    """The claim of bob counts while alice is told; that he is told, too, must not take the request back."""
    peer = bench()
    peer.up("alice", "f=0,lazy", "end")
    peer.up("bob", "f=10,lazy", "end")
    assert peer.out("bob") == ["f=0,eager"]
    peer.unfollow("f")
    peer.follow("f")
    assert peer.owner() == "bob"
    assert peer.out("bob") == ["f=0,eager"]
    assert peer.out("alice") == ["f=0,lazy"]


def test_unblocked_in_several_sessions(bench: type[Bench]) -> None:
    """Likewise, where a claim counts again in two sessions at once."""
    peer = bench()
    peer.up("one", "f=0,lazy", "end", peer="bob")
    peer.up("two", "f=10,lazy", "end", peer="bob")
    peer.out("two")
    peer.block("bob", "f")
    peer.unblock("bob", "f")
    assert peer.owner() == "two"
    assert peer.out("two") == ["f=0,eager"]

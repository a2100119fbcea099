"""What a session may send, pulled; and which of it is sent in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ebt_trio.core import outgoing as module
from ebt_trio.core.actions import Outgoing
from ebt_trio.core.types import Range

if TYPE_CHECKING:
    from conftest import Bench


def test_nothing_to_say_is_false() -> None:
    assert not Outgoing()
    for something in (
        Outgoing(starts={"f": 1}),  # type: ignore[dict-item]
        Outgoing(notes={"f": 1}),  # type: ignore[dict-item]
        Outgoing(final=True),
        Outgoing(acks={"f": 1}),  # type: ignore[dict-item]
        Outgoing(ranges=[Range("f", 1, 1)]),  # type: ignore[arg-type]
    ):
        assert something


def test_initial_notes_are_closed_once(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("bob", quiet=False)
    assert "bob" in peer.woken
    assert peer.out("bob") == ["f=0,lazy", "g=0,lazy", "end"]
    assert peer.out("bob") == []
    assert peer.link("bob").statistics.notes_sent == 2


def test_notes_come_in_frames_and_the_last_one_is_not_full(bench: type[Bench]) -> None:
    peer = bench(follow=["a", "b", "c", "d"], notes_per_frame=2)
    peer.up("bob", quiet=False)
    assert peer.out("bob") == ["a=0,lazy", "b=0,lazy"]
    assert peer.out("bob") == ["c=0,lazy", "d=0,lazy"]
    assert peer.out("bob") == ["end"]


def test_a_frame_that_is_not_full_closes(bench: type[Bench]) -> None:
    peer = bench(follow=["a", "b", "c"], notes_per_frame=2)
    peer.up("bob", quiet=False)
    assert peer.out("bob") == ["a=0,lazy", "b=0,lazy"]
    assert peer.out("bob") == ["c=0,lazy", "end"]


def test_an_eager_note_waits_for_appends_in_flight(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=9,lazy", "end")
    assert peer.out("bob") == ["f=0,eager"]
    peer.slow = True
    peer.hear("bob", "f:1-2", "f:4")
    assert peer.out("bob") == []
    peer.woken.clear()
    peer.stored()
    assert peer.woken == {"bob"}
    assert peer.out("bob") == ["f=2,eager"]


def test_an_eager_note_that_waits_does_not_stop_the_others(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("bob", "f=9,lazy", "end")
    peer.out("bob")
    peer.slow = True
    peer.hear("bob", "f:1-2", "f:4", "g=1,lazy")
    assert peer.out("bob") == ["g=0,eager"]


def test_starts_notes_and_acks_in_one_pull(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g", "h"], have={"f": 9, "g": 2})
    peer.up("bob", "f=0,eager", "g=2,lazy", "h=0,lazy", "end")
    peer.feed("f").first = 5
    peer.hear("bob", "g:3", "h=4,lazy")
    assert peer.out("bob", flush=True) == ["start f=5", "h=0,eager", "ack g=3"]


# -- messages


def test_what_is_wanted_is_sent_from_the_cursor_on(bench: type[Bench]) -> None:
    peer = bench(have={"f": 5})
    peer.up("bob", "f=2,eager", "end")
    assert peer.out("bob") == ["f:3-5"]
    assert peer.out("bob") == []
    assert peer.told("bob") == 5
    assert peer.link("bob").statistics.messages_sent == 3


def test_an_eager_note_moves_the_cursor_also_backwards(bench: type[Bench]) -> None:
    peer = bench(have={"f": 5})
    peer.up("bob", "f=2,eager", "end")
    peer.out("bob")
    peer.hear("bob", "f=1,eager")
    assert peer.out("bob") == ["f:2-5"]


def test_a_lazy_note_stops_it(bench: type[Bench]) -> None:
    peer = bench(have={"f": 5})
    peer.up("bob", "f=2,eager", "end")
    peer.hear("bob", "f=2,lazy")
    assert peer.out("bob") == []


def test_a_peer_that_wants_more_gets_what_we_append(bench: type[Bench]) -> None:
    peer = bench(have={"f": 1})
    peer.up("bob", "f=1,eager", "end")
    assert peer.out("bob") == []
    peer.store("f", 3)
    assert "bob" in peer.woken
    assert peer.out("bob") == ["f:2-3"]


def test_a_turn_is_512_messages_of_a_feed_then_the_next(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 1000, "g": 600})
    peer.up("bob", "f=0,eager", "g=0,eager", "end")
    assert peer.out("bob") == ["f:1-512", "g:1-512"]
    assert peer.out("bob") == ["f:513-1000", "g:513-600"]


def test_feeds_take_turns_when_less_is_sent_than_there_is(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 9, "g": 9})
    peer.up("bob", "f=0,eager", "g=0,eager", "end")
    turns = []
    for _ in range(4):
        feed, first, _ = peer.pull("bob").ranges[0]
        assert peer.commit("bob", feed, first, 1)
        turns.append(f"{feed}:{first}")
    assert turns == ["f:1", "g:1", "f:2", "g:2"]


def test_a_pull_names_so_many_messages(bench: type[Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_MESSAGES", 10)
    feeds = ["a", "b", "c"]
    peer = bench(follow=feeds, have=dict.fromkeys(feeds, 5))
    peer.up("bob", "a=0,eager", "b=0,eager", "c=0,eager", "end")
    assert peer.out("bob") == ["a:1-5", "b:1-5"]
    assert peer.out("bob") == ["c:1-5"]


def test_a_pull_names_so_many_feeds(bench: type[Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN_FEEDS", 2)
    feeds = ["a", "b", "c"]
    peer = bench(follow=feeds, have=dict.fromkeys(feeds, 1))
    peer.up("bob", "a=0,eager", "b=0,eager", "c=0,eager", "end")
    assert peer.out("bob") == ["a:1-1", "b:1-1"]
    assert peer.out("bob") == ["c:1-1"]


def test_ranges_say_nothing_of_what_was_sent_until_committed(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=0,eager", "end")
    for _ in range(2):
        assert peer.pull("bob").ranges == [Range("f", 1, 3)]  # type: ignore[arg-type]
    assert peer.told("bob") == 3  # by note
    assert peer.link("bob").cursor[0] == 0


# -- commit


def test_commit_only_what_comes_next(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=0,eager", "end")
    peer.pull("bob")
    assert not peer.commit("bob", "f", 2, 1)
    assert not peer.commit("bob", "f", 1, 0)
    assert not peer.commit("bob", "unheard of", 1, 1)
    assert peer.commit("bob", "f", 1, 2)
    assert not peer.commit("bob", "f", 1, 2)
    assert peer.commit("bob", "f", 3, 1)


@pytest.mark.parametrize("how", ["rewound", "stopped", "declined", "blocked", "unfollowed", "down"])
def test_what_changes_during_a_read_undoes_it(bench: type[Bench], how: str) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=1,eager", "end")
    peer.pull("bob")
    if how == "rewound":
        peer.hear("bob", "f=0,eager")
    elif how == "stopped":
        peer.hear("bob", "f=1,lazy")
    elif how == "declined":
        peer.hear("bob", "f=declined")
    elif how == "blocked":
        peer.block("bob", "f")
    elif how == "unfollowed":
        peer.unfollow("f")
    else:
        peer.down("bob")
    assert not peer.commit("bob", "f", 2, 2)


def test_what_is_sent_is_told(bench: type[Bench]) -> None:
    peer = bench(have={"f": 1})
    peer.up("bob", "f=1,eager", "end")
    peer.store("f", 3)
    assert peer.told("bob") == 1
    peer.out("bob")
    assert peer.told("bob") == 3


def test_what_is_sent_below_what_was_told_is_not(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=0,eager", "end")
    peer.pull("bob")
    peer.commit("bob", "f", 1, 1)
    assert peer.told("bob") == 3


# -- START


def test_what_we_do_not_keep_is_answered_with_a_start_once(bench: type[Bench]) -> None:
    peer = bench()
    peer.store("f", 9, first=5)
    peer.up("bob", "f=0,eager", "end")
    assert peer.out("bob") == ["start f=5"]
    assert peer.out("bob") == []
    peer.store("f", 10, first=5)
    assert peer.out("bob") == ["f=10,lazy"]
    peer.hear("bob", "f=4,eager")
    assert peer.out("bob") == ["f:5-10"]


def test_whoever_asks_again_gets_a_start_again(bench: type[Bench]) -> None:
    peer = bench()
    peer.store("f", 9, first=5)
    peer.up("bob", "f=0,eager", "end")
    assert peer.out("bob") == ["start f=5"]
    peer.hear("bob", "f=0,eager")
    assert peer.out("bob") == ["start f=5"]


def test_a_start_is_left_out_when_it_is_declined_meanwhile(bench: type[Bench]) -> None:
    peer = bench()
    peer.store("f", 9, first=5)
    peer.up("bob", "f=0,eager", "f=declined", "end")
    assert peer.out("bob") == []


def test_what_has_gone_from_the_store_meanwhile_becomes_a_start(bench: type[Bench]) -> None:
    peer = bench(have={"f": 9})
    peer.up("bob", "f=2,eager", "end")
    peer.pull("bob")
    peer.woken.clear()
    peer.read_missing("bob", "f", 5)
    assert peer.woken == {"bob"}
    assert peer.core.first("f") == 5  # type: ignore[arg-type]
    assert peer.out("bob") == ["start f=5"]


def test_missing_for_a_session_that_is_gone_is_known_all_the_same(bench: type[Bench]) -> None:
    peer = bench(have={"f": 9})
    peer.up("bob", "end")
    peer.down("bob")
    peer.read_missing("bob", "f", 5)
    peer.read_missing("bob", "f", 3)
    assert peer.core.first("f") == 5  # type: ignore[arg-type]


# -- ACK


def test_who_gave_us_a_message_gets_an_ack_within_a_second(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=3,lazy", "end")
    peer.out("bob")
    peer.hear("bob", "f:1-3")
    assert peer.out("bob") == []
    peer.wait(0.9)
    assert peer.out("bob") == []
    peer.wait(0.1)
    assert peer.out("bob") == ["ack f=3"]
    assert peer.told("bob") == 3
    assert peer.link("bob").statistics.acks_sent == 1


def test_flush_sends_what_is_held(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=3,lazy", "end")
    peer.out("bob")
    peer.hear("bob", "f:1-3")
    assert peer.out("bob", flush=True) == ["ack f=3"]
    peer.wait(2)
    assert peer.out("bob", flush=True) == []


def test_acks_coalesce(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=3,lazy", "end")
    peer.out("bob")
    for sequence in (1, 2, 3):
        peer.hear("bob", f"f:{sequence}")
        peer.wait(0.25)
    peer.wait(0.25)
    assert peer.out("bob") == ["ack f=3"]
    peer.wait(5)
    assert peer.out("bob") == []


def test_no_ack_for_who_does_not_understand_it(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=3,lazy", "end", acks=False)
    peer.out("bob")
    peer.hear("bob", "f:1-3")
    peer.wait(5)
    assert peer.out("bob", flush=True) == []


def test_an_ack_that_is_owed_no_longer_is_not_sent(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=3,lazy", "end")
    peer.out("bob")
    peer.hear("bob", "f:1-3")
    peer.hear("bob", "f=0,eager")  # its store was lost: it gets all, and so knows that we have it
    assert peer.out("bob") == ["f:1-3"]
    peer.wait(5)
    assert peer.out("bob", flush=True) == []


def test_an_ack_to_who_declined_meanwhile_is_not_sent(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=3,lazy", "end")
    peer.out("bob")
    peer.hear("bob", "f:1-3", "f=declined")
    peer.wait(5)
    assert peer.out("bob", flush=True) == []


def test_acks_come_in_frames_too(bench: type[Bench]) -> None:
    feeds = ["a", "b", "c"]
    peer = bench(follow=feeds, notes_per_frame=2)
    peer.up("bob")
    peer.out("bob")
    peer.hear("bob", "a=1,lazy", "b=1,lazy", "c=1,lazy", "end")
    peer.out("bob")
    peer.out("bob")
    peer.hear("bob", "a:1", "b:1", "c:1")
    assert peer.out("bob", flush=True) == ["ack a=1", "ack b=1"]
    assert peer.out("bob") == ["ack c=1"]


def test_a_session_that_is_gone_has_nothing_to_send(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", quiet=False)
    peer.down("bob")
    assert not peer.pull("bob")


def test_a_retry_of_what_is_wanted_no_longer_sends_nothing(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=0,eager", "end")
    peer.pull("bob")
    peer.read_failed("bob", "f")
    peer.hear("bob", "f=0,lazy")
    peer.wait(1)
    assert peer.pull("bob").ranges == []
    assert not peer.link("bob").ready


def test_asking_from_further_on_than_we_are_sends_nothing(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=0,eager", "f=9,eager", "end")
    peer.hear("bob", "f=9,eager")
    assert peer.pull("bob").ranges == []
    assert not peer.link("bob").ready

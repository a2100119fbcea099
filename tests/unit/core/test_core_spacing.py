"""Lazy notes about one feed: held back for a moment, and in a stream, spaced."""

from __future__ import annotations

from itertools import pairwise
from time import process_time
from typing import TYPE_CHECKING

import pytest

from ebt_trio.core.config import SPACING, Config
from ebt_trio.core.events import Appended
from ebt_trio.core.types import FeedId

if TYPE_CHECKING:
    from .conftest import Bench

SPACE = Config().spacing
SHORT, LONG = 0.02, 0.1
"""Holds of the smaller id, and of the larger."""


def met(bench: type[Bench], me: str, *, follow: tuple[str, ...] = ("f",)) -> Bench:
    """In a session with bob, who is told that we have the first message of f."""
    peer = bench(me, follow=follow)
    peer.up("bob", "f=0,lazy", "end")
    peer.store("f", 1)
    assert peer.out("bob") == ["f=1,lazy"], "the first of a session goes at once"
    return peer


def said(peer: Bench, seconds: float, *, every: float = 0.0) -> list[tuple[float, str]]:
    """What bob is told meanwhile, and when, with a new message of f every so many seconds."""
    began, notes, step = peer.now, [], 0
    while step < round(seconds * 1000):
        step += 1
        peer.wait(began + step / 1000 - peer.now)
        if every and not step % round(every * 1000):
            peer.store("f", peer.feed().durable + 1)
        notes += [(round(peer.now - began, 3), note) for note in peer.out("bob")]
    return notes


@pytest.mark.parametrize(("me", "hold"), [("alice", SHORT), ("zoe", LONG)])
def test_what_comes_now_and_then_is_held_for_a_moment(bench: type[Bench], me: str, hold: float) -> None:
    peer = met(bench, me)
    peer.wait(SPACE)
    peer.store("f", 2)
    peer.store("f", 3)
    assert said(peer, 5) == [(hold, "f=3,lazy")]


@pytest.mark.parametrize(("me", "hold"), [("alice", SHORT), ("zoe", LONG)])
def test_in_a_stream_there_is_a_note_now_and_then(bench: type[Bench], me: str, hold: float) -> None:
    peer = met(bench, me)
    notes = said(peer, 5, every=0.05)
    times = [0.0, *(time for time, _ in notes)]
    apart = [after - before for before, after in pairwise(times)]
    assert min(apart) > SPACE + hold - 0.001
    assert max(apart) < SPACE + hold + 0.051


def test_how_far_apart_they_are_is_a_matter_of_lazy_interval(bench: type[Bench]) -> None:
    assert Config(lazy_interval=0.1).spacing == 0.1 * SPACING
    peer = bench("alice", lazy_interval=0.001)
    peer.up("bob", "f=0,lazy", "end")
    peer.store("f", 1)
    peer.out("bob")
    assert len(said(peer, 1, every=0.01)) == pytest.approx(1 / (0.01 + 0.046), abs=2)


def test_a_note_of_the_other_side_counts_as_one_of_ours(bench: type[Bench]) -> None:
    peer = met(bench, "alice")
    peer.wait(SPACE)
    peer.hear("bob", "f=1,lazy")
    peer.store("f", 2)
    assert said(peer, 5) == [(round(SPACE + SHORT, 3), "f=2,lazy")]


def test_the_first_of_a_session_goes_at_once_whatever_the_other_side_has_said(bench: type[Bench]) -> None:
    peer = bench("alice", have={"f": 1})
    peer.up("bob", "f=1,lazy", "end")
    peer.out("bob")
    peer.store("f", 2)
    assert peer.out("bob") == ["f=2,lazy"]


def test_while_the_other_side_keeps_up_and_says_so_nothing_is_said(bench: type[Bench]) -> None:
    """The side that waits less speaks for both, and is always a little behind by the time it is heard."""
    peer = met(bench, "zoe")
    for round_ in range(1, 6):
        assert said(peer, SPACE + 0.05, every=0.05) == []
        peer.hear("bob", f"f={19 * round_},lazy")
    assert said(peer, 1.5, every=0.05) == [(round(SPACE + LONG, 3), "f=116,lazy")]


@pytest.mark.parametrize("pause", [0.0, SPACE], ids=["spaced", "held for a moment"])
def test_who_has_what_we_have_is_told_nothing(bench: type[Bench], pause: float) -> None:
    peer = met(bench, "zoe")
    peer.wait(pause)
    peer.store("f", 2)
    link = peer.link("bob")
    assert (bool(link.held), bool(link.spaced)) == (pause > 0, pause == 0)
    peer.hear("bob", "f=2,lazy")
    assert not link.news
    assert not link.held
    assert not link.spaced
    assert said(peer, 5) == [(1.0, "ack f=2")]


def test_who_lacks_what_we_have_had_for_a_while_is_told_soon(bench: type[Bench]) -> None:
    peer = met(bench, "alice")
    peer.store("f", 2)
    assert said(peer, 0.5) == []
    peer.hear("bob", "f=1,lazy")
    assert said(peer, 5) == [(SHORT, "f=2,lazy")]


def test_a_note_from_behind_does_not_put_off_what_is_said_soon_anyway(bench: type[Bench]) -> None:
    peer = met(bench, "zoe")
    peer.wait(2 * SPACE)
    peer.store("f", 2)
    assert said(peer, 0.09) == []
    peer.hear("bob", "f=1,lazy")
    assert said(peer, 5) == [(0.01, "f=2,lazy")]


def test_a_note_for_another_reason_saves_the_one_held_back(bench: type[Bench]) -> None:
    peer = met(bench, "zoe")
    peer.store("f", 2)
    assert peer.link("bob").spaced
    peer.hear("bob", "f:1")  # a duplicate: it is told lazy
    assert said(peer, 0.001) == [(0.001, "f=2,lazy")]
    link = peer.link("bob")
    assert not link.spaced
    assert not link.news
    assert said(peer, 5) == []


def test_what_becomes_known_by_message_meanwhile_is_not_said(bench: type[Bench]) -> None:
    peer = met(bench, "zoe")
    peer.store("f", 2)
    peer.hear("bob", "f:2-3")
    assert said(peer, 5) == [(1.0, "ack f=3")]
    assert not peer.link("bob").news


def test_notes_of_long_ago_are_not_remembered(bench: type[Bench]) -> None:
    peer = bench("alice", follow=[f"f{number}" for number in range(10)])
    peer.up("bob", *(f"f{number}=0,lazy" for number in range(10)), "end")
    for number in range(10):
        peer.store(f"f{number}", 1)
    peer.out("bob")
    assert len(peer.link("bob").noted) == 10
    peer.wait(SPACE)
    peer.store("f3", 2)
    peer.wait(SHORT)
    assert peer.out("bob") == ["f3=2,lazy"]
    assert len(peer.link("bob").noted) == 1


def test_a_feed_that_is_declined_is_forgotten(bench: type[Bench]) -> None:
    peer = met(bench, "alice")
    peer.store("f", 2)
    peer.hear("bob", "f=declined")
    link = peer.link("bob")
    assert not link.spaced
    assert not link.news
    assert not link.noted
    assert peer.core.next_deadline() is None


def test_who_has_just_what_we_had_when_the_wait_began_keeps_up(bench: type[Bench]) -> None:
    peer = met(bench, "alice")
    peer.store("f", 2)
    peer.store("f", 3)
    peer.wait(0.5)
    peer.hear("bob", "f=2,lazy")
    assert said(peer, 5) == [(round(SPACE + SHORT, 3), "f=3,lazy")]


def test_nobody_lacks_a_message_for_longer_than_two_waits(bench: type[Bench]) -> None:
    """A note that says what we had when the wait began makes it begin anew, but only once for each message."""
    peer = met(bench, "zoe")
    peer.store("f", 2)
    peer.store("f", 3)
    assert said(peer, SPACE + 0.09) == []
    peer.hear("bob", "f=2,lazy")
    assert said(peer, SPACE + 0.09) == []
    peer.hear("bob", "f=2,lazy")
    assert said(peer, 5)[0][0] <= LONG


def test_who_has_lost_what_it_had_is_told_again(bench: type[Bench]) -> None:
    """It has deleted the feed and follows it anew, and the -1 between the two has never left."""
    peer = met(bench, "alice")
    peer.hear("bob", "f=5,eager")
    peer.hear("bob", "f=0,lazy")
    peer.out("bob")
    peer.wait(SPACE)
    peer.store("f", 2)
    assert said(peer, 5) == [(SHORT, "ack f=2")], "bob owns the feed"


def test_nothing_is_held_back_for_a_session_that_has_ended(bench: type[Bench]) -> None:
    peer = bench("alice", follow=("f", "g"))
    peer.up("bob", "f=0,lazy", "g=0,lazy", "end")
    for feed, wait in (("f", SPACE), ("g", 0.0)):
        peer.store(feed, 1)
        peer.out("bob")
        peer.wait(wait)
        peer.store(feed, 2)
        if feed == "f":
            peer.wait(SHORT)
            peer.out("bob")
            peer.wait(SPACE)
            peer.store(feed, 3)
            assert peer.link("bob").held
    link = peer.link("bob")
    assert link.held
    assert link.spaced
    assert link.noted
    peer.down("bob")
    assert not link.held
    assert not link.spaced
    assert not link.news
    assert not link.noted
    assert link.deadline is None
    assert peer.core.next_deadline() is None


def test_what_is_held_back_is_let_go_at_the_same_cost_each(bench: type[Bench]) -> None:
    """All due at once, as after a large transaction: each was once found behind the gaps of those before."""
    link = met(bench, "alice").link("bob")

    def took(count: int) -> float:
        best = float("inf")
        for _ in range(3):
            for number in range(count):
                link.news[number] = 1
                link.spaced[number] = link.deadline = 5.0
            began = process_time()
            for number in range(count):
                link.unhold(number)
            best = min(best, process_time() - began)
        assert not link.spaced
        assert link.deadline is None
        return best

    few = took(1_000)  # first: a dict that has been large stays so
    assert took(40_000) < 4 * 40 * few


def test_what_is_stored_by_others_first_is_not_said_twice(bench: type[Bench]) -> None:
    """Our append ends behind that of another process: the head is where it was."""
    peer = met(bench, "alice")
    peer.feed().inflight += 1
    peer.handle(Appended([(FeedId("f"), 1)]))
    assert said(peer, 5) == []

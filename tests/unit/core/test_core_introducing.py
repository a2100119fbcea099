"""Initial notes in portions: what happens to feeds that the cursor has not come to yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Bench

FEEDS = ["a", "b", "c", "d"]


@pytest.fixture
def half(bench: type[Bench]) -> Bench:
    """Two of four feeds have been introduced to bob."""
    peer = bench(follow=FEEDS, have=dict.fromkeys(FEEDS, 2), notes_per_frame=2)
    peer.up("bob", quiet=False)
    assert peer.out("bob") == ["a=2,lazy", "b=2,lazy"]
    return peer


def test_an_answer_is_the_initial_note(half: Bench) -> None:
    half.hear("bob", "d=2,lazy", "c=1,lazy", "a=2,lazy")
    assert half.out("bob") == ["c=2,lazy", "d=2,lazy"]
    assert half.out("bob") == ["end"]
    half.wait(5)
    assert half.out("bob") == []  # no ACK is owed for what the note has said


def test_what_was_asked_for_is_not_taken_back(half: Bench) -> None:
    half.hear("bob", "d=5,lazy")
    assert half.out("bob") == ["c=2,lazy", "d=2,eager"]
    assert half.out("bob") == ["end"]
    assert half.owner("d") == "bob"


def test_what_was_asked_for_and_said_is_not_said_again(half: Bench) -> None:
    half.follow("e", "g")
    half.hear("bob", "d=5,lazy")
    assert half.out("bob") == ["e=0,lazy", "g=0,lazy"]
    assert half.out("bob") == ["c=2,lazy", "d=2,eager"]
    assert half.out("bob") == ["end"]


def test_an_initial_note_says_what_is_held_back(half: Bench) -> None:
    half.store("c", 3)
    half.store("c", 4)
    assert list(half.link("bob").held) == [2]
    assert half.out("bob") == ["c=4,lazy", "d=2,lazy"]
    assert not half.link("bob").held
    half.wait(1)
    assert half.out("bob") == ["end"]


def test_what_they_decline_is_not_introduced(half: Bench) -> None:
    half.hear("bob", "d=declined")
    assert half.out("bob") == ["c=2,lazy", "end"]


def test_what_is_let_go_of_is_not_introduced(half: Bench) -> None:
    half.unfollow("c")
    half.block("bob", "d")
    assert half.out("bob") == ["end"]
    half.follow("c")
    assert half.out("bob") == ["c=2,lazy"]


def test_what_moves_on_is_introduced_as_it_is_then(half: Bench) -> None:
    half.store("d", 7)
    assert half.out("bob") == ["c=2,lazy", "d=7,lazy"]


def test_it_counts_as_unknown(half: Bench) -> None:
    progress = half.core.progress()
    assert (progress.feeds, progress.sync, progress.unknown) == (4, 0, 4)
    half.hear("bob", *(f"{feed}=2,lazy" for feed in FEEDS), "end")
    assert half.core.progress().unknown == 2
    half.out("bob")
    assert half.core.progress().unknown == 0
    assert half.core.progress().fraction < 1.0
    assert half.out("bob") == ["end"]
    assert half.core.progress().fraction == 1.0


def test_who_declined_is_told_again(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 1, "g": 1})
    peer.up("bob", "f=declined", "g=1,lazy", "end", store=b"s")
    peer.down("bob")
    peer.up("again", peer="bob", store=b"s", quiet=False)
    assert peer.out("again") == ["f=1,lazy", "g=1,lazy", "end"]
    assert peer.told("again", "f") == -2
    assert len(peer.link("again").open) == 0


def test_who_may_remember_our_minus_one_is_told_it_again(bench: type[Bench]) -> None:
    """A note that took back our -1 was lost with its session, and then we unfollowed: only they remember the -1."""
    peer = bench(have={"f": 2})
    peer.up("bob", "f=2,lazy", "end", store=b"bobs")
    peer.unfollow("f")
    assert peer.out("bob") == ["f=declined"]
    peer.hear("bob", "f=declined")
    peer.follow("f")
    assert peer.out("bob") == ["f=2,lazy"]
    peer.down("bob")
    peer.unfollow("f")
    peer.up("again", peer="bob", store=b"bobs", quiet=False)
    assert peer.out("again") == ["f=declined", "end"]
    heard = peer.link("again").memory.told.digest().to_bytes(16, "big")
    peer.down("again")
    peer.up("then", peer="bob", store=b"bobs", quiet=False, heard=heard)
    assert peer.out("then") == ["end"]

"""Peers that send no ACKs: a PONG shows what they have taken."""

from __future__ import annotations

from typing import Any

import pytest

from ebt_trio.core import events as ev

SENT = ["f:1-3"]


@pytest.fixture
def peer(bench: Any) -> Any:
    """Three messages have gone out to bob, who sends no ACKs."""
    peer = bench(have={"f": 3})
    peer.up("bob", "f=0,eager", "end", acks=False)
    assert peer.out("bob") == SENT
    return peer


def ping(peer: Any) -> None:
    peer.handle(ev.Pinged(peer.session("bob")))


def pong(peer: Any) -> None:
    peer.handle(ev.Ponged(peer.session("bob")))


def asks(peer: Any) -> bool:
    return peer.pull("bob").ping


def test_a_pong_shows_that_what_was_sent_has_come(peer: Any) -> None:
    assert (peer.heard("bob"), peer.core.progress().send) == (0, 3)
    ping(peer)
    assert peer.heard("bob") == 0
    pong(peer)
    assert (peer.heard("bob"), peer.core.progress().fraction) == (3, 1.0)


def test_a_ping_is_asked_for_until_it_is_answered_and_then_no_more(peer: Any) -> None:
    peer.wait(0.9)
    assert not asks(peer)
    for _ in range(3):
        peer.wait(1)
        assert peer.woken == {"bob"}
        assert asks(peer)
        assert not asks(peer)
    ping(peer)
    pong(peer)
    assert peer.core.next_deadline() is None
    peer.wait(5)
    assert not asks(peer)


def test_many_messages_are_asked_about_at_once(peer: Any) -> None:
    for head in range(4, 10):
        peer.wait(0.1)
        peer.store("f", head)
        assert peer.out("bob") == [f"f:{head}-{head}"]
    peer.wait(0.5)
    assert asks(peer)
    ping(peer)
    pong(peer)
    assert peer.heard("bob") == 9
    assert peer.core.next_deadline() is None


def test_what_was_sent_after_the_ping_is_not_shown_by_its_pong(peer: Any) -> None:
    ping(peer)
    peer.store("f", 4)
    assert peer.out("bob") == ["f:4-4"]
    pong(peer)
    assert peer.heard("bob") == 3
    peer.wait(1)
    assert asks(peer)
    ping(peer)
    pong(peer)
    assert peer.heard("bob") == 4


def test_what_the_peer_said_meanwhile_counts_where_it_is_more(peer: Any) -> None:
    ping(peer)
    peer.hear("bob", "f=7,lazy")
    pong(peer)
    assert peer.heard("bob") == 7


def test_what_the_peer_says_afterwards_is_believed_and_not_asked_about(peer: Any) -> None:
    """It has refused what it took: the truth is that it is behind, however often we would ask."""
    ping(peer)
    pong(peer)
    peer.hear("bob", "f=2,lazy")
    assert peer.heard("bob") == 2
    peer.wait(10)
    assert not asks(peer)
    assert peer.core.progress().send == 1


def test_a_feed_that_is_declined_meanwhile_is_left_alone(peer: Any) -> None:
    ping(peer)
    peer.hear("bob", "f=declined")
    pong(peer)
    assert peer.heard("bob") == -1
    assert peer.core.next_deadline() is None


def test_no_pong_counts_without_a_ping(peer: Any) -> None:
    pong(peer)
    assert peer.heard("bob") == 0
    ping(peer)
    pong(peer)
    peer.hear("bob", "f=0,lazy")
    pong(peer)
    assert peer.heard("bob") == 0


def test_nothing_is_left_of_a_session_that_ends(peer: Any) -> None:
    ping(peer)
    peer.down("bob")
    pong(peer)
    ping(peer)
    assert peer.core.next_deadline() is None


def test_who_sends_acks_is_not_asked(bench: Any) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=0,eager", "end")
    assert peer.out("bob") == SENT
    ping(peer)
    pong(peer)
    assert peer.heard("bob") == 0
    peer.wait(5)
    assert not asks(peer)

"""Where peers have keys, a session whose peer has not proved its id may be anyone's: ``Config.doubt_claims``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ebt_trio.core.actions import What
from ebt_trio.core.types import FeedId

if TYPE_CHECKING:
    from conftest import Bench


@pytest.mark.parametrize("first", ["block", "session"])
def test_a_feed_whose_author_blocks_somebody_is_not_for_who_may_be_anyone(bench: type[Bench], first: str) -> None:
    peer = bench(follow=["f", "g"], have={"f": 2, "g": 1}, doubt_claims=True)
    if first == "block":
        peer.block("mallory", origin="f")
    for label, proved in (("bob", True), ("claims-to-be-carol", False)):
        peer.up(label, "end", proved=proved, quiet=first == "session")
    if first == "session":
        peer.block("mallory", origin="f")
        assert peer.out("claims-to-be-carol") == ["f=declined"]
        assert peer.out("bob") == []
    else:
        assert peer.out("claims-to-be-carol") == ["g=1,lazy", "end"]
        assert peer.out("bob") == ["f=2,lazy", "g=1,lazy", "end"]
    peer.hear("claims-to-be-carol", "f=0,eager", "g=0,eager")
    peer.hear("bob", "f=0,eager", "g=0,eager")
    assert "f:1-2" not in peer.out("claims-to-be-carol")
    assert "f:1-2" in peer.out("bob")


def test_without_doubt_an_id_is_believed(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.block("mallory", origin="f")
    peer.up("carol", "f=0,eager", "end", quiet=False)
    assert "f:1-2" in peer.out("carol")
    assert peer.reported(What.BLOCKED) == []


def test_unblocking_one_of_two_is_not_enough_for_who_may_be_either(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2}, doubt_claims=True)
    peer.block("mallory", origin="f")
    peer.block("eve", origin="f")
    peer.up("carol", "end")
    peer.unblock("eve", origin="f")
    assert peer.out("carol") == []
    peer.unblock("mallory", origin="f")
    assert peer.out("carol") == ["f=2,lazy"]


def test_blocking_a_second_one_says_nothing_again(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2}, doubt_claims=True)
    peer.up("carol", "end")
    peer.block("mallory", origin="f")
    peer.out("carol")
    peer.block("eve", origin="f")
    assert peer.out("carol") == []
    assert peer.reported(What.BLOCKED) == ["carol"]


def test_a_claim_that_proved_empty_keeps_nobody_from_appending(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2}, doubt_claims=True)
    peer.up("anyone", "f=9,lazy", "end")
    assert peer.core.claimed(FeedId("f")) == 9
    peer.wait(60)
    peer.hear("anyone", "end")
    assert peer.core.claimed(FeedId("f")) == 0


def test_a_claim_of_who_has_proved_its_id_counts_as_long_as_it_stands(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2}, doubt_claims=True)
    peer.up("bob", "f=9,lazy", "end", proved=True)
    peer.wait(60)
    peer.hear("bob", "end")
    assert peer.core.claimed(FeedId("f")) == 9

"""``ebt follow``, ``unfollow``, ``block``, ``unblock``, ``feeds``, and ``status`` without a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ebt_trio import Identity

if TYPE_CHECKING:
    from conftest import Runner

BOB, CAROL, MALLORY = sorted(Identity(bytes([number]) * 32).id for number in (1, 2, 3))


def feeds(ebt: Runner) -> dict[str, dict[str, Any]]:
    return {one["feed"]: one for one in json.loads(ebt.ok("feeds", "--json"))}


def status(ebt: Runner) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(ebt.ok("status", "--json"))
    return said


def test_follow_and_unfollow(ebt: Runner) -> None:
    own = ebt.init()
    assert ebt.ok("follow", BOB) == ""
    ebt.ok("follow", CAROL, "--last", "10")
    assert [(one["feed"], one["followed"], one["last"], one["own"]) for one in feeds(ebt).values()] == [
        (own, True, None, True),
        (BOB, True, None, False),
        (CAROL, True, 10, False),
    ]
    assert status(ebt)["follows"] == {own: None, BOB: None, CAROL: 10}
    ebt.ok("unfollow", BOB)
    ebt.ok("unfollow", BOB)
    assert set(feeds(ebt)) == {own, CAROL}
    said = ebt.ok("feeds")
    assert "last 10" in said
    assert own in said


def test_your_own_feed_is_followed_for_good(ebt: Runner) -> None:
    own = ebt.init()
    ebt.ok("follow", own)
    assert ebt("unfollow", own).status == 2
    assert ebt("block", own).status == 2
    assert feeds(ebt)[own]["followed"] is True


def test_feeds_are_public_keys(ebt: Runner) -> None:
    ebt.init()
    for wrong in ("bob", "", BOB[:-1], BOB + "A", "x" * 257):
        result = ebt("follow", wrong)
        assert (result.status, result.out) == (2, b"")
        assert "expected a public key" in result.err


@pytest.mark.parametrize("origin", [None, BOB])
def test_block_and_unblock(ebt: Runner, origin: str | None) -> None:
    own = ebt.init()
    options = [] if origin is None else ["--origin", origin]
    ebt.ok("block", MALLORY, *options)
    assert status(ebt)["blocks"] == [{"target": MALLORY, "origin": origin}]
    assert MALLORY in ebt.ok("feeds")
    assert MALLORY in ebt.ok("status")
    ebt.ok("unblock", MALLORY, *(["--origin", own] if origin else ["--origin", BOB]))
    assert status(ebt)["blocks"]
    ebt.ok("unblock", MALLORY, *options)
    assert status(ebt)["blocks"] == []


def test_an_author_may_block_somebody_from_your_feed(ebt: Runner) -> None:
    own = ebt.init()
    ebt.ok("block", MALLORY, "--origin", own)
    assert status(ebt)["blocks"] == [{"target": MALLORY, "origin": own}]


def test_status(ebt: Runner) -> None:
    own = ebt.init()
    ebt("append", stdin=b"1\n2\n")
    ebt.ok("follow", BOB)
    said = status(ebt)
    assert said == {
        "id": own,
        "home": str(ebt.path / "home"),
        "clock": {own: 2},
        "follows": {own: None, BOB: None},
        "blocks": [],
        "forks": [],
        "node": None,
    }
    text = ebt.ok("status")
    assert "2 messages of 2 feeds, 2 followed" in text
    assert "not running" in text

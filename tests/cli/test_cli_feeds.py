"""``ebt follow``, ``unfollow``, ``block``, ``unblock``, ``feeds``, and ``status`` without a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Runner


def feeds(ebt: Runner) -> dict[str, dict[str, Any]]:
    return {one["feed"]: one for one in json.loads(ebt.ok("feeds", "--json"))}


def status(ebt: Runner) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(ebt.ok("status", "--json"))
    return said


def test_follow_and_unfollow(ebt: Runner) -> None:
    own = ebt.init()
    assert ebt.ok("follow", "bob") == ""
    ebt.ok("follow", "carol", "--last", "10")
    assert [(one["feed"], one["followed"], one["last"], one["own"]) for one in feeds(ebt).values()] == [
        (own, True, None, True),
        ("bob", True, None, False),
        ("carol", True, 10, False),
    ]
    assert status(ebt)["follows"] == {own: None, "bob": None, "carol": 10}
    ebt.ok("unfollow", "bob")
    ebt.ok("unfollow", "bob")
    assert set(feeds(ebt)) == {own, "carol"}
    said = ebt.ok("feeds")
    assert "last 10" in said
    assert own in said


def test_your_own_feed_is_followed_for_good(ebt: Runner) -> None:
    own = ebt.init()
    ebt.ok("follow", own)
    assert ebt("unfollow", own).status == 2
    assert ebt("block", own).status == 2
    assert feeds(ebt)[own]["followed"] is True


def test_ids_that_look_like_options_need_two_dashes(ebt: Runner) -> None:
    ebt.init()
    assert ebt("follow", "-x").status == 2
    ebt.ok("follow", "--", "-x")
    assert "-x" in feeds(ebt)


@pytest.mark.parametrize("origin", [None, "bob"])
def test_block_and_unblock(ebt: Runner, origin: str | None) -> None:
    own = ebt.init()
    options = [] if origin is None else ["--origin", origin]
    ebt.ok("block", "mallory", *options)
    assert status(ebt)["blocks"] == [{"target": "mallory", "origin": origin}]
    assert "mallory" in ebt.ok("feeds")
    assert "mallory" in ebt.ok("status")
    ebt.ok("unblock", "mallory", *(["--origin", own] if origin else ["--origin", "bob"]))
    assert status(ebt)["blocks"]
    ebt.ok("unblock", "mallory", *options)
    assert status(ebt)["blocks"] == []


def test_an_author_may_block_somebody_from_your_feed(ebt: Runner) -> None:
    own = ebt.init()
    ebt.ok("block", "mallory", "--origin", own)
    assert status(ebt)["blocks"] == [{"target": "mallory", "origin": own}]


def test_status(ebt: Runner) -> None:
    own = ebt.init()
    ebt("append", stdin=b"1\n2\n")
    ebt.ok("follow", "bob")
    said = status(ebt)
    assert said == {
        "id": own,
        "home": str(ebt.path / "home"),
        "clock": {own: 2},
        "follows": {own: None, "bob": None},
        "blocks": [],
        "node": None,
    }
    text = ebt.ok("status")
    assert "2 messages of 2 feeds, 2 followed" in text
    assert "not running" in text

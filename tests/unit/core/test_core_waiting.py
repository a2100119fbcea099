"""Feeds that wait for room."""

from __future__ import annotations

from ebt_trio.core.clock import Memory
from ebt_trio.core.feed import Class, Feed
from ebt_trio.core.link import Link
from ebt_trio.core.types import FeedId, PeerId, SessionId
from ebt_trio.core.waiting import Waiting

NAMES = [FeedId("f"), FeedId("g"), FeedId("h")]


def link(number: int, window: int = 1) -> Link:
    made = Link(
        SessionId(number),
        PeerId(f"p{number}"),
        NAMES,
        Memory(None, NAMES),
        instance=None,
        proved=False,
        acks=True,
        hold=0,
    )
    made.load = made.window = window
    return made


def feeds() -> list[Feed]:
    made = [Feed(number, id) for number, id in enumerate(NAMES)]
    for feed in made:
        feed.class_ = Class.WAIT
    return made


def test_nothing_goes_on_without_room() -> None:
    waiting, full = Waiting(), link(1)
    for feed in feeds():
        waiting.add(feed, [full])
    seen: list[Feed] = []
    waiting.drain(seen.append)
    assert seen == []
    assert list(full.waiting) == [0, 1, 2]


def test_as_many_go_on_as_there_is_room_for_in_order() -> None:
    waiting, full, all = Waiting(), link(1, 2), feeds()
    for feed in all:
        waiting.add(feed, [full])
    full.load = 0
    seen: list[Feed] = []

    def graft(feed: Feed) -> None:
        seen.append(feed)
        feed.class_ = Class.CLAIMED
        full.load += 1

    waiting.drain(graft)
    assert seen == all[:2]
    assert list(full.waiting) == [2]


def test_a_feed_that_waits_at_two_is_looked_at_once() -> None:
    waiting, one, two, all = Waiting(), link(1), link(2), feeds()
    waiting.add(all[0], [one, two])
    one.load = two.load = 0
    seen: list[Feed] = []

    def graft(feed: Feed) -> None:
        seen.append(feed)
        feed.class_ = Class.CLAIMED

    waiting.drain(graft)
    assert seen == [all[0]]
    assert not one.waiting
    assert not two.waiting


def test_who_waits_no_longer_is_passed_over() -> None:
    waiting, full, all = Waiting(), link(1), feeds()
    waiting.add(all[0], [full])
    waiting.add(all[1], [full])
    all[0].class_ = Class.IDLE
    full.load = 0
    seen: list[Feed] = []
    waiting.drain(seen.append)
    assert seen == [all[1]]


def test_who_cannot_go_on_after_all_queues_again() -> None:
    waiting, one, two, all = Waiting(), link(1), link(2), feeds()
    waiting.add(all[0], [one, two])
    one.load = 0
    rounds = 0

    def again(feed: Feed) -> None:
        nonlocal rounds
        rounds += 1
        one.load = 1  # somebody else was quicker
        waiting.add(feed, [one, two])

    waiting.drain(again)
    assert rounds == 1
    assert list(one.waiting) == list(two.waiting) == [0]


def test_a_session_that_ends_is_no_place_to_wait() -> None:
    waiting, one, two, all = Waiting(), link(1), link(2), feeds()
    waiting.add(all[0], [one, two])
    waiting.remove(one)
    assert not one.waiting
    one.load = 0
    seen: list[Feed] = []
    waiting.drain(seen.append)
    assert seen == []
    two.load = 0
    waiting.drain(seen.append)
    assert seen == [all[0]]
    waiting.remove(two)
    waiting.drain(seen.append)
    assert seen == [all[0]]

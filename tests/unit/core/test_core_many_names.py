"""Feeds that a frame names for the first time: a thousand cost each session little more than one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ebt_trio.core.link import Link
from ebt_trio.core.progress import Progress

if TYPE_CHECKING:
    from conftest import Bench


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Each time a session makes room, for how many."""
    calls: list[int] = []
    grow = Link.grow

    def counting(link: Link, count: int) -> None:
        calls.append(count)
        grow(link, count)

    monkeypatch.setattr(Link, "grow", counting)
    return calls


def test_each_session_makes_room_once_for_a_frame(bench: type[Bench], grown: list[int]) -> None:
    peer = bench(follow=[])
    for other in ("bob", "carol", "dave"):
        peer.up(other, "end")
    grown.clear()
    peer.hear("bob", *(f"f{n}=7,lazy" for n in range(500)))
    assert grown == [500] * 3
    peer.hear("carol", "f0=7,lazy", "f499=7,lazy")
    assert len(grown) == 3  # nothing new
    assert [len(link.flags) for link in peer.core._room.links] == [500] * 3


def test_those_too_many_are_declined_and_not_remembered(bench: type[Bench], grown: list[int]) -> None:
    peer = bench(follow=[], strangers=3)
    peer.up("bob", "end")
    peer.out("bob")
    grown.clear()
    peer.hear("bob", "a=1,lazy", "b=1,lazy")
    peer.hear("bob", "c=1,lazy", "a=2,lazy", "d=1,lazy", "e=1,lazy")
    assert grown == [2, 3]
    assert [feed.id for feed in peer.core.feeds] == ["a", "b", "c"]
    assert sorted(peer.out("bob")) == [f"{name}=declined" for name in "abcde"]


def test_what_is_to_be_declined_unremembered_stays_when_another_feed_is_met(bench: type[Bench]) -> None:
    peer = bench(follow=[], strangers=0)
    peer.up("bob", "end")
    peer.out("bob")
    peer.hear("bob", "a=1,lazy")
    peer.follow("b")
    assert sorted(peer.out("bob")) == ["a=declined", "b=0,lazy"]


def test_progress_of_a_session_that_has_just_begun_looks_at_what_is_followed(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("carol", *(f"stranger{n}=1,lazy" for n in range(9)), "end", quiet=False)
    peer.up("bob", quiet=False)
    session = peer.core._room.links[-1]
    assert session.final_due
    assert peer.core.progress(session.session) == Progress(2, 0, 0, 0, 2, 2, 0.0)

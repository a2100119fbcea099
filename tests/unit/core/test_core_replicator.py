"""The front: the clock, counters, wakes, and no I/O."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ebt_trio.core
from ebt_trio.core import events as ev
from ebt_trio.core.actions import What
from ebt_trio.core.types import FeedId, PeerId, Run, SessionId

if TYPE_CHECKING:
    from conftest import Bench

F = FeedId("f")
CORE = sorted(Path(next(iter(ebt_trio.core.__path__))).glob("*.py"))
FORBIDDEN = {"trio", "anyio", "asyncio", "threading", "time", "socket", "select", "os"}


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_no_io_no_clock_no_randomness_of_its_own(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = {(node.module or "").partition(".")[0]}
            if node.module == "random":
                assert [alias.name for alias in node.names] == ["Random"]
        else:
            continue
        assert not names & FORBIDDEN


def test_every_event_has_a_handler(bench: type[Bench]) -> None:
    peer = bench()
    for event in ev.Event.__args__:
        assert event in peer.core._handlers


# -- the clock


def test_the_clock_is_live_and_has_no_zeros(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 3})
    clock = peer.core.clock
    assert clock == {"f": 3}
    assert (len(clock), list(clock), repr(clock)) == (1, ["f"], "{'f': 3}")
    peer.store("g", 1)
    assert clock == {"f": 3, "g": 1}
    with pytest.raises(KeyError):
        clock[FeedId("h")]
    peer.unfollow("g")
    assert FeedId("g") in clock  # it is held all the same


def test_an_unknown_feed(bench: type[Bench]) -> None:
    core = bench().core
    id = FeedId("unheard of")
    assert core.durable(id) == 0
    assert (core.first(id), core.accepted(id), core.claimed(id), core.wanted(id)) == (1, 0, 0, None)


def test_what_others_claim(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    assert peer.core.claimed(FeedId("f")) == 0
    peer.up("bob", "f=2,lazy", "end")
    peer.up("carol", "f=5,lazy", "end")
    assert peer.core.claimed(FeedId("f")) == 5
    peer.down("carol")
    assert peer.core.claimed(FeedId("f")) == 2


def test_what_one_session_claims(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g", "h"])
    peer.up("bob", "f=2,lazy", "g=declined", "end")
    peer.up("carol", "f=5,lazy", "end")
    core, bob = peer.core, peer.session("bob")
    assert [core.heard(bob, FeedId(feed)) for feed in ("f", "g", "h", "unheard of")] == [2, 0, 0, 0]
    assert core.heard(peer.session("carol"), FeedId("f")) == 5
    peer.down("bob")
    assert core.heard(bob, FeedId("f")) == 0


def test_how_many_messages_the_last_follow_wanted(bench: type[Bench]) -> None:
    peer = bench()
    assert peer.core.wanted(FeedId("f")) is None
    peer.follow("f", last=3)
    assert peer.core.wanted(FeedId("f")) == 3
    peer.unfollow("f")
    peer.follow("f")
    assert peer.core.wanted(FeedId("f")) is None


# -- counters


def test_counters_of_one_session_and_of_all_there_were(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"g": 2})
    peer.up("bob", "f=2,lazy", "g=0,eager", "f:1-2", "end")
    peer.out("bob")
    peer.up("carol", "f=1,lazy", "f:1", "end")
    bob = peer.core.statistics(peer.session("bob"))
    assert (bob.messages_received, bob.messages_sent, bob.grafts, bob.notes_received) == (2, 2, 1, 2)
    assert peer.core.statistics().messages_received == 3
    peer.down("bob")
    total = peer.core.statistics()
    assert (total.messages_received, total.messages_sent, total.duplicates) == (3, 2, 1)
    with pytest.raises(KeyError):
        peer.core.statistics(peer.session("bob"))


def test_a_session_taken_over_still_counts(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "f:1-2", "end", instance=b"one")
    peer.up("newer", peer="bob", instance=b"one")
    assert peer.core.statistics().messages_received == 2
    peer.down("bob")
    peer.down("bob")
    assert peer.core.statistics().messages_received == 2


# -- wakes


def test_only_sessions_that_count_are_woken(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.woken.clear()
    peer.down("bob")
    assert peer.woken == set()


def test_every_session_with_something_to_say_is_woken(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=0,lazy", "end")
    peer.up("carol", "f=0,eager", "end")
    peer.woken.clear()
    peer.store("f", 1)
    assert peer.woken == {"bob", "carol"}


def test_a_new_owner_is_woken(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "f:1", "end")
    peer.up("carol", "f=1,lazy", "end")
    peer.hear("carol", "f=2,lazy")
    peer.woken.clear()
    peer.wait(0.1)
    assert peer.woken == {"bob", "carol"}


# -- what to send


def test_acks_owed_wait_unless_they_are_asked_for(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    peer.out("bob")
    peer.hear("bob", "f:1")
    bob = peer.session("bob")
    assert peer.core.next_outgoing(bob, peer.now).acks == {}
    assert peer.core.next_outgoing(bob, peer.now, flush=True).acks == {"f": 1}


def test_a_note_of_ours_may_be_all_that_was_missing(bench: type[Bench]) -> None:
    peer = bench(have={"f": 2})
    peer.up("bob", "f=2,lazy", "end", quiet=False)
    assert peer.reported(What.SYNCED) == []
    assert peer.out("bob") == ["f=2,lazy", "end"]
    peer.handle(ev.Tick())
    assert peer.reported(What.SYNCED) == ["bob"]


def test_an_ack_of_ours_may_be_all_that_was_missing(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    peer.out("bob")
    peer.hear("bob", "f:1")
    assert 0 in peer.link("bob").open
    assert peer.out("bob", flush=True) == ["ack f=1"]
    assert not peer.link("bob").open


# -- time


def test_a_tick_is_harmless_at_any_time(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    before = peer.stands()
    peer.handle(ev.Tick())
    assert peer.stands() == before


def test_reprs_for_those_who_debug(bench: type[Bench]) -> None:
    peer = bench(have={"f": 1})
    peer.up("bob", "f=2,lazy", "end")
    link = peer.link("bob")
    assert repr(link) == "<Link 1 'bob'>"
    assert repr(peer.feed()) == "<Feed 'f' 1/1 claimed owner=<Link 1 'bob'>>"
    peer.down("bob")
    assert repr(link) == "<Link 1 'bob' down>"
    assert Run(FeedId("f"), 3, [b"", b""]).last == 4
    assert SessionId(1) == 1


def test_what_a_session_claims_and_shares(bench: type[Bench]) -> None:
    """For who has to judge what a session sends."""
    peer = bench(have={"f": 2})
    session = SessionId(1)
    core = peer.core
    assert (core.sessions, core.peer(session), core.heard(session, F), core.shares(session, F)) == ([], None, 0, False)
    peer.up("bob", "f=5,lazy", "g=declined", "end")
    assert (core.sessions, core.peer(session)) == ([session], "bob")
    assert (core.heard(session, F), core.heard(session, FeedId("g")), core.heard(session, FeedId("h"))) == (5, 0, 0)
    assert core.shares(session, F)
    assert not core.shares(session, FeedId("g"))
    assert not core.shares(session, FeedId("never heard of"))
    peer.handle(ev.Disproved(session, F, "by hand"))
    assert not core.shares(session, F)
    peer.handle(ev.Unblock(PeerId("bob"), F))
    assert core.shares(session, F)
    peer.unfollow("f")
    assert not core.shares(session, F)
    peer.down("bob")
    assert (core.sessions, core.peer(session), core.heard(session, F)) == ([], None, 0)


def test_whether_there_is_more_to_be_sent(bench: type[Bench]) -> None:
    peer = bench(follow=("f", "g"), have={"f": 1}, notes_per_frame=1)
    peer.up("bob", quiet=False)
    session = peer.link("bob").session
    assert peer.core.has_more(session)
    for _ in range(3):
        peer.pull("bob")
    assert not peer.core.has_more(session)
    peer.store("f", 2)
    assert peer.core.durable(FeedId("f")) == 2
    assert peer.core.has_more(session)
    peer.pull("bob")
    assert not peer.core.has_more(session)
    peer.down("bob")
    assert not peer.core.has_more(session)

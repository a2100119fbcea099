"""Sessions that come up and go down; two sessions with one peer instance; request skipping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ebt_trio.core.actions import What
from ebt_trio.core.clock import NONE, entry_digest
from ebt_trio.core.feed import Class
from ebt_trio.core.note import DECLINED
from ebt_trio.core.types import FeedId, PeerId, PeerKey, Remembered

if TYPE_CHECKING:
    from conftest import Bench

ONE, TWO = b"one", b"two"
STORE = b"their store"
BOB = PeerKey(PeerId("bob"), STORE, False)


def digest(**heard: int) -> bytes:
    total = sum(entry_digest(FeedId(feed), sequence) for feed, sequence in heard.items())
    return (total % 2**128).to_bytes(16, "big")


# -- up and down


def test_coming_and_going_is_reported(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob")
    peer.down("bob")
    peer.down("bob")
    assert [(report.what, report.peer) for report in peer.reports] == [
        (What.CONNECTED, "bob"),
        (What.DISCONNECTED, "bob"),
    ]


def test_only_what_is_followed_is_said_at_first(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 3, "h": 4})
    peer.up("bob", quiet=False)
    assert peer.out("bob") == ["f=3,lazy", "g=0,lazy", "end"]


def test_state_belongs_to_the_session(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=0,eager", "end")
    peer.down("bob")
    peer.up("again", peer="bob", quiet=False)
    assert peer.told("again") == NONE
    assert peer.out("again") == ["f=3,lazy", "end"]


def test_what_was_held_for_a_session_ends_with_it(bench: type[Bench]) -> None:
    peer = bench("zoe", have={"g": 1}, follow=["f", "g"])
    peer.up("bob", "f=0,lazy", "g=0,eager", "end")
    peer.pull("bob")
    peer.read_failed("bob", "g")
    for head in (1, 2):
        peer.store("f", head)
        peer.out("bob")
    assert peer.core.next_deadline() is not None
    peer.down("bob")
    assert peer.core.next_deadline() is None


# -- two sessions with one peer instance


def test_the_smaller_id_keeps_the_newest(bench: type[Bench]) -> None:
    peer = bench("alice")
    peer.up("bob", "f=1,lazy", "end", instance=ONE)
    peer.up("newer", peer="bob", instance=ONE)
    assert peer.closed == [("bob", 1)]
    assert peer.core.link(peer.session("bob")) is None
    peer.hear("newer", "f=1,lazy", "end")
    assert peer.owner() == "newer"
    peer.down("bob")
    assert peer.owner() == "newer"
    assert peer.reported(What.DISCONNECTED) == ["bob"]


def test_the_larger_id_keeps_all_and_ignores_the_older(bench: type[Bench]) -> None:
    peer = bench("zoe")
    peer.up("bob", "f=1,lazy", "end", instance=ONE)
    peer.up("newer", peer="bob", instance=ONE)
    assert peer.closed == []
    assert peer.stands() == (Class.IDLE, None, None)
    peer.hear("bob", "f=2,lazy")
    assert peer.owner() is None
    assert peer.out("bob") == []
    peer.hear("newer", "f=1,lazy", "end")
    assert peer.owner() == "newer"


def test_the_larger_id_closes_the_older_when_their_replacement_ends(bench: type[Bench]) -> None:
    peer = bench("zoe")
    for label in ("first", "second", "third"):
        peer.up(label, peer="bob", instance=ONE)
    peer.down("second")
    assert peer.closed == []
    peer.down("third")
    assert peer.closed == [("first", 1)]


def test_other_sessions_are_left_alone_by_that(bench: type[Bench]) -> None:
    peer = bench("zoe")
    peer.up("bob", instance=ONE)
    peer.up("other device", peer="bob", instance=TWO)
    peer.up("carol", instance=ONE)
    peer.up("newer", peer="bob", instance=ONE)
    peer.down("newer")
    assert peer.closed == [("bob", 1)]
    assert peer.core.link(peer.session("other device")) is not None
    assert peer.core.link(peer.session("carol")) is not None


@pytest.mark.parametrize("instance", [None, TWO])
def test_two_instances_are_two_peers(bench: type[Bench], instance: bytes | None) -> None:
    peer = bench("alice")
    peer.up("bob", instance=ONE)
    peer.up("device", peer="bob", instance=instance)
    assert peer.closed == []
    assert peer.core.link(peer.session("bob")) is not None


def test_who_only_says_that_he_is_bob_replaces_nobody_who_has_proved_it(bench: type[Bench]) -> None:
    peer = bench("alice")
    peer.up("bob", "f=1,lazy", "end", instance=ONE, proved=True)
    peer.up("liar", peer="bob", instance=ONE)
    assert peer.closed == []
    assert peer.owner() == "bob"
    peer.up("newer", peer="bob", instance=ONE, proved=True)
    assert peer.closed == [("bob", 1)]


def test_sessions_without_an_instance_are_never_the_same(bench: type[Bench]) -> None:
    peer = bench("zoe")
    peer.up("bob")
    peer.up("again", peer="bob")
    peer.down("again")
    assert peer.closed == []


# -- request skipping


def test_a_reconnection_with_nothing_new_says_nothing(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=3,lazy", "end", store=STORE)
    assert not peer.core.renew_idle_digests(10)
    peer.down("bob")
    assert peer.core.renew_idle_digests(10)
    assert not peer.core.renew_digests(BOB, 10)
    assert peer.core.heard_digest(BOB) == digest(f=3)
    peer.up("again", "end", peer="bob", store=STORE, heard=digest(f=3), quiet=False)
    assert peer.out("again") == ["end"]
    assert peer.core.progress().fraction == 1.0


def test_what_is_new_since_is_said(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 3, "g": 1})
    peer.up("bob", "f=3,lazy", "g=1,lazy", "end", store=STORE)
    peer.down("bob")
    peer.store("f", 4)
    peer.up("again", peer="bob", store=STORE, heard=digest(f=3, g=1), quiet=False)
    assert peer.out("again") == ["f=4,lazy", "end"]


def test_what_was_told_and_got_lost_is_said_again(bench: type[Bench]) -> None:
    """They remember what was told before the link was cut."""
    peer = bench(have={"f": 3})
    peer.up("bob", "f=3,lazy", "end", store=STORE)
    before = digest(f=3)
    peer.store("f", 4)
    assert peer.out("bob") == ["f=4,lazy"]
    peer.down("bob")
    peer.up("again", peer="bob", store=STORE, heard=before, quiet=False)
    assert peer.out("again") == ["f=4,lazy", "end"]


def test_a_digest_that_never_was_means_all(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 3})
    peer.up("bob", "f=3,lazy", "g=0,lazy", "end", store=STORE)
    peer.down("bob")
    peer.up("again", peer="bob", store=STORE, heard=digest(f=99), quiet=False)
    assert peer.out("again") == ["f=3,lazy", "g=0,lazy", "end"]


@pytest.mark.parametrize("store", [b"", b"another store"])
def test_another_store_is_another_memory(bench: type[Bench], store: bytes) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=3,lazy", "end", store=STORE)
    peer.down("bob")
    peer.up("again", peer="bob", store=store, heard=digest(f=3), quiet=False)
    assert peer.out("again") == ["f=3,lazy", "end"]
    assert peer.heard("again") == NONE


def test_what_was_heard_before_counts_at_once(bench: type[Bench]) -> None:
    """bob has skipped its note, too: it was heard in the session before."""
    peer = bench()
    peer.up("bob", "f=3,lazy", "end", store=STORE)
    peer.down("bob")
    assert peer.owner() is None
    peer.up("again", peer="bob", store=STORE, heard=digest(f=0), quiet=False)
    assert peer.stands() == (Class.CLAIMED, "again", 3.0)
    assert peer.out("again") == ["f=0,eager", "end"]


def test_a_change_of_mind_is_always_announced_again(bench: type[Bench]) -> None:
    peer = bench(follow=[], have={"f": 3})
    peer.up("bob", "f=3,lazy", "end", store=STORE)
    assert peer.out("bob") == ["f=declined"]
    peer.down("bob")
    peer.follow("f")
    peer.up("again", peer="bob", store=STORE, heard=digest(f=-1), quiet=False)
    assert peer.out("again") == ["f=3,lazy", "end"]


def test_a_decline_that_they_know_is_not_said_again(bench: type[Bench]) -> None:
    peer = bench(follow=[], have={"f": 3})
    peer.up("bob", "f=3,lazy", "end", store=STORE)
    peer.out("bob")
    peer.down("bob")
    peer.up("again", peer="bob", store=STORE, heard=digest(f=-1), quiet=False)
    assert peer.out("again") == ["end"]


def test_a_decline_that_they_may_not_know_is_said_again(bench: type[Bench]) -> None:
    peer = bench(follow=[], have={"f": 3})
    peer.up("bob", "f=3,lazy", "end", store=STORE)
    peer.out("bob")
    peer.down("bob")
    peer.up("again", peer="bob", store=STORE, heard=b"", quiet=False)
    assert peer.out("again") == ["f=declined", "end"]


def test_unfollowed_between_sessions(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=3,lazy", "end", store=STORE)
    peer.down("bob")
    peer.unfollow("f")
    peer.up("again", peer="bob", store=STORE, heard=digest(f=3), quiet=False)
    assert peer.out("again") == ["f=declined", "end"]


def test_blocked_between_sessions(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=3,lazy", "end", store=STORE)
    peer.down("bob")
    peer.block("bob", "f")
    peer.up("again", peer="bob", store=STORE, heard=digest(f=3), quiet=False)
    assert peer.out("again") == ["f=declined", "end"]


def test_what_they_declined_is_left_out_where_they_remember_that_we_know(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 3, "g": 1})
    peer.up("bob", "f=declined", "g=1,lazy", "end", store=STORE)
    peer.down("bob")
    peer.up("again", peer="bob", store=STORE, heard=digest(g=1), quiet=False)
    assert peer.out("again") == ["end"]
    assert peer.heard("again") == DECLINED


def test_a_known_author_is_not_asked_anew(bench: type[Bench]) -> None:
    peer = bench(follow=["bob"], have={"bob": 3})
    peer.up("bob", "bob=3,lazy", "end", store=STORE)
    peer.down("bob")
    peer.up("again", peer="bob", store=STORE, heard=digest(bob=3), quiet=False)
    assert peer.out("again") == ["end"]
    assert peer.owner("bob") is None


def test_a_newer_session_takes_the_memory_over(bench: type[Bench]) -> None:
    """Two devices with one store: what the older session hears from then on is remembered by nobody."""
    peer = bench("zoe", have={"f": 3})
    peer.up("bob", "f=3,lazy", "end", store=STORE, instance=ONE)
    peer.up("device", "f=1,lazy", "end", peer="bob", store=STORE, instance=TWO)
    assert (peer.heard("bob"), peer.heard("device")) == (3, 1)
    peer.hear("bob", "f=2,lazy")
    assert (peer.heard("bob"), peer.heard("device")) == (2, 1)
    assert peer.core.heard_digest(BOB) == digest(f=1)


def test_recall_from_the_store(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    assert not peer.core.remembers(BOB)
    peer.core.recall(BOB, [Remembered(FeedId("f"), 3, 4), Remembered(FeedId("unheard of"), None, 1)])
    assert peer.core.remembers(BOB)
    assert peer.core.heard_digest(BOB) == digest(f=4, **{"unheard of": 1})
    assert peer.core.heard_digest(None) == b""
    peer.up("bob", peer="bob", store=STORE, heard=digest(f=3), quiet=False)
    assert peer.out("bob") == ["f=3,eager", "unheard of=declined", "end"]


def test_rows_to_be_saved(bench: type[Bench]) -> None:
    peer = bench(have={"f": 3})
    peer.up("bob", "f=2,lazy", "g=1,lazy", "end", store=STORE)
    rows = peer.core.take_unsaved()
    assert {key: sorted(rows) for key, rows in rows.items()} == {
        BOB: [Remembered(FeedId("f"), 3, 2), Remembered(FeedId("g"), None, 1)]
    }
    assert peer.core.take_unsaved() == {}


def test_both_decline_and_they_have_forgotten_it(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", "f=3,lazy", "end", store=STORE)
    peer.out("bob")
    peer.hear("bob", "f=declined")
    peer.down("bob")
    peer.up("again", peer="bob", store=STORE, quiet=False)
    assert peer.out("again") == ["f=declined", "end"]
    assert (peer.told("again"), peer.heard("again")) == (DECLINED, DECLINED)


def test_a_minus_one_that_did_not_get_out_is_said_in_the_next_session(bench: type[Bench]) -> None:
    """They know that we have heard of the feed, and would wait for ever to learn where we are."""
    peer = bench(follow=[])
    peer.up("bob", "f=0,lazy", "end", store=STORE)
    peer.down("bob")
    heard = peer.core.heard_digest(BOB)
    assert heard != b""
    peer.up("bob", "end", store=STORE, quiet=False)
    assert peer.out("bob") == ["f=declined", "end"]


def test_what_is_remembered_counts_also_when_an_append_under_way_fails(bench: type[Bench]) -> None:
    """What it claims had been accepted when the session came up, and then was not stored."""
    peer = bench(have={"f": 3})
    peer.core.recall(BOB, [Remembered(FeedId("f"), 3, 4)])
    peer.up("carol", "f=6,lazy", "end")
    peer.slow = True
    peer.hear("carol", "f:4", "f=declined")
    peer.up("bob", peer="bob", store=STORE, heard=digest(f=3), quiet=False)
    assert peer.stands() == (Class.IDLE, None, None)
    peer.fails()
    assert peer.owner() == "bob"

"""Progress for a bar, the state of one feed, and waiting until all is in sync."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebt_trio.core.actions import What
from ebt_trio.core.note import Mode
from ebt_trio.core.progress import Meter, PeerStatus, Progress
from ebt_trio.core.types import FeedId

if TYPE_CHECKING:
    from conftest import Bench


# -- the fraction


def test_the_fraction_grows_as_work_is_done() -> None:
    meter = Meter()
    assert [meter.update(remaining, False) for remaining in (10, 5, 1)] == [0.0, 0.5, 0.9]
    assert meter.total == 10


def test_the_fraction_falls_back_for_new_work_only() -> None:
    meter = Meter()
    meter.update(10, False)
    assert meter.update(5, False) == 0.5
    assert meter.update(15, False) == 0.25
    assert meter.total == 20


def test_the_fraction_is_one_only_when_complete() -> None:
    meter = Meter()
    assert meter.update(0, False) == 0.0
    meter.update(10, False)
    assert meter.update(0, False) == 0.999
    assert meter.update(0, True) == 1.0


# -- over sessions


def test_without_sessions_there_is_nothing_to_do(bench: type[Bench]) -> None:
    assert bench().core.progress() == Progress(0, 0, 0, 0, 0, 0, 1.0)


def test_until_both_have_spoken_nothing_is_known(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("bob", quiet=False)
    assert peer.core.progress() == Progress(feeds=2, sync=0, send=0, recv=0, total=2, unknown=2, fraction=0.0)
    peer.hear("bob", "f=0,lazy", "g=0,lazy", "end")
    assert peer.core.progress() == Progress(feeds=2, sync=0, send=0, recv=0, total=2, unknown=2, fraction=0.0)
    peer.out("bob")
    assert peer.core.progress() == Progress(feeds=2, sync=2, send=0, recv=0, total=2, unknown=0, fraction=1.0)


def test_initial_notes_under_way_are_not_complete(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", quiet=False)
    assert peer.core.progress().fraction == 0.0
    peer.hear("bob", "end")
    assert peer.core.progress().fraction == 0.0
    peer.out("bob")
    assert peer.core.progress().fraction == 1.0


def test_what_is_to_be_sent_and_what_is_expected(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 7})
    peer.up("bob", "f=2,eager", "g=3,lazy", "end")
    assert peer.core.progress() == Progress(feeds=2, sync=0, send=5, recv=3, total=8, unknown=0, fraction=0.0)
    peer.out("bob")
    peer.hear("bob", "g:1-2")
    assert peer.core.progress() == Progress(feeds=2, sync=0, send=5, recv=1, total=8, unknown=0, fraction=0.25)
    peer.hear("bob", "ack f=7", "g:3")
    assert peer.core.progress() == Progress(feeds=2, sync=2, send=0, recv=0, total=8, unknown=0, fraction=1.0)


def test_a_feed_counts_once_with_the_most_that_is_missing(bench: type[Bench]) -> None:
    peer = bench(have={"f": 4})
    for name, heard in (("bob", 1), ("carol", 3), ("dave", 10), ("erin", 6)):
        peer.up(name, f"f={heard},lazy", "end")
    progress = peer.core.progress()
    assert (progress.feeds, progress.send, progress.recv) == (1, 3, 6)
    one = peer.core.progress(peer.session("carol"))
    assert (one.feeds, one.send, one.recv) == (1, 1, 0)


def test_what_one_side_declined_is_not_counted(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 4})
    peer.up("bob", "f=declined", "g=0,lazy", "h=4,lazy", "end")
    assert peer.core.progress() == Progress(feeds=1, sync=1, send=0, recv=0, total=0, unknown=0, fraction=1.0)


def test_a_penalised_claim_is_not_expected(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("liar", "f=1000,lazy", "end")
    assert peer.core.progress().recv == 1000
    peer.wait(3)
    assert peer.core.progress() == Progress(feeds=1, sync=1, send=0, recv=0, total=1000, unknown=0, fraction=1.0)


def test_without_acks_what_was_told_once_is_enough(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "f:1", "end", acks=False)
    assert peer.core.progress().fraction == 1.0


def test_each_session_has_its_own_bar(bench: type[Bench]) -> None:
    peer = bench(have={"f": 4})
    peer.up("bob", "f=4,lazy", "end")
    assert peer.core.progress(peer.session("bob")).fraction == 1.0
    peer.up("carol", "f=0,lazy", "end")
    assert peer.core.progress(peer.session("bob")).fraction == 1.0
    assert peer.core.progress(peer.session("carol")).fraction == 0.0
    assert peer.core.progress().fraction == 0.0


# -- synced


def test_synced_is_reported_once(bench: type[Bench]) -> None:
    peer = bench(have={"f": 4})
    peer.up("bob", quiet=False)
    peer.out("bob")
    peer.hear("bob", "f=4,lazy")
    assert peer.reported(What.SYNCED) == []
    peer.hear("bob", "end")
    assert peer.reported(What.SYNCED) == ["bob"]


def test_synced_by_the_last_of_our_initial_notes(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", "end", quiet=False)
    assert peer.reported(What.SYNCED) == []
    peer.pull("bob")
    peer.wait(0)
    peer.hear("bob", "g=declined")
    assert peer.reported(What.SYNCED) == ["bob"]


def test_a_short_difference_is_not_reported_again(bench: type[Bench]) -> None:
    peer = bench(have={"f": 4})
    peer.up("bob", "f=4,eager", "end")
    assert peer.reported(What.SYNCED) == ["bob"]
    for wait, reports in ((0.9, 1), (1.0, 2), (0.0, 2)):
        peer.wait(10)
        peer.store("f", peer.heads["f"] + 1)
        peer.out("bob")
        peer.now += wait
        peer.hear("bob", f"ack f={peer.heads['f']}")
        assert len(peer.reported(What.SYNCED)) == reports


# -- one feed


def test_status_of_a_feed(bench: type[Bench]) -> None:
    peer = bench(have={"f": 4})
    peer.up("bob", "f=9,lazy", "end")
    peer.up("carol", "f=2,eager", "end")
    peer.up("dave", "f=declined", "end")
    peer.up("erin", quiet=False)
    peer.out("carol")
    status = peer.core.status(FeedId("f"))
    assert (status.feed, status.sequence, status.followed, status.owner) == ("f", 4, True, "bob")
    assert list(status.peers) == [
        PeerStatus("bob", acknowledged=9, told=4, sent=None, ours=Mode.EAGER, theirs=Mode.LAZY),  # type: ignore[arg-type]
        PeerStatus("carol", acknowledged=2, told=4, sent=4, ours=Mode.LAZY, theirs=Mode.EAGER),  # type: ignore[arg-type]
        PeerStatus("dave", acknowledged=-1, told=None, sent=None, ours=Mode.LAZY, theirs=Mode.LAZY),  # type: ignore[arg-type]
        PeerStatus("erin", acknowledged=None, told=None, sent=None, ours=Mode.LAZY, theirs=Mode.LAZY),  # type: ignore[arg-type]
    ]


def test_status_of_an_unknown_or_ownerless_feed(bench: type[Bench]) -> None:
    peer = bench()
    unknown = peer.core.status(FeedId("nobody's"))
    assert (unknown.sequence, unknown.followed, unknown.owner, list(unknown.peers)) == (0, False, None, [])
    assert peer.core.status(FeedId("f")).owner is None


# -- waiting


def test_wait_until_both_have_what_either_had(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"], have={"f": 4})
    peer.up("bob", "f=2,eager", "g=3,lazy", "end")
    peer.out("bob")
    wait = peer.core.sync_wait()
    assert not wait.done(peer.now)
    assert wait.sessions() == [peer.link("bob")]
    peer.hear("bob", "ack f=4")
    assert not wait.done(peer.now)
    peer.hear("bob", "g:1-3")
    assert wait.done(peer.now)
    assert wait.sessions() == []


def test_what_is_announced_later_is_not_waited_for(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    wait = peer.core.sync_wait()
    peer.hear("bob", "f=9,lazy", "f:1")
    assert wait.done(peer.now)


def test_what_we_append_later_is_not_waited_for(bench: type[Bench]) -> None:
    peer = bench(have={"f": 1})
    peer.up("bob", "f=0,eager", "end")
    wait = peer.core.sync_wait()
    peer.store("f", 5)
    peer.hear("bob", "ack f=1")
    assert wait.done(peer.now)


def test_nothing_open_nothing_to_wait_for(bench: type[Bench]) -> None:
    peer = bench()
    assert peer.core.sync_wait().done(peer.now)
    peer.up("bob", "f=0,lazy", "end")
    assert peer.core.sync_wait().done(peer.now)


def test_a_young_session_counts_from_when_its_notes_are_complete(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", quiet=False)
    wait = peer.core.sync_wait()
    peer.out("bob")
    assert not wait.done(peer.now)
    assert wait.sessions() == [peer.link("bob")]
    peer.hear("bob", "f=2,lazy", "end")
    assert not wait.done(peer.now)
    peer.hear("bob", "f:1-2")
    assert wait.done(peer.now)


def test_ours_have_to_be_complete_too(bench: type[Bench]) -> None:
    peer = bench(follow=[])
    peer.up("bob", "end", quiet=False)
    wait = peer.core.sync_wait()
    assert not wait.done(peer.now)
    peer.out("bob")
    assert wait.done(peer.now)


def test_sessions_that_end_no_longer_count(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.up("carol", quiet=False)
    wait = peer.core.sync_wait()
    peer.down("bob")
    assert not wait.done(peer.now)
    peer.down("carol")
    assert wait.done(peer.now)


def test_feeds_that_one_side_lets_go_no_longer_count(bench: type[Bench]) -> None:
    peer = bench(follow=["f", "g"])
    peer.up("bob", "f=2,lazy", "g=2,lazy", "end")
    wait = peer.core.sync_wait()
    peer.hear("bob", "f=declined")
    assert not wait.done(peer.now)
    peer.unfollow("g")
    assert wait.done(peer.now)


def test_penalised_claims_no_longer_count(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("liar", "f=2,lazy", "end")
    wait = peer.core.sync_wait()
    peer.wait(2.9)
    assert not wait.done(peer.now)
    peer.wait(0.1)
    assert wait.done(peer.now)


def test_what_a_penalised_peer_still_needs_counts(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=2,lazy", "end")
    peer.wait(3)
    peer.store("f", 4)
    peer.hear("bob", "f=2,lazy")
    wait = peer.core.sync_wait()
    assert not wait.done(peer.now)
    peer.hear("bob", "ack f=4")
    assert wait.done(peer.now)


def test_one_session_can_be_waited_for(bench: type[Bench]) -> None:
    peer = bench()
    peer.up("bob", "f=1,lazy", "end")
    peer.up("carol", "f=0,lazy", "end")
    wait = peer.core.sync_wait(peer.session("carol"))
    assert wait.done(peer.now)

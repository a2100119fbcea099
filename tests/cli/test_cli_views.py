"""What a node shows: log lines, and the picture."""

from __future__ import annotations

import logging
from io import StringIO

import pytest
from rich.console import Console

from ebt_trio import Event, FeedId, FeedStatus, Mode, PeerId, PeerStatus, Progress, Statistics, What
from ebt_trio.cli.picture import Picture, render
from ebt_trio.cli.snapshot import PeerLine, Rates, Snapshot
from ebt_trio.cli.tables import bytes_text, plural, short
from ebt_trio.cli.views import LogLines, Repeats, ViewHandler
from ebt_trio.core.types import SessionId

ME = "me" * 20


def snapshot(time: float, received: int, *, peers: int = 1, feeds: int = 1, fraction: float = 0.5) -> Snapshot:
    progress = Progress(feeds, 0, 0, 5000 - received, 5000, 0, fraction)
    statistics = Statistics(messages_received=received, bytes_received=100 * received)
    lines = [
        PeerLine(SessionId(n), PeerId(f"peer{n}"), f"tcp://192.0.2.{n}:8008", progress, statistics)
        for n in range(peers)
    ]
    clock = {FeedId(f"feed{n}"): received for n in range(feeds)}
    return Snapshot(time, PeerId(ME), "net", ["tcp://127.0.0.1:1"], progress, statistics, lines, clock)


def status(feed: str, sequence: int = 1000) -> FeedStatus:
    peer = PeerStatus(PeerId("peer0"), 5000, sequence, None, Mode.EAGER, Mode.LAZY)
    return FeedStatus(FeedId(feed), sequence, True, PeerId("peer0"), [peer])


def drawn(now: Snapshot, before: Snapshot | None, feeds: list[tuple[FeedStatus, float]], height: int = 24) -> str:
    console = Console(file=StringIO(), width=100, height=height, force_terminal=False)
    with console.capture() as capture:
        console.print(render(now, before, feeds, "/home", height))
    return capture.get()


def test_the_picture_has_peers_feeds_progress_and_rates() -> None:
    text = drawn(snapshot(2.0, 1000), snapshot(1.0, 0), [(status("feed0"), 250.0), (status(ME), 0.0)])
    assert "50%  4,000 to come, 0 to send" in text
    assert "1,000 messages/s, 100 kB/s" in text
    assert "peer0" in text
    assert "tcp://192.0.2.0:8008" in text
    (feed,) = [line for line in text.splitlines() if line.startswith("feed0")]
    assert feed.split()[-4:] == ["of", "5,000", "1,000", "250"]
    assert "ours" in text


def test_the_picture_fits_the_terminal() -> None:
    feeds = [(status(f"feed{n}"), 0.0) for n in range(60)]
    text = drawn(snapshot(1.0, 0, peers=50, feeds=1000), None, feeds)
    assert len(text.splitlines()) <= 24
    assert "and 43 more" in text
    assert "50 peers" in text


def test_the_picture_says_when_nobody_is_there_and_when_all_is_well() -> None:
    assert "no peers connected" in drawn(snapshot(1.0, 0, peers=0, fraction=1.0), None, [])
    assert "100%  in sync" in drawn(snapshot(1.0, 0, fraction=1.0), None, [])


def test_the_live_picture() -> None:
    console = Console(file=StringIO(), width=100, height=30, force_terminal=True)
    asked: list[str] = []

    def ask(feed: str) -> FeedStatus:
        asked.append(feed)
        return status(feed)

    picture = Picture(console, "/home", ask)
    picture.update(snapshot(1.0, 0))
    picture.event(Event(What.CONNECTED, PeerId("peer0")))
    picture.event(Event(What.GRAFTED, PeerId("peer0"), FeedId("hidden")))
    picture.update(snapshot(2.0, 700))
    picture.close()
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "connected, peer peer0" in text
    assert "hidden" not in text
    assert "700 messages/s" in text
    assert asked == ["feed0"]


def test_log_lines(capsys: pytest.CaptureFixture[str]) -> None:
    view = LogLines(everything=False)
    view.event(Event(What.CONNECTED, PeerId("bob")))
    view.event(Event(What.GRAFTED, PeerId("bob"), FeedId("x")))
    view.update(snapshot(0.0, 0))
    view.update(snapshot(4.0, 100))
    view.update(snapshot(10.0, 1000))
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line[9:] for line in err.splitlines()]
    assert lines == [
        "connected, peer bob",
        "50.0% in sync, 4,000 to come, 0 to send; in 100/s (10.0 kB/s), out 0/s (0 B/s)",
    ]


def test_nothing_is_said_when_nothing_moves(capsys: pytest.CaptureFixture[str]) -> None:
    view = LogLines(everything=True)
    for time in range(0, 100, 10):
        view.update(snapshot(time, 1000, fraction=1.0))
    assert capsys.readouterr().err == ""
    view.event(Event(What.GRAFTED, PeerId("bob"), FeedId("x")))
    assert "grafted, peer bob, feed x" in capsys.readouterr().err


def test_repeated_failures_are_told_once_a_minute() -> None:
    repeats = Repeats()
    failed = Event(What.FAILED, detail="tcp://a:1: cannot connect to tcp://a:1: nothing listens there")
    assert repeats.filter(failed, 0.0) == "failed: cannot connect to tcp://a:1: nothing listens there (trying again)"
    assert [repeats.filter(failed, time) for time in (1.0, 30.0, 59.0)] == [None] * 3
    assert repeats.filter(Event(What.FAILED, detail="tcp://b:1: x"), 2.0) == "failed: tcp://b:1: x (trying again)"
    told = repeats.filter(failed, 61.0)
    assert told is not None
    assert told.endswith("(trying again; 4 times in the last 61 seconds)")
    assert repeats.filter(Event(What.SYNCED), 61.0) == repeats.filter(Event(What.SYNCED), 61.0) == "synced"


def test_who_is_refused_again_and_again_is_told_once_a_minute() -> None:
    repeats = Repeats()

    def refused(port: int, time: float) -> str | None:
        return repeats.filter(Event(What.REFUSED, PeerId("bob"), detail=f"tcp://192.0.2.1:{port}: not admitted"), time)

    assert refused(1, 0.0) == "refused, peer bob: tcp://192.0.2.1:1: not admitted"
    assert refused(2, 1.0) is None
    assert refused(3, 61.0) == "refused, peer bob: tcp://192.0.2.1:3: not admitted (2 times in the last 61 seconds)"


def test_what_is_logged_reaches_the_view(capsys: pytest.CaptureFixture[str]) -> None:
    handler = ViewHandler(LogLines(everything=False))
    logger = logging.Logger("some")
    logger.addHandler(handler)
    logger.warning("careful: %s", "hot")
    logger.info("never mind")
    assert [line[9:] for line in capsys.readouterr().err.splitlines()] == ["warning: careful: hot"]


def test_rates() -> None:
    old, new = Statistics(messages_received=10, bytes_sent=5), Statistics(messages_received=30, bytes_sent=105)
    assert Rates.between(old, new, 2.0) == Rates(messages_in=10.0, bytes_out=50.0)
    assert Rates.between(None, new, 2.0) == Rates.between(old, new, 0.0) == Rates()


def test_words() -> None:
    assert [bytes_text(size) for size in (0, 999, 1000, 123456, 5e6, 7e9)] == [
        "0 B", "999 B", "1.0 kB", "123 kB", "5.0 MB", "7.0 GB",
    ]  # fmt: skip
    assert (plural(1, "feed"), plural(2000, "feed")) == ("1 feed", "2,000 feeds")
    assert (short("a" * 12), short("a" * 13)) == ("a" * 12, "a" * 10 + "…")

"""The picture of ``ebt simulate``, as a browser shows it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ebt_trio.cli.app import run
from ebt_trio.cli.simulate.picture import page

if TYPE_CHECKING:
    from conftest import Browser


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Sixty peers, of which a third fails; two feeds."""
    file = tmp_path_factory.mktemp("picture") / "picture.html"
    options = ["--peers", "60", "--degree", "4", "--senders", "2", "--messages", "8", "--fail", "0.33", "--seed", "7"]
    assert run(["simulate", *options, "--html", str(file)]) == 0
    return file.as_uri()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), [(1280, 860), (390, 800)])
def test_edges_are_drawn_and_scrubbing_changes_them(
    browser: Browser, picture: str, dark: bool, width: int, height: int
) -> None:
    browser.events.clear()
    browser.open(f"{picture}#t=0", width=width, height=height, dark=dark)
    start = browser.state()
    browser.value("picture.seek(1.9)")
    formed = browser.state()
    assert start["eager"] < formed["eager"] <= 59
    assert formed["eager"] > 50
    assert formed["links"] == 120
    edges = browser.pixels("eager")
    assert edges > 500
    browser.value("document.getElementById('slider').value = document.getElementById('slider').max")
    browser.value("document.getElementById('slider').dispatchEvent(new Event('input'))")
    healed = browser.state()
    assert healed["live"] == 40
    assert healed["has"] == 40
    assert 30 < healed["eager"] < formed["eager"]
    assert browser.pixels("eager") != edges
    assert browser.pixels("dead") > 20
    assert browser.value("document.documentElement.scrollWidth <= innerWidth")
    assert browser.complaints() == []


def test_every_instant_is_the_same_whichever_way_one_comes(browser: Browser, picture: str) -> None:
    browser.open(f"{picture}#t=0")
    end = browser.value("picture.recording.end * picture.recording.tick")
    times = [0.25 * step for step in range(int(4 * end))]
    assert len(times) > 15

    def seen(order: list[float]) -> dict[float, Any]:
        found: dict[float, Any] = {}
        for seconds in order:
            browser.value(f"picture.seek({seconds})")
            found[seconds] = browser.state()
        return found

    forth = seen(times)
    assert forth == seen(times[::-1])
    assert len({json.dumps(state) for state in forth.values()}) == len(times)
    reached = [state["newest"] for state in forth.values()]
    assert reached == sorted(reached)


def replayed(recording: dict[str, Any], number: int, time: int) -> dict[str, int]:
    """What the page should see of a feed at an instant: from the beginning, event by event."""

    def until(table: dict[str, list[int]], *names: str) -> Iterator[tuple[int, ...]]:
        for at, *row in zip(itertools.accumulate(table["at"]), *(table[name] for name in names), strict=True):
            if at <= time:
                yield (at, *row)

    feed, links = recording["feeds"][number], recording["links"]
    dead = {peer for peer, since, back in recording["down"] if since <= time and not 0 <= back <= time}
    here = [
        link
        for link, (a, b) in enumerate(zip(links["a"], links["b"], strict=True))
        if links["opened"][link] <= time and not 0 <= links["closed"][link] <= time and not {a, b} & dead
    ]
    asked = {end: eager for _, end, eager in until(feed["asked"], "end", "eager")}
    heads = {peer: head for _, peer, head in until(feed["stored"], "peer", "head")}
    newest = sum(at <= time for at in feed["appended"])
    return {
        "eager": sum(asked.get(2 * link + way, 0) for link in here for way in (0, 1)),
        "links": len(here),
        "live": recording["peers"] - len(dead),
        "newest": newest,
        "has": sum(heads.get(peer, 0) >= newest for peer in set(range(recording["peers"])) - dead),
    }


def test_it_shows_what_was_recorded(browser: Browser, picture: str) -> None:
    browser.open(f"{picture}#t=0")
    recording = json.loads(browser.value("document.getElementById('recording').textContent"))
    for number, feed in enumerate(recording["feeds"]):
        browser.value(f"picture.choose({number}, 'rings')")
        interesting = [*feed["appended"], *(at for at, _ in recording["marks"]), recording["end"]]
        for time_ in sorted({max(0, at + step) for at in interesting for step in (-1, 0, 317, 1200)}):
            if time_ <= recording["end"]:
                browser.value(f"picture.seek({time_} * picture.recording.tick)")
                state = browser.state()
                wanted = replayed(recording, number, time_)
                assert {name: state[name] for name in wanted} == wanted, time_


def test_links_peers_and_ways_come_and_go(browser: Browser, tmp_path: Path) -> None:
    """Four peers in a row: the middle link is lost and found, the last peer fails and comes back."""
    recording: dict[str, Any] = {
        "format": 1,
        "tick": 0.0001,
        "end": 100_000,
        "peers": 4,
        "down": [[3, 30_000, 70_000]],
        "marks": [],
        "links": {
            "a": [0, 1, 2, 1],
            "b": [1, 2, 3, 2],
            "latency": [100] * 4,
            "opened": [0, 0, 0, 50_000],
            "closed": [-1, 20_000, -1, -1],
        },
        "feeds": [
            {
                "author": 0,
                "appended": [10_000, 40_000],
                "asked": {"at": [10_000, 100, 100], "end": [0, 2, 4], "eager": [1, 1, 1]},
                "sent": {
                    "at": [10_000, 100, 100, 29_800, 20_000],
                    "took": [100, 100, 100, 100, -1],
                    "end": [0, 2, 4, 0, 6],
                    "first": [1, 1, 1, 2, 2],
                    "count": [1] * 5,
                    "new": [1, 1, 1, 0, 0],
                },
                "stored": {"at": [10_000, 100, 100, 100, 29_800], "peer": [0, 1, 2, 3, 0], "head": [1, 1, 1, 1, 2]},
            }
        ],
    }
    file = tmp_path / "row.html"
    file.write_text(page(recording, "a row", ""))
    browser.open(f"{file.as_uri()}#t=0")
    seen: list[tuple[int, ...]] = []
    for time in (0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 7.5):
        browser.value(f"picture.seek({time})")
        state = browser.state()
        seen.append(tuple(state[name] for name in ("links", "live", "eager", "has", "cutOff", "looking")))
    assert seen == [
        (3, 4, 0, 4, 0, 0),
        (3, 4, 3, 4, 0, 0),
        (2, 4, 2, 4, 0, 1),
        (1, 3, 1, 3, 0, 1),
        (1, 3, 1, 1, 1, 1),
        (2, 3, 1, 1, 0, 1),
        (3, 4, 2, 1, 0, 1),
    ]
    assert state["rmr"] == pytest.approx(1 / 3)


def test_eager_edges_lead_from_the_author_to_everybody(browser: Browser, picture: str) -> None:
    browser.open(f"{picture}#t=1.9")
    browser.state()
    assert browser.value(
        """(() => {
            const { feed, recording } = picture.instant;
            return [...Array(recording.peers).keys()].every(peer => {
                const path = picture.instant.path(peer);
                return peer === feed.author || (path.length && recording.from(path.at(-1)) === feed.author);
            });
        })()"""
    )


def test_edges_are_where_they_should_be(browser: Browser, picture: str) -> None:
    """Of nearly every eager edge a third of the way is painted; a peer may lie upon it."""
    browser.open(f"{picture}#t=1.9")
    browser.state()
    painted, eager = browser.value(
        """(() => {
            const { drawing, instant, recording } = picture;
            const copy = new OffscreenCanvas(drawing.canvas.width, drawing.canvas.height);
            const context = copy.getContext("2d", { willReadFrequently: true });
            context.drawImage(drawing.canvas, 0, 0);
            const wanted = d3.rgb(drawing.colours.eager);
            let painted = 0;
            for (const end of instant.eager.subarray(0, instant.eagerCount)) {
                const [from, to] = [recording.from(end), recording.to(end)].map(peer => picture.places[peer]);
                const place = { x: from.x + (to.x - from.x) / 3, y: from.y + (to.y - from.y) / 3 };
                const [x, y] = drawing.toCanvas(place).map(value => Math.round(value * drawing.ratio - 0.5));
                const [r, g, b] = context.getImageData(x, y, 1, 1).data;
                painted += Math.abs(r - wanted.r) + Math.abs(g - wanted.g) + Math.abs(b - wanted.b) < 90;
            }
            return [painted, instant.eagerCount];
        })()"""
    )
    assert painted >= 0.9 * eager > 40


def test_messages_travel_and_a_failure_heals(browser: Browser, picture: str) -> None:
    browser.open(f"{picture}#t=0")
    browser.value("picture.seek(picture.recording.feeds[0].appended[0] * picture.recording.tick + 0.03)")
    state = browser.state()
    assert state["travelling"] > 0
    assert browser.pixels("message") > 10
    assert 1 <= state["has"] < 60
    marks = browser.value("picture.recording.marks.map(([at]) => at * picture.recording.tick)")
    assert len(marks) == 1
    browser.value(f"picture.seek({marks[0] - 0.001})")
    assert browser.state()["live"] == 60
    browser.value(f"picture.seek({marks[0] + 0.001})")
    hit = browser.state()
    assert hit["live"] == 40
    assert browser.value("document.getElementById('caption').textContent") == "20 of 60 peers fail"
    browser.value(f"picture.seek({marks[0] + 20})")
    assert browser.state()["eager"] >= hit["eager"]
    assert browser.state()["has"] == 40


def test_keys_and_buttons(browser: Browser, picture: str) -> None:
    browser.open(f"{picture}#t=1")
    assert not browser.state()["playing"]
    browser.key("ArrowRight")
    assert browser.state()["seconds"] == pytest.approx(1.01)
    browser.key("ArrowLeft")
    assert browser.state()["seconds"] == pytest.approx(1.0)
    browser.key(" ", " ")
    browser.wait("picture.seconds > 1.005")
    assert browser.state()["playing"]
    browser.key(" ", " ")
    assert not browser.state()["playing"]
    browser.key(".", ".")
    assert browser.value("picture.recording.feeds[0].appended.includes(picture.time)")
    for layout in ("end", "map", "rings"):
        browser.key("l", "l")
        assert browser.state()["layout"] == layout
    browser.key("f", "f")
    assert browser.state()["feed"] == 1
    browser.value("document.getElementById('play').click()")
    assert browser.value("picture.playing")
    browser.value("document.getElementById('play').click()")
    paper = "getComputedStyle(document.body).backgroundColor"
    before = browser.value(paper)
    browser.value("document.getElementById('theme').click()")
    assert browser.value(paper) != before


def test_a_peer_tells_about_itself(browser: Browser, picture: str) -> None:
    browser.open(f"{picture}#t=1.9")
    browser.state()
    x, y = browser.value(
        """(() => {
            const room = document.getElementById("network").getBoundingClientRect();
            const author = picture.recording.feeds[0].author;
            const [x, y] = picture.drawing.toCanvas(picture.places[author]);
            return [x + room.left, y + room.top];
        })()"""
    )
    browser.click(x, y)
    browser.state()
    assert browser.value("document.getElementById('about').hidden") is False
    assert ", the author" in browser.value("document.getElementById('about').textContent")


def test_it_plays_when_it_is_opened_and_stops_at_the_end(browser: Browser, picture: str) -> None:
    browser.open(picture)
    browser.wait("picture.playing && picture.time > 0")
    browser.value("picture.seek(1e9)")
    browser.wait("!picture.playing")
    assert browser.state()["seconds"] == pytest.approx(browser.value("picture.recording.end * picture.recording.tick"))

"""The picture of ``ebt simulate``, in a real browser without a screen, over its debugging pipe.

Skipped where there is no Chromium or Chrome, unless ``EBT_BROWSER=required``.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from ebt_trio.cli.app import run

TIMEOUT: Final = 60.0
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS: Final = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions", "--hide-scrollbars"),
    "--remote-debugging-pipe",
]

LAUNCH: Final = """
import fcntl, os, sys
theirs = [fcntl.fcntl(int(text), fcntl.F_DUPFD, 10) for text in sys.argv[1:3]]
for number, descriptor in zip((3, 4), theirs):
    os.dup2(descriptor, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Brings the pipes to where the browser looks for them, and becomes it."""


class Browser:
    """One page in a browser, driven with the DevTools protocol: JSON, ended by NUL, on file descriptors 3 and 4."""

    def __init__(self, command: str, home: Path) -> None:
        self._number = itertools.count(1)
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, f"{theirs_in}", f"{theirs_out}", command, *FLAGS, f"--user-data-dir={home}"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._session = ""

    def attach(self) -> None:
        """To a page of its own."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(TIMEOUT)
        os.close(self._out)
        os.close(self._in)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._number)
        said: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            said["sessionId"] = self._session
        os.write(self._out, json.dumps(said).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + TIMEOUT
        while b"\0" not in self._rest:
            assert select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))[0], "the browser is silent"
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "the browser has gone"
            self._rest += chunk
        line, self._rest = self._rest.split(b"\0", 1)
        found: dict[str, Any] = json.loads(line)
        return found

    def value(self, expression: str) -> Any:
        """What an expression is, in the page; promises are waited for."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, url: str, *, width: int = 1000, height: int = 800, dark: bool = False, ratio: float = 1) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && window.picture && window.picture.instant !== undefined")

    def wait(self, condition: str) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not self.value(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"it did not happen: {condition}"
            time.sleep(0.02)

    def state(self) -> dict[str, Any]:
        """What is drawn, after all that was asked for has been drawn."""
        found: dict[str, Any] = self.value(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(picture.state()))))"
        )
        return found

    def key(self, key: str, text: str = "") -> None:
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def pixels(self, colour: str) -> int:
        """How many pixels of the network are about of a colour, given by its name in the style sheet."""
        found: int = self.value(
            f"""(() => {{
                const canvas = document.getElementById("network");
                const wanted = d3.rgb(getComputedStyle(canvas).getPropertyValue("--{colour}"));
                const copy = new OffscreenCanvas(canvas.width, canvas.height);
                const context = copy.getContext("2d", {{ willReadFrequently: true }});
                context.drawImage(canvas, 0, 0);
                const {{ data }} = context.getImageData(0, 0, copy.width, copy.height);
                let count = 0;
                for (let i = 0; i < data.length; i += 4) {{
                    const far = Math.abs(data[i] - wanted.r) + Math.abs(data[i + 1] - wanted.g);
                    count += far + Math.abs(data[i + 2] - wanted.b) < 30;
                }}
                return count;
            }})()"""
        )
        return found

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def complaints(self) -> list[Any]:
        """Errors, warnings, and whatever was fetched from elsewhere than from the file itself."""
        found: list[Any] = []
        for event in self.events:
            said = event.get("params", {})
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(said["exceptionDetails"])
            elif event.get("method") == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
                found.append(said["args"])
            elif event.get("method") == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
                found.append(said["entry"])
            elif event.get("method") == "Network.requestWillBeSent":
                url: str = said["request"]["url"]
                found.extend([url] if not url.startswith(("file:", "data:", "about:")) else [])
        return found


def _missing(why: str) -> None:
    if os.environ.get("EBT_BROWSER") == "required":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None or sys.platform == "win32":
        _missing(f"needs a browser: none of {', '.join(BROWSERS)} is on the PATH")
    assert found is not None
    browser = Browser(found, tmp_path_factory.mktemp("browser"))
    try:
        browser.attach()
        yield browser
    finally:
        browser.close()


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

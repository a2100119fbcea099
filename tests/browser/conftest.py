"""A real browser without a screen, over its debugging pipe; without one tests skip, unless EBT_BROWSER=required."""

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

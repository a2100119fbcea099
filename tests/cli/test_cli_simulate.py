"""``ebt simulate``: what it says, what it refuses, and what the picture is told."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ebt_trio.cli.simulate import picture
from ebt_trio.cli.simulate.play import DRAWN, Setting, play
from ebt_trio.cli.simulate.recorder import Recorder
from ebt_trio.core.types import FeedId, PeerId, Run

if TYPE_CHECKING:
    from conftest import Runner

A, B, C = PeerId("a"), PeerId("b"), PeerId("c")


def _silence(what: str, done: int, total: int) -> None:
    pass


def test_what_it_says_in_json(ebt: Runner) -> None:
    said = json.loads(ebt.ok("simulate", "--peers", "30", "--degree", "4", "--messages", "6", "--json"))
    assert {"peers", "messages", "reliability", "rmr", "ldh", "notes_per_delivery", "seed"} <= set(said)
    assert (said["peers"], said["messages"], said["links"], said["seed"]) == (30, 6, 60, 1)
    assert (said["reliability"], said["rmr"], said["failure"]) == (1.0, 0.0, None)
    assert 2 <= said["ldh"] <= 10
    assert 0 < said["notes_per_delivery"] < 5


def test_the_same_seed_says_the_same(ebt: Runner) -> None:
    options = [
        "simulate",
        "--peers",
        "40",
        "--degree",
        "4",
        "--senders",
        "3",
        "--messages",
        "8",
        "--fail",
        "0.3",
        "--jitter",
        "20",
        "--json",
    ]
    first, again, other = ebt.ok(*options), ebt.ok(*options), ebt.ok(*options, "--seed", "2")
    assert first == again
    assert json.loads(first)["jitter"] == 0.02
    assert json.loads(first)["delivery"] != json.loads(other)["delivery"]


def test_the_table(ebt: Runner) -> None:
    said = ebt.ok("simulate", "--peers", "30", "--degree", "4", "--messages", "6", "--fail", "0.5")
    assert said.startswith("30 peers, 6 messages; 50 % of them fail\nregular, degree 4 · links uniform, 10 to 50 ms")
    for row in (
        r"^reliability +100 % ",
        r"^RMR +0\.\d{4} ",
        r"^LDH +\d\.\d ",
        r"^failed +15 ",
        r"^later messages +100 %",
    ):
        assert re.search(row, said, re.MULTILINE), said
    assert "…" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_is_for_terminals_only(ebt: Runner) -> None:
    command = [sys.executable, "-m", "ebt_trio.cli", "simulate", "--peers", "30", "--degree", "4", "--json"]
    ours, theirs = os.openpty()
    said = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        with suppress(OSError):  # as Linux says that nobody writes any more
            while chunk := os.read(ours, 1 << 16):
                said += chunk
        out, _ = process.communicate(timeout=120)
    os.close(ours)
    assert b"messages are sent" in said
    result = ebt(*command[3:])
    assert (result.err, result.out) == ("", out)


def test_failures_and_redialling() -> None:
    """A thin network falls into pieces; whoever has lost its links calls others."""
    told: list[tuple[str, int, int]] = []

    def tell(what: str, done: int, total: int) -> None:
        told.append((what, done, total))

    ring = Setting(peers=60, degree=3, messages=10, fail=0.5, seed=2)
    alone, mended = (play(replace(ring, redial=redial), told=tell) for redial in (False, True))
    assert alone.blow is not None
    assert mended.blow is not None
    assert alone.blow.failed == mended.blow.failed == 30
    assert alone.blow.message == mended.blow.message == 6
    assert alone.blow.links_made == alone.blow.bugs == mended.blow.bugs == mended.blow.aftermath.cut_off == 0
    assert alone.blow.later == alone.blow.aftermath.finally_ < 0.9
    assert alone.blow.aftermath.cut_off == round(29 * (1 - alone.blow.later))
    assert mended.blow.aftermath.at_once < mended.blow.aftermath.finally_ == mended.blow.later == 1
    assert mended.blow.links_made > 0
    assert mended.measures.reliability == 1
    assert told[:2] == [("the network is built", 0, 10), ("links come up", 0, 10)]
    assert ("messages are sent", 7, 10) in told


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--peers 5 --degree 5", "5 peers cannot have 5 links each"),
        ("--peers 7 --degree 3", "7 peers cannot have 3 neighbours each: one of the two has to be even"),
        ("--senders 101", "101 of 100 peers cannot send"),
        ("--peers 2001 --degree 4 --html x.html", "a picture of 2,001 peers would show nothing: at most 2,000"),
        ("--latency quick", "'quick' is none of constant, uniform"),
        ("--latency 50-10", "'50-10' is no range of milliseconds"),
        ("--latency constant:fast", "'fast' is no range of milliseconds"),
        ("--latency 0", "'0' is no range of milliseconds"),
        ("--overlay ring", "'ring' is not one of"),
        ("--fail 1", "1.0 is not in the range"),
        ("--fail nan", "a number is expected"),
        ("--rate 0", "0.0 is not in the range"),
        ("--rate nan", "a number is expected"),
        ("--peers 10 --degree 4 --senders 10 --fail 0.1", "1 of 10 peers cannot fail"),
        ("--fail 0.001", "0 of 100 peers cannot fail"),
    ],
)
def test_what_cannot_be(ebt: Runner, options: str, said: str) -> None:
    result = ebt("simulate", *options.split())
    assert (result.status, result.out) == (2, b"")
    assert said in result.err
    assert len(result.err.splitlines()) == 1


def test_a_file_that_cannot_be_written(ebt: Runner, tmp_path: Path) -> None:
    result = ebt("simulate", "--html", str(tmp_path / "nowhere" / "x.html"))
    assert result.status == 1
    assert "there is no directory" in result.err
    result = ebt("simulate", "--html", "")
    assert (result.status, result.out, result.err) == (1, b"", "ebt: .: that is a directory\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_costs_the_picture_only(ebt: Runner) -> None:
    result = ebt("simulate", "--peers", "10", "--degree", "4", "--messages", "2", "--json", "--html", "/dev/full")
    assert result.status == 1
    assert len(result.err.splitlines()) == 1
    assert json.loads(result.out)["reliability"] == 1.0


@pytest.mark.parametrize("slow", ["--latency 1000-2000", "--jitter 2000", "--overlay grid --latency 200 --messages 1"])
def test_slow_links_have_the_time_they_need(ebt: Runner, slow: str) -> None:
    options = ("simulate", "--peers", "30", "--degree", "4", "--messages", "4", "--json")
    said = json.loads(ebt.ok(*options, *slow.split()))
    assert said["reliability"] == 1.0
    assert said["rmr"] >= 0.0


@pytest.mark.parametrize(
    ("given", "expected"),
    [("30", (0.03, 0.03)), ("20-40", (0.02, 0.04)), ("constant", (0.01, 0.05)), ("long-tail:5-80", (0.005, 0.08))],
)
def test_latencies(ebt: Runner, given: str, expected: tuple[float, float]) -> None:
    said = json.loads(
        ebt.ok("simulate", "--peers", "10", "--degree", "4", "--messages", "2", "--latency", given, "--json")
    )
    assert (said["low"], said["high"]) == expected
    assert said["latency"] == (given.partition(":")[0] if given[0].isalpha() else "uniform")


def test_the_picture_needs_nothing_else(ebt: Runner, tmp_path: Path) -> None:
    file = tmp_path / "x.html"
    said = ebt.ok("simulate", "--peers", "20", "--degree", "4", "--messages", "2", "--html", str(file))
    assert re.search(r"^picture: .*x.html \(1\d\d kB\); open it in a browser$", said, re.MULTILINE), said
    text = file.read_text()
    policy = r"default-src 'none'; script-src 'sha256-[^' ]+'; style-src 'sha256-[^' ]+'; img-src data:"
    assert re.search(rf'<meta http-equiv="Content-Security-Policy" content="{policy}">', text)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?!data:)[\w/]|@import|url\(""", text.partition("<script")[0])
    assert "Permission to use, copy, modify, and/or distribute this software" in text
    assert not re.search(r"\$[A-Z]+\b", text.partition("<script")[0])


def test_what_is_in_a_recording_cannot_leave_it() -> None:
    text = picture.page({"format": "</script><b>"}, "<title> & co", '"subtitle"')
    assert "</script><b>" not in text
    assert "&lt;title&gt; &amp; co" in text
    assert '<p title="&quot;subtitle&quot;">' in text


def test_what_is_shipped_is_what_npm_has() -> None:
    """Renewing D3 means changing this, on purpose."""
    digest = hashlib.sha256()
    for name in picture.VENDOR:
        digest.update((Path(picture.__file__).parent / "page" / "vendor" / f"d3-{name}.min.js").read_bytes())
    assert digest.hexdigest() == "596b87f997d1bde5ae30c519c4437ecfa2a7887d45f12f869b283f4a14032ac3"


def test_a_recording() -> None:
    recorder = Recorder([A, B, C], [FeedId("a")])
    recorder.happened(0.0, "a=b connect")
    recorder.happened(0.0, "b=c connect")
    recorder.asked(1.0, B, A, FeedId("a"), True)
    recorder.stored(2.0, A, FeedId("a"), 1, 2)
    recorder.sent(2.0, A, B, "messages", [Run(FeedId("a"), 1, [b"", b""])], 0)
    recorder.sent(2.0, A, B, "messages", [Run(FeedId("other"), 1, [b""])], 0)
    recorder.sent(2.0, A, B, "notes", {FeedId("a"): 5}, 0)
    recorder.arrived(2.01, B, A, Run(FeedId("a"), 1, [b"", b""]), 2)
    recorder.stored(2.02, B, FeedId("a"), 1, 2)
    recorder.sent(2.02, C, B, "messages", [Run(FeedId("a"), 2, [b""])], 0)
    recorder.mark(3.0, "trouble")
    recorder.happened(3.0, "c crashes")
    recorder.happened(3.0, "b=c cut")
    recorder.happened(4.0, "c restarts")
    recorder.happened(4.0, "c=b connect")
    found = recorder.recording(0.5, 100.0, {(A, B): 0.01, (B, C): 0.02})
    assert found == {
        "format": 1,
        "tick": 0.0001,
        "end": 45_000,
        "peers": 3,
        "down": [[2, 25_000, 35_000]],
        "links": {
            "a": [0, 1, 2],
            "b": [1, 2, 1],
            "latency": [100, 200, 200],
            "opened": [0, 0, 35_000],
            "closed": [-1, 25_000, -1],
        },
        "marks": [[25_000, "trouble"]],
        "feeds": [
            {
                "author": 0,
                "appended": [15_000, 15_000],
                "asked": {"at": [5_000], "end": [0], "eager": [1]},
                "sent": {
                    "at": [15_000, 200],
                    "took": [100, -1],
                    "end": [0, 3],
                    "first": [1, 2],
                    "count": [2, 1],
                    "new": [2, 0],
                },
                "stored": {"at": [15_000, 200], "peer": [0, 1], "head": [2, 2]},
            }
        ],
    }


def test_a_recording_has_what_was_measured() -> None:
    played = play(Setting(peers=30, degree=4, senders=10, messages=12, fail=0.2), record=True, told=_silence)
    recording: dict[str, Any] = played.recording or {}
    assert len(recording["feeds"]) == DRAWN
    assert len(recording["down"]) == 6
    assert len(recording["links"]["a"]) >= 60
    for feed in recording["feeds"]:
        heads = dict(zip(feed["stored"]["peer"], feed["stored"]["head"], strict=True))
        live = [peer for peer in range(30) if peer not in {row[0] for row in recording["down"]}]
        assert {heads.get(peer, 0) for peer in live} == {len(feed["appended"])}
        assert all(feed["sent"]["took"][row] != 0 for row in range(len(feed["sent"]["took"])))


def test_without_networkx_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['networkx'] = None; from ebt_trio.cli.app import run; sys.exit(run(['simulate']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr == "ebt: not installed: networkx; run: pip install 'ebt-trio[simulate]'\n"

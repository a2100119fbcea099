"""A small campaign for each target, by two engines, in every run of the tests; ``nox -s fuzz`` is the large one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ebt_trio import frames

sys.path.insert(0, str(Path(__file__).parent))
try:
    from campaign import FLOOR, Hang, Watch, fuzz, main
    from mutate import Mutator, items_of
    from session_targets import frames_in
    from table import Broken, Target
    from targets import TARGETS
finally:
    sys.path.pop(0)

NAMES = sorted(TARGETS)
QUICK = [name for name in NAMES if TARGETS[name].bytes_each and TARGETS[name].walk is None]


@pytest.mark.parametrize("name", NAMES)
def test_seeded(name: str) -> None:
    target = TARGETS[name]
    for data in target.seeds()[:: max(1, len(target.seeds()) // 50)] if target.walk is None else ():
        target.check(data)
    fuzz(target, Watch(islice(target.mutator(target.seeds(), Random(f"tests {name}")), target.few)))


@pytest.mark.parametrize("name", QUICK)
def test_hypothesis(name: str) -> None:
    """Shrinks what it finds."""
    target = TARGETS[name]

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=200) | st.builds(lambda seed: target.mutator(target.seeds(), seed).one(), st.randoms()))
    @example(b"")
    def check(data: bytes) -> None:
        target.check(data)

    check()


def test_inputs_repeat() -> None:
    one, other = (Mutator(TARGETS["frames"].seeds(), Random(7)) for _ in range(2))
    assert list(islice(one, 500)) == list(islice(other, 500))
    assert len(set(islice(one, 500))) > 450


def test_items_are_found_as_far_as_they_go() -> None:
    data = bytes.fromhex("8301 a1 6161 420102 9f")
    assert items_of(data) == [(0, 1, 9), (1, 2, 2), (2, 3, 8), (3, 4, 5), (5, 6, 8)]
    assert items_of(b"") == []
    assert items_of(b"\x5a\xff") == [(0, 5, 2)]


def test_scripts_keep_what_no_frame_is() -> None:
    assert frames_in(b"\x41a\x42bc\xff\x00") == [b"a", b"bc", b"\xff\x00"]


# -- it notices


def test_a_bug_is_found_saved_and_replayed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lax(reader: Any, limits: object, count: int) -> frames.Ping:
        return frames.Ping(reader.data[reader.at :][0])  # IndexError, where nothing is left

    table = {**frames._PARSERS, frames.Kind.PING: ("PING", -1, lax)}
    monkeypatch.setattr(frames, "_PARSERS", table)
    assert main(["--target", "frames", "--inputs", "100000", "--found", str(tmp_path)]) == 1
    (saved,) = tmp_path.iterdir()
    said = capsys.readouterr().out
    assert saved.read_bytes().hex() in said
    assert f"--target frames --replay {saved}" in said
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is that was found
        main(["--target", "frames", "--replay", str(saved)])
    monkeypatch.undo()
    assert main(["--target", "frames", "--replay", str(saved)]) == 0


def spin(data: bytes) -> None:
    while True:
        pass


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="needs a timer that interrupts")
def test_a_hang_is_found() -> None:
    with pytest.raises(Hang):
        fuzz(Target("spin", spin, list), Watch([b"x"], patience=0.05))


def hoard(data: bytes) -> int:
    return len(bytes(FLOOR * 2))


@pytest.mark.parametrize("check", [hoard])
def test_memory_is_measured(check: Callable[[bytes], object]) -> None:
    with pytest.raises(Broken, match="bytes of memory"):
        fuzz(Target("hoard", check, list), Watch([b"x"] * 100))

"""A feed with two histories, as the command shows it, and the way back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Node, Runner

    Start = Callable[..., Node]
    Wait = Callable[..., None]

LOCAL = "127.0.0.1:0"


@pytest.mark.parametrize("keep", ["ours", "theirs"])
def test_a_key_used_in_two_places(ebt: Runner, start: Start, wait: Wait, keep: str) -> None:
    """Alice copies her home, and writes to both; bob meets the two."""
    alice, bob = ebt.init("alice"), ebt.init("bob")
    ebt("append", home="alice", stdin=b"one\ntwo\n")
    ebt.ok("follow", bob, home="alice")
    ebt.ok("follow", alice, home="bob")
    shutil.copytree(ebt.path / "alice", ebt.path / "copy")
    ebt("append", home="alice", stdin=b"here\n")
    ebt("append", home="copy", stdin=b"there\nthere again\n")
    node = start(ebt.path / "bob", "--listen", LOCAL)
    first = start(ebt.path / "alice", "--connect", node.urls[0])
    wait(lambda: ebt("log", alice, home="bob").out == b"one\ntwo\nhere\n", node.said)
    first.stop()
    second = start(ebt.path / "copy", "--connect", node.urls[0])
    node.wait_said("forked")
    said = json.loads(ebt.ok("status", "--json", home="bob"))
    assert said["forks"] == [alice]
    assert alice in said["follows"]
    assert f"forked:  {alice}" in ebt.ok("status", home="bob")
    assert "FORKED" in ebt.ok("feeds", home="bob")
    assert [one["forked"] for one in json.loads(ebt.ok("feeds", "--json", home="bob"))] == [False, True]
    assert ebt("append", "still possible", home="bob").status == 0
    wait(lambda: ebt("log", bob, home="copy").out == b"still possible\n", second.said)

    assert ebt("resolve", alice, "--keep", keep, home="bob").status == 0
    kept = b"one\ntwo\nhere\n" if keep == "ours" else b"one\ntwo\nthere\nthere again\n"
    wait(lambda: ebt("log", alice, home="bob").out == kept, node.said)
    if keep == "ours":
        second.stop()
        first = start(ebt.path / "alice", "--connect", node.urls[0])
    else:
        assert ebt("resolve", alice, "--keep", "ours", home="bob").status == 1
    ebt("append", "on", home="alice" if keep == "ours" else "copy")
    wait(lambda: ebt("log", alice, home="bob").out == kept + b"on\n", node.said)
    assert json.loads(ebt.ok("status", "--json", home="bob"))["forks"] == []
    assert ebt("resolve", alice, "--keep", keep, home="bob").status == 0


def test_nothing_to_resolve(ebt: Runner) -> None:
    own = ebt.init()
    result = ebt("resolve", own, "--keep", "ours")
    assert result.status == 1
    assert "has not forked" in result.err

"""``ebt run`` with default settings: who is let in, and what everybody else learns, which is nothing."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest
import trio

from ebt_trio import EBT, Identity, Limits, SessionClosed, connect
from ebt_trio.cli.urls import check_plain, dialled, with_scheme
from ebt_trio.core.types import FeedId
from ebt_trio.frames import Bye, Hello, Notes, Resume, decode, encode

if TYPE_CHECKING:
    from conftest import Node, Runner

    Start = Callable[..., Node]
    Wait = Callable[..., None]
    Process = Callable[..., subprocess.CompletedProcess[bytes]]

LOCAL = "127.0.0.1:0"


def test_a_stranger_gets_nothing(ebt: Runner, start: Start) -> None:
    """Not a feed id, not a clock, not a message: a BYE. And the log says who tried."""
    ebt.init()
    ebt("append", stdin=b"a secret\n" * 100)
    node = start(ebt.path / "home", "--listen", LOCAL)
    mallory = Identity.generate()

    async def listen() -> list[bytes]:
        frames: list[bytes] = []
        async with await connect(node.urls[0], identity=mallory) as transport:
            with suppress(anyio.EndOfStream), trio.fail_after(60):
                while True:
                    frames.append(await transport.receive())
        return frames

    (frame,) = trio.run(listen)
    assert decode(frame, Limits()) == Bye(7, f"{mallory.id} is not admitted here")

    async def session() -> None:
        async with EBT(mallory, should_replicate=lambda feed, peer: True) as ebt:
            try:
                async with ebt.session(await connect(node.urls[0], identity=mallory)) as session:
                    await session.wait_ready()
            finally:
                assert not ebt.clock

    with pytest.raises(SessionClosed, match="not admitted"):
        trio.run(session)
    node.wait_said(f"refused, peer {mallory.id}: shs+tcp://{mallory.id}@127.0.0.1:")
    assert node.said().count("refused") == 1  # nobody can fill the log


def test_two_homes_that_follow_each_other(ebt: Runner, start: Start, wait: Wait) -> None:
    ours, theirs = ebt.init("here"), ebt.init("there")
    ebt("append", home="here", stdin=b"one\ntwo\n")
    ebt.ok("follow", theirs, home="here")
    ebt.ok("follow", ours, home="there")
    node = start(ebt.path / "here", "--listen", LOCAL)
    assert node.urls[0].startswith(f"shs+tcp://{ours}@127.0.0.1:")
    start(ebt.path / "there", "--connect", node.urls[0].removeprefix("shs+tcp://"))
    wait(lambda: ebt("log", ours, home="there").out == b"one\ntwo\n")


@pytest.mark.parametrize("way", ["allow", "open", "connect"])
def test_other_ways_in(ebt: Runner, start: Start, wait: Wait, way: str) -> None:
    ours, theirs = ebt.init("here"), ebt.init("there")
    ebt("append", home="here", stdin=b"one\n")
    ebt.ok("follow", ours, home="there")
    other = start(ebt.path / "there", "--listen", LOCAL, "--open")
    options = {"allow": [], "open": ["--open"], "connect": ["--connect", other.urls[0]]}[way]
    node = start(ebt.path / "here", "--listen", LOCAL, *options)
    caller = other
    if way != "connect":
        other.stop()
        caller = start(ebt.path / "there", "--connect", node.urls[0])
    if way == "allow":
        caller.wait_said("not admitted")
        assert ebt("log", ours, home="there").out == b""
        ebt.ok("allow", theirs, home="here")
    wait(lambda: ebt("log", ours, home="there").out == b"one\n", caller.said)


def test_following_lets_in_at_once(ebt: Runner, start: Start, wait: Wait) -> None:
    ours, theirs = ebt.init("here"), ebt.init("there")
    ebt("append", home="here", stdin=b"one\n")
    ebt.ok("follow", ours, home="there")
    node = start(ebt.path / "here", "--listen", LOCAL)
    caller = start(ebt.path / "there", "--connect", node.urls[0])
    caller.wait_said("not admitted")
    ebt.ok("follow", theirs, home="here")
    wait(lambda: ebt("log", ours, home="there").out == b"one\n", caller.said)


@pytest.mark.parametrize("option", ["--listen", "--connect"])
def test_plain_links_beyond_this_machine_are_asked_for(ebt: Runner, option: str) -> None:
    ebt.init()
    result = ebt("run", option, "tcp://192.0.2.1:8008")
    assert (result.status, result.out) == (2, b"")
    assert "--insecure" in result.err
    assert result.err.count("\n") == 1


def test_insecure(ebt: Runner, start: Start) -> None:
    ebt.init()
    node = start(ebt.path / "home", "--listen", "tcp://0.0.0.0:0", "--insecure")
    port = int(node.urls[0].rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port)).close()


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("tcp://127.0.0.1:8008", True),
        ("tcp://127.9.9.9:8008", True),
        ("tcp://[::1]:8008", True),
        ("tcp://localhost:8008", True),
        ("unix:///tmp/x.sock", True),
        ("shs+tcp://0.0.0.0:8008", True),
        ("tcp://0.0.0.0:8008", False),
        ("tcp://[::]:8008", False),
        ("tcp://example.org:8008", False),
        ("tcp://127.0.0.1.example.org:8008", False),
        ("tcp://127.0.0.1@example.org:8008", False),
    ],
)
def test_which_urls_are_plain(url: str, fine: bool) -> None:
    if fine:
        check_plain(url)
    else:
        with pytest.raises(Exception, match="--insecure"):
            check_plain(url)


def test_urls_without_a_scheme_are_encrypted() -> None:
    assert with_scheme("0.0.0.0:8008") == "shs+tcp://0.0.0.0:8008"
    assert with_scheme("ID@[::1]:8008") == "shs+tcp://ID@[::1]:8008"
    assert with_scheme("tcp://x:1") == "tcp://x:1"
    assert dialled("shs+tcp://ID@192.0.2.7:8008") == "ID"
    assert dialled("shs+unix://Id_-@/run/x") == "Id_-"
    assert dialled("tcp://ID@192.0.2.7:8008") is None


@pytest.mark.parametrize("option", ["--listen", "--connect"])
@pytest.mark.parametrize("url", ["tcp://[::g]:1", "shs+tcp://ID@[::g]:1", "shs+tcp://[:"])
def test_urls_that_are_none(ebt: Runner, option: str, url: str) -> None:
    ebt.init()
    result = ebt("run", option, url)
    assert (result.status, result.out) == (2, b"")
    assert f"got '{url}'" in result.err
    assert result.err.count("\n") == 1


def test_append_beside_a_node_whose_peers_have_more(ebt: Runner, start: Start, wait: Wait, process: Process) -> None:
    """The store was restored from a backup: appending would fork the feed."""
    ours, theirs = ebt.init("here"), ebt.init("there")
    ebt("append", home="here", stdin=b"1\n2\n3\n")
    backup = (ebt.path / "here" / "store.db").read_bytes()
    ebt.ok("follow", ours, home="there")
    ebt.ok("follow", theirs, home="here")
    ebt("append", home="here", stdin=b"4\n5\n")
    node = start(ebt.path / "here", "--listen", LOCAL)
    other = start(ebt.path / "there", "--connect", node.urls[0])
    wait(lambda: ebt("log", ours, home="there").out == b"1\n2\n3\n4\n5\n")
    node.stop()
    other.stop()
    for path in (ebt.path / "here").glob("store.db*"):
        path.unlink()
    (ebt.path / "here" / "store.db").write_bytes(backup)
    # A peer that claims to have more, and never sends it.
    shutil.rmtree(ebt.path / "there")
    mallory = Identity.generate()
    ebt.ok("allow", mallory.id, home="here")
    node = start(ebt.path / "here", "--listen", LOCAL)

    # Begun while all seemed well: it is asked again for all that comes later.
    begun = subprocess.Popen(
        [sys.executable, "-m", "ebt_trio.cli", "--home", str(ebt.path / "here"), "append"], stdin=subprocess.PIPE
    )
    assert begun.stdin is not None
    begun.stdin.write(b"in time\n")
    begun.stdin.flush()
    wait(lambda: ebt("log", home="here").out == b"1\n2\n3\nin time\n")

    async def claim() -> None:
        assert begun.stdin is not None
        transport = await connect(node.urls[0], identity=mallory)
        notes = Notes({FeedId(ours): 5 << 1})
        for frame in (Hello(mallory.id, "", b"s" * 16, b"i" * 8, 1 << 20, True, 1), Resume(b""), notes, Notes()):
            await transport.send(encode(frame))

        def refused() -> bool:
            done = process(ebt.path / "here", "status", "--json")
            return json.loads(done.stdout)["node"].get("claimed") == 5

        await trio.to_thread.run_sync(lambda: wait(refused))
        begun.stdin.write(b"too late\n")
        begun.stdin.close()
        assert await trio.to_thread.run_sync(begun.wait, 60) == 1
        for arguments, stdin in ((["append", "x"], b""), (["append"], b"x\n")):
            done = process(ebt.path / "here", *arguments, stdin=stdin)
            assert done.returncode == 1
            assert b"a peer has 5 messages of your feed, 4 are stored here" in done.stderr
        await transport.aclose()

    trio.run(claim)
    assert ebt("log", home="here").out == b"1\n2\n3\nin time\n"
    wait(lambda: ebt("append", "now", home="here").status == 0, node.said)

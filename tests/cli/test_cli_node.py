"""``ebt run``, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Node, Runner

    Start = Callable[..., Node]
    Wait = Callable[..., None]
    Process = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_order(ebt: Runner, start: Start, number: int) -> None:
    ebt.init()
    node = start(ebt.path / "home", "--listen", "tcp://127.0.0.1:0")
    assert node.stop(number) == 0
    assert node.said() == ""


def test_listening_is_said_with_the_real_port(ebt: Runner, start: Start, tmp_path: Path) -> None:
    ebt.init()
    path = tmp_path / "a b.sock"
    node = start(ebt.path / "home", "--listen", "tcp://127.0.0.1:0", "--listen", path.as_uri().replace("file", "unix"))
    assert node.urls[0].startswith("tcp://127.0.0.1:")
    socket.create_connection(("127.0.0.1", int(node.urls[0].rpartition(":")[2]))).close()
    assert path.is_socket()
    ebt.init("other")
    other = start(ebt.path / "other", *(option for url in node.urls for option in ("--connect", url)))
    other.wait_said("connected")
    assert node.stop() == 0
    assert not path.exists()


def test_one_node_per_home(ebt: Runner, start: Start, process: Process) -> None:
    ebt.init()
    home = ebt.path / "home"
    node = start(home, "--listen", "tcp://127.0.0.1:0")
    done = process(home, "run")
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert f"process {node.process.pid}" in done.stderr.decode()
    node.kill()
    again = start(home, "--listen", "tcp://127.0.0.1:0")  # the system has unlocked it
    assert again.stop() == 0


def test_a_port_that_is_taken(ebt: Runner, process: Process) -> None:
    ebt.init()
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        done = process(ebt.path / "home", "run", "--listen", url)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith(f"ebt: cannot listen on {url}: the port is in use")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("option", ["--listen", "--connect"])
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("gopher://x", "unknown URL scheme 'gopher'"),
        ("tcp://127.0.0.1", "expected tcp://HOST:PORT"),
        ("nonsense", "expected shs+tcp://ID@192.0.2.7:8008"),
    ],
)
def test_a_url_that_is_no_use(ebt: Runner, process: Process, option: str, url: str, why: str) -> None:
    ebt.init()
    done = process(ebt.path / "home", "run", option, url)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith(f"ebt: {why}")
    assert done.stderr.count(b"\n") == 1


def test_unreachable_peers_are_tried_again(ebt: Runner, start: Start, tmp_path: Path) -> None:
    ebt.init()
    path = tmp_path / "later.sock"
    url = path.as_uri().replace("file", "unix")
    node = start(ebt.path / "home", "--connect", url)
    node.wait_said("failed: cannot connect to unix://")
    ebt.init("other")
    start(ebt.path / "other", "--listen", url)
    node.wait_said("connected")
    assert node.said().count("failed:") == 1


def test_another_network_is_told_at_both_ends(ebt: Runner, start: Start) -> None:
    ebt.init()
    ebt.init("other")
    node = start(ebt.path / "home", "--listen", "tcp://127.0.0.1:0", "--network", "red")
    other = start(ebt.path / "other", "--connect", node.urls[0], "--network", "blue")
    node.wait_said("network")
    other.wait_said("network")
    assert "connected" not in node.said()
    assert node.stop() == other.stop() == 0


def test_random_bytes_end_that_session_only(ebt: Runner, start: Start) -> None:
    ebt.init()
    ebt.init("other")
    node = start(ebt.path / "home", "--listen", "tcp://127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", int(node.urls[0].rpartition(":")[2]))) as connection:
        connection.sendall(os.urandom(1000))
        node.wait_said("failed: ")
    other = start(ebt.path / "other", "--connect", node.urls[0])
    other.wait_said("connected")
    assert node.stop() == 0


def test_follow_append_status_and_log_while_it_runs(ebt: Runner, start: Start, wait: Wait) -> None:
    own, other = ebt.init(), ebt.init("other")
    node = start(ebt.path / "home", "--listen", "tcp://127.0.0.1:0")
    peer = start(ebt.path / "other", "--connect", node.urls[0])
    node.wait_said("connected")
    ebt.ok("append", "hello")
    ebt.ok("follow", own, home="other")  # noticed by the node that runs there
    command = [sys.executable, "-m", "ebt_trio.cli", "--home", str(ebt.path / "other"), "log", own, "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as log:
        assert log.stdout is not None
        assert log.stdout.readline() == b"hello\n"
        ebt.ok("append", "again")
        assert log.stdout.readline() == b"again\n"
        log.kill()

    def said() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(ebt.ok("status", "--json", home="other"))
        return found

    wait(lambda: bool(said()["node"]["peers"]) and said()["node"]["statistics"]["messages_received"] == 2)
    found = said()
    assert found["clock"] == {own: 2}
    assert found["node"]["pid"] == peer.process.pid
    assert found["node"]["listening"] == []
    assert found["node"]["peers"][0]["peer"] == own
    assert found["node"]["peers"][0]["address"] == node.urls[0]
    assert set(found["node"]["progress"]) >= {"fraction", "send", "recv"}
    text = ebt.ok("status", home="other")
    assert f"process {peer.process.pid}" in text
    assert node.urls[0] in text
    ebt.ok("block", other)
    node.wait_said("disconnected")
    assert peer.stop() == 0
    assert json.loads(ebt.ok("status", "--json", home="other"))["node"] is None
    last = json.loads((ebt.path / "other" / "node.json").read_text())
    assert last["statistics"]["messages_received"] == 2
    assert last["peers"] == []


def test_follow_all(ebt: Runner, start: Start, wait: Wait) -> None:
    own = ebt.init()
    ebt.init("other")
    ebt.ok("append", "hello")
    node = start(ebt.path / "home", "--listen", "tcp://127.0.0.1:0")
    start(ebt.path / "other", "--connect", node.urls[0], "--follow-all")
    wait(lambda: ebt("log", own, home="other").out == b"hello\n")
    assert own in json.loads(ebt.ok("status", "--json", home="other"))["follows"]


def test_last(ebt: Runner, start: Start, wait: Wait) -> None:
    own = ebt.init()
    ebt.init("other")
    ebt("append", stdin=b"".join(b"%d\n" % number for number in range(1, 101)))
    ebt.ok("follow", own, "--last", "3", home="other")
    node = start(ebt.path / "home", "--listen", "tcp://127.0.0.1:0")
    start(ebt.path / "other", "--connect", node.urls[0])
    wait(lambda: ebt("log", own, home="other").out == b"98\n99\n100\n")
    (found,) = [one for one in json.loads(ebt.ok("feeds", "--json", home="other")) if one["feed"] == own]
    assert (found["first"], found["sequence"], found["last"]) == (98, 100, 3)

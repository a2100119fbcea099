"""``ebt append`` and ``ebt log``: in, out, the same."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import pytest
import trio

from ebt_trio import Identity, SignedFormat, SQLiteStore
from ebt_trio.cli.log import Output
from ebt_trio.core.types import FeedId, Run
from ebt_trio.feeds.signed import CONTENT

if TYPE_CHECKING:
    from conftest import Runner
    from typing_extensions import Buffer

NASTY = (
    b"plain\n\n  spaces \t\r\nCRLF\r\n\xc3\xa4\xe2\x82\xac\n\xff\xfe not UTF-8\n\x00\x01\n"
    b"\xe2\x80\xa8 line separator\n\x0b\x0c\x1c\x85\n-option\nlast without newline"
)

OTHER = Identity(b"o" * 32)


def test_a_file_comes_back_byte_for_byte(ebt: Runner) -> None:
    ebt.init()
    result = ebt("append", stdin=NASTY)
    assert (result.status, result.out) == (0, b"")
    assert result.err.startswith("appended 11 messages in ")
    assert ebt("log").out == NASTY


@pytest.mark.parametrize("data", [b"", b"\n", b"x", b"\n\n", b"\xff", b"a\r", b"a\n" * 25_000])
def test_other_files_come_back(ebt: Runner, data: bytes) -> None:
    ebt.init()
    assert ebt("append", stdin=data).status == 0
    assert ebt("log").out == data


def test_one_text(ebt: Runner) -> None:
    ebt.init()
    assert ebt("append", "two\nlines").err == "appended message 1\n"
    assert ebt("append", "ä").err == "appended message 2\n"
    assert ebt("append", os.fsdecode(b"\xff")).status == 0
    assert ebt("append", "").status == 0
    assert ebt("log").out == "two\nlines\nä\n".encode() + b"\xff\n\n"
    assert [json.loads(line)["content"] for line in ebt.ok("log", "--json").splitlines()][:2] == ["two\nlines", "ä"]


def test_json(ebt: Runner) -> None:
    feed = ebt.init()
    lines = b'{"a": [1, null]}\n"text"\n2.5\n'
    assert ebt("append", "--json", stdin=lines).status == 0
    ebt.ok("append", "--json", '{"b": "ä"}')
    said = [json.loads(line) for line in ebt.ok("log", "--json").splitlines()]
    assert [one.pop("timestamp") > 1e9 for one in said] == [True] * 4
    assert len({one.pop("id") for one in said}) == 4
    assert said == [
        {"feed": feed, "sequence": number, "content": content}
        for number, content in enumerate([{"a": [1, None]}, "text", 2.5, {"b": "ä"}], 1)
    ]
    assert ebt.ok("log") == '{"a":[1,null]}\ntext\n2.5\n{"b":"ä"}\n'


def test_a_malformed_json_line_is_named_and_the_earlier_ones_are_kept(ebt: Runner) -> None:
    ebt.init()
    result = ebt("append", "--json", stdin=b"1\n2\n{oops\n4\n")
    assert (result.status, result.out) == (1, b"")
    assert "ebt: line 3: " in result.err
    assert "the 2 lines before it are stored" in result.err
    assert ebt.ok("log") == "1\n2\n"
    assert ebt("append", "--json", "{oops").status == 2


def test_json_that_cbor_does_not_take_is_named(ebt: Runner) -> None:
    ebt.init()
    result = ebt("append", "--json", stdin=b'1\n"\\ud800"\n3\n')
    assert result.status == 1
    assert "ebt: line 2: " in result.err
    assert ebt.ok("log") == "1\n"


@pytest.mark.parametrize("ending", [b"\nmore\n", b"\n", b""])
def test_a_line_too_long_is_named_and_the_earlier_ones_are_kept(ebt: Runner, ending: bytes) -> None:
    ebt.init()
    result = ebt("append", stdin=b"a\nb\n" + b"x" * (1 << 20) + ending)
    assert result.status == 1
    assert "ebt: line 3: " in result.err
    assert "Traceback" not in result.err
    assert ebt("log").out == b"a\nb\n"


def test_an_endless_line_is_not_read_to_its_end(tmp_path: Path, ebt: Runner) -> None:
    ebt.init()
    command = [sys.executable, "-m", "ebt_trio.cli", "--home", str(tmp_path / "home"), "append"]
    with open("/dev/zero", "rb") as zeros:
        done = subprocess.run(command, stdin=zeros, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert b"ebt: line 1: " in done.stderr


def test_the_longest_line(ebt: Runner) -> None:
    ebt.init()
    longest = b"x" * ((1 << 20) - (1 << 10) - CONTENT - 5) + b"\n"
    assert ebt("append", stdin=longest).status == 0
    assert ebt("append", stdin=b"x" + longest).status == 1
    assert ebt("append", "x" * (1 << 20)).status == 1
    assert ebt("log").out == longest


def test_what_has_come_is_stored_when_input_pauses(tmp_path: Path, ebt: Runner, wait: Callable[..., None]) -> None:
    ebt.init()
    command = [sys.executable, "-m", "ebt_trio.cli", "--home", str(tmp_path / "home"), "append"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as append:
        assert append.stdin is not None
        append.stdin.write(b"one\ntwo\nbeg")
        append.stdin.flush()
        wait(lambda: ebt("log").out == b"one\ntwo\n")
        append.stdin.write(b"un\n")
        append.stdin.close()
        assert append.wait(60) == 0
    assert ebt("log").out == b"one\ntwo\nbegun\n"


def test_ctrl_c_is_quiet(tmp_path: Path, ebt: Runner, wait: Callable[..., None]) -> None:
    ebt.init()
    command = [sys.executable, "-m", "ebt_trio.cli", "--home", str(tmp_path / "home"), "append"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as append:
        assert append.stdin is not None
        assert append.stderr is not None
        append.stdin.write(b"one\n")
        append.stdin.flush()
        wait(lambda: ebt("log").out == b"one\n")
        append.send_signal(2)
        assert append.wait(60) == 130
        assert append.stderr.read().startswith(b"appended 1 message in ")


def test_two_appends_at_once_lose_nothing(tmp_path: Path, ebt: Runner) -> None:
    ebt.init()
    command = [sys.executable, "-m", "ebt_trio.cli", "--home", str(tmp_path / "home"), "append"]
    files = [b"".join(b"%s %d\n" % (name, number) for number in range(20_000)) for name in (b"a", b"b")]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in files]
    for process, data in zip(started, files, strict=True):
        assert process.stdin is not None
        process.stdin.write(data)
        process.stdin.close()
    assert [process.wait(60) for process in started] == [0, 0]
    lines = ebt("log").out.splitlines(keepends=True)
    for name, data in zip((b"a", b"b"), files, strict=True):
        assert b"".join(line for line in lines if line.startswith(name)) == data


def test_log_after(ebt: Runner) -> None:
    feed = ebt.init()
    ebt("append", stdin=b"1\n2\n3\n")
    assert ebt.ok("log", "--after", "1") == "2\n3\n"
    assert ebt.ok("log", feed, "--after", "3") == ""
    assert ebt.ok("log", feed, "--after", "0") == "1\n2\n3\n"


def test_log_of_an_unknown_feed(ebt: Runner) -> None:
    ebt.init()
    result = ebt("log", OTHER.id)
    assert (result.status, result.out) == (1, b"")
    assert OTHER.id in result.err
    ebt.ok("follow", OTHER.id)
    assert ebt.ok("log", OTHER.id) == ""


def signed(*contents: object) -> list[bytes]:
    payloads: list[bytes] = []
    for content in contents:
        previous = payloads[-1] if payloads else None
        payloads.append(SignedFormat(OTHER).encode(FeedId(OTHER.id), len(payloads) + 1, content, previous))
    return payloads


def store_messages(path: Path, payloads: list[bytes]) -> None:
    async def main() -> None:
        store = SQLiteStore(path)
        await store.open("signed")
        await store.append([Run(FeedId(OTHER.id), 1, payloads)])
        await store.close()

    trio.run(main)


def test_log_of_all_feeds(ebt: Runner) -> None:
    own = ebt.init()
    ebt("append", stdin=b"mine\n")
    store_messages(ebt.path / "home" / "store.db", signed("theirs", 1))
    said = [json.loads(line) for line in ebt.ok("log", "--all", "--json").splitlines()]
    assert sorted((one["feed"], one["sequence"], one["content"]) for one in said) == sorted(
        [(own, 1, "mine"), (OTHER.id, 1, "theirs"), (OTHER.id, 2, 1)]
    )
    assert ebt.ok("log", OTHER.id) == "theirs\n1\n"


def test_a_message_that_cannot_be_decoded_stops_nothing(ebt: Runner) -> None:
    ebt.init()
    store_messages(ebt.path / "home" / "store.db", [*signed("a"), b"\xff", *signed("b")])
    result = ebt("log", OTHER.id)
    assert (result.status, result.out) == (1, b"a\nb\n")
    assert f"message 2 of {OTHER.id}" in result.err
    assert "1 message could not be decoded" in result.err


def test_a_number_too_long_to_write_stops_nothing(ebt: Runner) -> None:
    """Python refuses to write integers of more than 4,300 digits; CBOR, and so any author, does not."""
    ebt.init()
    store_messages(ebt.path / "home" / "store.db", signed("a", 10**5000, "b"))
    for options, written in (([], b"a\nb\n"), (["--json"], None)):
        result = ebt("log", OTHER.id, *options)
        assert result.status == 1
        assert f"message 2 of {OTHER.id} cannot be written" in result.err
        assert "internal error" not in result.err
        assert result.out == written if written else result.out.count(b"\n") == 2


def test_a_broken_pipe_is_quiet(tmp_path: Path, ebt: Runner) -> None:
    ebt.init()
    ebt("append", stdin=b"some text to fill the pipe\n" * 20_000)
    command = [sys.executable, "-m", "ebt_trio.cli", "--home", str(tmp_path / "home"), "log"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as log:
        assert log.stdout is not None
        assert log.stderr is not None
        assert log.stdout.readline() == b"some text to fill the pipe\n"
        log.stdout.close()
        assert log.stderr.read() == b""
        assert log.wait(60) == 0


def test_log_follows_what_other_processes_append(tmp_path: Path, ebt: Runner) -> None:
    ebt.init()
    ebt("append", stdin=b"1\n2\n")
    command = [
        sys.executable,
        "-m",
        "ebt_trio.cli",
        "--home",
        str(tmp_path / "home"),
        "log",
        "--follow",
        "--after",
        "1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as log:
        assert log.stdout is not None
        assert log.stderr is not None
        assert log.stdout.readline() == b"2\n"
        ebt("append", stdin=b"3\n4\n")
        assert [log.stdout.readline() for _ in range(2)] == [b"3\n", b"4\n"]
        log.send_signal(2)
        assert log.wait(60) == 130
        assert log.stderr.read() == b""


class Slow(io.RawIOBase):
    """Takes a few bytes at a time, as unbuffered output may."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        self.taken += bytes(data)[:50_000]
        return min(len(bytes(data)), 50_000)


def test_output_is_written_in_pieces_and_whole() -> None:
    stream = Slow()
    output = Output(cast("IO[bytes]", stream))
    for _ in range(7):
        output.write(b"0123456789" * 1000)
    assert len(stream.taken) == 70_000  # it does not gather for ever
    output.write(b"end")
    assert len(stream.taken) == 70_000
    output.flush()
    assert stream.taken == b"0123456789" * 7000 + b"end"

"""``ebt append``: from standard input, or one message."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import IO, Any, Final, cast

import click
import trio

from ..ebt import EBT
from ..errors import ForkDetected, LocalProtocolError
from ..feeds.plain import DEFAULT_MAX_PAYLOAD
from ..feeds.signed import CONTENT
from .errors import Failure
from .home import Home
from .lines import LineSplitter, content_of, json_content
from .meter import AppendMeter

__all__ = ["append"]

CHUNK: Final = 1 << 20
"""Bytes to read at once."""
BATCH: Final = 10_000
"""Messages in one transaction, at most."""
LONGEST: Final = DEFAULT_MAX_PAYLOAD - CONTENT
"""A line with more bytes than this cannot be a message."""


@click.command()
@click.argument("text", required=False)
@click.option("--json", "as_json", is_flag=True, help="Each line (or TEXT) is a JSON value, stored as such.")
@click.pass_obj
def append(home: Home, text: str | None, as_json: bool) -> None:
    """Append TEXT to your feed, or each line of standard input.

    Works while 'ebt run' runs: the node notices within a fraction of a second. What has been read is stored, durably,
    as soon as standard input pauses, and at least every 10,000 lines. Says how many on standard error at the end.

    Not a byte is lost, so that 'ebt append < FILE' here and 'ebt log' there give the same bytes: a line of UTF-8 is
    stored as a text without its newline, and written with one. Only \\n ends a line; in a file with CRLF the CR belongs
    to the text. A line that is not UTF-8, and a last line without a newline, are stored as byte strings, with the
    newline if there is one, and written as they are. A TEXT with newlines in it is one message, and is written as
    several lines; 'ebt log --json' tells the two apart.

    A line that cannot be stored (too long for a message: about 1 MB; with --json: not a JSON value, a name twice in an
    object, a number out of range) ends it with an error that says its number. The lines before it are stored.

    \b
    Examples:
      ebt append "hello"
      ebt append < notes.txt
      tail -F /var/log/syslog | ebt append
      echo '{"temperature": 21.5}' | ebt append --json
    """
    if text is None:
        trio.run(_append_stream, home, sys.stdin.buffer, as_json)
    else:
        trio.run(_append_one, home, text, as_json)


async def _append_one(home: Home, text: str, as_json: bool) -> None:
    line = os.fsencode(text) + b"\n"
    try:
        content = json_content(line) if as_json else content_of(line)
    except ValueError as exc:
        raise Failure(f"not a JSON value: {exc}", 2) from None
    async with home.ebt() as ebt:
        home.check_not_behind(ebt.clock.get(ebt.feed, 0))
        try:
            message = await ebt.append(content)
        except ForkDetected as exc:
            raise _forked(exc) from exc
        except LocalProtocolError as exc:
            raise Failure(f"cannot append: {exc}") from exc
    click.echo(f"appended message {message.sequence}", err=True)


async def _append_stream(home: Home, stream: IO[bytes], as_json: bool) -> None:
    if stream.isatty():
        click.echo("type messages, one per line; Ctrl-D ends", err=True)
    async with home.ebt() as ebt:
        home.check_not_behind(ebt.clock.get(ebt.feed, 0))
        with AppendMeter(_size(stream)) as meter:
            async with aclosing(_batches(stream)) as batches:
                async for lines in batches:
                    home.check_not_behind(ebt.clock.get(ebt.feed, 0))
                    await _append_lines(ebt, lines, as_json, meter)


async def _batches(stream: IO[bytes]) -> AsyncGenerator[list[bytes]]:
    """The lines that are there, at most :data:`BATCH`; waits only while there are none."""
    # The raw file: no lock that a thread which still reads could hold when the interpreter exits.
    raw = cast("IO[bytes]", getattr(stream, "raw", stream))
    splitter = LineSplitter()
    while chunk := await trio.to_thread.run_sync(raw.read, CHUNK, abandon_on_cancel=True):
        lines = splitter.lines(chunk)
        for start in range(0, len(lines), BATCH):
            yield lines[start : start + BATCH]
        if len(splitter.rest) > LONGEST:
            break  # no need to read it to its end; storing it says what is wrong
    if splitter.rest:
        yield [splitter.rest]


async def _append_lines(ebt: EBT, lines: Sequence[bytes], as_json: bool, meter: AppendMeter) -> None:
    """Store the lines. Those before a bad one are stored.

    :raises Failure: there is a bad one
    """
    contents: list[Any] = []
    problem: Exception | None = None
    if as_json:
        for line in lines:
            try:
                contents.append(json_content(line))
            except ValueError as exc:
                problem = exc
                break
    else:
        contents = [content_of(line) for line in lines]
    try:
        await ebt.append_many(contents)
    except ForkDetected as exc:
        raise _forked(exc) from exc
    except LocalProtocolError:
        for content, line in zip(contents, lines, strict=False):  # one by one, up to the one that it is
            try:
                await ebt.append(content)
            except LocalProtocolError as exc:
                problem = exc
                break
            meter.add(1, len(line))
    else:
        meter.add(len(contents), sum(map(len, lines[: len(contents)])))
    if problem is not None:
        number = meter.count + 1
        raise Failure(f"line {number}: {problem}; the {meter.count} lines before it are stored") from problem


def _forked(exc: ForkDetected) -> Failure:
    return Failure(f"cannot append: {exc}; see 'ebt resolve --help'")


def _size(stream: IO[bytes]) -> int | None:
    """How many bytes there are to read, if it is a file."""
    try:
        size = os.fstat(stream.fileno()).st_size - stream.tell()
    except (OSError, ValueError):
        return None
    return size if size > 0 else None

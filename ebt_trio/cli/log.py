"""``ebt log``: what a feed says."""

from __future__ import annotations

import sys
from typing import IO, Final

import click
import trio

from ..errors import InvalidMessage
from ..message import Message
from .errors import Failure
from .home import Home
from .lines import bytes_of, json_object
from .params import ID
from .tables import plural

__all__ = ["Output", "log"]

BUFFER: Final = 1 << 16
"""Bytes."""


@click.command()
@click.argument("feed", type=ID, required=False)
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="N", help="Begin behind message N.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes later, until interrupted.")
@click.option("--all", "all_feeds", is_flag=True, help="All feeds in the store, in turns; each in its order.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: feed, sequence, timestamp, id, content.")
@click.pass_obj
def log(home: Home, feed: str | None, after: int, follow: bool, all_feeds: bool, as_json: bool) -> None:
    """Print the messages of FEED, by default your own.

    A text is printed with a newline, a byte string as it is, anything else as JSON on a line; see 'ebt append --help'.
    With --follow, what 'ebt run' receives and 'ebt append' appends meanwhile is printed as it comes.

    With --json, a content that JSON cannot say exactly (a byte string, say) is said as nearly as possible (byte strings
    in base64url), and the object has its CBOR encoding, in base64, under "cbor". "timestamp" is when the author says
    that it was written, in seconds since 1970; "id" is the message's hash.

    \b
    Examples:
      ebt log > my-feed.txt
      ebt log FEED --after 1000
      ebt log --all --follow --json | jq .content
    """
    if all_feeds and (feed is not None or after):
        raise click.UsageError("--all goes with neither FEED nor --after")
    trio.run(_log, home, feed, after, follow, all_feeds, as_json)


async def _log(home: Home, feed: str | None, after: int, follow: bool, all_feeds: bool, as_json: bool) -> None:
    out = Output(sys.stdout.buffer)
    bad = 0
    async with home.ebt() as ebt:
        wanted = [] if all_feeds else [feed or str(ebt.feed)]
        if feed is not None and feed not in ebt.clock and feed not in ebt.follows:
            raise Failure(f"nothing is stored of {feed}, and it is not followed: 'ebt follow {feed}', or check the id")
        async with ebt.subscribe(*wanted, after=dict.fromkeys(wanted, after), live=follow) as messages:
            async for message in messages:
                bad += not _write(out, message, as_json)
                if follow and message.sequence >= ebt.clock.get(message.feed, 0):
                    out.flush()  # what comes next may be long in coming
    out.flush()
    if bad:
        raise Failure(f"{plural(bad, 'message')} could not be decoded")


class Output:
    """Gathers before it writes; where Python is told not to buffer, standard output does not."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= BUFFER:
            self.flush()

    def flush(self) -> None:
        rest = memoryview(b"".join(self._parts))
        self._parts, self._size = [], 0
        while rest:
            rest = rest[self._stream.write(rest) :]
        self._stream.flush()


def _write(out: Output, message: Message, as_json: bool) -> bool:
    try:
        data = json_object(message) if as_json else bytes_of(message.content)
    except InvalidMessage as exc:
        click.echo(f"ebt: {exc}", err=True)
        return False
    except ValueError as exc:  # a number with too many digits
        click.echo(f"ebt: message {message.sequence} of {message.feed} cannot be written: {exc}", err=True)
        return False
    out.write(data)
    return True

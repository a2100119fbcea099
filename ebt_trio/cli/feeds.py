"""``ebt follow``, ``unfollow``, ``block``, ``unblock`` and ``feeds``: what is replicated, and what is not."""

from __future__ import annotations

import json

import click
import trio

from ..abc import BlockEntry, Change
from ..core.types import FeedId, PeerId
from ..limits import Limits
from .errors import Failure
from .home import Home
from .params import ID
from .stored import Feed, opened, read_blocks, read_feeds
from .tables import print_forks, print_table

__all__ = ["block", "feeds", "follow", "unblock", "unfollow"]


@click.command()
@click.argument("feed", type=ID)
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the newest N messages, and what follows.")
@click.pass_obj
def follow(home: Home, feed: str, last: int | None) -> None:
    """Replicate FEED from now on. A running node begins at once.

    --last counts where nothing of the feed is stored yet.

    \b
    Examples:
      ebt follow FEED
      ebt follow FEED --last 1000
    """
    if feed != str(home.identity()):  # that is followed anyway
        trio.run(_update, home, Change(follow={FeedId(feed): last}))


@click.command()
@click.argument("feed", type=ID)
@click.pass_obj
def unfollow(home: Home, feed: str) -> None:
    """Replicate FEED no longer. What is stored of it stays."""
    if feed == str(home.identity()):
        raise Failure("your own feed cannot be unfollowed", 2)
    trio.run(_update, home, Change(unfollow=[FeedId(feed)]))


@click.command()
@click.argument("target", type=ID)
@click.option("--origin", type=ID, metavar="FEED", help="Only this feed is kept from TARGET: its author blocks TARGET.")
@click.pass_obj
def block(home: Home, target: str, origin: str | None) -> None:
    """Have nothing to do with the peer TARGET: its sessions end, it is sent nothing any more."""
    if origin is None and target == str(home.identity()):
        raise Failure("you cannot block yourself", 2)
    trio.run(_update, home, Change(block=[_entry(target, origin)]))


@click.command()
@click.argument("target", type=ID)
@click.option("--origin", type=ID, metavar="FEED", help="Lift the block that is for this feed.")
@click.pass_obj
def unblock(home: Home, target: str, origin: str | None) -> None:
    """Lift a block."""
    trio.run(_update, home, Change(unblock=[_entry(target, origin)]))


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="A JSON array: feed, first, sequence, followed, last, own, forked."
)
@click.pass_obj
def feeds(home: Home, as_json: bool) -> None:
    """List the feeds that are followed or stored, and up to which message they are here."""
    found, blocks = trio.run(_feeds, home)
    if as_json:
        click.echo(json.dumps([feed.as_json() for feed in found], indent=1, ensure_ascii=False))
        return
    print_table(
        ["feed", ">messages", ">up to", "followed"],
        [[feed.id, f"{feed.count:,}", f"{feed.sequence:,}", feed.followed_text] for feed in found],
    )
    for entry in blocks:
        click.echo(f"blocked: {entry.target}" + (f" for feed {entry.origin}" if entry.origin else ""))
    print_forks(feed.id for feed in found if feed.forked)


async def _update(home: Home, change: Change) -> None:
    async with opened(home) as store:
        await store.update(change, keep_peers=Limits().remembered_peers)


async def _feeds(home: Home) -> tuple[list[Feed], list[BlockEntry]]:
    async with opened(home) as store:
        return await read_feeds(store, str(home.identity())), await read_blocks(store)


def _entry(target: str, origin: str | None) -> BlockEntry:
    return BlockEntry(PeerId(target), None if origin is None else FeedId(origin))

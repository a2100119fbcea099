"""``ebt resolve``: how to go on with a feed whose author has signed two histories."""

from __future__ import annotations

from typing import cast

import click
import trio

from ..abc import Change
from ..errors import LocalProtocolError
from ..fork import Keep
from ..limits import Limits
from .errors import Failure
from .home import Home
from .params import ID
from .stored import opened

__all__ = ["resolve"]


@click.command()
@click.argument("feed", type=ID)
@click.option(
    "--keep",
    type=click.Choice(["ours", "theirs"]),
    required=True,
    help="ours: the history that is stored here. theirs: the other one; ours is deleted, and theirs is fetched.",
)
@click.pass_obj
def resolve(home: Home, feed: str, keep: str) -> None:
    """Go on with FEED, whose author has signed two histories, with one of them.

    'ebt status' shows which feeds have forked. They stand still until this says how to go on; a running node does so
    at once. Peers that have the other history are refused this feed.

    Mostly it is a key that was used in two places, or a store restored from a backup. With your own feed, keep what
    others have (mostly theirs), and append again what is missing there.

    \b
    Examples:
      ebt resolve FEED --keep ours
      ebt resolve FEED --keep theirs
    """
    trio.run(_resolve, home, feed, cast("Keep", keep))


async def _resolve(home: Home, feed: str, keep: Keep) -> None:
    async with opened(home) as store:
        fork = next((fork for fork in await store.forks() if fork.feed == feed), None)
        if fork is None:
            raise Failure(f"feed {feed} has not forked: there is nothing to resolve")
        try:
            decided = fork.decided(keep)
        except LocalProtocolError as exc:
            raise Failure(str(exc)) from exc
        if decided == fork:
            return
        change = Change(forks=[decided], forget=[fork.feed] if keep == "theirs" else [])
        await store.update(change, keep_peers=Limits().remembered_peers)

"""``ebt init`` and ``ebt id``."""

from __future__ import annotations

import click
import trio

from .home import Home

__all__ = ["id_", "init"]


@click.command()
@click.pass_obj
def init(home: Home) -> None:
    """Make a home: a key and an empty store.

    Prints the id of your feed, alone on a line: the public half of the key. Tell it to others, so that they can follow
    your feed. The secret half stays in the file "key", which only you can read: never use one key in two homes.

    If there is a key but no store (deleted because it was damaged), the key is kept and the store made anew; let it
    fetch your feed from other peers before you append.

    \b
    Examples:
      ebt init
      ebt --home /srv/feeds init
    """
    identity, is_new = trio.run(home.create)
    if not is_new:
        click.echo(f"kept the key at {home.key}, made a new store", err=True)
    click.echo(str(identity))


@click.command("id")
@click.pass_obj
def id_(home: Home) -> None:
    """Print the id of your feed, alone on a line.

    \b
    Example:
      ebt follow "$(ebt --home /srv/feeds id)"
    """
    click.echo(str(home.identity()))

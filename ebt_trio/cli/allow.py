"""``ebt allow`` and ``ebt disallow``: who may come in, besides those whose feeds one follows."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from .errors import Failure
from .home import Home
from .params import KEY

__all__ = ["allow", "disallow"]


@click.command()
@click.argument("peers", type=KEY, nargs=-1, metavar="[ID]...")
@click.option("--json", "as_json", is_flag=True, help="List them as a JSON array.")
@click.pass_obj
def allow(home: Home, peers: Sequence[str], as_json: bool) -> None:
    """Let the peers ID come in; without any, list who may.

    A node that listens on shs+tcp:// or shs+unix:// lets in the authors of the feeds that you follow, those that you
    allow, and nobody else. A running node knows at once.

    \b
    Examples:
      ebt allow "$(ebt --home /srv/feeds id)"
      ebt allow
    """
    home.identity()
    allowed = home.allowed()
    new = [peer for peer in dict.fromkeys(peers) if peer not in allowed]
    if new:
        home.write_allowed([*allowed, *new])
    if not peers:
        if as_json:
            click.echo(json.dumps(list(allowed), indent=1))
        else:
            for peer in allowed:
                click.echo(peer)


@click.command()
@click.argument("peers", type=KEY, nargs=-1, required=True, metavar="ID...")
@click.pass_obj
def disallow(home: Home, peers: Sequence[str]) -> None:
    """Let the peers ID come in no longer, unless you follow their feeds. Who is in stays in; 'ebt block' ends that."""
    home.identity()
    allowed = home.allowed()
    missing = [peer for peer in peers if peer not in allowed]
    if missing:
        raise Failure(f"not allowed anyway: {', '.join(missing)}")
    home.write_allowed([peer for peer in allowed if peer not in peers])

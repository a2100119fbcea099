"""``ebt status``: what is stored, and what the running node says."""

from __future__ import annotations

import json
from typing import Any

import click
import trio

from ..abc import BlockEntry
from .home import Home
from .stored import Feed, opened, read_blocks, read_feeds
from .tables import bytes_text, plural, print_forks, print_table, short

__all__ = ["status"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object: id, home, clock, follows, blocks, forks, node.")
@click.pass_obj
def status(home: Home, as_json: bool) -> None:
    """Show what is stored, what is followed, and, while 'ebt run' runs, its peers and its progress.

    Feeds come from the store, as they are now. Peers and progress come from the node's own account of itself, which it
    writes to the file "node.json" in the home, about once a second while something changes.

    \b
    Examples:
      ebt status
      ebt status --json | jq .node.progress.fraction
    """
    feeds, blocks = trio.run(_read, home)
    node = home.node_status() if home.is_running() else None
    if as_json:
        click.echo(json.dumps(_as_json(home, feeds, blocks, node), indent=1, ensure_ascii=False))
    else:
        _print(home, feeds, blocks, node)


async def _read(home: Home) -> tuple[list[Feed], list[BlockEntry]]:
    own = str(home.identity())
    async with opened(home) as store:
        return await read_feeds(store, own), await read_blocks(store)


def _as_json(home: Home, feeds: list[Feed], blocks: list[BlockEntry], node: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": str(home.identity()),
        "home": str(home.path),
        "clock": {feed.id: feed.sequence for feed in feeds if feed.sequence},
        "follows": {feed.id: feed.last for feed in feeds if feed.followed},
        "blocks": [{"target": entry.target, "origin": entry.origin} for entry in blocks],
        "forks": [feed.id for feed in feeds if feed.forked],
        "node": node,
    }


def _print(home: Home, feeds: list[Feed], blocks: list[BlockEntry], node: dict[str, Any] | None) -> None:
    click.echo(f"id:    {home.identity()}")
    click.echo(f"home:  {home.path}")
    stored = sum(feed.count for feed in feeds)
    followed = sum(feed.followed for feed in feeds)
    click.echo(f"store: {plural(stored, 'message')} of {plural(len(feeds), 'feed')}, {followed} followed")
    if node is None:
        click.echo("node:  not running ('ebt run' starts it)")
    else:
        click.echo(f"node:  running, process {node.get('pid')}")
        _print_node(node)
    click.echo("")
    print_table(["feed", ">up to", "followed"], [[feed.id, f"{feed.sequence:,}", feed.followed_text] for feed in feeds])
    for entry in blocks:
        click.echo(f"blocked: {entry.target}" + (f" for feed {entry.origin}" if entry.origin else ""))
    print_forks(feed.id for feed in feeds if feed.forked)


def _print_node(node: dict[str, Any]) -> None:
    for url in node.get("listening", ()):
        click.echo(f"       listening {url}")
    progress = node.get("progress", {})
    click.echo(
        f"       {progress.get('fraction', 0):.1%} in sync, "
        f"{progress.get('send', 0):,} to send, {progress.get('recv', 0):,} to come"
    )
    peers = node.get("peers", [])
    if not peers:
        click.echo("       no peers connected")
        return
    click.echo("")
    print_table(
        ["peer", "address", ">in sync", ">sent", ">received"],
        [
            [
                short(peer["peer"] or "?"),
                peer["address"],
                f"{peer['progress']['fraction']:.1%}",
                bytes_text(peer["statistics"]["bytes_sent"]),
                bytes_text(peer["statistics"]["bytes_received"]),
            ]
            for peer in peers
        ],
    )

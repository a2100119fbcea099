"""The command: its options, its directory, its result."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click
import trio
from rich.console import Console

from ..errors import Failure
from .data import spread, standard_library
from .play import NAMES, play

__all__ = ["demo"]

DEFAULT_MESSAGES = 200_000


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--messages",
    type=click.IntRange(min=len(NAMES)),
    metavar="N",
    help="At most so many. Default: all lines of the FILEs; 200,000 without any.",
)
@click.option("--keep", is_flag=True, help="Keep the peers' homes, and say where they are.")
def demo(files: tuple[Path, ...], messages: int | None, keep: bool) -> None:
    """Watch it work: five peers on this machine replicate real data while things go wrong.

    The lines of the FILEs (text; a message each), by default of Python's standard library, are spread over the feeds of
    five peers, which are processes of their own ('ebt run') with seven links, over TCP and Unix sockets. While they
    replicate, more is appended at all of them, a link is cut, and one peer is killed (SIGKILL) and comes back later.

    In the end all of them have to hold the same, and exactly what was in the files; that is checked by a hash over the
    database files, without the library. Exit status 0 only if so. Takes less than a minute with the default data.

    \b
    Examples:
      ebt demo
      ebt demo --messages 20000
      ebt demo /var/log/*.log
    """
    directory = Path(tempfile.mkdtemp(prefix="ebt-demo-"))
    console = Console()
    try:
        limit = messages if files or messages else DEFAULT_MESSAGES
        parts = spread(files or standard_library(), len(NAMES), limit, directory)
        what = f"{len(files)} file{'s' * (len(files) != 1)}" if files else "Python's standard library"
        console.print(
            f"{sum(part.messages for part in parts):,} lines of {what}, a message each, "
            f"in the feeds of {len(NAMES)} peers",
            highlight=False,
            soft_wrap=True,
        )
        if not trio.run(play, directory, parts, console):
            raise Failure("the stores are not equal")
    finally:
        if keep:
            click.echo(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)

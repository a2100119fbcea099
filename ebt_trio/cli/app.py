"""The group of commands, its global options, and how it ends; see :func:`run`."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from .errors import explain, give_up_stdout, leaves
from .home import Home, default_path

__all__ = ["cli", "run"]

COMMANDS: Final = {
    "demo": "demo:demo",
    "simulate": "simulate:simulate",
    "init": "init:init",
    "id": "init:id_",
    "append": "append:append",
    "log": "log:log",
    "run": "node:run",
    "follow": "feeds:follow",
    "unfollow": "feeds:unfollow",
    "feeds": "feeds:feeds",
    "block": "feeds:block",
    "unblock": "feeds:unblock",
    "allow": "allow:allow",
    "disallow": "allow:disallow",
    "status": "status:status",
    "resolve": "resolve:resolve",
}
"""name → module and object; in the order of the help"""


class _Commands(click.Group):
    """Imports a command when it is asked for: what draws pictures takes longer to import than most commands to run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(import_module(f"{__package__}.{module}"), name)
        return command


_SILENT: Final = logging.NullHandler()


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""
    \b
    Examples:
      ebt demo                                      watch it work
      ebt simulate --html tree.html                 watch how, in a network of any size
      ebt init                                      make a key and a store
      ebt append "hello"                            write to your feed
      ebt follow FEED                               replicate a feed from now on
      ebt run --listen 0.0.0.0:8008                 be there for those you follow
      ebt run --connect ID@192.0.2.7:8008           keep up with somebody
      ebt log FEED                                  read it

    Exit status: 0 success, 1 failure, 2 misuse. Errors are one line on standard error.
    """,
)
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="EBT_HOME",
    show_envvar=True,
    help="Where the key and the store are. Default: a directory of the platform's for data of programs.",
)
@click.option("--debug", is_flag=True, help="Tell more, and show tracebacks of errors.")
@click.version_option(version("ebt-trio"), prog_name="ebt", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, home: Path | None, debug: bool) -> None:
    """Keep append-only logs (feeds) up to date between peers, over whatever links they have."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(2)
    context.obj = Home(default_path() if home is None else home)
    # What goes wrong is told once, as the command's error; else Python would print the library's log as well.
    logging.getLogger("ebt_trio").addHandler(_SILENT)
    if debug:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
        for noisy in ("markdown_it", "asyncio"):
            logging.getLogger(noisy).setLevel(logging.INFO)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command, by default with ``sys.argv``; returns the exit status. Errors are printed, never raised."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        # Not cli.main: that has its own ways with Ctrl-C and broken pipes.
        with cli.make_context("ebt", list(given)) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except BaseException as exc:
        line, code = explain(exc)
        if any(isinstance(leaf, BrokenPipeError) for leaf in leaves(exc)):
            give_up_stdout()
        elif "--debug" in given and not isinstance(exc, click.ClickException):
            traceback.print_exception(exc)
        if line:
            click.echo(line, err=True)
        return code
    return 0

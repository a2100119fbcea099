"""The reference of the commands, ``docs/cli.md``, made from what ``--help`` says.

``python -m ebt_trio.cli.reference > docs/cli.md`` renews it; a test compares.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from .app import cli

__all__ = ["reference"]

_HEAD = """\
# The command `ebt`

Needs the extra `cli`: `pip install 'ebt-trio[cli]'`. This page is made from what `ebt --help` says, by
`python -m ebt_trio.cli.reference`.
"""


def reference() -> str:
    """The whole page, in Markdown."""
    context = click.Context(cli, info_name="ebt")
    parts = [_HEAD, *_section(cli, "ebt", "ebt [OPTIONS] COMMAND …", cli.epilog or "")]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        arguments = [_argument(param) for param in command.params if isinstance(param, click.Argument)]
        usage = " ".join(["ebt", name, *(["[OPTIONS]"] if _options(command) else []), *arguments])
        parts.extend(_section(command, f"ebt {name}", usage, ""))
    return "\n".join(parts)


def _section(command: click.Command, title: str, usage: str, epilog: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"```\n{usage}\n```\n"
    yield from _text(command.help or "")
    options = _options(command)
    if options:
        yield "| option | |\n|---|---|"
        yield from (f"| `{names}` | {said} |" for names, said in options)
        yield ""
    yield from _text(epilog)


def _text(said: str) -> Iterator[str]:
    r"""Paragraphs; those that begin with ``\b`` keep their lines, the first of which is a heading."""
    for paragraph in inspect.cleandoc(said).split("\n\n"):
        if paragraph.lstrip().startswith("\b"):
            head, *lines = inspect.cleandoc(paragraph.replace("\b\n", "")).splitlines()
            yield f"{head}\n\n```console\n" + "\n".join(line.removeprefix("  ") for line in lines) + "\n```\n"
        elif paragraph.strip():
            yield f"{inspect.cleandoc(paragraph)}\n"


def _options(command: click.Command) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for param in command.params:
        if isinstance(param, click.Option):
            value = "" if param.is_flag else f" {param.metavar or param.type.name.upper()}"
            environment = f" Environment: `{param.envvar}`." if isinstance(param.envvar, str) else ""
            found.append((", ".join(param.opts) + value, (param.help or "") + environment))
    return found


def _argument(param: click.Argument) -> str:
    if param.metavar:
        return param.metavar
    name = (param.name or "").upper()
    return name if param.required else f"[{name}]"


if __name__ == "__main__":
    sys.stdout.write(reference())

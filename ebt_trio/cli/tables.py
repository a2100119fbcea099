"""Text for people: plain tables that pipes take too, short ids, sizes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

__all__ = ["bytes_text", "plural", "print_forks", "print_table", "short"]


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns side by side; those whose head begins with ``>`` are numbers, and align at the right."""
    names = [head.removeprefix(">") for head in heads]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in (names, *rows):
        cells = [
            cell.rjust(width) if head.startswith(">") else cell.ljust(width)
            for head, cell, width in zip(heads, row, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def print_forks(feeds: Iterable[str]) -> None:
    """What to do about feeds whose authors have signed two histories."""
    for feed in feeds:
        click.echo(f"forked:  {feed} has two histories, and stands still; see 'ebt resolve --help'")


def short(id: str) -> str:
    """An id for where there is no room."""
    return id if len(id) <= 12 else f"{id[:10]}…"


def bytes_text(size: float) -> str:
    """A size with a unit."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")

"""From exceptions to one line and an exit status: 0 success, 1 failure, 2 misuse; see :func:`explain`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, cast

import click

from ..errors import Blocked, EBTError, FeedBehind, LocalProtocolError, SessionClosed

__all__ = ["Failure", "explain", "give_up_stdout", "leaves"]

INTERRUPTED: Final = 130
"""What shells report for a command that Ctrl-C has ended."""


class Failure(Exception):
    """Something went wrong that the user can understand; the text is one line."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


def explain(exc: BaseException) -> tuple[str, int]:
    """The line to print, possibly none, and the exit status."""
    if isinstance(exc, BaseExceptionGroup):
        # From things that run side by side. A bug may be the consequence of what somebody meant to tell.
        told = [explain(leaf) for leaf in leaves(cast("BaseException", exc))]
        return min(told, key=lambda one: (one[1] == 0, "internal error" in one[0]))
    if isinstance(exc, click.exceptions.Exit):
        return "", exc.exit_code
    if isinstance(exc, click.Abort | KeyboardInterrupt):
        return "", INTERRUPTED
    if isinstance(exc, click.ClickException):
        return _usage(exc), 2 if isinstance(exc, click.UsageError) else 1
    if isinstance(exc, BrokenPipeError):
        return "", 0  # whoever read our output has seen enough
    if isinstance(exc, Failure):
        return _line(str(exc)), exc.status
    if isinstance(exc, LocalProtocolError) and not isinstance(exc, FeedBehind | Blocked | SessionClosed):
        return _line(str(exc)), 2
    if isinstance(exc, EBTError | ImportError):
        return _line(str(exc)), 1
    if isinstance(exc, OSError):
        where = f"{exc.filename}: " if exc.filename else ""
        return _line(f"{where}{exc.strerror or exc}"), 1
    return _line(f"internal error, {type(exc).__name__}: {exc} (ebt --debug shows where)"), 1


def leaves(exc: BaseException) -> Iterator[BaseException]:
    """The exceptions that a group consists of."""
    if isinstance(exc, BaseExceptionGroup):
        for child in cast("BaseExceptionGroup[BaseException]", exc).exceptions:
            yield from leaves(child)
    else:
        yield exc


def _usage(exc: click.ClickException) -> str:
    context = exc.ctx if isinstance(exc, click.UsageError) else None
    command = context.command_path if context else "ebt"
    said = exc.format_message().rstrip(".")
    return f"{_line(said, command)} (see {command} --help)"


def _line(text: str, command: str = "ebt") -> str:
    return f"{command}: {' '.join(text.split())}"


def give_up_stdout() -> None:
    """After a broken pipe: let nothing complain at exit that the rest cannot be written."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)

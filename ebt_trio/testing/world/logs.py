"""What is logged as an error is a bug: :func:`errors_break`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from .judge import WorldBroken

__all__ = ["errors_break"]

_LOGS: Final = ("ebt_trio", "ebt_transports")


@contextmanager
def errors_break(fail: Callable[[BaseException], None]) -> Generator[None, None, None]:
    """Inside, an error in our logs is passed to ``fail``."""
    handler = _Handler(fail)
    for name in _LOGS:
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name in _LOGS:
            logging.getLogger(name).removeHandler(handler)


class _Handler(logging.Handler):
    def __init__(self, fail: Callable[[BaseException], None]) -> None:
        super().__init__()
        self._fail = fail

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            failure = WorldBroken(f"logged: {record.getMessage()}")
            failure.__cause__ = record.exc_info[1] if record.exc_info else None
            self._fail(failure)

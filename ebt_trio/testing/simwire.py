"""How many bytes the frames of a simulation would take on the wire, without encoding them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ebt_trio.core.types import FeedId, Run
from ebt_trio.frames import Kind

__all__ = ["wire_size"]

_KINDS = {"notes": Kind.NOTES, "acks": Kind.ACK, "start": Kind.START}


def wire_size(kind: str, content: Any) -> int:
    """The length of what :func:`ebt_trio.frames.encode` makes of a frame, in bytes.

    Without what transports add: the length before each frame (4 bytes on a stream), encryption, TCP and IP.

    :param kind: ``notes``, ``acks``, ``messages`` or ``start``
    :param content: as in :meth:`.Watch.sent`
    """
    if kind == "messages":
        runs: Sequence[Run] = content
        size = _head(1 + len(runs)) + _head(Kind.MESSAGES)
        for run in runs:
            size += 1 + _text(run.feed) + _head(run.first) + _head(len(run.payloads))
            for payload in run.payloads:
                length = len(payload)
                size += (1 if length < 24 else _head(length)) + length
        return size
    numbers: Mapping[FeedId, int] = content
    size = 1 + _head(_KINDS[kind]) + _head(len(numbers))
    for feed, number in numbers.items():
        size += _text(feed) + _head(number if number >= 0 else ~number)
    return size


def _head(number: int) -> int:
    """What a number, or the length of something, takes in CBOR (RFC 8949, section 3)."""
    if number < 24:
        return 1
    if number < 1 << 8:
        return 2
    if number < 1 << 16:
        return 3
    return 5 if number < 1 << 32 else 9


@lru_cache(100_000)
def _text(text: str) -> int:
    length = len(text.encode())
    return _head(length) + length

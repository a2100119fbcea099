"""Between messages as users see them, and runs of payloads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import trio

from ._batch import largest, too_large
from ._driver import Driver
from .core.types import MAX_SEQUENCE, FeedId, Range, Run
from .errors import LocalProtocolError
from .message import Message

__all__ = ["messages", "read", "runs"]

_CHUNK = 1 << 20
"""Bytes to read from the store at once."""


def messages(driver: Driver, feed: FeedId, first: int, payloads: Sequence[bytes]) -> Sequence[Message]:
    """The messages that these payloads are, the first of which has the sequence ``first``."""
    return tuple(Message(feed, sequence, payload, driver.format) for sequence, payload in enumerate(payloads, first))


async def read(driver: Driver, feed: FeedId, first: int, limit: int) -> Sequence[Message]:
    """At most ``limit`` messages from the store. A checkpoint.

    :raises StoreError: the store failed
    """
    await trio.lowlevel.checkpoint()
    payloads: list[bytes] = []
    while True:
        wanted = Range(feed, first + len(payloads), limit - len(payloads))
        found = (await driver.store.read([wanted], _CHUNK))[0] if wanted.limit > 0 else ()
        if not found:
            return messages(driver, feed, first, payloads)
        payloads.extend(found)


def runs(driver: Driver, given: Iterable[Message]) -> Sequence[Run]:
    """Put messages in order, and together where they follow each other.

    :raises LocalProtocolError: not a feed id, not a sequence, or too large for a frame
    """
    payloads: dict[FeedId, dict[int, bytes]] = {}
    for message in given:
        feed = driver.format.check_feed(message.feed)
        if not 1 <= message.sequence <= MAX_SEQUENCE:
            raise LocalProtocolError(f"expected a sequence from 1 to {MAX_SEQUENCE}, got {message.sequence}")
        if len(message.payload) > (most := largest(feed, driver.limits)):
            raise too_large(feed, message.sequence, message.payload, most)
        payloads.setdefault(feed, {})[message.sequence] = message.payload
    found: list[Run] = []
    for feed, by_sequence in payloads.items():
        run: list[bytes] = []
        following = 0
        for sequence in sorted(by_sequence):
            if sequence != following:
                run = []
                found.append(Run(feed, sequence, run))
            run.append(by_sequence[sequence])
            following = sequence + 1
    return found

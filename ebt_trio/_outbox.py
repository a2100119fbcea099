"""Cutting what there is to say into frames that the other side takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .core.types import FeedId
from .frames import run_size

__all__ = ["fitting", "portions"]

_ENTRY = 13
"""At most so many bytes are around a feed id in a map of feeds and integers."""
_AROUND = 16


def portions(entries: Mapping[FeedId, int], max_frame: int) -> Iterator[Mapping[FeedId, int]]:
    """Maps that fit a frame each, in order; none if there are no entries."""
    if not entries:
        return
    feeds = "".join(entries)
    if len(entries) * _ENTRY + (len(feeds) if feeds.isascii() else len(feeds.encode())) <= max_frame - _AROUND:
        yield entries  # the usual case, also for the 10,000 notes of a handshake
        return
    portion: dict[FeedId, int] = {}
    size = _AROUND
    for feed, value in entries.items():
        needed = _ENTRY + len(feed.encode())
        if portion and size + needed > max_frame:
            yield portion
            portion, size = {}, _AROUND
        portion[feed] = value
        size += needed
    yield portion


def fitting(feed: FeedId, payloads: Sequence[bytes], room: int) -> tuple[int, int]:
    """How many of the payloads, from the start, make a run of at most ``room`` bytes; and how many bytes that is."""
    whole = run_size(feed, len(payloads), sum(map(len, payloads)))
    if whole <= room:
        return len(payloads), whole
    size, fits = 0, 0
    for number, payload in enumerate(payloads, 1):
        larger = run_size(feed, number, fits + len(payload))
        if larger > room:
            return number - 1, size
        size, fits = larger, fits + len(payload)
    return len(payloads), size

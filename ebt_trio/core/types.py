"""The small vocabulary that the core, the stores and the runtime share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, NewType

PeerId = NewType("PeerId", str)
"""Who is at the other end of a session."""

FeedId = NewType("FeedId", str)
"""Whose log it is. Not a :data:`PeerId`, even where the text is the same: the reference mixes them, and stalls."""

SessionId = NewType("SessionId", int)
"""Numbers a session within one process; never used twice."""

MAX_SEQUENCE: Final = 2**62 - 1


class FeedHead(NamedTuple):
    """What a store holds of a feed: messages ``first`` to ``head``, without gaps.

    ``head`` 0 means nothing is stored (``first`` is 1 then); ``first`` > 1 means a late start or a pruned feed.
    """

    feed: FeedId
    first: int
    head: int


class Range(NamedTuple):
    """At most ``limit`` consecutive messages of ``feed`` from sequence ``first`` on."""

    feed: FeedId
    first: int
    limit: int


@dataclass(slots=True)
class Run:
    """Consecutive messages of one feed: ``payloads[i]`` has the sequence ``first + i``.

    ``late``: the feed is empty and may start here, at ``first`` > 1.
    ``exact``: it must begin right behind the head, else SequenceGap: a message that we make ourselves must not be
    passed over because another process has used its sequence meanwhile.
    """

    feed: FeedId
    first: int
    payloads: Sequence[bytes]
    late: bool = False
    exact: bool = False

    @property
    def last(self) -> int:
        """The sequence of the last payload."""
        return self.first + len(self.payloads) - 1


class PeerKey(NamedTuple):
    """Under what a peer's clocks are remembered across sessions (request skipping)."""

    peer: PeerId
    store: bytes
    authenticated: bool


class Remembered(NamedTuple):
    """What was last told to and heard from a peer about one feed: a sequence, -1 for declined, or None for nothing."""

    feed: FeedId
    told: int | None
    heard: int | None

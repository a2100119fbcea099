"""Two histories of one author: see :class:`Fork`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import cbor2

from .core.types import MAX_SEQUENCE, FeedId, Run
from .errors import LocalProtocolError, StoreError

__all__ = ["Fork", "Keep"]

Keep = Literal["ours", "theirs"]


@dataclass(frozen=True, slots=True)
class Fork:
    """The proof that a feed's author has signed two different messages ``sequence``.

    ``ours`` are payloads from message ``sequence`` on, as we hold them. ``theirs`` are payloads from ``theirs_first``
    on: from the same message, or from the next one, which names another message before it than ours. Of both the last
    is signed.
    """

    feed: FeedId
    sequence: int
    ours: Sequence[bytes]
    theirs_first: int
    theirs: Sequence[bytes]
    kept: Keep | None = None
    """The branch that the user has chosen to keep; None: not decided, the feed stands still."""

    @classmethod
    def between(cls, ours: Run, theirs: Run) -> Fork:
        """``theirs`` begins with the same message as ``ours``, or with the next."""
        return cls(ours.feed, ours.first, tuple(ours.payloads), theirs.first, tuple(theirs.payloads))

    def branch(self, keep: Keep) -> Run:
        """What the proof has of one branch."""
        if keep == "ours":
            return Run(self.feed, self.sequence, self.ours)
        return Run(self.feed, self.theirs_first, self.theirs)

    def decided(self, keep: Keep) -> Fork:
        """With the user's decision.

        :raises LocalProtocolError: no such branch, or what would be kept is deleted already
        """
        if keep not in ("ours", "theirs"):
            raise LocalProtocolError(f"keep is 'ours' or 'theirs', not {keep!r}")
        if self.kept == "theirs" and keep == "ours":
            raise LocalProtocolError(f"our messages of feed {self.feed} have been deleted already, to keep theirs")
        return replace(self, kept=keep)

    def to_bytes(self) -> bytes:
        """For a store: all but ``feed`` and ``kept``, as CBOR."""
        return cbor2.dumps([self.sequence, list(self.ours), self.theirs_first, list(self.theirs)])

    @classmethod
    def from_bytes(cls, feed: FeedId, proof: bytes, kept: Keep | None) -> Fork:
        """
        :raises StoreError: not what :meth:`to_bytes` has given
        """
        damaged = f"the proof that feed {feed} has forked is damaged"
        try:
            value: object = cbor2.loads(proof, max_depth=2, allow_indefinite=False)
        except (cbor2.CBORDecodeError, ValueError) as error:
            raise StoreError(f"{damaged}: {error}") from error
        if not (isinstance(value, list) and len(items := cast("list[object]", value)) == 4):
            raise StoreError(f"{damaged}: expected two sequences, each with its payloads")
        sequence, ours, first, theirs = items
        return cls(
            feed, _sequence(sequence, damaged), _payloads(ours, damaged), _sequence(first, damaged),
            _payloads(theirs, damaged), kept,
        )  # fmt: skip


def _sequence(value: object, damaged: str) -> int:
    if type(value) is not int or not 1 <= value <= MAX_SEQUENCE:
        raise StoreError(f"{damaged}: expected a sequence from 1 to {MAX_SEQUENCE}")
    return value


def _payloads(value: object, damaged: str) -> Sequence[bytes]:
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    if not all(type(item) is bytes for item in items):
        raise StoreError(f"{damaged}: expected payloads, got something else")
    return tuple(cast("list[bytes]", items))

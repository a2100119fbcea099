"""Where a run of messages meets what is stored: the one rule that every store follows."""

from __future__ import annotations

from ..core.types import MAX_SEQUENCE, FeedHead, Run
from ..errors import SequenceGap, StoreError

__all__ = ["already_stored"]


def already_stored(run: Run, held: FeedHead) -> int:
    """How many messages at the start of ``run`` to pass over: the store holds them, or what follows them.

    The rest, if any, is stored: behind ``held.head``, or from ``run.first`` on where nothing is held.

    :raises SequenceGap: messages are missing before the run, or it is ``exact`` and begins elsewhere
    :raises StoreError: these are no sequences
    """
    if run.first < 1 or run.last > MAX_SEQUENCE:
        raise StoreError(
            f"feed {run.feed}: expected sequences from 1 to {MAX_SEQUENCE}, got {run.first} to {run.last}; not stored"
        )
    following = held.head + 1
    if run.exact and run.first != following:
        raise SequenceGap(f"feed {run.feed}: expected exactly sequence {following}, got {run.first}; not stored")
    if run.first <= following:
        return min(following - run.first, len(run.payloads))
    if not run.payloads or (run.late and held.head == 0):
        return 0
    raise SequenceGap(f"feed {run.feed}: expected sequence {following} next, got {run.first}; not stored")

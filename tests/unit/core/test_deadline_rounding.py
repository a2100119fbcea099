"""A deadline that has come has come, however its sum was rounded."""

from __future__ import annotations

import random

import pytest

from ebt_trio.core import events as ev
from ebt_trio.core.config import Config
from ebt_trio.core.replicator import Replicator
from ebt_trio.core.types import FeedId, PeerId, SessionId

FEED, SESSION = FeedId("author"), SessionId(1)


@pytest.mark.parametrize(
    "start", [3.287801971101857, 3.0, 0.1, *(random.Random(1).uniform(0, 1000) for _ in range(200))]
)
def test_an_owner_that_was_at_work_a_stall_timeout_ago_has_stalled(start: float) -> None:
    """``start + 3.0 - start`` may be less than 3.0: then a Tick set the deadline that it was for, again and again."""
    core = Replicator(PeerId("me"), Config(), random.Random(0), arriving=lambda session: start)
    core.handle(ev.Follow(FEED), 0.0)
    core.handle(ev.SessionUp(SESSION, PeerId("peer"), b"12345678", None, b"", True, False), start)
    core.handle(ev.NotesReceived(SESSION, {FEED: 1 << 1 | 1}), start)
    core.handle(ev.NotesReceived(SESSION, {}), start)
    core.next_outgoing(SESSION, start)
    core.handle(ev.Tick(), start)
    due = core.next_deadline()
    assert due == start + 3.0
    core.handle(ev.Tick(), due)
    later = core.next_deadline()
    assert later is not None
    assert later > due

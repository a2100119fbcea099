"""The tree follows observed delay: a session that announces before the owner delivers, again and again, is better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .feed import Feed
from .link import Link

RIVAL_LEAD: Final = 0.03
RIVAL_APART: Final = 0.1
RIVAL_WINS: Final = 3
SWAP_APART: Final = 5.0


def winner(feed: Feed, owner: Link, links: Sequence[Link], now: float) -> Link | None:
    """Among ``links``: the session that was ahead of the owner, who has just delivered, three times in a row."""
    if now - feed.rival_time < RIVAL_APART:
        return None
    rival = feed.mark_link
    served = rival is not None and feed.accepted >= feed.mark_sequence
    if rival is not None and not served:
        return None
    if rival is None or rival is owner or now - feed.mark_time <= RIVAL_LEAD or rival not in links:
        feed.rival = None
        return None
    if rival is not feed.rival:
        feed.rival, feed.rival_wins = rival, 0
    feed.rival_wins += 1
    feed.rival_time = now
    if (
        feed.rival_wins < RIVAL_WINS
        or now - feed.swapped < SWAP_APART
        or not rival.shares(feed)
        or rival.penalised(feed.number, now)
    ):
        return None
    feed.swapped = now
    feed.rival = None
    return rival

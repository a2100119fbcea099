"""What a simulated peer's store holds: the part of a peer that survives a crash."""

from __future__ import annotations

from dataclasses import dataclass, field

from ebt_trio.core.types import FeedHead, FeedId, PeerId, PeerKey, Remembered, Run


def payload_of(feed: FeedId, sequence: int, fork: str = "") -> bytes:
    """What a simulated author writes."""
    return f"{feed}:{sequence}{fork}".encode()


@dataclass
class SimStore:
    """What survives a crash: messages that were durable, follows, blocks, remembered clocks."""

    id: bytes
    firsts: dict[FeedId, int] = field(default_factory=dict[FeedId, int])
    feeds: dict[FeedId, list[bytes]] = field(default_factory=dict[FeedId, "list[bytes]"])
    follows: dict[FeedId, int | None] = field(default_factory=dict[FeedId, "int | None"])
    blocks: dict[tuple[PeerId, FeedId | None], None] = field(default_factory=dict[tuple[PeerId, "FeedId | None"], None])
    clocks: dict[PeerKey, dict[FeedId, Remembered]] = field(default_factory=dict[PeerKey, "dict[FeedId, Remembered]"])

    def head(self, feed: FeedId) -> FeedHead:
        first = self.firsts.get(feed, 1)
        return FeedHead(feed, first, first - 1 + len(self.feeds[feed])) if feed in self.feeds else FeedHead(feed, 1, 0)

    def copy(self) -> SimStore:
        return SimStore(
            self.id,
            dict(self.firsts),
            {feed: list(payloads) for feed, payloads in self.feeds.items()},
            dict(self.follows),
            dict(self.blocks),
            {key: dict(rows) for key, rows in self.clocks.items()},
        )

    def append(self, run: Run) -> FeedHead | None:
        """None: it does not follow what is stored."""
        _, first, head = self.head(run.feed)
        if not head and run.late:
            self.firsts[run.feed] = first = run.first
            self.feeds[run.feed] = []
            head = first - 1
        if run.first > head + 1:
            return None
        stored = self.feeds.setdefault(run.feed, [])
        stored.extend(run.payloads[head + 1 - run.first :])
        return FeedHead(run.feed, first, first - 1 + len(stored))

    def read(self, feed: FeedId, first: int, limit: int) -> list[bytes]:
        start = first - self.firsts.get(feed, 1)
        return self.feeds.get(feed, [])[start : start + limit] if start >= 0 else []

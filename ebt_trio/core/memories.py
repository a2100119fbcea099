"""What is remembered of all peers, for request skipping: what of it is in this process, what is to be saved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .clock import Memory
from .types import FeedId, PeerKey, Remembered

IDLE_ENTRIES: Final = 2_000_000
"""Clocks of peers without a session stay in this process up to so many entries (20 bytes); the store keeps the others,
and takes ten seconds to recall a million: one peer with so many feeds is to find them here when it comes back."""
UNSAVED_MOST: Final = 2
"""Those that are not saved yet are dropped, too, if there are more than so many times as many: whoever says more than
can be written. The next handshake is longer then."""
EMPTY: Final = 100
"""What a peer costs of whom nothing is remembered, in entries: whoever says HELLO is one more, under any name."""


class Memories:
    """Memories by peer key. A memory is used by one session at a time."""

    def __init__(self, names: Sequence[FeedId]) -> None:
        self._names = names
        self._memories: dict[PeerKey, Memory] = {}

    def has(self, key: PeerKey) -> bool:
        return key in self._memories

    def recall(self, key: PeerKey, rows: Iterable[tuple[int, Remembered]]) -> None:
        memory = self._get(key)
        for number, row in rows:
            memory.grow()
            memory.load(number, row)

    def renew(self, key: PeerKey, limit: int) -> bool:
        memory = self._memories.get(key)
        return memory is not None and memory.renew(limit)

    def renew_idle(self, limit: int) -> bool:
        """The same for peers without a session, before they come back. False: all are."""
        return any(not memory.in_use and memory.renew(limit) for memory in self._memories.values())

    def heard_digest(self, key: PeerKey | None) -> bytes:
        memory = self._memories.get(key) if key is not None else None
        return b"" if memory is None else memory.heard_digest()

    def take(self, key: PeerKey | None) -> Memory:
        """For a session that comes up; another that still uses it must let go (:meth:`Link.detach`)."""
        if key is None:
            return Memory(None, self._names)
        memory = self._get(key)
        memory.in_use = True
        memory.grow()
        self._memories[key] = self._memories.pop(key)  # most recently used last
        return memory

    def take_unsaved(self, limit: int) -> dict[PeerKey, Sequence[Remembered]]:
        """At most ``limit`` rows for the store; what is saved and not in use may be dropped from this process.

        What the last call has returned is in the store by now.
        """
        self._evict()
        unsaved: dict[PeerKey, Sequence[Remembered]] = {}
        for key, memory in self._memories.items():
            if limit > 0 and (rows := memory.take_unsaved(limit)):
                unsaved[key] = rows
                limit -= len(rows)
        return unsaved

    def _get(self, key: PeerKey) -> Memory:
        memory = self._memories.get(key)
        if memory is None:
            memory = self._memories[key] = Memory(key, self._names)
        return memory

    def _evict(self) -> None:
        idle = [(key, memory) for key, memory in self._memories.items() if not memory.in_use]
        entries = sum(_size(memory) for _, memory in idle)
        for key, memory in idle:
            if entries <= IDLE_ENTRIES:
                break
            if entries > UNSAVED_MOST * IDLE_ENTRIES or not memory.has_unsaved:
                entries -= _size(memory)
                del self._memories[key]


def _size(memory: Memory) -> int:
    return EMPTY + len(memory.told.values)

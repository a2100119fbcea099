"""Writing follows, blocks, deletions, forks and clocks: when, and again after it has failed; see :class:`Saving`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from ._changes import PendingChange
from .abc import Store
from .core.replicator import Replicator
from .core.types import FeedId
from .errors import StoreError

__all__ = ["Saving"]

CLOCKS_AFTER: Final = 2.5
"""What was told to peers and heard from them is saved about this often, in seconds, while it changes: after ACKs, which
come a second after the messages, so that most is saved once. What is lost of it costs only longer handshakes."""
CLOCKS_AT_END: Final = 0.25
"""Likewise, when a session has ended: the peer may come back; less often than one who does nothing but come and go."""
CLOCK_ROWS: Final = 2_000
"""At once: whoever has messages to be stored waits for no more than these."""
FIRST_BACKOFF: Final = 0.1
LONGEST_BACKOFF: Final = 5.0


class Saving:
    """What waits to be written besides messages, and until when it may. One task at a time calls :meth:`save`.

    :param failed: makes an error, told and logged, of what the store has raised
    :param forgotten: a feed has been deleted from the store
    """

    def __init__(
        self,
        core: Replicator,
        store: Store,
        pending: PendingChange,
        keep_peers: int,
        *,
        failed: Callable[[Exception, str], StoreError],
        forgotten: Callable[[FeedId], None],
    ) -> None:
        self.pending = pending
        """Call :meth:`changed` after putting something in."""
        self._core = core
        self._store = store
        self._keep_peers = keep_peers
        self._failed = failed
        self._forgotten = forgotten
        self._due_at = float("inf")
        self._backoff = 0.0
        self._scope = trio.CancelScope()

    def changed(self) -> None:
        """There is something in :attr:`pending`, for the next commit."""
        if not self._backoff:
            self._due_by(trio.current_time())

    def ended(self) -> None:
        """A session has ended; the next one needs the digests."""
        if not self._backoff:
            self._due_by(trio.current_time() + CLOCKS_AT_END)

    def touched(self) -> None:
        """Clocks of peers may have changed; called after every event, so it has to cost nothing."""
        if self._due_at == float("inf"):
            self._due_by(trio.current_time() + CLOCKS_AFTER)

    @property
    def is_due(self) -> bool:
        return trio.current_time() >= self._due_at

    def until_due(self) -> trio.CancelScope:
        """Ends what is in it when it is time to :meth:`save`."""
        self._scope = trio.CancelScope(deadline=self._due_at)
        return self._scope

    async def save(self, *, everything: bool) -> StoreError | None:
        """Write what is pending, with peers' clocks: all of them, or a portion. Returns what went wrong."""
        pending = self.pending
        while True:
            self._due_at = float("inf")
            more = pending.has_clocks  # of an attempt that failed
            if more:
                self._core.take_unsaved(0)  # so that what is remembered stays bounded
            else:
                unsaved = self._core.take_unsaved(CLOCK_ROWS)
                more = sum(map(len, unsaved.values())) >= CLOCK_ROWS
                pending.remember(unsaved)
            if not more and not everything:
                more = self._core.renew_idle_digests(CLOCK_ROWS)
            if not pending:
                if more:
                    self._due_by(trio.current_time())
                return None
            change = pending.take()
            try:
                await self._store.update(change, keep_peers=self._keep_peers)
            except Exception as exc:
                pending.restore()
                self._backoff = min(self._backoff * 2 or FIRST_BACKOFF, LONGEST_BACKOFF)
                self._due_at = trio.current_time() + self._backoff
                return self._failed(exc, "follows, blocks or clocks could not be written")
            self._backoff = 0.0
            pending.written()
            for feed in change.forget:
                self._forgotten(feed)
            if more and everything:
                continue
            if more or pending:
                self._due_by(trio.current_time())
            return None

    def _due_by(self, time: float) -> None:
        if time < self._due_at:
            self._due_at = self._scope.deadline = time

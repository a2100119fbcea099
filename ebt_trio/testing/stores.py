"""A conformance kit for stores: every sentence of :class:`ebt_trio.abc.Store`, tried on yours."""

from __future__ import annotations

from collections.abc import Callable

from ..abc import Store
from . import _store_feeds, _store_rest, _store_together
from ._store_kit import Kit

__all__ = ["check_store"]


async def check_store(
    maker: Callable[[str], Store], *, shared: bool = False, notices: bool = False, patience: float = 5.0
) -> None:
    """Test an implementation of :class:`~ebt_trio.abc.Store`; returns if it keeps every promise.

    :param maker: ``maker(name)`` makes a store, not opened yet. Each name is empty at first; the names
        are never the same again, and are good for a file or a schema
    :param shared: stores made with the same name, at the same time, are on the same data, as if in two processes
    :param notices: with ``shared``, ``wait_changes`` notices what the other store does
    :param patience: how long that may take, in seconds. A store that works in threads needs a real clock here, and in
        general: do not run it under an autojump clock
    :raises AssertionError: a promise was broken; the message says which

    Cancelling leaves no store open. The kit writes a few MiB at most; removing them is the caller's business.
    """
    kit = Kit(maker, patience)
    checks = [
        _store_feeds.opens_and_closes,
        _store_feeds.is_empty_at_first,
        _store_feeds.appends,
        _store_feeds.fails_single_runs,
        _store_feeds.starts_late,
        _store_feeds.reads_ranges,
        _store_feeds.reads_within_a_budget,
        _store_feeds.measures,
        _store_feeds.pages_through_heads,
        _store_rest.follows,
        _store_rest.blocks,
        _store_rest.forks,
        _store_feeds.forgets,
        _store_rest.remembers,
        _store_rest.drops_peers,
        _store_together.survives_cancellation,
        _store_together.waits_or_does_not,
        _store_together.reads_while_appending,
    ]
    if shared:
        checks += [_store_together.shares]
        if notices:
            checks += [_store_together.notices, _store_together.notices_despite_cancellation]
    for check in checks:
        await check(kit)

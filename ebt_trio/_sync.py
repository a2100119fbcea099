"""Waiting until messages have arrived: there and here, :func:`wait_synced`; only here, :func:`wait_for`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import trio

from ._driver import Driver
from ._pulse import Pulse
from .core.types import FeedId
from .errors import SessionClosed

if TYPE_CHECKING:
    from .session import Session

__all__ = ["wait_for", "wait_synced"]

PING_EVERY: Final = 0.05
"""Acknowledgements are held back for up to a second; a PING, at most every so many seconds, fetches them."""


async def wait_synced(driver: Driver, only: Session | None = None) -> None:
    """Wait for one session, which is ready, or for all there are. Cancelling changes nothing.

    :raises SessionClosed: ``only`` has ended
    :raises LocalProtocolError: the EBT has been left meanwhile
    """
    await trio.lowlevel.checkpoint()
    wait = driver.core.sync_wait(None if only is None else only.id)
    while True:
        driver.check_open()
        if only is not None and only.close_reason is not None:
            raise SessionClosed(only.close_reason)
        if wait.done(trio.current_time()):
            return
        for session in (only,) if only is not None else tuple(driver.sessions.values()):
            session.ping()
        with trio.move_on_after(PING_EVERY):
            await driver.changed.wait()


class _Goal:
    """A clock to be reached: looks only at what is stored, not at everything again."""

    def __init__(self, driver: Driver, clock: Mapping[FeedId, int]) -> None:
        self._driver = driver
        self._missing = dict(clock)
        self.pulse = Pulse()
        """Fires when it is reached, or never will be."""
        for feed in clock:
            self.stored(feed)

    @property
    def is_reached(self) -> bool:
        return not self._missing

    def stored(self, feed: FeedId) -> None:
        wanted = self._missing.get(feed)
        if wanted is not None and self._driver.core.durable(feed) >= wanted:
            del self._missing[feed]
            if not self._missing:
                self.pulse.fire()

    def close(self) -> None:
        self.pulse.fire()


async def wait_for(driver: Driver, clock: Mapping[FeedId, int]) -> None:
    """Wait until our clock has reached ``clock``. Cancelling changes nothing.

    :raises LocalProtocolError: the EBT has been left meanwhile
    """
    await trio.lowlevel.checkpoint()
    driver.check_open()
    goal = _Goal(driver, clock)
    driver.observers.add(goal)
    try:
        while not goal.is_reached:
            await goal.pulse.wait()
            driver.check_open()
    finally:
        driver.observers.discard(goal)

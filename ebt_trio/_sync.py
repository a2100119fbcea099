"""Waiting until what either side has announced is durable at both ends; see :func:`wait_synced`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from ._driver import Driver
from .errors import SessionClosed

if TYPE_CHECKING:
    from .session import Session

__all__ = ["wait_synced"]

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

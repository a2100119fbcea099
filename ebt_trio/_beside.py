"""Running something beside an ``async with`` block, without exception groups; see :func:`beside`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

__all__ = ["beside"]


@asynccontextmanager
async def beside(
    main: Callable[[], Awaitable[None]], stop: Callable[[bool], None], what: str
) -> AsyncGenerator[trio.CancelScope, None]:
    """Run ``main`` in a task beside the block, which ends when both have.

    - What the block raises leaves unchanged: the same object, in no group.
    - What ``main`` raises cancels the block, and leaves bare. If the block raises, too, the block's exception wins,
      with a note about the other (which names ``what``).
    - ``main`` is shielded from cancellation around the block: it ends only when it returns or raises. When the block
      ends, ``stop(hurry)`` is called and has to make ``main`` return: soon, or, if ``hurry`` (we are cancelled, or
      are from now on), at once.
    """
    failure: BaseException | None = None
    raised: BaseException | None = None
    done = trio.Event()
    scope = trio.CancelScope()

    async def child() -> None:
        nonlocal failure
        try:
            with trio.CancelScope(shield=True):
                await main()
        except BaseException as exc:  # nobody cancels this task, so none of these is Cancelled
            failure = exc
            scope.cancel()
        finally:
            done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(child)
        try:
            with scope:
                yield scope
        except BaseException as exc:
            raised = exc
        stop(trio.current_effective_deadline() == float("-inf"))
        try:
            await done.wait()
        except BaseException as exc:
            stop(True)
            raised = raised or exc
            with trio.CancelScope(shield=True):
                await done.wait()
    try:
        if raised is not None:
            if failure is not None and not isinstance(raised, trio.Cancelled):
                raised.add_note(f"{what} had failed, too: {type(failure).__name__}: {failure}")
            raise raised
        if failure is not None:
            raise failure
    finally:
        raised = failure = None  # an exception, its traceback and this frame would be a cycle

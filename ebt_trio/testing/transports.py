"""``check_transport``: does a transport keep what :class:`ebt_trio.abc.Transport` promises?"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Final, cast

import anyio
import trio
from trio.testing import wait_all_tasks_blocked

from ..abc import Transport
from ..errors import FrameTooLarge, TransportError

__all__ = ["check_transport"]

Maker = Callable[[], AbstractAsyncContextManager[tuple[Transport, Transport]]]
Check = Callable[[Transport, Transport], Awaitable[None]]

_GONE: Final = (
    TransportError,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)
_SIZES: Final = (1, 2, 23, 24, 255, 256, 4096, 65535, 65536, 65537, 200_000)
_LARGE: Final = 1 << 20
_BLOCK: Final = 1 << 16
_BOUND: Final = 1 << 26
"""So many bytes that nobody receives must not find room anywhere."""
_CALM: Final = 0.05
"""How long, in real seconds, nothing must happen before we say that everybody waits."""


async def check_transport(maker: Maker, *, timeout: float | None = 30.0) -> None:
    """Check a transport, sentence by sentence, against :class:`ebt_trio.abc.Transport`. Call it from a test of yours.

    :param maker: called again for each check; an async context manager that yields a connected pair::

        @asynccontextmanager
        async def maker():
            async with trio.open_nursery() as nursery:
                ...
                yield one, other

        The pair has been closed when the ``async with`` ends.
    :param timeout: seconds, on Trio's clock, that one check may take; None for no limit

    Works under real time, and under ``trio.testing.MockClock``: with an autojump threshold of 0 where everything
    happens in this process, of a tenth of a second where the kernel has a part in it. Takes a few real seconds.

    :raises AssertionError: which sentence does not hold, and what was seen instead
    """
    for check in _CHECKS:
        for swapped in (False, True):
            await _run(check, maker, swapped, math.inf if timeout is None else timeout)


async def _run(check: Check, maker: Maker, swapped: bool, timeout: float) -> None:
    sentence = " ".join((check.__doc__ or "").split())
    side = "second" if swapped else "first"
    try:
        with trio.fail_after(timeout):
            async with maker() as (one, other), one, other:
                await (check(other, one) if swapped else check(one, other))
    except Exception as exc:
        seen = _first(exc)
        if isinstance(seen, trio.TooSlowError):
            said = f"no end within {timeout} s"
        elif isinstance(seen, AssertionError):
            said = str(seen)
        else:
            said = f"{type(seen).__name__}: {seen}"
        raise AssertionError(f"{sentence} (near: the {side} of the pair.) Seen: {said}") from exc


def _first(exc: Exception) -> Exception:
    while isinstance(exc, ExceptionGroup):
        exc = cast("ExceptionGroup[Exception]", exc).exceptions[0]
    return exc


def _require(condition: bool, seen: str) -> None:
    if not condition:
        raise AssertionError(seen)


def _frames(sizes: Sequence[int], seed: int = 0) -> list[bytes]:
    """Different frames of these sizes, each time the same; random, so that compressing them gains nothing."""
    random = Random(seed)
    return [random.randbytes(size) for size in sizes]


async def _send(transport: Transport, frames: Sequence[bytes]) -> None:
    for frame in frames:
        await transport.send(frame)


async def _expect(transport: Transport, frames: Sequence[bytes]) -> None:
    """Receive exactly these."""
    for number, frame in enumerate(frames):
        await _expect_frame(transport, frame, number)


async def _expect_frame(transport: Transport, frame: bytes, number: int, got: bytes | None = None) -> None:
    """Receive this, unless it has come already."""
    if got is None:
        got = await transport.receive()
    _require(type(got) is bytes, f"receive returned {type(got).__name__}, not bytes")
    if got != frame:
        raise AssertionError(f"frame {number} of {len(frame)} bytes came as {len(got)} bytes, or others")


async def _expect_end(transport: Transport) -> None:
    try:
        got = await transport.receive()
    except anyio.EndOfStream:
        return
    raise AssertionError(f"a frame of {len(got)} bytes instead of EndOfStream")


async def _outcome(call: Callable[[], Awaitable[object]]) -> BaseException | None:
    """How a call ended that should fail because the transport is closed."""
    try:
        await call()
    except (*_GONE, anyio.EndOfStream) as exc:
        return exc
    return None


# One sentence each; ``near`` and ``far`` are the two ends.


async def _attributes(near: Transport, far: Transport) -> None:
    """peer_id is a str or None, address a str, max_frame a number of bytes, 1 MiB from the start."""
    peer_id = cast("object", near.peer_id)
    address = cast("object", near.address)
    _require(peer_id is None or isinstance(peer_id, str), f"peer_id {peer_id!r}")
    _require(isinstance(address, str), f"address {address!r}")
    _require(near.max_frame == _LARGE, f"max_frame {near.max_frame!r}")


async def _order(near: Transport, far: Transport) -> None:
    """Frames arrive whole, once, and in the order in which they were sent, whatever their sizes."""
    frames = _frames(_SIZES * 3 + (1,) * 500)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send, near, frames)
        await _expect(far, frames)


async def _in_between(near: Transport, far: Transport) -> None:
    """receive_nowait returns the next frame, or None, and takes nothing away from receive."""
    frames = _frames(_SIZES * 3 + (1,) * 500)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send, near, frames)
        number = 0
        while number < len(frames):
            got = far.receive_nowait() if number % 7 else None
            await _expect_frame(far, frames[number], number, got)
            number += 1
    _require(far.receive_nowait() is None, "a frame that nobody has sent")


async def _large(near: Transport, far: Transport) -> None:
    """A frame of max_frame bytes is not too large."""
    frames = _frames((far.max_frame, 1, far.max_frame))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send, near, frames)
        await _expect(far, frames)


async def _both_ways(near: Transport, far: Transport) -> None:
    """Both sides may send and receive at the same time; neither direction waits for the other."""
    there, back = _frames((_BLOCK,) * 64, 1), _frames((_BLOCK,) * 64, 2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send, near, there)
        nursery.start_soon(_send, far, back)
        nursery.start_soon(_expect, near, back)
        nursery.start_soon(_expect, far, there)


async def _one_way_only(near: Transport, far: Transport) -> None:
    """While one direction is full, the other still works."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send, near, _frames((_BLOCK,)) * (_BOUND // _BLOCK))
        await wait_all_tasks_blocked(_CALM)
        frames = _frames(_SIZES)
        nursery.start_soon(_send, far, frames)
        await _expect(near, frames)
        nursery.cancel_scope.cancel()


async def _back_pressure(near: Transport, far: Transport) -> None:
    """send waits when nobody receives, before memory fills up; and goes on when somebody does."""
    (frame,) = _frames((_BLOCK,))
    sent = 0

    async def flood() -> None:
        nonlocal sent
        while sent < 2 * _BOUND:
            await near.send(frame)
            sent += len(frame)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flood)
        await wait_all_tasks_blocked(_CALM)
        before = sent
        _require(before < _BOUND, f"{before} bytes were taken, and nobody received one")
        await _expect(far, (frame,) * (before // len(frame) + 1))
        await wait_all_tasks_blocked(_CALM)
        _require(sent > before, "nothing more was sent after everything had been received")
        nursery.cancel_scope.cancel()


async def _cancelled_receive(near: Transport, far: Transport) -> None:
    """Cancelling receive loses nothing, wherever it strikes."""
    frames = _frames((*_SIZES, _LARGE) * 4)
    got: list[bytes] = []

    async def cancel_later(scope: trio.CancelScope, steps: int) -> None:
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send, near, frames)
        attempt = 0
        while len(got) < len(frames):
            attempt += 1
            with trio.CancelScope() as scope:
                if attempt % 8 == 1:
                    scope.cancel()
                elif attempt % 8:
                    nursery.start_soon(cancel_later, scope, attempt % 8 - 2)
                got.append(await far.receive())
                _require(got[-1] == frames[len(got) - 1], f"frame {len(got) - 1} lost or damaged, attempt {attempt}")


async def _cancelled_send(near: Transport, far: Transport) -> None:
    """A send that is cancelled never passes off a part of a frame as a frame, nor harms those before it."""
    frames = _frames((100_000, 1_000_000) * 12)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send, near, frames)
        await wait_all_tasks_blocked(_CALM)
        nursery.cancel_scope.cancel()
    closing_failed = await _outcome(near.aclose)
    _require(closing_failed is None, f"aclose after it raised {closing_failed!r}")
    number = 0
    while True:
        try:
            got = await far.receive()
        except (*_GONE, anyio.EndOfStream):
            return
        _require(got == frames[number], f"frame {number} came as {len(got)} other bytes")
        number += 1


async def _max_frame(near: Transport, far: Transport) -> None:
    """receive raises FrameTooLarge for a frame longer than max_frame is at that time, and for no other."""
    frames = _frames((100, 5000, 100, 101))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send, near, frames)
        far.max_frame = 100
        await _expect(far, frames[:1])
        far.max_frame = _LARGE
        await _expect(far, frames[1:2])
        far.max_frame = 100
        await _expect(far, frames[2:3])
        try:
            got = await far.receive()
        except FrameTooLarge:
            return
        raise AssertionError(f"a frame of {len(got)} bytes was taken while max_frame was 100")


async def _close(near: Transport, far: Transport) -> None:
    """When the remote has closed, receive returns what was sent before, then raises EndOfStream, again and again."""
    frames = _frames((1, 1000, 20_000))

    async def send_and_close() -> None:
        await _send(near, frames)
        await near.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_and_close)
        await wait_all_tasks_blocked(_CALM)  # closed by now, unless it has no room for so little
        await _expect(far, frames)
        await _expect_end(far)
    await _expect_end(far)


async def _half_close(near: Transport, far: Transport) -> None:
    """After send_eof receiving goes on; the remote sees EndOfStream, at the latest when we close."""
    frames = _frames(_SIZES)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_send, near, frames[:1])
        await _expect(far, frames[:1])
    await near.send_eof()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_expect_end, far)
        nursery.start_soon(_send, far, frames)
        await _expect(near, frames)
        await near.aclose()


async def _close_twice(near: Transport, far: Transport) -> None:
    """aclose may be called twice, on both sides; afterwards send and receive raise an error."""
    for transport in (near, near, far, far, near):
        await transport.aclose()
    for call in (lambda: near.send(b"x"), near.receive):
        _require(await _outcome(call) is not None, "no error after aclose")


async def _close_while_waiting(near: Transport, far: Transport) -> None:
    """aclose ends a receive and a send that wait in other tasks, with an error."""
    ends: list[BaseException | None] = []

    async def wait(call: Callable[[], Awaitable[object]]) -> None:
        ends.append(await _outcome(call))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, near.receive)
        nursery.start_soon(wait, lambda: _send(near, _frames((_BLOCK,)) * (_BOUND // _BLOCK)))
        await wait_all_tasks_blocked(_CALM)
        _require(not ends, f"ended before aclose: {ends!r}")
        await near.aclose()
    _require(None not in ends, "one of them returned as if nothing had happened")


async def _send_to_closed(near: Transport, far: Transport) -> None:
    """Sending to a remote that has closed raises an error, at the latest after some frames."""
    await far.aclose()
    for _ in range(1000):
        if await _outcome(lambda: near.send(bytes(1000))) is not None:
            return
    raise AssertionError("1000 frames were taken")


async def _cancelled_close(near: Transport, far: Transport) -> None:
    """aclose closes even if it is cancelled."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await near.aclose()
    _require(await _outcome(lambda: near.send(b"x")) is not None, "send works after it")
    _require(await _outcome(far.receive) is not None, "the remote has received a frame that was never sent")


_CHECKS: Final[Sequence[Check]] = (
    _attributes,
    _order,
    _in_between,
    _large,
    _both_ways,
    _one_way_only,
    _back_pressure,
    _cancelled_receive,
    _cancelled_send,
    _max_frame,
    _close,
    _half_close,
    _close_twice,
    _close_while_waiting,
    _send_to_closed,
    _cancelled_close,
)

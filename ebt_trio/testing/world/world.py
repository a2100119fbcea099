"""Peers, links, and all that may go wrong, in virtual time and from one seed: :class:`World`, :func:`run_world`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from random import Random
from types import TracebackType
from typing import Any, Final, TypeVar

import trio
from trio.testing import MockClock

from ..._beside import beside
from ..._events import Event
from ...abc import Store
from ...core.actions import What
from ...ebt import EBT
from ...errors import EBTError
from ...identity import Identity
from ...stores.memory import MemoryStore
from . import sockets
from .faults import Faults
from .judge import WorldBroken, differences
from .logs import errors_break
from .network import Network
from .peers import LONGEST_END, WorldPeer
from .pipes import Conditions
from .seeding import seeded
from .steps import Step, do
from .trace import Trace

__all__ = ["World", "run_world"]

T = TypeVar("T")
LINES: Final = 40
_ADDRESS: Final = re.compile(r"([\d.]+):\d+$")


def run_world(
    body: Callable[[World], Awaitable[T]],
    *,
    seed: int = 0,
    signed: bool = False,
    conditions: Conditions | None = None,
    lines: int = LINES,
) -> T:
    """Run ``await body(world)`` in virtual time; the same seed gives the same run. Returns what it returns.

    What the body raises leaves as it is, with the end of the trace as a note. Parameters as for :class:`World`.
    """

    async def main() -> T:
        async with World(seed, signed=signed, conditions=conditions, lines=lines) as world:
            return await body(world)

    with seeded(seed):
        return trio.run(main, clock=MockClock(autojump_threshold=0))


class World(Faults):
    """Peers on hosts of their own, on a network that fails as it is told to.

    ::

        async def body(world):
            alice, bob = world.peer("alice"), world.peer("bob")
            world.link("alice", "bob", delay=0.05)
            await alice.append("hello")
            world.cut("alice", "bob")
            await world.settle()
            world.assert_equal()

        run_world(body, seed=1)

    The peers are real: EBTs with sessions, stores, ``serve`` and ``dial``. As long as the world is entered, all sockets
    of this Trio run are the world's: names are those of the peers, each listens on port 8008, and what an application
    dials goes through the same network. To be repeatable it has to be run by :func:`run_world`.

    What happens is written into :attr:`trace`. Whatever must not happen (an exception that is not an
    :class:`~ebt_trio.EBTError`, an error in the log, a peer that blames another) raises :class:`WorldBroken` where the
    world is entered. Leaving ends all peers, in order.

    :param signed: peers have keys: signed feeds, and encrypted links
    :param conditions: of links of which nothing else is said
    :param lines: so many lines of the trace are shown with a failure
    """

    def __init__(
        self, seed: int = 0, *, signed: bool = False, conditions: Conditions | None = None, lines: int = LINES
    ) -> None:
        self.seed = seed
        self.lines = lines
        self.rng = Random(seed)
        self.signed = signed
        self.trace = Trace()
        self.network = Network(Random(self.rng.random()), self.trace, conditions or Conditions())
        self.peers: dict[str, WorldPeer] = {}
        self.steps: list[Step] = []
        """What :meth:`play` has done so far."""
        self._nursery: trio.Nursery | None = None
        self._ended = trio.Event()
        self._failure: BaseException | None = None
        self._watching = ExitStack()
        self._running = beside(self._main, self._stop, "the world")
        self._opened = trio.Event()

    # -- being there

    async def __aenter__(self) -> World:
        sockets.install(self.network)
        self._watching.enter_context(errors_break(self.fail))
        await self._running.__aenter__()
        await self._opened.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if isinstance(value, Exception):
            value.add_note(self.report())
        with self._watching:
            return await self._running.__aexit__(kind, value, traceback)

    async def _main(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._opened.set()
                await self._ended.wait()
                with trio.move_on_after(LONGEST_END) as patience:
                    for peer in self.peers.values():
                        await peer.wait_gone()
                nursery.cancel_scope.cancel()
                if patience.cancelled_caught:
                    self.fail(WorldBroken(f"not ended after {LONGEST_END:g} seconds: {list(self.peers.values())}"))
        except BaseException as exc:
            raise self._failure or exc from None
        if self._failure is not None:
            raise self._failure
        if left := [*self.network.listening, *(str(one) for one in self.network.connections if one.is_open)]:
            raise WorldBroken(f"still open at the end: {left}")

    def _stop(self, hurry: bool) -> None:
        self._ended.set()
        for peer in self.peers.values():
            if hurry:
                peer.crash()
            else:
                peer.leave()
        if hurry and self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def fail(self, exc: BaseException) -> None:
        """Something has happened that must not happen: all ends, and this leaves."""
        self.trace.add(f"BROKEN: {exc}")
        if self._failure is None:
            self._failure = exc
            exc.add_note(self.report())
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def spawn(self, what: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Run something until the world ends. What it raises ends the world."""
        assert self._nursery is not None, "the world is not entered"
        self._nursery.start_soon(self._guard, what, args)

    async def _guard(self, what: Callable[..., Awaitable[Any]], args: Sequence[Any]) -> None:
        try:
            await what(*args)
        except Exception as exc:
            self.fail(exc)

    def report(self) -> str:
        """The end of the trace, the steps so far, and how to do that again."""
        shown = self.trace.lines(self.lines)
        steps = f"world.play({self.steps})\n" if self.steps else ""
        return f"the last {len(shown)} lines of the trace:\n" + "\n".join(shown) + f"\n{steps}seed: {self.seed}"

    # -- who is there

    def peer(
        self,
        name: str,
        *,
        store: Store | None = None,
        follow: Sequence[str] | None = None,
        store_delay: float = 0.0,
        **options: Any,
    ) -> WorldPeer:
        """A new peer, which starts now.

        :param store: what it keeps over crashes; default: a :class:`~ebt_trio.MemoryStore`. One in SQLite needs
            ``threads=False``
        :param follow: whom it follows, by name; None: everybody in the world
        :param store_delay: so many seconds at most writing takes
        :param options: for :class:`~ebt_trio.EBT`
        """
        assert name not in self.peers, f"there is a {name} already"
        self.network.address(name)
        if store is None:
            store = MemoryStore()
            store.id = self.rng.randbytes(16)
        identity = self._identity() if self.signed else None
        peer = WorldPeer(self, name, store, follow, identity, store_delay, options)
        self.peers[name] = peer
        self.trace.names[peer.id] = name
        peer.start()
        for other in self.peers.values():
            if other.is_up:
                other.apply_follows()
        return peer

    def link(
        self,
        a: str,
        b: str,
        *,
        both: bool = False,
        delay: float | None = None,
        jitter: float = 0.0,
        rate: float = 0.0,
        split: int = 0,
        window: int = 65536,
    ) -> None:
        """``a`` dials ``b``, and goes on to whenever there is no session; with ``both`` the other way round, too.

        How good the link is: see :class:`Conditions`; without ``delay``, as all links of this world.
        """
        if delay is not None:
            self.network.set(a, b, Conditions(delay, jitter, rate, split, window))
        self.peers[a].dial(b)
        if both:
            self.peers[b].dial(a)

    def name_at(self, address: str) -> str:
        """Whose address that is."""
        match = _ADDRESS.search(address)
        return (match and self.network.host(match[1])) or address

    def prepare(self, ebt: EBT) -> None:
        """Nothing of a run may depend on the system's randomness."""
        ebt._driver.instance = self.rng.randbytes(8)  # pyright: ignore[reportPrivateUsage]

    def _identity(self) -> Identity:
        while True:
            try:
                return Identity(self.rng.randbytes(32))
            except EBTError:
                continue

    # -- what is done, and what must come of it

    async def play(self, steps: Iterable[Step]) -> None:
        """Do what the steps say, one by one; they are plain data: ``("append", "alice", 3)``, ``("wait", 0.5)``.

        A step that makes no sense in the state of things does nothing. See :mod:`~ebt_trio.testing.world.steps`.
        """
        for step in steps:
            self.steps.append(step)
            self.trace.add(f"-- {step}")
            await do(self, step)

    async def settle(self, patience: float = 600.0, quiet: float = 2.0) -> None:
        """Wait until everybody holds what is wanted of whoever is up, and nothing is said for ``quiet`` seconds.

        :raises WorldBroken: that has not come within ``patience`` seconds of virtual time
        """
        give_up, pause = trio.current_time() + patience, 0.05
        while True:
            wrong = differences(self.peers)
            is_quiet = self.network.is_empty and trio.current_time() >= self.trace.last_frame + quiet
            if is_quiet and not wrong:
                return
            if trio.current_time() > give_up:
                raise WorldBroken(f"not settled after {patience:g} seconds: {'; '.join(wrong) or 'frames are sent'}")
            await trio.sleep(pause)
            pause = min(pause * 1.2, 1.0)

    def assert_equal(self) -> None:
        """Everybody is up, and holds all that it wants of everybody's feeds.

        :raises WorldBroken: who does not
        """
        if wrong := differences(self.peers):
            raise WorldBroken("; ".join(wrong))

    def heard(self, peer: WorldPeer, event: Event) -> None:
        """A peer has told something."""
        self.trace.add(f"{peer.name}: {event}")
        if event.what in _NEVER:
            self.fail(WorldBroken(f"{peer.name}: {event}"))


_NEVER: Final = {What.INVALID, What.FORKED, What.TOO_LARGE, What.REFUSED}

"""A peer in a world, through all its starts and ends: :class:`WorldPeer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final

import trio

from ...abc import Store, Transport
from ...core.types import FeedId
from ...ebt import EBT
from ...errors import LocalProtocolError, StoreError
from ...identity import Identity
from ...message import Message
from ...transport import connect, listen
from .network import HOST
from .stores import FaultyStore
from .taps import Tapped, TappedListener

if TYPE_CHECKING:
    from .world import World

__all__ = ["LONGEST_END", "PORT", "WorldPeer"]

PORT: Final = 8008
RETRY: Final = 1.0
"""Seconds until a peer that its store has brought down is started again."""
LONGEST_END: Final = 60.0
"""Seconds that a peer may take to end."""


class WorldPeer:
    """Made by :meth:`World.peer`. Runs an :class:`~ebt_trio.EBT` on a host of its own, which serves and dials."""

    def __init__(
        self,
        world: World,
        name: str,
        store: Store,
        follow: Sequence[str] | None,
        identity: Identity | None,
        store_delay: float,
        options: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.id = name if identity is None else identity.id
        """The peer's id, and its feed's."""
        self.store = store
        """What it keeps over its ends."""
        self.disk = FaultyStore(store)
        """Between it and its store, since it was last started."""
        self.follow = None if follow is None else {name, *follow}
        """Whom it follows, by name; None: everybody."""
        self.acknowledged: dict[int, Any] = {}
        """sequence → content of all that :meth:`append` has returned for"""
        self.tried = 0
        """How many messages :meth:`append` was asked for."""
        self.starts = 0
        self.identity = identity
        self._world = world
        self._store_delay = store_delay
        self._options = options
        self._rng = Random(world.rng.random())
        self._targets: dict[str, None] = {}
        self._wishes = (False, False)
        self._ebt: EBT | None = None
        self._nursery: trio.Nursery | None = None
        self._scope: trio.CancelScope | None = None
        self._stop = trio.Event()
        self._up = trio.Event()
        self._gone = trio.Event()
        self._gone.set()

    def __repr__(self) -> str:
        return f"<WorldPeer {self.name}: {'up' if self._ebt else 'down'}>"

    # -- looking at it

    @property
    def is_up(self) -> bool:
        """Whether there is an :attr:`ebt`."""
        return self._ebt is not None

    @property
    def is_wanted(self) -> bool:
        """Whether it is up, or will be without anybody's doing."""
        return self._scope is not None and not self._scope.cancel_called and not self._stop.is_set()

    @property
    def ebt(self) -> EBT:
        """The running EBT; another one after each start.

        :raises LocalProtocolError: there is none now
        """
        if self._ebt is None:
            raise LocalProtocolError(f"{self.name} is down")
        return self._ebt

    @property
    def url(self) -> str:
        """Where it listens."""
        proof = "" if self.identity is None else f"{self.id}@"
        return f"{'tcp' if self.identity is None else 'shs+tcp'}://{proof}{self.name}:{PORT}"

    async def wait_up(self) -> EBT:
        """Wait until it runs."""
        await self._up.wait()
        return self.ebt

    async def append(self, *contents: Any) -> Sequence[Message]:
        """Append to its own feed, and remember that it was acknowledged. Waits until it runs; otherwise as
        :meth:`EBT.append_many`."""
        ebt = await self.wait_up()
        self.tried += len(contents)
        messages = await ebt.append_many(contents)
        for message in messages:
            self.acknowledged[message.sequence] = message.content
        self._world.trace.add(f"{self.name} appended {messages[0].sequence}-{messages[-1].sequence}")
        return messages

    # -- its life

    def start(self) -> None:
        """Start it, if it is down."""
        if self.is_wanted:
            return
        before, self._gone, self._up = self._gone, trio.Event(), trio.Event()
        self._stop, self._scope = trio.Event(), trio.CancelScope()
        self.starts += 1
        self._world.spawn(self._live, before, self._gone, self._scope, self._stop)

    def crash(self, *, power: bool = False) -> None:
        """End it where it stands: nothing more is written or said. Then :meth:`start` may be called.

        :param power: the whole machine: others hear nothing. Otherwise its process: others find their links reset
        """
        if self._scope is None:
            return
        self._world.trace.add(f"{self.name} {'loses power' if power else 'is killed'}")
        self.disk.cut_power()
        (self._world.network.darken if power else self._world.network.kill)(self.name)
        self._lies_down()
        self._scope.cancel()

    def leave(self) -> None:
        """End it in order."""
        self._lies_down()
        self._stop.set()

    async def wait_gone(self) -> None:
        """Wait until nothing of it runs."""
        await self._gone.wait()

    def break_store(self, *, writes: bool = False, reads: bool = False) -> None:
        """Which calls of the store fail from now on, over restarts, too."""
        self._wishes = (writes, reads)
        self.disk.refuses_writes, self.disk.refuses_reads = writes, reads

    def dial(self, other: str) -> None:
        """Keep a session up with that peer, from now on, whenever it runs."""
        if other not in self._targets:
            self._targets[other] = None
            if self._ebt is not None and self._nursery is not None:
                self._nursery.start_soon(self._dial, self._ebt, other)

    def want(self, name: str, follow: bool) -> None:
        """Follow, or stop following, somebody in the world. For a peer that follows only whom it names."""
        assert self.follow is not None
        (self.follow.add if follow else self.follow.discard)(name)
        if self._ebt is not None:
            self.apply_follows()

    def apply_follows(self) -> None:
        """Have the EBT follow whom we want to follow."""
        ebt = self.ebt
        wanted = {self._world.peers[name].id for name in self.wanted if name in self._world.peers}
        for feed in sorted(wanted - ebt.follows):
            ebt.follow(feed)
        for feed in sorted(ebt.follows - wanted - {FeedId(self.id)}):
            ebt.unfollow(feed)

    @property
    def wanted(self) -> Sequence[str]:
        """The names of whom it follows, itself included."""
        return sorted(self._world.peers if self.follow is None else self.follow)

    def _lies_down(self) -> None:
        self._ebt = self._nursery = None
        self._up = trio.Event()

    async def _live(self, before: trio.Event, gone: trio.Event, scope: trio.CancelScope, stop: trio.Event) -> None:
        HOST.set(self.name)
        try:
            with trio.move_on_after(LONGEST_END, shield=True):  # two at once on one store is one too many
                await before.wait()
            with scope:
                self._world.network.lighten(self.name)
                while not stop.is_set():
                    try:
                        await self._run(stop)
                    except StoreError as exc:
                        self._lies_down()
                        self._world.trace.add(f"{self.name} is brought down by its store: {exc}")
                        with trio.move_on_after(RETRY):
                            await stop.wait()
        except StoreError:  # in the middle of a crash
            assert scope.cancel_called
        finally:
            gone.set()
        self._world.trace.add(f"{self.name} is gone")

    async def _run(self, stop: trio.Event) -> None:
        world = self._world
        self.disk = FaultyStore(self.store, delay=self._store_delay, rng=self._rng)
        self.break_store(writes=self._wishes[0], reads=self._wishes[1])
        me = self.id if self.identity is None else self.identity
        ebt = EBT(me, self.disk, rng=Random(self._rng.random()), **self._options)
        world.prepare(ebt)
        url = f"{'tcp' if self.identity is None else 'shs+tcp'}://0.0.0.0:{PORT}"
        try:
            async with trio.open_nursery() as nursery, ebt, await listen(url, identity=self.identity) as listener:
                self._ebt, self._nursery = ebt, nursery
                self.apply_follows()
                nursery.start_soon(self._listen_to, ebt)
                await nursery.start(ebt.serve, TappedListener(listener, self._tap))
                for other in self._targets:
                    nursery.start_soon(self._dial, ebt, other)
                world.trace.add(f"{self.name} is up")
                self._up.set()
                await stop.wait()
        except* StoreError as group:
            raise _first(group) from None

    async def _dial(self, ebt: EBT, other: str) -> None:
        peer = self._world.peers[other]

        async def reach() -> Transport:
            return self._tap(await connect(peer.url, identity=self.identity), other)

        reach.__name__ = peer.url
        try:
            await ebt.dial(reach)
        except LocalProtocolError:
            if self._ebt is ebt:  # else it was left before it began
                raise

    def _tap(self, transport: Transport, other: str | None = None) -> Transport:
        return Tapped(transport, self._world.trace, self.name, other or self._world.name_at(transport.address))

    async def _listen_to(self, ebt: EBT) -> None:
        async with ebt.events() as events:
            async for event in events:
                self._world.heard(self, event)


def _first(group: BaseExceptionGroup[StoreError]) -> StoreError:
    while True:
        inner = group.exceptions[0]
        if isinstance(inner, StoreError):
            return inner
        group = inner

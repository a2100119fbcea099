"""A simulated peer: a core, a store, and the actions of the core carried out in simulated time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from ebt_trio.core import events as ev
from ebt_trio.core.actions import Action, Append, Close, Followed, Report, Wake, What
from ebt_trio.core.replicator import Replicator
from ebt_trio.core.types import FeedId, PeerId, PeerKey, Run, SessionId

from .invariants import InvariantBroken
from .simdial import Dialler
from .simstore import SimStore, payload_of

if TYPE_CHECKING:
    from .simend import End
    from .simulation import Simulation


class SimPeer:
    """One peer: a core, a store, and the actions of the core carried out."""

    def __init__(
        self,
        sim: Simulation,
        id: PeerId,
        store: SimStore,
        should_replicate: Callable[[FeedId, PeerId], bool] | None = None,
    ) -> None:
        self.sim = sim
        self.id = id
        self.store = store
        self.instance = b""
        self.core: Replicator
        self.up = False
        self.ends: dict[SessionId, End] = {}
        self.reports: Counter[What] = Counter()
        self.store_broken = False
        """Appends fail."""
        self.reads_broken = False
        """Reads fail, of all feeds."""
        self.unreadable: set[FeedId] = set()
        """Reads of these feeds fail."""
        self.should_replicate = should_replicate
        self.downlink = 0.0
        """Messages per second that it can take in, over all links together; 0: without limit."""
        self.downlink_busy = 0.0
        self.validate: Callable[[Run, PeerId], bool] = lambda run, peer: True
        """May this run from that peer be stored?"""
        self.diallers: list[Dialler] = []
        self.taken: list[Run] = []
        """What the core has handed to the store since this was cleared, if somebody watches."""
        self._tick_at: float | None = None
        self._stored_at = 0.0
        self.life = 0
        """How often it was started, or has crashed: what an earlier life has left to be done is done no more."""
        self._dirty = False

    # -- life

    def start(self) -> None:
        self.life += 1
        self.up = True
        self.instance = self.sim.rng.randbytes(8)
        self._tick_at = None
        self.core = Replicator(
            self.id, self.sim.config, Random(self.sim.rng.random()), should_replicate=self.should_replicate
        )
        self.handle(ev.Loaded([self.store.head(feed) for feed in self.store.feeds]))
        for feed, last in self.store.follows.items():
            self.handle(ev.Follow(feed, last))
        for target, origin in self.store.blocks:
            self.handle(ev.Block(target, origin))
        for dialler in self.diallers:
            dialler.start()

    def crash(self, *, silent: bool = False) -> None:
        """Lose everything that is not in the store; links break without a word.

        :param silent: the others are not told, either: each notices by its keep-alive
        """
        self.sim.happened(f"{self.id} crashes")
        self.up = False
        self.life += 1
        for end in list(self.ends.values()):
            if silent:
                end.link.lose()
            else:
                end.link.cut()
            end.ask_no_more()
        self.ends.clear()

    def restart(self) -> None:
        self.sim.happened(f"{self.id} restarts")
        self.start()

    def mute(self) -> None:
        """Say and do nothing any more, with links up: from now on a script speaks, with :meth:`End.send_raw`."""
        self.sim.happened(f"{self.id} goes mute")
        self.up = False

    # -- what applications do

    def dial(self, *addresses: str, links: int = 1) -> None:
        """Keep ``links`` sessions up with peers of these addresses, also after crashes: see :class:`Dialler`."""
        rng = Random(f"{self.sim.seed} {self.id} {len(self.diallers)}")  # what is dialled changes nothing else
        self.diallers.append(Dialler(self, map(PeerId, addresses), links, rng))
        if self.up:
            self.diallers[-1].start()

    @property
    def clock(self) -> dict[FeedId, int]:
        return {feed: self.store.head(feed).head for feed in self.store.feeds if self.store.head(feed).head}

    def append(
        self, count: int = 1, feed: str | None = None, fork: str = "", payloads: Sequence[bytes] | None = None
    ) -> None:
        """Append ``count`` messages, or these ``payloads``, to our own feed (or to ``feed``); durable at once."""
        id = FeedId(feed or self.id)
        head = self.store.head(id).head
        run = Run(id, head + 1, payloads or [payload_of(id, head + 1 + i, fork) for i in range(count)])
        self.sim.happened(f"{self.id} appends {id}:{run.first}-{run.last}")
        stored = self.store.append(run)
        assert stored is not None
        if self.sim.counts:
            self.sim.sent_at.setdefault((id, stored.head), self.sim.now)
        if self.sim.watch is not None:
            self.sim.watch.stored(self.sim.now, self.id, id, run.first, run.last)
        self.handle(ev.Stored(id, stored.head, stored.first))

    def follow(self, *feeds: str, last: int | None = None) -> None:
        for feed in feeds:
            self.sim.happened(f"{self.id} follows {feed}")
            self.store.follows[FeedId(feed)] = last
            self.handle(ev.Follow(FeedId(feed), last))

    def unfollow(self, feed: str) -> None:
        self.sim.happened(f"{self.id} unfollows {feed}")
        self.store.follows.pop(FeedId(feed), None)
        self.handle(ev.Unfollow(FeedId(feed)))

    def forget(self, feed: str) -> None:
        self.unfollow(feed)
        self.store.feeds.pop(FeedId(feed), None)
        self.store.firsts.pop(FeedId(feed), None)
        self.handle(ev.Forgotten(FeedId(feed)))

    def block(self, target: str, origin: str | None = None) -> None:
        key = (PeerId(target), None if origin is None else FeedId(origin))
        self.sim.happened(f"{self.id} blocks {target}{f' for {origin}' if origin else ''}")
        self.store.blocks[key] = None
        self.handle(ev.Block(*key))

    def unblock(self, target: str, origin: str | None = None) -> None:
        key = (PeerId(target), None if origin is None else FeedId(origin))
        self.sim.happened(f"{self.id} unblocks {target}{f' for {origin}' if origin else ''}")
        self.store.blocks.pop(key, None)
        self.handle(ev.Unblock(*key))

    # -- the driver

    def handle(self, event: ev.Event) -> None:
        if not self.up:
            return
        sim, core, ends = self.sim, self.core, self.ends
        for action in core.handle(event, sim.now):
            if type(action) is Wake:  # most are
                end = ends.get(action.session)
                if end is not None:
                    end.wake()
            else:
                self._act(action)
        deadline = core.next_deadline()
        if deadline is not None and (self._tick_at is None or deadline < self._tick_at):
            self._tick_at = deadline
            sim.at(deadline, self._tick, self.life, deadline)
        if not self._dirty:
            self._dirty = True
            sim.after(sim.save_delay, self._save, self.life)
        if sim.checks:
            sim.check(self)

    def _save(self, life: int) -> None:
        self._dirty = False
        if life == self.life and self.up:
            self.save()

    def save(self) -> None:
        """Write remembered clocks to the store, as the runtime does every few seconds and at the end of sessions."""
        for key, rows in self.core.take_unsaved(1_000_000).items():
            kept = self.store.clocks.setdefault(key, {})
            for row in rows:
                kept[row.feed] = row

    def _act(self, action: Action) -> None:
        if isinstance(action, Report):
            self.reports[action.what] += 1
        elif isinstance(action, Append):
            for run in action.runs:
                self._append(action.session, run)
        elif isinstance(action, Close):
            end = self.ends.get(action.session)
            if end is not None:
                self.sim.after(0.0, end.close, action.text)
        elif isinstance(action, Followed):
            self.store.follows[action.feed] = None

    def _append(self, session: SessionId, run: Run) -> None:
        if run.feed not in self.core.follows:
            raise InvariantBroken(f"consent: {self.id} appends {run.feed}, which it does not follow")
        if self.sim.watch is not None:
            self.taken.append(run)
        end = self.ends.get(session)
        peer = end.link.other(end).peer.id if end else PeerId("")
        self._stored_at = max(self._stored_at, self.sim.now + self.sim.store_delay())  # in order
        self.sim.at(self._stored_at, self._store, self.life, session, run, peer)

    def _store(self, life: int, session: SessionId, run: Run, peer: PeerId) -> None:
        if life != self.life:
            return  # crashed before the commit
        head = None
        error = ev.AppendError.STORE
        if not self.validate(run, peer):
            error = ev.AppendError.INVALID
        elif not self.store_broken:
            before = self.store.head(run.feed).head
            head = self.store.append(run)
            if head is not None:
                self.sim.delivered(self, run.feed, max(before + 1, run.first), head.head)
        if head is None:
            held = self.store.head(run.feed).head
            self.handle(ev.AppendFailed(session, run.feed, held, error, "simulated"))
        else:
            self.handle(ev.Appended([(run.feed, head.head)]))

    def _tick(self, life: int, at: float) -> None:
        if life != self.life or not self.up or self._tick_at != at:
            return
        self._tick_at = None
        self.handle(ev.Tick())

    def key_of(self, other: SimPeer) -> PeerKey:
        return PeerKey(other.id, other.store.id, False)

"""Random networks under random faults, then quiet: does everything arrive, and does progress say so, exactly then?

``python -m ebt_trio.testing.churn --seeds 1000`` runs a campaign; ``--seed N --trace`` replays one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from ebt_trio.core.types import FeedId, PeerId

from .invariants import InvariantBroken
from .simulation import SimLink, SimPeer, SimStore, Simulation


@dataclass(frozen=True, slots=True)
class ChurnSettings:
    """How large, how long, how rough."""

    peers: tuple[int, int] = (3, 12)
    feeds: tuple[int, int] = (1, 4)
    steps: int = 60
    step: float = 0.4
    """mean time between faults, in seconds"""
    settle: float = 7200.0


class Churn:
    """One random run. All randomness comes from the seed."""

    def __init__(self, seed: int, settings: ChurnSettings | None = None, *, check: bool = True) -> None:
        self.settings = settings or ChurnSettings()
        self.rng = rng = Random(seed)
        self.sim = Simulation(
            seed,
            latency=(0.002, 0.08),
            jitter=rng.choice([0.0, 0.0, 0.005, 0.03]),
            store_delay=rng.choice([0.0, 0.001, 0.02]),
            batch=rng.choice([1, 4, 64]),
            check=check,
        )
        self.names = [f"p{i}" for i in range(rng.randint(*self.settings.peers))]
        feeds = rng.sample(self.names, min(len(self.names), rng.randint(*self.settings.feeds)))
        self.feeds = feeds
        self.backups: dict[str, SimStore] = {}
        self.counts: Counter[str] = Counter()
        self.lied: set[frozenset[PeerId]] = set()
        """Between whom: a lie told on a session is remembered in one that replaces it."""
        for name in self.names:
            self.sim.peer(name, follow=[feed for feed in feeds if rng.random() < 0.85])
        for _ in range(len(self.names) + rng.randint(0, len(self.names))):
            self._connect()

    def run(self) -> None:
        """:raises InvariantBroken: with what broke"""
        self._rage(self.settings.steps // 2)
        self._calm()
        self.sim.run(200.0)
        self._ask_oracle()
        self._rage(self.settings.steps - self.settings.steps // 2)
        self._calm()
        self._heal()
        self.sim.settle(self.settings.settle)
        self._ask_oracle()
        self._judge()

    def _rage(self, steps: int) -> None:
        for _ in range(steps):
            self._fault()
            self.sim.run(self.rng.expovariate(1 / self.settings.step))

    # -- faults

    def _fault(self) -> None:
        faults = [
            (self._append, 30),
            (self._connect, 10),
            (self._cut, 6),
            (self._close, 3),
            (self._freeze, 4),
            (self._thaw, 4),
            (self._flip_follow, 6),
            (self._flip_block, 3),
            (self._break_store, 3),
            (self._break_reads, 2),
            (self._crash, 2),
            (self._amnesia, 1),
            (self._backup, 2),
            (self._restore, 1),
            (self._lie, 2),
            (self._double, 1),
        ]
        fault = self.rng.choices([fault for fault, _ in faults], [weight for _, weight in faults])[0]
        self.counts[fault.__name__.strip("_")] += 1
        fault()

    def _peer(self) -> SimPeer:
        return self.rng.choice(list(self.sim.peers.values()))

    def _live(self) -> list[SimLink]:
        return [link for link in self.sim.links if link.open]

    def _append(self) -> None:
        peer = self.sim.peers[PeerId(self.rng.choice(self.feeds))]
        behind = peer.core.claimed(FeedId(peer.id)) > peer.store.head(FeedId(peer.id)).head if peer.up else True
        if peer.up and not behind and not self._newer_exists(peer):
            peer.append(self.rng.choice([1, 1, 1, 2, 5, 100]))

    def _newer_exists(self, peer: SimPeer) -> bool:
        """An author restored from a backup who appends before it has caught up forks; not what is tested here."""
        feed = FeedId(peer.id)
        head = peer.store.head(feed).head
        return any(other.store.head(feed).head > head for other in self.sim.peers.values())

    def _connect(self) -> None:
        a, b = self.rng.sample(self.names, 2)
        if not self._connected(a, b) and self._up(a) and self._up(b):
            self.sim.connect(a, b, rate=self.rng.choice([0, 0, 0, 50, 1000]))

    def _double(self) -> None:
        if live := self._live():
            link = self.rng.choice(live)
            self.sim.connect(link.a.peer.id, link.b.peer.id)

    def _connected(self, a: str, b: str) -> bool:
        return any({link.a.peer.id, link.b.peer.id} == {a, b} for link in self._live())

    def _up(self, name: str) -> bool:
        return self.sim.peers[PeerId(name)].up

    def _cut(self) -> None:
        if live := self._live():
            self.rng.choice(live).cut(notice=self.rng.choice([(0.0, 0.0), (0.0, 0.5), (3.0, 0.1), (8.0, 8.0)]))

    def _close(self) -> None:
        if live := self._live():
            link = self.rng.choice(live)
            self.rng.choice([link.a, link.b]).close("done")

    def _freeze(self) -> None:
        if live := self._live():
            self.rng.choice(live).freeze()

    def _thaw(self) -> None:
        for link in self._live():
            if link.frozen:
                link.thaw()
                return

    def _flip_follow(self) -> None:
        peer, feed = self._peer(), self.rng.choice(self.feeds)
        if not peer.up or feed == peer.id:
            return
        if FeedId(feed) in peer.core.follows:
            (peer.forget if self.rng.random() < 0.2 else peer.unfollow)(feed)
        else:
            peer.follow(feed)

    def _flip_block(self) -> None:
        peer, target, feed = self._peer(), self.rng.choice(self.names), self.rng.choice(self.feeds)
        if not peer.up or target in (peer.id, feed) or feed == peer.id:
            return
        if (target, feed) in peer.core.blocks:
            peer.unblock(target, feed)
        else:
            peer.block(target, feed)

    def _break_store(self) -> None:
        peer = self._peer()
        peer.store_broken = not peer.store_broken

    def _break_reads(self) -> None:
        peer = self._peer()
        peer.reads_broken = not peer.reads_broken

    def _crash(self) -> None:
        peer = self._peer()
        if peer.up:
            peer.crash()
            self.sim.after(self.rng.choice([0.1, 3.0, 40.0]), self._restart, peer)

    def _restart(self, peer: SimPeer) -> None:
        if not peer.up:
            peer.restart()

    def _amnesia(self) -> None:
        peer = self._peer()
        if peer.up and peer.id not in self.feeds:
            peer.crash()
            peer.store.feeds.clear()
            peer.store.clocks.clear()
            peer.restart()

    def _backup(self) -> None:
        peer = self._peer()
        if peer.up:
            peer.save()
        self.backups[peer.id] = peer.store.copy()

    def _restore(self) -> None:
        """A consistent rollback: log and clocks as they were, the same store id."""
        if self.backups:
            name = self.rng.choice(list(self.backups))
            peer = self.sim.peers[PeerId(name)]
            if peer.up:
                peer.crash()
                peer.store = self.backups[name].copy()
                peer.restart()

    def _lie(self) -> None:
        """Claim what one does not have."""
        if live := self._live():
            end = self.rng.choice([self.rng.choice(live).a, self.rng.choice(live).b])
            link = end.link
            feed = FeedId(self.rng.choice(self.feeds))
            if end.up and feed in end.peer.core.follows:
                self.lied.add(frozenset((link.a.peer.id, link.b.peer.id)))
                end.send_raw("notes", {feed: (end.peer.store.head(feed).head + self.rng.choice([1, 1000])) << 1 | 1})

    # -- quiet

    def _calm(self) -> None:
        """No more faults: but who is apart stays apart, who is blocked stays blocked, and broken stores stay broken."""
        for peer in self.sim.peers.values():
            peer.reads_broken = False
        for link in list(self.sim.links):
            if link.open and (link.frozen or frozenset((link.a.peer.id, link.b.peer.id)) in self.lied):
                link.cut()
        self.lied.clear()

    def _ask_oracle(self) -> None:
        """Each side of each session says that it is complete exactly if the two peers hold the same."""
        for link in self._live():
            a, b = link.a.peer, link.b.peer
            if not (link.a.up and link.b.up):
                continue
            shared = [
                feed
                for feed in a.core.follows & b.core.follows
                if (b.id, feed) not in a.core.blocks and (a.id, feed) not in b.core.blocks
            ]
            heads = [(feed, a.store.head(feed).head, b.store.head(feed).head) for feed in shared]
            differing = [head for head in heads if head[1] != head[2]]
            if differing and not (a.store_broken or b.store_broken):
                raise InvariantBroken(f"eventual delivery: {a.id}, {b.id}: {differing}")
            for end in (link.a, link.b):
                progress = end.peer.core.progress(end.session)
                if (progress.fraction == 1.0) == bool(differing):
                    raise InvariantBroken(f"honest progress: {a.id}, {b.id}: {end.peer.id}: {differing}: {progress}")
            self.counts["oracle: " + ("apart" if differing else "in sync")] += 1

    def _heal(self) -> None:
        for peer in self.sim.peers.values():
            peer.store_broken = False
            if not peer.up:
                peer.restart()
        self.sim.run(10.0)
        for peer in self.sim.peers.values():
            for target, origin in list(peer.core.blocks):
                peer.unblock(target, origin)
        names = self.names
        for a, b in pairwise(names):
            if not self._connected(a, b):
                self.sim.connect(a, b)
        if self.rng.random() < 0.5:
            self.sim.run(self.rng.random() * 5)
            self._append()

    def _judge(self) -> None:
        if differences := self.sim.differences():
            raise InvariantBroken(f"eventual delivery: {differences}")
        for peer in self.sim.peers.values():
            progress = peer.core.progress()
            if progress.fraction != 1.0 or progress.send or progress.recv:
                raise InvariantBroken(f"honest progress: {peer.id} is in sync and says {progress}")
            for feed, payloads in peer.store.feeds.items():
                first = peer.store.firsts.get(feed, 1)
                for i, payload in enumerate(payloads):
                    if payload != f"{feed}:{first + i}".encode():
                        raise InvariantBroken(f"in order: {peer.id} has {payload!r} as {feed}:{first + i}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ebt_trio.testing.churn", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay this one only")
    parser.add_argument("--peers", type=int, nargs=2, default=(3, 12), metavar=("MIN", "MAX"))
    parser.add_argument("--feeds", type=int, nargs=2, default=(1, 4), metavar=("MIN", "MAX"))
    parser.add_argument("--steps", type=int, default=60, help="how many faults in a run")
    parser.add_argument("--trace", action="store_true", help="print what was sent")
    options = parser.parse_args()
    settings = ChurnSettings(tuple(options.peers), tuple(options.feeds), options.steps)
    seeds = [options.seed] if options.seed is not None else range(options.start, options.start + options.seeds)
    failed: list[int] = []
    faults: Counter[str] = Counter()
    began, last = time.monotonic(), time.monotonic()
    events = 0
    for done, seed in enumerate(seeds):
        churn = Churn(seed, settings)
        try:
            churn.run()
        except Exception as error:
            failed.append(seed)
            print(f"seed {seed}: {type(error).__name__}: {error}\n  replay: {replay(seed, settings)}")
            if options.seed is not None:
                if options.trace:
                    print("\n".join(churn.sim.trace))
                raise
        faults.update(churn.counts)
        events += churn.sim.events
        if time.monotonic() - last > 10:
            last = time.monotonic()
            print(f"{done + 1} seeds, {len(failed)} failed, {events} events", file=sys.stderr)
    took = time.monotonic() - began
    print(f"{len(seeds)} seeds, {len(failed)} failed, {events} events, {took:.0f} s; faults: {dict(faults)}")
    return bool(failed)


def replay(seed: int, settings: ChurnSettings) -> str:
    """The command that runs one seed again."""
    peers, feeds = settings.peers, settings.feeds
    return (
        f"python -m ebt_trio.testing.churn --seed {seed} --peers {peers[0]} {peers[1]} "
        f"--feeds {feeds[0]} {feeds[1]} --steps {settings.steps} --trace"
    )


if __name__ == "__main__":
    sys.exit(main())

"""Two peers follow, unfollow, block and unblock at random while sessions come and go; then they must agree.

Notes and -1 may cross, be lost with a session, or be overtaken by the next change of mind before they have left. In the
end nothing is busy, each knows what the other holds, and what both follow is equal.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from random import Random

import pytest

from ebt_trio.core import events as ev
from ebt_trio.core.config import Config
from ebt_trio.core.types import FeedId, Run, SessionId
from ebt_trio.testing.simstore import SimStore, payload_of
from ebt_trio.testing.steps import Frame, StepPeer

FEEDS = [FeedId(f"f{number}") for number in range(8)]
"""The first two are also the peers' ids."""


class Pair:
    """Two peers with one session between them, and what is on its way."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.now = 1.0
        self.session = SessionId(0)
        self.frames: tuple[deque[Frame], deque[Frame]] = deque(), deque()
        """To the first, and to the second."""
        config = Config(notes_per_frame=random.choice([1, 2, 3, 100]))
        self.peers = tuple(StepPeer(id, self._store(id), config=config) for id in FEEDS[:2])
        for number, peer in enumerate(self.peers):
            peer.start(bytes([number]) * 8, Random(seed + number), self.now)

    def _store(self, id: FeedId) -> SimStore:
        store = SimStore(id.encode())
        for feed in FEEDS:
            if feed == id or self.random.random() < 0.6:
                store.follows[feed] = None
            if self.random.random() < 0.5:
                count = self.random.randrange(1, 4)
                store.append(Run(feed, 1, [payload_of(feed, 1 + i) for i in range(count)]))
        return store

    def connect(self) -> None:
        self.session = SessionId(self.session + 1)
        a, b = self.peers
        keys = a.key_of(b), b.key_of(a)
        digests = a.resume(keys[0]), b.resume(keys[1])
        for frames in self.frames:
            frames.clear()
        for peer, other, key, digest in ((a, b, keys[0], digests[1]), (b, a, keys[1], digests[0])):
            peer.handle(ev.SessionUp(self.session, other.id, other.instance, key, digest), self.now)

    def reconnect(self) -> None:
        for peer in self.peers:
            peer.down(self.session, self.now)
            if self.random.random() < 0.5:
                peer.save()
        self.connect()

    def restart(self) -> None:
        """Both, with what they have saved; and all goes its way."""
        for number, peer in enumerate(self.peers):
            peer.down(self.session, self.now)
            peer.save()
            peer.start(bytes([number]) * 8, Random(number), self.now)
        self.connect()
        self.settle()

    def notes_sent(self) -> list[int]:
        return [peer.core.statistics(self.session).notes_sent for peer in self.peers]

    def act(self) -> None:
        """One thing happens."""
        self.now += self.random.choice([0, 0, 0.01, 0.2])
        number = self.random.randrange(2)
        peer, other = self.peers[number], self.peers[1 - number]
        what = self.random.randrange(14)
        if what < 3:
            self.frames[1 - number].extend(peer.pump(self.session, self.now))
        elif what < 7:
            if self.frames[number]:
                peer.receive(self.session, self.frames[number].popleft(), self.now)
        elif what == 7:
            if peer.appends:
                peer.finish_append(self.now)
        elif what == 8:
            self._follow_or_unfollow(peer)
        elif what == 9:
            key = other.id, self.random.choice(FEEDS)
            peer.handle(ev.Unblock(*key) if key in peer.core.blocks else ev.Block(*key), self.now)
        elif what == 10:
            peer.append(1, self.now)
        elif what == 11:
            if self.random.random() < 0.15:
                self.reconnect()
        else:
            peer.handle(ev.Tick(), self.now)

    def _follow_or_unfollow(self, peer: StepPeer) -> None:
        feed = self.random.choice(FEEDS)
        if feed not in peer.core.follows:
            peer.handle(ev.Follow(feed), self.now)
            peer.store.follows[feed] = None
        elif feed != peer.id:
            peer.handle(ev.Unfollow(feed), self.now)
            peer.store.follows.pop(feed, None)

    def settle(self) -> None:
        """No more changes: nobody blocks, and all goes its way until nothing is left to happen."""
        for peer in self.peers:
            for target, origin in list(peer.core.blocks):
                peer.handle(ev.Unblock(target, origin), self.now)
        for _ in range(2000):
            moved = False
            for peer, inbox, outbox in zip(self.peers, self.frames, self.frames[::-1], strict=True):
                outbox.extend(frames := peer.pump(self.session, self.now))
                moved |= bool(frames or inbox or peer.appends)
                while inbox:
                    peer.receive(self.session, inbox.popleft(), self.now)
                while peer.appends:
                    peer.finish_append(self.now)
            if moved:
                continue
            deadlines = [due for peer in self.peers if (due := peer.core.next_deadline()) is not None]
            if not deadlines:
                return
            self.now = max(self.now, min(deadlines))
            for peer in self.peers:
                peer.handle(ev.Tick(), self.now)
        raise AssertionError("never quiet")

    def check(self) -> None:
        for feed in FEEDS:
            if all(feed in peer.core.follows for peer in self.peers):
                heads = [peer.core.durable(feed) for peer in self.peers]
                assert heads[0] == heads[1], f"{feed} differs: {heads}"
        for peer in self.peers:
            link = peer.core.link(self.session)
            assert link is not None
            differing = [peer.core.feeds[number].id for number in link.open]
            assert not differing, f"{peer.id} waits for ever for {link.peer} about {differing}"
            assert link.open.count == 0
            assert not link.final_due
            assert not link.in_initial


def settled(seed: int) -> Pair:
    """After some changes of mind, when nothing is left to happen."""
    pair = Pair(seed)
    pair.connect()
    for _ in range(pair.random.randrange(20, 200)):
        pair.act()
    pair.settle()
    return pair


# The single ones are ways of their own in which two peers once lost sight of a feed.
@pytest.mark.parametrize("seeds", [range(200), range(200, 400), (656, 965, 1108, 1261, 1358)], ids=str)
def test_after_any_changes_of_mind_two_peers_agree(seeds: Iterable[int]) -> None:
    for seed in seeds:
        try:
            settled(seed).check()
        except AssertionError as error:
            raise AssertionError(f"python {__file__} {seed}: {error}") from error


@pytest.mark.parametrize("seed", [10333, 10336])
def test_both_tell_declined_again_and_each_knows_what_the_other_remembers(seed: int) -> None:
    """So that the next session needs no notes, also when the logs of changes are gone with the processes."""
    pair = settled(seed)
    pair.restart()
    assert pair.notes_sent() == [0, 0]


@pytest.mark.parametrize("seed", [10117, 10641])
def test_what_was_lost_with_a_session_costs_one_exchange_of_notes(seed: int) -> None:
    """A note that would have taken back a -1, and did not come: one side remembers the -1, the other does not."""
    pair = settled(seed)
    pair.restart()
    assert max(pair.notes_sent()) > 0
    pair.restart()
    assert pair.notes_sent() == [0, 0]


if __name__ == "__main__":  # python test_changes_of_mind.py FIRST [LAST]
    for seed in range(int(sys.argv[1]), int(sys.argv[-1]) + 1):
        try:
            settled(seed).check()
        except AssertionError as error:
            print(f"seed {seed}: {error}")

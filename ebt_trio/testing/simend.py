"""One peer's end of a simulated link: what it sends and receives, up and down; it can lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ebt_trio.core import events as ev
from ebt_trio.core.note import DECLINED
from ebt_trio.core.types import FeedId, Range, Run, SessionId

from .invariants import InvariantBroken

if TYPE_CHECKING:
    from .simlink import SimLink
    from .simpeer import SimPeer
    from .watch import Watch

Frame = tuple[str, Any]

_EVENTS: Final[dict[str, Callable[[SessionId, Any], ev.Event]]] = {
    "notes": ev.NotesReceived,
    "messages": ev.MessagesReceived,
    "acks": ev.AcksReceived,
    "start": ev.StartReceived,
}


class End:
    """One peer's end of a link."""

    __slots__ = (
        "_asked",
        "_woken",
        "arrives",
        "busy_until",
        "early",
        "heard_at",
        "link",
        "other",
        "peer",
        "session",
        "up",
    )

    def __init__(self, link: SimLink, peer: SimPeer, session: SessionId) -> None:
        self.link = link
        self.peer = peer
        self.other: End
        """The end at the other side."""
        self.session = session
        self.up = False
        self.early: list[Frame] = []
        self.arrives = 0.0
        self.heard_at = link.sim.now
        self.busy_until = 0.0
        self._woken = False
        self._asked: set[FeedId] | None = None
        """Feeds for which the other side was told eager last, if somebody watches."""

    def _alive(self) -> bool:
        link = self.link
        return (link.open or link.lost) and self.peer.ends.get(self.session) is self

    def wake(self) -> None:
        if not self._woken:
            self._woken = True
            self.peer.sim.at(self.busy_until, self._pump)

    def _pump(self) -> None:
        self._woken = False
        peer, session = self.peer, self.session
        if not self.up or not self._alive():
            return
        out = peer.core.next_outgoing(session, peer.sim.now)
        if not out:
            return
        if out.starts:
            self._send("start", out.starts)
        if out.notes:
            self._send("notes", out.notes)
        if out.final:
            self._send("notes", {})
        if out.acks:
            self._send("acks", out.acks)
        if out.ranges:
            self._push(out.ranges)
        if peer.sim.checks:
            peer.sim.check(peer)
        if self.link.rate or peer.core.has_more(session):
            self.wake()

    def _push(self, ranges: Sequence[Range]) -> None:
        """One frame of messages, as many as may be in it; the rest is asked for again."""
        sim, peer = self.peer.sim, self.peer
        runs: list[Run] = []
        count = 0
        for feed, first, limit in ranges:
            if peer.reads_broken or feed in peer.unreadable:
                peer.handle(ev.ReadFailed(self.session, feed))
                continue
            payloads = peer.store.read(feed, first, min(limit, sim.batch))
            if not payloads:
                peer.handle(ev.ReadMissing(self.session, feed, peer.store.head(feed).first))
            elif wanted := peer.core.commit_runs(self.session, [Run(feed, first, payloads)], sim.now):
                runs += wanted
                count += len(payloads)
                if sim.checks:
                    self._check_consent(feed)
            if count >= sim.batch:
                break
        if runs:
            self._send("messages", runs, count)

    def _check_consent(self, feed: FeedId) -> None:
        status = self.peer.core.status(feed)
        link = self.peer.core.link(self.session)
        assert link is not None
        heard = link.heard[next(state.number for state in self.peer.core.feeds if state.id == feed)]
        if heard == DECLINED or (link.peer, feed) in self.peer.core.blocks or not status.followed:
            raise InvariantBroken(f"consent: {self.peer.id} sends {feed} to {link.peer}, which must not get it")

    def send_raw(self, kind: str, content: Any) -> None:
        """Send what the core would not: a lie."""
        self._send(kind, content)

    def _send(self, kind: str, content: Any, messages: int = 0) -> None:
        link = self.link
        sim = link.sim
        sim.count(self, kind, content)
        if sim.watch is not None and kind == "notes":
            self._watch_asking(sim.watch, content)
        sent = sim.now
        if link.rate:
            sent = max(sent, self.busy_until)
            if messages:
                self.busy_until = sent = sent + messages / link.rate
        arrives = sent + (link.latency if not link.jitter else link.delay(sim.rng))
        if arrives > self.arrives:
            self.arrives = arrives  # else in order: with what was sent before
        sim.at(self.arrives, self.other.arrive if self.other.peer.downlink else self.other.receive, (kind, content))

    def arrive(self, frame: Frame) -> None:
        """A frame is there, but for the downlink that all links share: that has to take what came before first."""
        peer = self.peer
        taking = sum(len(run.payloads) for run in frame[1]) / peer.downlink if frame[0] == "messages" else 0.0
        peer.downlink_busy = max(peer.sim.now, peer.downlink_busy) + taking
        peer.sim.at(peer.downlink_busy, self.receive, frame)

    def receive(self, frame: Frame) -> None:
        peer, link = self.peer, self.link
        if link.lost or not link.open or peer.ends.get(self.session) is not self:
            return
        if link.frozen:
            link.frozen_frames.append((self, frame))
            return
        self.heard_at = link.sim.now
        if not self.up:
            self.early.append(frame)
            return
        kind, content = frame
        event = _EVENTS[kind](self.session, content)
        if kind == "messages" and peer.sim.watch is not None:
            peer.taken.clear()
            peer.handle(event)
            self._watch_arriving(peer.sim.watch, content)
        else:
            peer.handle(event)

    # -- for who watches

    def _watch_arriving(self, watch: Watch, runs: Sequence[Run]) -> None:
        peer, sender = self.peer, self.other.peer.id
        for run in runs if peer.up else ():
            of_it = (taken for taken in peer.taken if taken.feed == run.feed)
            new = sum(max(0, min(run.last, taken.last) - max(run.first, taken.first) + 1) for taken in of_it)
            watch.arrived(peer.sim.now, peer.id, sender, run, new)

    def _watch_asking(self, watch: Watch, notes: Mapping[FeedId, int]) -> None:
        peer, source = self.peer, self.other.peer.id
        asked = self._asked = self._asked or set()
        for feed, note in notes.items():
            eager = note != DECLINED and not note & 1
            if eager == (feed in asked):
                continue
            if eager:
                asked.add(feed)
            else:
                asked.remove(feed)
            watch.asked(peer.sim.now, peer.id, source, feed, eager)

    def ask_no_more(self) -> None:
        """The session has ended at this side."""
        watch, peer = self.peer.sim.watch, self.peer
        if watch is not None and self._asked:
            for feed in sorted(self._asked):
                watch.asked(peer.sim.now, peer.id, self.other.peer.id, feed, False)
        self._asked = None

    # -- up and down

    def come_up(self, digest: bytes) -> None:
        if not (self.link.open and self._alive()):
            return
        self.up = True
        self.heard_at = self.link.sim.now
        other = self.other.peer
        peer = self.peer
        event = ev.SessionUp(self.session, other.id, other.instance, peer.key_of(other), digest)
        peer.handle(event)
        for dialler in peer.diallers:
            dialler.came_up()
        early, self.early = self.early, []
        for frame in early:
            self.receive(frame)

    def go_down(self) -> None:
        """This side has noticed that the link is gone."""
        if self.peer.ends.pop(self.session, None) is not None and self.peer.up:
            self.ask_no_more()
            self.peer.handle(ev.SessionDown(self.session))
            self.peer.save()
            for dialler in self.peer.diallers:
                dialler.look()

    def close(self, text: str) -> None:
        """BYE: what was sent before arrives, then the other side goes down, too."""
        if not self.link.open:
            if self.link.lost:
                self.go_down()
            return
        self.peer.sim.happened(f"{self.peer.id}>{self.other.peer.id} bye {text}".rstrip())
        self.up = False
        self.go_down()
        self.arrives = max(self.arrives, self.peer.sim.now + self.link.delay(self.peer.sim.rng))
        self.peer.sim.at(self.arrives, self._said_bye, self.other)

    def _said_bye(self, other: End) -> None:
        if not self.link.lost:
            self.link.open = False
            other.go_down()

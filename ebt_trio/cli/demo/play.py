"""What happens in the demo, in order; see :func:`play`.

::

    A ───tcp─── B ──unix── D
    │ ╲         │        ╱ │      The link A─E is cut for a while.
    tcp  unix   unix   tcp unix   C is killed, and comes back.
    │      ╲    │    ╱     │      What is left connects the others: A─B─D─E.
    E        ─  C  ─       E
"""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import trio
from rich.console import Console

from ...abc import Change
from ...core.types import FeedId
from ...limits import Limits
from ..errors import Failure
from ..stored import opened
from ..tables import bytes_text
from .check import Contents, combine, contents, count
from .data import Part
from .link import CuttableLink
from .peer import Peer
from .show import Show, table

__all__ = ["NAMES", "play"]

NAMES: Final = "ABCDE"
LINKS: Final = (
    "tcp B, tcp E, unix C",
    "tcp A, unix C, unix D",
    "unix A, unix B, tcp D",
    "unix B, tcp C, unix E",
    "tcp A, unix D",
)

LIVE_SECONDS: Final = 6.0
"""How long the live appends take."""
CUT_AT: Final = (0.1, 1.0)
"""After this share of all deliveries, or so many seconds, whichever comes first."""
KILL_AT: Final = (0.4, 2.5)
BACK_AFTER: Final = 1.5
"""Seconds until the killed peer starts again."""
MEND_AFTER: Final = 1.0
"""Seconds from then until the link is there again."""
PATIENCE: Final = 120.0
"""Seconds without any progress after which it has failed."""


class _Stage:
    """The peers, and how far they are."""

    def __init__(self, directory: Path, parts: Sequence[Part], show: Show) -> None:
        self.peers = [Peer(name, directory) for name in NAMES]
        self.parts = parts
        self.total = sum(part.messages for part in parts)
        self.show = show
        self.share = 0.0
        """of all deliveries: what is stored where it was not written"""
        self.is_done = False
        self._counted = trio.Event()

    async def watch(self) -> None:
        """Count what is stored, and show it, until every peer holds everything.

        :raises Failure: a peer has ended by itself, or nothing moves any more
        """
        rates: list[tuple[float, int]] = []
        moved_at, before = trio.current_time(), -1
        while not self.is_done:
            counts = [count(peer.home.store) for peer in self.peers]
            stored, now = sum(counts), trio.current_time()
            if stored != before:
                moved_at, before = now, stored
            rates = [*rates[-8:], (now, stored)]
            span = now - rates[0][0]
            self.show.progress(
                counts, [peer.state for peer in self.peers], self.total, (stored - rates[0][1]) / span if span else 0.0
            )
            self.share = (stored - self.total) / (self.total * (len(self.peers) - 1))
            self.is_done = counts == [self.total] * len(self.peers)
            self._counted.set()
            self._counted = trio.Event()
            for peer in self.peers:
                peer.check_alive()
            if now - moved_at > PATIENCE:
                raise Failure(f"nothing has moved for {PATIENCE:.0f} seconds; messages at the peers: {counts}")
            await trio.sleep(0.2)

    async def reach(self, share: float, seconds: float) -> None:
        """Wait for a share of the deliveries, but not longer than so many seconds."""
        with trio.move_on_after(seconds):
            while self.share < share:
                await self._counted.wait()


async def play(directory: Path, parts: Sequence[Part], console: Console) -> bool:
    """Returns whether all stores are equal in the end, and say what the files said. Leaves no process behind.

    :raises Failure: something else went wrong
    """
    with Show(console, NAMES, LINKS) as show:
        stage = _Stage(directory, parts, show)
        async with _ending_all(stage.peers), trio.open_nursery() as nursery:
            nursery.start_soon(_fail_on_signals)
            await _prepare(stage)
            started = trio.current_time()
            async with trio.open_nursery() as acts:
                acts.start_soon(stage.watch)
                await _perform(stage, directory, acts, nursery)
            seconds = trio.current_time() - started
            show.say("every peer holds every message; stopping the peers")
            async with trio.open_nursery() as stopping:
                for peer in stage.peers:
                    stopping.start_soon(peer.stop_node)
            nursery.cancel_scope.cancel()
    return _result(stage, seconds, console)


@asynccontextmanager
async def _ending_all(peers: Sequence[Peer]) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        for peer in peers:
            await peer.kill()


async def _fail_on_signals() -> None:
    """Ctrl-C needs nothing: Trio raises KeyboardInterrupt."""
    if sys.platform == "win32":
        return
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:
        async for number in signals:
            raise Failure(f"ended by {signal.Signals(number).name}")


async def _prepare(stage: _Stage) -> None:
    """Homes that follow each other's feeds, with what is there before the peers meet."""
    for peer in stage.peers:
        peer.feed = str((await peer.home.create())[0])
    for peer in stage.peers:
        others = {FeedId(other.feed): None for other in stage.peers if other is not peer}
        async with opened(peer.home) as store:
            await store.update(Change(follow=others), keep_peers=Limits().remembered_peers)
    stage.show.say("ebt append: the first part of each feed")
    async with trio.open_nursery() as nursery:
        for peer, part in zip(stage.peers, stage.parts, strict=True):
            nursery.start_soon(peer.append_file, part.before)


async def _perform(stage: _Stage, directory: Path, acts: trio.Nursery, nursery: trio.Nursery) -> None:
    """Start the peers; cut the link A─E and kill C; bring both back."""
    a, b, c, d, e = stage.peers
    show = stage.show

    def unix(peer: Peer) -> str:
        return (directory / f"{peer.name}.sock").as_uri().replace("file:", "unix:", 1)

    started: dict[str, str] = {}

    async def start(peer: Peer, listen: str, *connect: str) -> None:
        (started[peer.name],) = await peer.run([listen], connect)

    async with trio.open_nursery() as starting:
        starting.start_soon(start, a, "tcp://127.0.0.1:0", unix(c))
        starting.start_soon(start, d, "tcp://127.0.0.1:0", unix(b), unix(e))
    link = CuttableLink(urlsplit(started["A"]).port or 0)
    await nursery.start(link.run)
    async with trio.open_nursery() as starting:
        starting.start_soon(start, b, unix(b), started["A"])
        starting.start_soon(start, c, unix(c), started["D"], unix(b))
        starting.start_soon(start, e, unix(e), f"tcp://127.0.0.1:{link.port}")
    show.say("ebt run: five peers, seven links; ebt append goes on at each")
    for peer, part in zip(stage.peers, stage.parts, strict=True):
        acts.start_soon(peer.append_slowly, part.live, LIVE_SECONDS)
    await stage.reach(*CUT_AT)
    link.cut()
    show.say("the link A─E is cut")
    await stage.reach(*KILL_AT)
    await c.kill_node()
    show.say(f"peer C is killed (SIGKILL); it held {count(c.home.store) / stage.total:.0%}")
    await trio.sleep(BACK_AFTER)
    await start(c, unix(c), started["D"], unix(b))
    show.say("peer C is back, on the same home")
    await trio.sleep(MEND_AFTER)
    link.mend()
    show.say("the link A─E is mended")


def _result(stage: _Stage, seconds: float, console: Console) -> bool:
    """Check the stores, and print the table."""
    found = [contents(peer.home.store) for peer in stage.peers]
    expected = combine({peer.feed: part.digest for peer, part in zip(stage.peers, stage.parts, strict=True)})
    rows = [_row(peer, part, one) for peer, part, one in zip(stage.peers, stage.parts, found, strict=True)]
    console.print()
    console.print(table(["peer", ">wrote", ">received", ">duplicates", ">sent", ">holds", "SHA-256 of all"], rows))
    deliveries = stage.total * (len(stage.peers) - 1)
    duplicates = sum(peer.total("duplicates") for peer in stage.peers)
    sent = sum(peer.total("bytes_sent") for peer in stage.peers)
    killed = ", ".join(peer.name for peer in stage.peers if peer.lost)
    payload = found[0].payload_bytes / max(found[0].messages, 1)
    lines = [
        f"messages       {stage.total:,}, each to {len(stage.peers) - 1} other peers: {deliveries:,} deliveries",
        f"duplicates     {duplicates:,} ({duplicates / deliveries:.2%} of the deliveries)",
        f"bytes          {sent / deliveries:.1f} sent per delivery, everything included; {payload:.1f} of a payload",
        f"               (without what {killed} counted in the last second before it was killed)",
        f"time           {seconds:.1f} s ({deliveries / seconds:,.0f} deliveries/s)",
    ]
    equal = all(one.digest == expected and one.messages == stage.total for one in found)
    lines.append(
        "stores         all equal, and equal to the files"
        if equal
        else f"stores         NOT equal; the files have {expected[:16]}"
    )
    console.print()
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return equal


def _row(peer: Peer, part: Part, found: Contents) -> list[str]:
    return [
        peer.name,
        f"{part.messages:,}",
        f"{peer.total('messages_received'):,}",
        f"{peer.total('duplicates'):,}",
        bytes_text(peer.total("bytes_sent")),
        f"{found.messages:,}",
        f"{found.digest[:16]}",
    ]

"""``ebt run``: the node."""

from __future__ import annotations

import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import click
import trio
from rich.console import Console

from .._events import Event
from ..admission import Admit, Caller
from ..core.types import FeedId
from ..ebt import EBT
from ..transport import listen as listen_on
from ..transport import proves
from .home import Home
from .params import URL
from .picture import Picture
from .snapshot import Snapshot
from .urls import check_plain, dialled
from .views import LogLines, View, ViewHandler

__all__ = ["run"]

STATUS_EVERY: Final = 1.0
"""``node.json`` is written this often, in seconds, while something changes."""

_SIGNALS: Final = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]


@dataclass(frozen=True, slots=True)
class _Options:
    listen: Sequence[str]
    connect: Sequence[str]
    network: str
    follow_all: bool
    everybody: bool


@click.command()
@click.option("--listen", "-l", type=URL, multiple=True, metavar="URL", help="Be there for others. May be repeated.")
@click.option("--connect", "-c", type=URL, multiple=True, metavar="URL", help="Keep up with a peer. May be repeated.")
@click.option("--open", "everybody", is_flag=True, help="Let in everybody who proves who they are.")
@click.option("--insecure", is_flag=True, help="Allow plain tcp:// beyond this machine.")
@click.option("--network", default="", metavar="NAME", help="Have nothing to do with peers of other networks.")
@click.option("--follow-all", is_flag=True, help="Follow every feed that a peer names, and remember to.")
@click.pass_obj
def run(
    home: Home,
    listen: Sequence[str],
    connect: Sequence[str],
    everybody: bool,
    insecure: bool,
    network: str,
    follow_all: bool,
) -> None:
    """Run the node: replicate the feeds that you follow, until Ctrl-C or SIGTERM.

    Links are encrypted, and both ends prove who they are: --listen HOST:PORT (port 0: any free one), and --connect
    ID@HOST:PORT, short for shs+tcp://. Let in are the authors of the feeds that you follow, those named by 'ebt allow',
    and whom you connect to yourself; nobody else learns anything. --open lets in everybody.

    There are also shs+unix:// and, for this machine only unless you say --insecure, the plain tcp://HOST:PORT and
    unix:///PATH: whoever can reach those is let in. More schemes can be installed. For each listener a line "listening
    URL" on standard output says when it is ready, with the real port, in the form --connect takes.

    On a terminal there is a live picture of peers, feeds, progress and rates; otherwise log lines on standard error.
    Peers that cannot be reached are tried again, after 0.1 to 30 seconds.

    Meanwhile 'ebt append', 'follow', 'block' and the others work as usual: the node notices. One node runs per home.

    \b
    Examples:
      ebt run --listen 0.0.0.0:8008
      ebt run --listen unix:///tmp/ebt.sock --connect ID@192.0.2.7:8008 --connect ID@192.0.2.8:8008
      ebt run --connect ID@192.0.2.7:8008 --follow-all
    """
    home.identity()
    for url in (*listen, *connect):
        if not insecure:
            check_plain(url)
    with home.running():
        trio.run(_run, home, _Options(listen, connect, network, follow_all, everybody))


async def _run(home: Home, options: _Options) -> None:
    everything = {"should_replicate": _follow_all} if options.follow_all else {}
    stop = trio.Event()
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with AsyncExitStack() as listeners, trio.open_nursery() as nursery:
            nursery.start_soon(_stop_at, signals, stop, nursery.cancel_scope)
            async with home.ebt(network=options.network, **everything) as ebt:
                gc.collect()
                gc.freeze()  # what has been loaded stays: not to be looked through again and again
                urls: list[str] = []
                admit = None if options.everybody else _guests(home, ebt, options.connect)
                for url in options.listen:
                    listener = await listen_on(url, identity=home.identity(), network=options.network)
                    listeners.push_async_callback(listener.aclose)
                    await nursery.start(ebt.serve, listener, admit if proves(url) else None)
                    urls.extend(listener.urls)
                for url in urls:
                    click.echo(f"listening {url}")
                sys.stdout.flush()
                view = _view(home, ebt)
                handler = ViewHandler(view)
                logging.getLogger().addHandler(handler)
                try:
                    async with ebt.events() as events:
                        nursery.start_soon(_tell, events, view)
                        nursery.start_soon(_show, home, ebt, options.network, urls, view)
                        for url in options.connect:
                            await nursery.start(ebt.dial, url)
                        await stop.wait()
                finally:
                    view.close()
                    logging.getLogger().removeHandler(handler)
            # What serves and dials has ended with the EBT.
            home.write_node_status(Snapshot.of(ebt, options.network, ()).as_json())
            nursery.cancel_scope.cancel()


def _guests(home: Home, ebt: EBT, connect: Sequence[str]) -> Admit:
    """Who is let in by a listener that knows who calls; asked anew for each caller."""
    hosts = {dialled(url) for url in connect}

    def admit(caller: Caller) -> bool:
        return caller.proved and (FeedId(caller.id) in ebt.follows or caller.id in hosts or caller.id in home.allowed())

    return admit


def _follow_all(feed: str, peer: str) -> bool:
    return True


async def _stop_at(signals: AsyncIterator[int], stop: trio.Event, scope: trio.CancelScope) -> None:
    """The first signal ends the node in order, the second one at once."""
    async for _ in signals:
        if stop.is_set():
            scope.cancel()
        stop.set()


def _view(home: Home, ebt: EBT) -> View:
    debug = logging.getLogger().isEnabledFor(logging.DEBUG)
    console = Console()
    if console.is_terminal and not console.is_dumb_terminal and not debug:
        return Picture(console, str(home.path), ebt.status)
    return LogLines(everything=debug)


async def _tell(events: AsyncIterator[Event], view: View) -> None:
    async for event in events:
        view.event(event)


async def _show(home: Home, ebt: EBT, network: str, urls: Sequence[str], view: View) -> None:
    """Keep the view and ``node.json`` up to date."""
    written: dict[str, Any] | None = None
    write_at = float("-inf")
    while True:
        snapshot = Snapshot.of(ebt, network, urls)
        view.update(snapshot)
        if snapshot.time >= write_at:
            said = snapshot.as_json()
            if said != written:
                home.write_node_status(said)
                written, write_at = said, snapshot.time + STATUS_EVERY
        await trio.sleep(view.interval)

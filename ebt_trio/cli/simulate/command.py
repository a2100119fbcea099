"""The command: its options, what cannot be, and what is told where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ...testing.networks.latencies import LATENCIES
from ...testing.networks.overlays import OVERLAYS
from ..errors import Failure
from ..tables import bytes_text
from .picture import page
from .play import Setting, play
from .report import as_json, print_tables, subtitle, telling, title

__all__ = ["simulate"]

PICTURED: Final = 2000
"""More peers than that are a blot, and a file of dozens of megabytes."""
MAPPED: Final = ("grid", "two-clusters", "small-world")
"""Overlays whose shape says more than how far everybody is from the author."""

if TYPE_CHECKING:
    _Range = click.ParamType[tuple[str, float, float]]
else:
    _Range = click.ParamType


class _Latency(_Range):
    """``KIND``, ``LOW-HIGH`` in milliseconds, or ``KIND:LOW-HIGH``."""

    name = "latency"

    def convert(
        self, value: str | tuple[str, float, float], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float, float]:
        if isinstance(value, tuple):
            return value
        kind, _, limits = value.partition(":") if value[:1].isalpha() else ("uniform", "", value)
        low, dash, high = (limits or "10-50").partition("-")
        try:
            found = kind, float(low) / 1000, float(high if dash else low) / 1000
        except ValueError:
            self.fail(f"{limits!r} is no range of milliseconds, such as 10-50", param, ctx)
        if kind not in LATENCIES:
            self.fail(f"{kind!r} is none of {', '.join(LATENCIES)}", param, ctx)
        if not 0 < found[1] <= found[2] <= 60:
            self.fail(f"{limits!r} is no range of milliseconds: above 0, up to 60,000", param, ctx)
        return found


def _positive(context: click.Context, param: click.Parameter, value: float) -> float:
    if not value < float("inf"):
        raise click.BadParameter("a number is expected")
    return value


_MOST: Final = 100_000


@click.command()
@click.option("--peers", type=click.IntRange(2, _MOST), default=100, metavar="N", help="How many. Default: 100.")
@click.option("--degree", type=click.IntRange(1), default=5, metavar="D", help="Links of each peer. Default: 5.")
@click.option(
    "--overlay",
    type=click.Choice(list(OVERLAYS)),
    default="regular",
    metavar="KIND",
    help=f"Who is linked with whom: {', '.join(OVERLAYS)}. Default: regular, that is D links at random for each.",
)
@click.option(
    "--latency",
    type=_Latency(),
    default="uniform:10-50",
    metavar="KIND:LOW-HIGH",
    help=f"How long links take, one way, in milliseconds: {', '.join(LATENCIES)}. Default: uniform:10-50.",
)
@click.option(
    "--jitter",
    type=click.FloatRange(0, 10_000),
    callback=_positive,
    default=0.0,
    metavar="MS",
    help="On top of it, for each frame anew: mean of an exponential delay, in milliseconds. Default: 0.",
)
@click.option("--senders", type=click.IntRange(1), default=1, metavar="K", help="How many peers send. Default: 1.")
@click.option(
    "--messages",
    type=click.IntRange(1, 1_000_000),
    default=20,
    metavar="M",
    help="How many are sent, each by a sender at random. Default: 20.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 100_000, min_open=True),
    callback=_positive,
    default=2.0,
    metavar="R",
    help="Messages per second, of all senders together. Default: 2.",
)
@click.option(
    "--fail",
    type=click.FloatRange(0, 0.99),
    callback=_positive,
    default=0.0,
    metavar="P",
    help="This share of the peers fails at once, as the middle message is sent. Senders are spared. Default: 0.",
)
@click.option(
    "--redial/--no-redial",
    default=True,
    help="Peers with fewer than two links left call addresses they remember, as EBT.dial does. Default: they do.",
)
@click.option("--seed", type=int, default=1, metavar="S", help="The same seed gives the same result. Default: 1.")
@click.option("--json", "in_json", is_flag=True, help="One JSON object, with all figures.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help=f"Write a picture to play with: the tree forms, messages travel, it heals. Up to {PICTURED:,} peers.",
)
def simulate(
    peers: int,
    degree: int,
    overlay: str,
    latency: tuple[str, float, float],
    jitter: float,
    senders: int,
    messages: int,
    rate: float,
    fail: float,
    redial: bool,
    seed: int,
    in_json: bool,
    html: Path | None,
) -> None:
    """Simulate a network of any size, and see what a message costs, how fast it is, and what failures do.

    The peers run the very code that 'ebt run' does, on links that exist in simulated time only. The result has the
    measures of the literature: reliability (the share of the live peers that get a message), relative message
    redundancy (RMR: payloads received in vain, for each that was not), and last delivery hop (LDH: links to the peer
    that is furthest). With --html FILE there is a picture, too, for any browser; it needs no network.

    A thousand peers take some seconds, ten thousand some minutes, and as many gigabytes as thousands of peers times
    senders are millions.

    \b
    Examples:
      ebt simulate
      ebt simulate --peers 1000 --fail 0.3 --html healing.html
      ebt simulate --peers 1000 --senders 100 --messages 200 --rate 200
      ebt simulate --overlay two-clusters --latency by-cluster:5-150 --jitter 10
      ebt simulate --peers 1000 --json | jq .rmr
    """
    kind, low, high = latency
    setting = Setting(
        peers, degree, overlay, kind, low, high, jitter / 1000, senders, messages, rate, fail, redial, seed
    )
    _refuse(setting, html)
    with telling() as tell:
        played = play(setting, record=html is not None, told=tell)
    if in_json:
        click.echo(json.dumps(as_json(played), indent=1))
    else:
        print_tables(played)
    if html is not None:  # last: where it cannot be written, the figures are there
        assert played.recording is not None
        text = page(played.recording, title(setting), subtitle(setting), "map" if overlay in MAPPED else "rings")
        html.write_text(text, encoding="utf-8")
        if not in_json:
            click.echo(f"\npicture: {html} ({bytes_text(html.stat().st_size)}); open it in a browser")


def _refuse(setting: Setting, html: Path | None) -> None:
    """What cannot be, before anything is built."""
    if setting.degree >= setting.peers:
        raise click.UsageError(f"{setting.peers:,} peers cannot have {setting.degree:,} links each: fewer than peers")
    if setting.senders > setting.peers:
        raise click.UsageError(f"{setting.senders:,} of {setting.peers:,} peers cannot send")
    if html is not None and setting.peers > PICTURED:
        raise click.UsageError(
            f"a picture of {setting.peers:,} peers would show nothing: at most {PICTURED:,} with --html"
        )
    if html is not None and html.is_dir():  # "" is ".", which click lets through
        raise Failure(f"{html}: that is a directory")
    if html is not None and not html.absolute().parent.is_dir():
        raise Failure(f"{html}: there is no directory {html.absolute().parent}")

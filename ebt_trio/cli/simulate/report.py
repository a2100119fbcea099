"""What is told about a simulation: tables for people, JSON for programs, a meter while it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from rich.console import Console

from ..demo.show import table
from ..tables import plural
from .play import Blow, Played, Setting

__all__ = ["as_json", "print_tables", "subtitle", "telling", "title"]


@contextmanager
def telling() -> Generator[Callable[[str, int, int], None]]:
    """For the length of a block: shows on standard error what is under way, and how far, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield tell


def title(setting: Setting) -> str:
    """What is simulated, in some words."""
    fails = f"; {setting.fail * 100:g} % of them fail" if setting.fail else ""
    return f"{plural(setting.peers, 'peer')}, {plural(setting.messages, 'message')}{fails}"


def subtitle(setting: Setting) -> str:
    """The rest of it."""
    jitter = f" + {setting.jitter * 1000:g} ms jitter" if setting.jitter else ""
    redial = "" if setting.redial or not setting.fail else ", nobody redials"
    return (
        f"{setting.overlay}, degree {setting.degree} · links {setting.latency}, {setting.low * 1000:g} to "
        f"{setting.high * 1000:g} ms{jitter} · {plural(setting.senders, 'sender')}, {setting.rate:g} messages a second"
        f"{redial} · seed {setting.seed}"
    )


def as_json(played: Played) -> dict[str, Any]:
    """The setting, all measures, and the failure, if there was one. Times in seconds."""
    setting, measures = asdict(played.setting), played.measures.as_dict()
    blow = None
    if played.blow is not None:
        blow = asdict(played.blow) | played.blow.aftermath.as_dict()
        blow["finally"] = blow.pop("finally_")
        del blow["aftermath"]
    return setting | {"links": played.links} | measures | {"notes_per_delivery": measures["notes"], "failure": blow}


def print_tables(played: Played) -> None:
    """On standard output."""
    console = Console(highlight=False)
    console.print(f"{title(played.setting)}\n{subtitle(played.setting)}\n", soft_wrap=True, markup=False)
    console.print(table(["measure", ">value", "what that is"], _rows(played)))
    if played.blow is not None:
        console.print()
        console.print(table(["after the failure", ">value", "what that is"], _blow_rows(played.blow, played)))


def _rows(played: Played) -> list[list[str]]:
    measures = played.measures
    rows = [
        ["reliability", _share(measures.reliability), "of the live peers get a message"],
        ["RMR", f"{measures.rmr:.4f}", "received in vain, for each that was not"],
        ["  of the first message", f"{measures.rmr_first:.4f}", "while the tree forms"],
        ["LDH", f"{measures.ldh:.1f}", "links to the peer that is furthest"],
        ["delivery", _ms(measures.delivery), "from the author to a peer"],
        ["  to the last peer", _ms(measures.delivery_last), ""],
    ]
    if measures.stretch:
        rows += [["stretch", f"{measures.stretch:.3f}", "delivery / the shortest way, second half"]]
        rows += [["  of the first message", f"{measures.stretch_first:.3f}", "while the tree forms"]]
    rows += [
        ["announcements", f"{measures.notes:.2f}", "entries of notes, per peer and message"],
        ["ACKs", f"{measures.acks:.2f}", "entries, per peer and message"],
        ["busiest peer", f"{measures.peer_load:.1f}×", "payloads it sends / its share by links"],
    ]
    if played.blow is None:
        formed = "not yet" if measures.formed is None else f"{measures.formed:.2f} s"
        rows += [["tree formed after", formed, "nobody has asked for anything since"]]
    return rows


def _blow_rows(blow: Blow, played: Played) -> list[list[str]]:
    one, which = blow.aftermath, f"message {blow.message:,}"
    return [
        ["failed", f"{blow.failed:,}", f"of {played.setting.peers:,} peers, as {which} was sent"],
        ["had it at once", _share(one.at_once), "of the survivors: in 2 × the longest way"],
        ["  and a graft_delay", _share(one.after_graft), ""],
        ["after stall_timeout", _share(one.after_stall), ""],
        ["in the end", _share(one.finally_), f"the last of them after {one.last:.2f} s"],
        ["later messages", _share(blow.later), "the one that reached the fewest"],
        ["cut off", f"{one.cut_off:,}", f"no way led there; redialling made {plural(blow.links_made, 'link')}"],
        ["missed", f"{blow.bugs:,}", "could have been reached and were not: 0, or a bug"],
    ]


def _share(share: float) -> str:
    """Rounded down: 100 % are all."""
    return "100 %" if share >= 1 else f"{int(share * 10000) / 100:.2f} %"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"

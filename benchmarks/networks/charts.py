"""Pictures of the tables, as SVG, with matplotlib: what is delivered when peers die, and what idle feeds cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .hard import INSTANT, LONELY, PLATEAU, SHARES

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""By table."""
Line = tuple[str, Sequence[float], Sequence[float]]
"""What it is, x, y."""
REDIAL: Final = f"{{}} die, {LONELY}"
EACH: Final = {"events": "events of the core", "frames": "frames", "notes": "notes", "acks": "ACKs"}


def draw(folder: Path, rows: Rows) -> list[Path]:
    """Make what there are rows for. The same rows give the same files.

    :raises ModuleNotFoundError: matplotlib is not installed
    """
    made: list[Path] = []
    if lines := deaths(rows):
        what = "Share of peers that die at once", "Share of survivors that get the message"
        made.append(_drawn(folder / "networks-failures.svg", lines, *what))
    if lines := idleness(rows):
        what = "Feeds in which nothing happens", "Per peer and message"
        made.append(_drawn(folder / "networks-idle.svg", lines, *what, logarithmic=True))
    return made


def deaths(rows: Rows) -> list[Line]:
    """Ours at 1,000 peers, and what has been published of iroh-gossip at 10,000."""
    lines: list[Line] = []
    wanted = (
        ("failures", "{} die", "of_connected", "ours, no new links: of those still connected"),
        ("redial", REDIAL, "finally_", "ours, new links: the message sent then, in the end"),
        ("redial", REDIAL, "later", "ours, new links: the ten messages after it"),
    )
    for table, name, figure, label in wanted:
        found = {row["case"]: row["figures"][figure]["mean"] for row in rows.get(table, ())}
        names = {share: f"1,000 peers, {name.format(f'{share:.0%}')}" for share in SHARES}
        points = [(share, found[case]) for share, case in names.items() if case in found]
        if points:
            lines.append((label, [share for share, _ in points], [value for _, value in points]))
    if lines:
        for label, published in (("the message sent then", INSTANT), ("later messages", PLATEAU)):
            lines.append((f"iroh-gossip 0.101, new links: {label}", list(published), list(published.values())))
    return lines


def idleness(rows: Rows) -> list[Line]:
    """What a message costs, beside more and more feeds."""
    found = [(float(row["case"].split()[0].replace(",", "")), row["figures"]) for row in rows.get("idle-feeds", ())]
    found.sort(key=lambda one: one[0])
    return [
        (label, [max(feeds, 1.0) for feeds, _ in found], [figures[name]["mean"] for _, figures in found])
        for name, label in EACH.items()
        if found
    ]


def _drawn(path: Path, lines: Sequence[Line], x: str, y: str, *, logarithmic: bool = False) -> Path:
    import matplotlib as plot

    plot.use("svg")
    from matplotlib.figure import Figure

    with plot.rc_context({"svg.hashsalt": path.name, "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.add_subplot()
        for (label, xs, ys), style in zip(lines, ("-o", "-s", "-^", "--x", "--d"), strict=False):
            axes.plot(xs, ys, style, label=label, alpha=0.8)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.set_ylim(bottom=0)
        if logarithmic:
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_formatter("{x:.0%}")
            axes.yaxis.set_major_formatter("{x:.0%}")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        figure.savefig(path, metadata={"Date": None})
    return path

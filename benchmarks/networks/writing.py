"""Tables of networks, for people and in ``docs/networks.md``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.report import table_row

from .case import Table


def number(value: float | None) -> str:
    """Four digits after the point at the most, and only those that say something."""
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) < 10 else f"{value:.1f}"


def cell(figure: Mapping[str, Any] | None, target: Mapping[str, Any] | None) -> str:
    """Mean; least to most and deviation, where seeds differ; the target, and whether it is missed."""
    if figure is None:
        return ""
    text = number(figure["mean"])
    if figure["mean"] is not None and figure["least"] != figure["most"]:
        text += f" ({number(figure['least'])}–{number(figure['most'])}, σ {number(figure['deviation'])})"
    if target is not None:
        text += f" [{target['target']}]" if target["reached"] else f" **[{target['target']}: missed]**"
    return text


def markdown(tables: Sequence[Table], rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The tables of which there are rows: each with what was published, and what it cost."""
    lines: list[str] = []
    for table in tables:
        if rows.get(table.name):
            lines += [f"### {table.title}", "", " ".join(table.what.split()), "", *_table(table, rows[table.name]), ""]
    lines += ["### What it cost", "", *_costs(tables, rows)]
    return "\n".join([*lines, ""])


def _table(table: Table, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    seeds = sorted({row["seeds"] for row in rows})
    of = " or ".join(str(count) for count in seeds)
    yield table_row([f"{of} seed{'' if seeds == [1] else 's'}", *table.figures.values()])
    yield table_row(["---", *["--:"] * len(table.figures)])
    for row in rows:
        found = row["figures"] | row["measured"]
        yield table_row([row["case"], *(cell(found.get(name), row["targets"].get(name)) for name in table.figures)])
    for other in table.published:
        yield table_row(
            [
                f"*{other.name}*",
                *(number(other.figures[name]) if name in other.figures else "" for name in table.figures),
            ]
        )


def _costs(tables: Sequence[Table], rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """Of the longest run of each table, by size."""
    yield table_row(["table", "peers", "runs", "longest run, s", "its CPU, s", "most memory of a run, MiB"])
    yield table_row(["---", *["--:"] * 5])
    for table in tables:
        for peers in sorted({row["peers"] for row in rows.get(table.name, ())}):
            those = [row for row in rows[table.name] if row["peers"] == peers]
            longest = max(those, key=lambda row: float(row["costs"]["seconds"]))["costs"]
            runs = sum(row["seeds"] for row in those)
            memory = max(row["costs"]["rss"] for row in those) / 2**20
            yield table_row(
                [
                    table.name,
                    f"{peers:,}",
                    str(runs),
                    f"{longest['seconds']:.1f}",
                    f"{longest['cpu']:.1f}",
                    f"{memory:.0f}",
                ]
            )

"""Figures as Markdown, between two marks of a document; see ``docs/performance.md``."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.lab import GOSSIPSUB, OURS, RAW, REFERENCE, Target
from benchmarks.tables import OTHERS, is_reached, ratio, short, wanted

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
GROUPS = {
    "bulk": "Bulk",
    "live": "Live",
    "handshake": "Handshake",
    "fan": "One to many",
    "mesh": "Signed and encrypted, beside gossipsub",
    "chain": "A chain",
    "memory": "Memory, and doing nothing",
}
GROWTH = "growth"


def about() -> dict[str, Any]:
    """What figures depend on, and nobody's secret."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} on {_processor()}, {os.cpu_count()} cores",
    }


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text("utf-8", "replace").splitlines() if cpus.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def write(path: Path, documents: Sequence[Mapping[str, Any]]) -> None:
    """Put the figures of these documents, as ``--json`` wrote them, between the marks; later ones replace earlier.

    :raises ValueError: the marks are not there
    """
    put(path, markdown(documents))


def put(path: Path, figures: str) -> None:
    """Put this between the marks of a document.

    :raises ValueError: the marks are not there
    """
    text = path.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no {BEGIN} … {END}")
    path.write_text(f"{before}{BEGIN}\n\n{figures}\n{END}{after}", "utf-8")


def read(paths: Iterable[Path]) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in paths]


def markdown(documents: Sequence[Mapping[str, Any]]) -> str:
    """Tables of all figures."""
    rows = {(row["case"], row["figure"]): row for document in documents for row in document.get("figures", ())}
    by_group: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows.values():
        by_group.setdefault(row["case"].partition("-")[0], []).append(row)
    lines = list(_about(documents))
    for group, title in GROUPS.items():
        if group in by_group:
            lines += ["", f"### {title}", "", *_group(by_group[group])]
    if GROWTH in by_group:
        lines += ["", "### What costs grow with", "", *_growth(by_group[GROWTH])]
    for document in documents:
        lines += _counts(document)
    return "\n".join([*lines, ""])


def _about(documents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    said: dict[str, None] = {}
    for document in documents:
        if "figures" in document:
            size = "a quick look, **with small sizes: targets are for full ones**, " if document.get("quick") else ""
            missing = "".join(f"; without {kind}" for kind in document.get("missing", ()))
            rounds = document["rounds"]
            said[
                f"Python {document['python']}, {document['machine']}, {document['pinned']}; {size}"
                f"{rounds} {'round' if rounds == 1 else 'rounds'}{missing}."
            ] = None
    yield from said


def _group(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One table, without columns that would be empty, and what the cases are."""
    others = [kind for kind in OTHERS if any(row["median"].get(kind) is not None for row in rows)]
    names = {REFERENCE: "reference", GOSSIPSUB: "gossipsub", RAW: "raw"}
    heads = ["", "ours", "spread", *(names[kind] for kind in others), *(f"ours : {names[kind]}" for kind in others)]
    last = ["target"] if any(row["target"] is not None for row in rows) else []
    yield table_row([*heads, *last])
    yield table_row(["---", *["--:"] * (len(heads) - 1), *["---" for _ in last]])
    cases: dict[str, str] = {}
    for row in rows:
        if row["case"] not in cases:
            cases[row["case"]] = row["what"]
            yield table_row([f"**{row['case']}**", *[""] * (len(heads) - 1 + len(last))])
        middle: Mapping[str, float | None] = row["median"]
        values = row["rounds"].get(OURS, ())
        spread = f"{short(min(values))} – {short(max(values))}" if len(values) > 1 else ""
        found = [short(middle.get(kind)) for kind in others]
        shares = [short(ratio(row, kind)) for kind in others]
        yield table_row(
            [row["figure"], short(middle[OURS]), spread, *found, *shares, *([_verdict(row)] if last else [])]
        )
    yield ""
    for case, what in cases.items():
        yield f"- {case}: {what}"


def _verdict(row: Mapping[str, Any]) -> str:
    if row["target"] is None:
        return ""
    target = Target(**row["target"])
    verdict = {None: "", True: " reached", False: " **missed**"}[is_reached(target, row)]
    return wanted(target).replace("<=", "≤") + verdict


def _growth(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each figure is named ``size noun: what``."""
    curves: dict[tuple[str, str], list[tuple[str, float | None]]] = {}
    nouns: dict[str, str] = {}
    for row in rows:
        where, _, called = row["figure"].partition(": ")
        size, _, noun = where.partition(" ")
        nouns[row["case"]] = f"{row['what'].partition(', of ')[0]}; n {noun}"
        curves.setdefault((row["case"], called), []).append((size, row["median"][OURS]))
    yield table_row(["", "what", "n", "cost at each size"])
    yield table_row(["---", "---", "---", "---"])
    for (case, called), points in curves.items():
        sizes, costs = [size for size, _ in points], [short(cost) for _, cost in points]
        yield table_row([f"{case}: {nouns[case]}", called, f"{sizes[0]} – {sizes[-1]}", " · ".join(costs)])


def _counts(document: Mapping[str, Any]) -> Iterator[str]:
    """What ``python -m benchmarks.counts --json`` has written."""
    if counts := document.get("counts"):
        figures = list(counts[0]["figures"])
        yield from ["", f"### Counts, with Python {document['python']}", ""]
        yield table_row(["", "per", *figures])
        yield table_row(["---", "---", *["--:"] * len(figures)])
        for work in counts:
            yield table_row([work["what"], work["unit"], *(short(work["figures"][figure]) for figure in figures)])
    if curves := document.get("curves"):
        yield from ["", table_row(["", "per", "n", "lines at each size"]), table_row(["---"] * 4)]
        for curve in curves:
            sizes = [f"{size:,}" for size in curve["sizes"]]
            costs = " · ".join(short(cost) for cost in curve["figures"]["lines"])
            yield table_row([curve["what"], curve["unit"], f"{sizes[0]} – {sizes[-1]}", costs])


def table_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"

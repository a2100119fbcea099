"""The picture of a recording: one HTML file that needs nothing else, and no network; see :func:`page`.

What it is made of lies in ``page/``; ``page/vendor/`` has the parts of D3 that it uses, as npm has them.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from string import Template
from typing import Any, Final

__all__ = ["page"]

VENDOR: Final = (
    "dispatch",
    "quadtree",
    "timer",
    "force",
    "selection",
    "drag",
    "color",
    "interpolate",
    "ease",
    "transition",
    "zoom",
)
"""In the order in which they need each other."""
SCRIPTS: Final = ("model", "layout", "drawing", "timeline", "controls")


def page(recording: Mapping[str, Any], title: str, subtitle: str, layout: str = "rings") -> str:
    """The file's text.

    :param recording: see :mod:`.recorder`
    :param title: what it shows, in some words
    :param subtitle: how it was made, on a line
    :param layout: how peers are placed at first: ``rings`` or ``map``
    """
    style = _read("page.css")
    vendor = [f"/*\n{_read('vendor/LICENSE')}*/", *(_read(f"vendor/d3-{name}.min.js") for name in VENDOR)]
    ours = "\n".join(_read(f"{name}.js").replace('"use strict";\n', "", 1) for name in SCRIPTS)
    script = "\n".join([*vendor, f'(() => {{\n"use strict";\n{ours}}})();\n'])
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:"
    return Template(_read("page.html")).substitute(
        POLICY=policy,
        GENERATOR=f"ebt-trio {version('ebt-trio')}",
        TITLE=html.escape(title),
        SUBTITLE=html.escape(subtitle),
        LAYOUT=layout,
        STYLE=style,
        # Within a script element only "<" could be taken for something else.
        RECORDING=json.dumps(recording, separators=(",", ":")).replace("<", "\\u003c"),
        SCRIPT=script,
    )


def _read(name: str) -> str:
    return (files("ebt_trio.cli.simulate") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """So the browser runs this text and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

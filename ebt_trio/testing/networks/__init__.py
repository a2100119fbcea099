"""Networks of a size that the literature uses: how they are made, what happens in them, and what is measured.

Needs the extra ``simulate`` (networkx). ``docs/networks.md`` has the figures.
"""

from __future__ import annotations

from .latencies import LATENCIES, latencies
from .overlays import OVERLAYS, Edge, overlay

__all__ = ["LATENCIES", "OVERLAYS", "Edge", "latencies", "overlay"]

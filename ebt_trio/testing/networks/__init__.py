"""Networks of a size that the literature uses: how they are made, what happens in them, and what is measured.

Overlays need the extra ``simulate`` (networkx). ``docs/networks.md`` has the figures.
"""

from __future__ import annotations

from .latencies import LATENCIES, latencies
from .measures import Measures, measure
from .network import Network
from .overlays import OVERLAYS, Edge, overlay
from .recording import Recording
from .workloads import WORKLOADS, Post

__all__ = [
    "LATENCIES",
    "OVERLAYS",
    "WORKLOADS",
    "Edge",
    "Measures",
    "Network",
    "Post",
    "Recording",
    "latencies",
    "measure",
    "overlay",
]

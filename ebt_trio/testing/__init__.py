"""For tests: of this library, and of what plugs into it."""

from __future__ import annotations

from .invariants import InvariantBroken
from .links import LinkEnd, connected, link
from .simulation import Simulation
from .stores import check_store
from .transports import check_transport
from .world import Conditions, FaultyStore, World, WorldBroken, WorldPeer, run_world

__all__ = [
    "Conditions",
    "FaultyStore",
    "InvariantBroken",
    "LinkEnd",
    "Simulation",
    "World",
    "WorldBroken",
    "WorldPeer",
    "check_store",
    "check_transport",
    "connected",
    "link",
    "run_world",
]

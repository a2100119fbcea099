"""Whole peers under virtual time, on a network that fails as it is told to; see :class:`World`."""

from __future__ import annotations

from .judge import WorldBroken
from .peers import WorldPeer
from .pipes import Conditions
from .stores import FaultyStore
from .world import World, run_world

__all__ = ["Conditions", "FaultyStore", "World", "WorldBroken", "WorldPeer", "run_world"]

"""For tests: of this library, and of what plugs into it."""

from __future__ import annotations

from .invariants import InvariantBroken
from .links import LinkEnd, connected, link
from .simulation import Simulation
from .stores import check_store
from .transports import check_transport

__all__ = ["InvariantBroken", "LinkEnd", "Simulation", "check_store", "check_transport", "connected", "link"]

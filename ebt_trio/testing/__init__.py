"""For tests: of this library, and of what plugs into it."""

from __future__ import annotations

from .links import LinkEnd, connected, link
from .stores import check_store
from .transports import check_transport

__all__ = ["LinkEnd", "check_store", "check_transport", "connected", "link"]

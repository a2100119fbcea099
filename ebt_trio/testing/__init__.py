"""For tests: of this library, and of what plugs into it."""

from __future__ import annotations

from .transports import check_transport

__all__ = ["check_transport"]

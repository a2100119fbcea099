"""Stores: where a peer's feeds live."""

from __future__ import annotations

from .memory import MemoryStore
from .sqlite import SQLiteStore

__all__ = ["MemoryStore", "SQLiteStore"]

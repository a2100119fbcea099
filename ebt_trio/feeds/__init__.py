"""Formats: how content becomes payloads, and which payloads a feed may hold."""

from __future__ import annotations

from .plain import PlainFormat

__all__ = ["PlainFormat"]

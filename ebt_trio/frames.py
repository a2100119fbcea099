"""CBOR frames and their bytes."""

from __future__ import annotations

from .framing import FrameSplitter, byte_string_head, wrap

__all__ = ["FrameSplitter", "byte_string_head", "wrap"]

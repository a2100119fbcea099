"""Names of feeds and peers, and contents, the same for whoever is measured; see ``reference/peer.js``."""

from __future__ import annotations

import base64
import hashlib
import time


def name(kind: str, number: int) -> str:
    """53 characters, as long as the reference's users have them."""
    digest = hashlib.sha256(f"{kind} {number}".encode()).digest()
    return f"@{base64.b64encode(digest).decode()}.ed25519"


def named(count: int) -> list[str]:
    return [name("feed", number) for number in range(count)]


def stamped(size: int) -> bytes:
    """A content that says when it was made; monotonic clocks are the same for all processes of a machine."""
    return time.monotonic_ns().to_bytes(8, "big") + bytes(size - 8)


def age(content: bytes) -> float:
    """Seconds since it was made."""
    return (time.monotonic_ns() - int.from_bytes(content[:8], "big")) * 1e-9

"""Are the stores equal? Asked of the files with plain SQL, without any code of the library."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2

__all__ = ["Contents", "combine", "contents", "count"]


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a store holds, in short."""

    digest: str
    messages: int
    payload_bytes: int


def contents(path: Path) -> Contents:
    """Read all messages of a store; the digest is :func:`combine` of what each feed says as a text file."""
    digests: dict[str, str] = {}
    messages = size = 0
    connection = _connect(path)
    try:
        for number, feed in connection.execute("SELECT number, feed FROM feeds WHERE head > 0").fetchall():
            digest = hashlib.sha256()
            rows = connection.execute(
                "SELECT payload FROM messages WHERE id >> 40 = ? AND id >= ? << 40 ORDER BY id", (number, number)
            )
            for (payload,) in rows:
                content: Any = cbor2.loads(payload)[1]  # behind hash, time and signature
                digest.update(content.encode() + b"\n" if isinstance(content, str) else content)
                messages += 1
                size += len(payload)
            digests[feed] = digest.hexdigest()
    finally:
        connection.close()
    return Contents(combine(digests), messages, size)


def combine(digests: Mapping[str, str]) -> str:
    """One digest of feeds and the digests of what they say."""
    whole = hashlib.sha256()
    for feed, digest in sorted(digests.items()):
        whole.update(f"{feed} {digest}\n".encode())
    return whole.hexdigest()


def count(path: Path) -> int:
    """How many messages a store holds just now."""
    connection = _connect(path)
    try:
        return int(
            connection.execute("SELECT coalesce(sum(head - first + 1), 0) FROM feeds WHERE head > 0").fetchone()[0]
        )
    finally:
        connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)

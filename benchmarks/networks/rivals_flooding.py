"""Pure flooding: a peer sends every message that is new to it to all neighbours but the one that it came from.

The upper bound of reliability, and of cost: each link carries each message at least once, and twice where it crosses
itself. No state but which messages are there, no control traffic, nothing to repair; who comes later gets nothing of
before.
"""

from __future__ import annotations

from typing import Any

from .rivals_wire import PAYLOAD, Wire


class Flooding(Wire):
    """Everything to everybody."""

    def start(self) -> None:
        self.have: list[bytearray] = []

    def posted(self, peer: int, message: int) -> None:
        self.have.append(bytearray(len(self.names)))
        self.have[message][peer] = 1
        self._spread(peer, message, -1)

    def received(self, kind: int, end: int, message: Any, value: int) -> None:
        peer = self.to[end]
        new = not self.have[message][peer]
        self.arrived(end, message, new)
        if new:
            self.have[message][peer] = 1
            self.store(peer, message, end ^ 1)

    def stored(self, peer: int, message: int, value: int) -> None:
        self._spread(peer, message, value)

    def _spread(self, peer: int, message: int, source: int) -> None:
        for end in self.ends[peer]:
            if end != source:
                self.send(end, PAYLOAD, message, 0)

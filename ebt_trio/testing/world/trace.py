"""What happened in a world, line by line, the same for the same seed: :class:`Trace`."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import trio

from ...core.types import FeedId
from ...errors import EBTError
from ...frames import Ack, Bye, Frame, Hello, Messages, Notes, Ping, Pong, Resume, Start, decode
from ...limits import Limits

__all__ = ["Trace", "short"]

KEEP: Final = 100_000
_LIMITS: Final = Limits(frame=1 << 30, hello_frame=1 << 30)


class Trace:
    """Lines with the virtual time. Frames are kept as bytes, and read only when somebody looks."""

    def __init__(self, keep: int = KEEP) -> None:
        self._entries: deque[tuple[float, str, bytes | None]] = deque(maxlen=keep)
        self.names: dict[str, str] = {}
        """peer id → the peer's name in the world, where they differ"""
        self.last_frame = 0.0
        """When a frame was last sent that is not a PING or PONG."""
        self.frames = 0

    def add(self, text: str) -> None:
        self._entries.append((trio.current_time(), text, None))

    def frame(self, who: str, data: bytes) -> None:
        self._entries.append((trio.current_time(), who, data))

    def sent(self, who: str, data: bytes) -> None:
        """A frame has been handed to the transport."""
        self.frame(who, data)
        self.frames += 1
        if data[1] not in _PULSE:
            self.last_frame = trio.current_time()

    def lines(self, last: int | None = None) -> list[str]:
        """All lines, or the last so many."""
        entries = list(self._entries)
        return [self._format(*entry) for entry in (entries if last is None else entries[-last:])]

    def digest(self) -> str:
        """Equal for two runs in which the same has happened."""
        return hashlib.sha256("\n".join(self.lines()).encode()).hexdigest()[:16]

    def _format(self, time: float, text: str, frame: bytes | None) -> str:
        said = "" if frame is None else f" {short(frame, lambda id: self.names.get(id, id))}"
        return f"{time:12.6f} {text}{said}"


_PULSE: Final = {4, 5}
"""The second byte of PING and PONG: their kinds."""


def short(data: bytes, name: Callable[[str], str] = str) -> str:
    """A frame in a few words."""
    try:
        frame: Frame = decode(data, _LIMITS)
    except EBTError as exc:
        return f"{len(data)} bytes, no frame: {exc}"
    match frame:
        case Hello(id):
            return f"HELLO {name(id)}"
        case Resume(heard):
            return f"RESUME {len(heard)}"
        case Notes(notes):
            return f"NOTES {_each(notes, name, _note)}"
        case Messages(runs):
            return "MESSAGES " + " ".join(f"{name(run.feed)}:{run.first}-{run.last}" for run in runs)
        case Start(firsts):
            return f"START {_each(firsts, name, str)}"
        case Ack(acks):
            return f"ACK {_each(acks, name, str)}"
        case Bye(code, text):
            return f"BYE {code} {text}".rstrip()
        case Ping(n):
            return f"PING {n}"
        case Pong(n):
            return f"PONG {n}"
        case _:
            return type(frame).__name__.upper()


def _each(what: Mapping[FeedId, int], name: Callable[[str], str], value: Callable[[int], str]) -> str:
    return " ".join(f"{name(feed)}:{value(number)}" for feed, number in what.items()) or "(none)"


def _note(note: int) -> str:
    return "-" if note < 0 else f"{note >> 1}{'' if note & 1 else '!'}"

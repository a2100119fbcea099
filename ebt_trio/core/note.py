"""A note, what one peer says about one feed, as an integer: -1 declined, else ``sequence << 1 | lazy``.

The reference's version 3 note, in arbitrary precision (the reference overflows at 2^30).
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from .types import MAX_SEQUENCE

DECLINED: Final = -1
"""The note, and in clocks the value, of a feed that a peer does not replicate."""

MAX_NOTE: Final = MAX_SEQUENCE << 1 | 1


class Mode(Enum):
    """What a peer asks for with a note."""

    EAGER = 0
    """Send me what comes after this sequence."""
    LAZY = 1
    """Send nothing, just tell me how far you are."""


def encode_note(sequence: int, mode: Mode) -> int:
    """``sequence`` 0 means none; -1 gives :data:`DECLINED`."""
    if sequence == DECLINED:
        return DECLINED
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise ValueError(f"a sequence lies between 0 and 2^62-1, not {sequence}")
    return sequence << 1 | mode.value


def decode_note(note: int) -> tuple[int, Mode]:
    """``(sequence, mode)``; ``(-1, LAZY)`` for a declined feed."""
    if not DECLINED <= note <= MAX_NOTE:
        raise ValueError(f"a note lies between -1 and 2^63-1, not {note}")
    return note >> 1, Mode(note & 1)

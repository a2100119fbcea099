"""What a fuzzing target is: takes bytes from outside, and raises if anything but what is promised becomes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from mutate import Mutator

from ebt_trio.errors import EBTError

__all__ = ["VECTORS", "Broken", "Check", "Target", "refused", "vectors"]

VECTORS: Final = Path(__file__).parents[1] / "vectors"

Check = Callable[[bytes], object]


class Broken(Exception):
    """A promise that does not hold; the input is the proof."""


@dataclass(frozen=True)
class Target:
    """Something that takes bytes from outside.

    :param check: takes an input; raises on a broken promise: :class:`Broken`, or whatever should not have come out
    :param seeds: good inputs
    :param mutator: makes inputs of the seeds
    :param walk: goes through many inputs, faster than one :attr:`check` each, or with more to look at
    :param bytes_each: at most so many bytes of memory are used per byte of input, above 256 KiB; None: not measured
    :param few: how many inputs the default test suite takes
    """

    name: str
    check: Check
    seeds: Callable[[], Sequence[bytes]]
    mutator: Callable[[Sequence[bytes], Random], Mutator] = Mutator
    walk: Callable[[Iterable[bytes]], None] | None = None
    bytes_each: int | None = 150
    few: int = 2000


@cache
def vectors(name: str) -> dict[str, Any]:
    """One of the files of test vectors."""
    found: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text("ascii"))
    return found


def refused(error: EBTError) -> None:
    """An error of the tree is an answer, if it is one that can be read and passed on in a BYE."""
    text = str(error)
    if not text or len(text) > 4000:
        raise Broken(f"an error of {len(text)} characters: {text[:200]}") from error

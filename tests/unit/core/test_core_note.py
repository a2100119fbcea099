"""Notes against the vectors, which are for every implementation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ebt_trio.core.note import DECLINED, Mode, decode_note, encode_note

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "vectors" / "frames.json").read_text())["notes"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["note"]))
def test_vectors(vector: dict[str, Any]) -> None:
    note = int(vector["note"])
    if vector["mode"] == "declined":
        sequence, mode = DECLINED, Mode.LAZY
    else:
        sequence, mode = int(vector["sequence"]), Mode[vector["mode"].upper()]
    assert decode_note(note) == (sequence, mode)
    assert encode_note(sequence, mode) == note


def test_declined_whatever_the_mode() -> None:
    assert encode_note(DECLINED, Mode.EAGER) == encode_note(DECLINED, Mode.LAZY) == -1


@pytest.mark.parametrize("sequence", [-2, 2**62])
def test_no_such_sequence(sequence: int) -> None:
    with pytest.raises(ValueError, match="a sequence lies between"):
        encode_note(sequence, Mode.LAZY)


@pytest.mark.parametrize("note", [-2, 2**63])
def test_no_such_note(note: int) -> None:
    with pytest.raises(ValueError, match="a note lies between"):
        decode_note(note)

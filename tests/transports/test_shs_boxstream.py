"""The box stream without I/O."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebt_transports.shs.boxstream import CHUNK, HEAD, Opener, Sealer
from ebt_trio.errors import AuthenticationError

KEY, NONCE = bytes(range(32)), bytes(range(24))
VECTORS = Path(__file__).parent.parent / "vectors" / "shs.json"


def ends(nonce: bytes = NONCE) -> tuple[Sealer, Opener]:
    return Sealer(KEY, nonce), Opener(KEY, nonce)


@given(st.lists(st.binary(max_size=3 * CHUNK), max_size=5), st.integers(1, 5000))
def test_what_is_sealed_is_opened_however_it_is_cut(parts: list[bytes], step: int) -> None:
    sealer, opener = ends()
    stream = b"".join(sealer.seal(part) for part in parts) + sealer.goodbye()
    opened = b"".join(opener.open(stream[start : start + step]) for start in range(0, len(stream), step))
    assert opened == b"".join(parts)
    assert opener.ended


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 10 * CHUNK])
def test_sizes(size: int) -> None:
    sealer, opener = ends()
    sealed = sealer.seal(bytes(size))
    assert len(sealed) == size + HEAD * -(-size // CHUNK)
    assert opener.open(sealed) == bytes(size)
    assert not opener.ended


def test_a_flipped_bit_anywhere_is_noticed() -> None:
    sealer, _ = ends()
    stream = sealer.seal(b"first") + sealer.seal(b"second") + sealer.goodbye()
    for bit in range(8 * len(stream)):
        flipped = bytearray(stream)
        flipped[bit // 8] ^= 1 << bit % 8
        _, opener = ends()
        with pytest.raises(AuthenticationError):
            opener.open(flipped)
        with pytest.raises(AuthenticationError):  # and it stays broken
            opener.open(b"")


def test_chunks_cannot_change_places_be_left_out_or_come_twice() -> None:
    sealer, _ = ends()
    a, b, bye = sealer.seal(b"a"), sealer.seal(b"b"), sealer.goodbye()
    for stream in (b + a, b, a + a, a + bye, bye):
        with pytest.raises(AuthenticationError):
            ends()[1].open(stream)


def test_what_is_cut_off_is_no_end() -> None:
    sealer, _ = ends()
    stream = sealer.seal(b"a") + sealer.seal(b"b") + sealer.goodbye()
    for end in range(len(stream)):
        _, opener = ends()
        opener.open(stream[:end])
        assert not opener.ended


def test_nothing_is_taken_behind_a_goodbye() -> None:
    sealer, opener = ends()
    assert opener.open(sealer.seal(b"a") + sealer.goodbye() + b"whatever") == b"a"
    assert opener.open(b"more") == b""


def test_nonces_count_across_all_bytes() -> None:
    sealer, opener = ends(b"\xff" * 24)
    for number in range(5):
        assert opener.open(sealer.seal(bytes([number]))) == bytes([number])
    carried = Sealer(KEY, bytes(22) + b"\x00\xff")
    carried.seal(b"x")
    assert carried.seal(b"y") == Sealer(KEY, bytes(22) + b"\x01\x01").seal(b"y")


def test_the_vectors() -> None:
    """Checked against the npm implementation in ``tests/interop``."""
    vector = json.loads(VECTORS.read_text())
    keys = {name: bytes.fromhex(value) for name, value in vector["client_keys"].items()}
    sealer = Sealer(keys["sending"], keys["sending_nonce"])
    assert [sealer.seal(bytes.fromhex(plain)).hex() for plain in vector["client_sends"]] == vector["sealed"]
    assert sealer.goodbye().hex() == vector["goodbye"]

"""Inputs for fuzzing, from a seed: good ones, changed where it hurts; see :class:`Mutator`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

__all__ = ["Mutator", "items_of"]

MAX_INPUT: Final = 1 << 16
"""Bytes; longer ones are cut: size alone finds nothing here that fewer bytes do not."""
NUMBERS: Final = (0, 1, 2, 16, 23, 24, 255, 256, 10_000, 10_001, 65_535, 65_536, 65_537, 1 << 20)
NUMBERS_BEYOND: Final = ((1 << 32) - 1, 1 << 32, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
ITEMS: Final = (
    *(b"\xf4", b"\xf5", b"\xf6", b"\xf7", b"\xff", b"\xf9\x7e\x00", b"\xfb" + bytes(8), b"\x40", b"\x60", b"\x80"),
    *(b"\x5f\x41a\xff", b"\x7f\x61a\xff", b"\x9f\xff", b"\xbf\xff", b"\xc0\x00", b"\xc2\x48" + b"\xff" * 8, b"\x1c"),
    *(b"\xa0", b"\x20"),
    *(b"\x62\xc3\x28", b"\x63\xed\xa0\x80", b"\x61\x00", b"\x81" * 20, b"\xa1\x60" * 12 + b"\xa0", b"\xd8\x1d\x00"),
)  # fmt: skip
"""Items to put where another was: other types, indefinite lengths, tags, references, what is no text, nests."""

Edit = tuple[int, int, bytes]
"""From where to where, and what comes there instead."""
Item = tuple[int, int, int]
"""Where an item of CBOR starts, where its head ends, and where it ends."""


def items_of(data: bytes) -> list[Item]:
    """The items in what may be CBOR, containers before what is in them; only as far as it can be followed."""
    found: list[Item] = []
    _item(data, 0, found, 0)
    return found


def _item(data: bytes, at: int, found: list[Item], depth: int) -> int:
    """Where the item ends; -1: nothing to follow."""
    if at >= len(data) or depth > 30:
        return -1
    major, info = data[at] >> 5, data[at] & 31
    if info > 27:
        return -1
    head = at + 1 + (0 if info < 24 else 1 << info - 24)
    value = info if info < 24 else int.from_bytes(data[at + 1 : head], "big")
    place = len(found)
    found.append((at, head, head))
    end = head
    if major in (2, 3):
        end = head + value
    elif major in (4, 5):
        for _ in range(value if major == 4 else 2 * value):
            end = _item(data, end, found, depth + 1)
            if end < 0:
                break
    if end < 0 or end > len(data):
        end = len(data)
    found[place] = (at, head, end)
    return end


def head(major: int, value: int, rng: Random | None = None) -> bytes:
    """The head of an item; with ``rng`` perhaps not in its shortest form."""
    sizes = [0] if value < 24 else [1 << n for n in range(4) if value < 1 << (8 << n)]
    if rng is not None and rng.random() < 0.2:
        sizes = [size for size in (1, 2, 4, 8) if value < 1 << 8 * size]
        size = rng.choice(sizes)
    else:
        size = sizes[0]
    if not size:
        return bytes((major << 5 | value,))
    return bytes((major << 5 | 23 + size.bit_length(),)) + value.to_bytes(size, "big")


@dataclass(slots=True)
class _Seed:
    data: bytes
    items: Sequence[Item]


class Mutator:
    """Endless inputs: a seed with one to four changes, of bytes and of CBOR items.

    :param seeds: good inputs
    :param rng: the same draws give the same inputs
    :param offset: where in a seed its CBOR begins
    :param parts: finds the pieces of a seed that are CBOR each, from ``offset`` on; None: the whole is one
    """

    def __init__(
        self,
        seeds: Sequence[bytes],
        rng: Random,
        *,
        offset: int = 0,
        parts: Callable[[bytes], Sequence[tuple[int, int]]] | None = None,
    ) -> None:
        self._rng = rng
        self._offset = offset
        self._seeds = [_Seed(seed, self._items(seed, parts)) for seed in seeds]
        self._pool = [seed.data[at:end] for seed in self._seeds for at, _, end in seed.items if end - at < 2000]
        self._edits: Sequence[Callable[[_Seed], Edit]] = (
            *(self._flip, self._set, self._insert, self._delete),
            *(self._number, self._number, self._replace, self._replace, self._double, self._drop, self._wrap),
        )

    def _items(self, seed: bytes, parts: Callable[[bytes], Sequence[tuple[int, int]]] | None) -> list[Item]:
        places = parts(seed) if parts else ((self._offset, len(seed)),)
        return [
            (start + at, start + body, start + end)
            for start, stop in places
            for at, body, end in items_of(seed[start:stop])
        ]

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield self.one()

    def one(self) -> bytes:
        rng = self._rng
        seed = rng.choice(self._seeds)
        edits = [rng.choice(self._edits)(seed) for _ in range(int(rng.random() ** 2 * 4) + 1)]
        data = seed.data
        for start, end, instead in sorted(edits, key=lambda edit: -edit[0]):
            data = data[:start] + instead + data[end:]
        luck = rng.random()
        if luck < 0.04:
            data = data[: rng.randrange(len(data) + 1)]
        elif luck < 0.06:
            data += rng.choice(self._pool) if self._pool else b"\x00"
        elif luck < 0.07:
            data = rng.randbytes(rng.randrange(1, 64))
        return data[:MAX_INPUT]

    # -- bytes

    def _flip(self, seed: _Seed) -> Edit:
        at = self._at(seed)
        return at, at + 1, bytes((seed.data[at] ^ 1 << self._rng.randrange(8),)) if seed.data else b""

    def _set(self, seed: _Seed) -> Edit:
        at = self._at(seed)
        return at, at + 1, self._rng.randbytes(1)

    def _insert(self, seed: _Seed) -> Edit:
        at = self._at(seed)
        return at, at, self._rng.randbytes(self._rng.randrange(1, 9))

    def _delete(self, seed: _Seed) -> Edit:
        at = self._at(seed)
        return at, at + self._rng.randrange(1, 9), b""

    def _at(self, seed: _Seed) -> int:
        return self._rng.randrange(len(seed.data)) if seed.data else 0

    # -- items

    def _number(self, seed: _Seed) -> Edit:
        """Another number in a head: a value, a length, how many."""
        rng = self._rng
        if not seed.items:
            return self._set(seed)
        at, body, _ = rng.choice(seed.items)
        major = seed.data[at] >> 5
        if rng.random() < 0.2:
            major = rng.randrange(8)
        old = int.from_bytes(seed.data[at + 1 : body], "big") if body > at + 1 else seed.data[at] & 31
        pick = rng.random()
        if pick < 0.4:
            value = max(0, old + rng.choice((-1, 1, -2, 2)))
        else:
            value = rng.choice(NUMBERS if pick < 0.8 else NUMBERS_BEYOND)
        return at, body, head(major, min(value, (1 << 64) - 1), rng)

    def _replace(self, seed: _Seed) -> Edit:
        if not seed.items:
            return self._insert(seed)
        at, _, end = self._rng.choice(seed.items)
        return at, end, self._rng.choice(ITEMS if self._rng.random() < 0.4 else self._pool or ITEMS)

    def _double(self, seed: _Seed) -> Edit:
        if not seed.items:
            return self._insert(seed)
        at, _, end = self._rng.choice(seed.items)
        return end, end, seed.data[at:end] * self._rng.choice((1, 1, 1, 2, 20)) if end - at < 200 else b""

    def _drop(self, seed: _Seed) -> Edit:
        if not seed.items:
            return self._delete(seed)
        at, _, end = self._rng.choice(seed.items)
        return at, end, b""

    def _wrap(self, seed: _Seed) -> Edit:
        """Containers around an item."""
        if not seed.items:
            return self._insert(seed)
        at, _, end = self._rng.choice(seed.items)
        return (
            at,
            end,
            self._rng.choice((b"\x81", b"\xa1\x00", b"\xc1")) * self._rng.choice((1, 2, 17)) + seed.data[at:end],
        )

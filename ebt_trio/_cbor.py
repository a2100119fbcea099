"""Taking a frame apart: a strict reader of the CBOR subset that frames are made of (RFC 8949); putting runs together.

The heads of containers are read here, one by one, so that nothing is built before it is known to be wanted; only their
flat contents, which cannot cost much whatever the bytes say, are left to cbor2.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

import cbor2

from .errors import ByeCode, FrameTooLarge, RemoteProtocolError

UINT: Final = 0
NEGATIVE: Final = 1
BYTES: Final = 2
TEXT: Final = 3
ARRAY: Final = 4
MAP: Final = 5
TAG: Final = 6
SIMPLE: Final = 7

_NAMES: Final = (
    "an unsigned integer",
    "a negative integer",
    "a byte string",
    "a text",
    "an array",
    "a map",
    "a tag",
    "a float or simple value",
)
_SIMPLE_SIZES: Final = {24: 2, 25: 3, 26: 5, 27: 9}

BULK: int = 16
"""From this many byte strings on cbor2 is faster than a loop here."""
_MANY: Final = 100
"""Likewise, for the payloads of a run that goes out."""
_READY: Final = 1024
"""Heads of smaller numbers are made once and for all."""


class ItemHeads(dict[int, bytes]):
    """By number, the heads of items of one major type, in their shortest form (RFC 8949, section 3)."""

    def __init__(self, major: int) -> None:
        super().__init__()
        self._initial = major << 5
        self.update((number, self[number]) for number in range(_READY))

    def __missing__(self, number: int) -> bytes:
        if number < 24:
            return bytes((self._initial | number,))
        log = ((number.bit_length() + 7) // 8 - 1).bit_length()  # of how many bytes it takes: 1, 2, 4 or 8
        return bytes((self._initial | 24 + log,)) + number.to_bytes(1 << log, "big")


UINT_HEADS: Final = ItemHeads(UINT)
BYTES_HEADS: Final = ItemHeads(BYTES)
ARRAY_HEADS: Final = ItemHeads(ARRAY)
_TEXT_HEADS: Final = ItemHeads(TEXT)


def put_run(parts: list[bytes], feed: str, first: int, payloads: Sequence[bytes]) -> None:
    """Append the bytes of ``[feed, first, payloads]``, in pieces: for a few payloads in half the time of cbor2."""
    text, count, heads = feed.encode(), len(payloads), BYTES_HEADS
    parts += (b"\x83", _TEXT_HEADS[len(text)], text, UINT_HEADS[first])
    if count > _MANY:
        parts.append(cbor2.dumps(payloads if isinstance(payloads, (list, tuple)) else list(payloads)))
        return
    parts.append(ARRAY_HEADS[count])
    for payload in payloads:
        parts.append(heads[len(payload)])
        parts.append(payload)


class Reader:
    """Reads the items of one frame in order; ``at`` is where the next one begins.

    Every method raises ``error`` (``RemoteProtocolError`` or a class below it), with the code MALFORMED and a message
    that says what was expected and what came, when the next item is not what it is asked for.
    """

    __slots__ = ("at", "data", "error", "what")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.what = "a frame"  # for messages
        self.error: type[RemoteProtocolError] = RemoteProtocolError

    def malformed(self, expected: str, got: object) -> RemoteProtocolError:
        return self.error(f"{self.what}: expected {expected}, got {got}", ByeCode.MALFORMED)

    def head(self, major: int, expected: str) -> int:
        """The number in the head of the next item: its value, or how long it is."""
        data, at = self.data, self.at
        info = data[at] - (major << 5) if at < len(data) else -1
        if 0 <= info < 24:
            self.at = at + 1
            return info
        if not 0 < info < 28:
            raise self.malformed(expected, self._describe(at))
        self.at = end = at + 1 + (1 << info - 24)
        if end > len(data):
            raise self.malformed(expected, self._describe(end))
        return int.from_bytes(data[at + 1 : end], "big")

    def byte_string(self, expected: str) -> bytes:
        return self._take(self.head(BYTES, expected), expected)

    def text(self, expected: str) -> str:
        length = self.head(TEXT, expected)
        start = self.at
        end = start + length
        if end > len(self.data):
            raise self._too_short(length, expected)
        self.at = end
        try:
            return self.data[start:end].decode()
        except UnicodeDecodeError:
            raise self.malformed(expected, "bytes that are not UTF-8") from None

    def boolean(self, expected: str) -> bool:
        at = self.at
        if at >= len(self.data) or self.data[at] not in (0xF4, 0xF5):
            raise self.malformed(expected, self._describe(at))
        self.at = at + 1
        return self.data[at] == 0xF5

    def flat(self, expected: str) -> Any:
        """The next item, an array or map with no tags and at most empty containers in it: all others are a level more.

        The caller has seen to it that its head does not announce too much, and checks the types of what is in it.
        """
        stream = BytesIO(self.data)  # shares the bytes
        stream.seek(self.at)
        try:
            value = cbor2.load(
                stream, max_depth=1, allow_indefinite=False, allow_duplicate_keys=False, strict_hashable_types=True
            )
        except cbor2.CBORDecodeError as error:
            raise self.malformed(expected, f"other bytes: {error}") from None
        self.at = stream.tell()
        return value

    def byte_strings(self, expected: str, most: int) -> list[bytes]:
        """The next item, an array of byte strings.

        :raises FrameTooLarge: it has more than ``most``
        """
        start = self.at
        count = self.head(ARRAY, expected)
        if count > most:
            raise FrameTooLarge(f"{self.what}: expected at most {most} more {expected}, got {count}")
        if count < BULK:
            return self._few_byte_strings(count, expected)
        self.at = start
        items: list[bytes] = self.flat(expected)
        if set(map(type, items)) != {bytes}:
            other = next(type(item) for item in items if type(item) is not bytes)
            raise self.malformed(expected, f"an item of the type {other.__name__}")
        return items

    def _few_byte_strings(self, count: int, expected: str) -> list[bytes]:
        data, at = self.data, self.at
        items: list[bytes] = []
        try:
            for _ in range(count):
                initial = data[at]
                if initial == 0x58:  # the usual cases here: a call for each would take longer than all the rest
                    start = at + 2
                    at = start + data[at + 1]
                elif 0x40 <= initial < 0x58:
                    start = at + 1
                    at = start + initial - 0x40
                else:
                    self.at = at
                    items.append(self.byte_string(expected))
                    at = self.at
                    continue
                items.append(data[start:at])
        except IndexError:
            at = len(data) + 1
        if at > len(data):
            raise self.malformed(expected, self._describe(at))
        self.at = at
        return items

    def usual_run(self, most: int, expected: str) -> tuple[str, int, list[bytes]] | None:
        """The next item, an array ``[text, number, byte strings]`` in the sizes that nearly all have.

        None, and nothing is read, if it is anything else: to be read item by item, which takes three times as long.
        """
        data, at = self.data, self.at
        try:
            if data[at] != 0x83 or data[at + 1] != 0x78:
                return None
            start = at + 3
            end = start + data[at + 2]
            first, behind = data[end], end + 1
            if first > 23:
                if first > 27:
                    return None
                behind += 1 << first - 24
                first = int.from_bytes(data[end + 1 : behind], "big")
            count = data[behind] - (ARRAY << 5)
            if not 0 < count < 24 or count >= BULK or count > most:
                return None
            feed = data[start:end].decode()
        except (IndexError, UnicodeDecodeError):
            return None
        self.at = behind + 1
        return feed, first, self._few_byte_strings(count, expected)

    def skip(self, expected: str, levels: int) -> None:
        """Pass over the next item, whatever it is; at most ``levels`` containers in each other."""
        data = self.data
        missing = [1]  # items still to come, for each open container
        while missing:
            if not missing[-1]:
                missing.pop()
                continue
            missing[-1] -= 1
            at = self.at
            major = data[at] >> 5 if at < len(data) else TAG
            if major == TAG:
                raise self.malformed(expected, self._describe(at))
            if major == SIMPLE:
                info = data[at] & 31
                if info > 27:
                    raise self.malformed(expected, self._describe(at))
                self._take(_SIMPLE_SIZES.get(info, 1), expected)
            elif major == TEXT:
                self.text(expected)
            else:
                value = self.head(major, expected)
                if major == BYTES:
                    self._take(value, expected)
                elif major in (ARRAY, MAP):
                    if len(missing) > levels:
                        raise self.malformed(expected, "containers nested too deep")
                    missing.append(value if major == ARRAY else 2 * value)

    def end(self) -> None:
        """Nothing may follow."""
        if self.at != len(self.data):
            raise self.malformed("nothing after the frame", f"{len(self.data) - self.at} more bytes")

    def _take(self, length: int, expected: str) -> bytes:
        start = self.at
        end = start + length
        if end > len(self.data):
            raise self._too_short(length, expected)
        self.at = end
        return self.data[start:end]

    def _too_short(self, length: int, expected: str) -> RemoteProtocolError:
        return self.malformed(expected, f"{length} bytes announced where {len(self.data) - self.at} are left")

    def _describe(self, at: int) -> str:
        if at >= len(self.data):
            return "the end of the frame"
        name, info = _NAMES[self.data[at] >> 5], self.data[at] & 31
        if info == 31:
            return f"{name} of indefinite length" if self.data[at] != 0xFF else "a break"
        return name if info < 28 else f"the reserved byte 0x{self.data[at]:02x}"

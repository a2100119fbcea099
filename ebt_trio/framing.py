"""Frames on a byte stream: each in a definite-length CBOR byte string; the stream is a CBOR sequence (RFC 8742).

Sans-IO. :func:`wrap` is what to send; :class:`FrameSplitter` finds the frames in what arrives, in whatever chunks.
"""

from __future__ import annotations

from ._cbor import BYTES_HEADS
from .errors import ByeCode, FrameTooLarge, RemoteProtocolError

__all__ = ["FrameSplitter", "byte_string_head", "wrap"]

_LENGTH_BYTES = {0x58: 1, 0x59: 2, 0x5A: 4, 0x5B: 8}
"""initial byte → how many bytes of length follow it (RFC 8949, section 3)"""


def byte_string_head(length: int) -> bytes:
    """The head of a CBOR byte string of ``length`` bytes, in its shortest form: what precedes a frame on a stream."""
    return BYTES_HEADS[length]


def wrap(frame: bytes) -> bytes:
    """A frame as it goes onto a byte stream."""
    return byte_string_head(len(frame)) + frame


class FrameSplitter:
    """Cuts a byte stream into frames.

    Give it chunks with :meth:`feed`, then call :meth:`next_frame` until it returns None. A frame is copied a constant
    number of times, however small the chunks; nothing is reserved for a length that was only announced.
    """

    __slots__ = ("_buffer", "_start")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0  # what is before it has been returned

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take in the next chunk of the stream."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next_frame(self, max_frame: int) -> bytes | None:
        """The next frame, or None as long as it has not arrived whole.

        :param max_frame: the longest frame to take, in bytes; may differ from call to call
        :raises FrameTooLarge: a longer one is announced; raised as soon as its head is there
        :raises RemoteProtocolError: what comes is no byte string, one of indefinite length, or its length is not in the
            shortest form. After an error the stream cannot be read on: the same error again and again.
        """
        buffer, start = self._buffer, self._start
        if start == len(buffer):
            return None
        initial = buffer[start]
        if 0x40 <= initial < 0x58:
            length, body = initial - 0x40, start + 1
        elif (length_bytes := _LENGTH_BYTES.get(initial)) is not None:
            body = start + 1 + length_bytes
            if body > len(buffer):
                return None
            length = int.from_bytes(buffer[start + 1 : body], "big")
            if length < (24 if length_bytes == 1 else 1 << 4 * length_bytes):
                message = f"expected the length of a frame in its shortest form, got {length} in {length_bytes} bytes"
                raise RemoteProtocolError(message, ByeCode.MALFORMED)
        else:
            message = f"expected a frame in a byte string of definite length, got the byte 0x{initial:02x}"
            raise RemoteProtocolError(message, ByeCode.MALFORMED)
        if length > max_frame:
            raise FrameTooLarge(f"expected a frame of at most {max_frame} bytes, got one of {length}")
        end = body + length
        if end > len(buffer):
            return None
        with memoryview(buffer) as view:
            frame = bytes(view[body:end])
        if end == len(buffer):
            buffer.clear()  # an idle stream holds no memory
            end = 0
        self._start = end
        return frame

    @property
    def at_boundary(self) -> bool:
        """Nothing of a next frame has arrived: here the stream may end."""
        return self._start == len(self._buffer)

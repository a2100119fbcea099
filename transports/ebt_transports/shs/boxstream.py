"""The box stream: bytes sealed in chunks, each under a nonce of its own; no I/O.

A chunk of at most 4,096 bytes goes out as ``box(length as 2 bytes, big-endian ‖ tag of the body)`` under nonce n, 34
bytes, then the body's ciphertext without its tag, which the head has, under n + 1. The goodbye is the box of 18 zero
bytes. A nonce is a counter, 24 bytes big-endian. Everything is XSalsa20-Poly1305, libsodium's secretbox.
"""

from __future__ import annotations

from typing import Final

from nacl.bindings import crypto_secretbox_easy, crypto_secretbox_open_easy
from nacl.exceptions import CryptoError

from ebt_trio.errors import AuthenticationError

__all__ = ["CHUNK", "HEAD", "Opener", "Sealer"]

CHUNK: Final = 4096
"""The most bytes in one chunk."""
_TAG: Final = 16
HEAD: Final = 2 + _TAG + _TAG
"""How long a sealed head is."""
_GOODBYE: Final = bytes(2 + _TAG)
_NONCES: Final = 1 << 192


class Sealer:
    """The sending half.

    :param key: 32 bytes, used for nothing else
    :param nonce: the first one, 24 bytes
    """

    def __init__(self, key: bytes, nonce: bytes) -> None:
        self._key = key
        self._nonce = int.from_bytes(nonce, "big")

    def seal(self, data: bytes | bytearray | memoryview) -> bytes:
        """What to send for ``data``; nothing for nothing."""
        view = memoryview(data)
        sealed: list[bytes] = []
        key, nonce = self._key, self._nonce
        for start in range(0, len(view), CHUNK):
            chunk = bytes(view[start : start + CHUNK])
            body = crypto_secretbox_easy(chunk, _bytes(nonce + 1), key)
            sealed.append(crypto_secretbox_easy(len(chunk).to_bytes(2, "big") + body[:_TAG], _bytes(nonce), key))
            sealed.append(body[_TAG:])
            nonce += 2
        self._nonce = nonce % _NONCES
        return b"".join(sealed)

    def goodbye(self) -> bytes:
        """The end; nothing may be sealed after it."""
        return crypto_secretbox_easy(_GOODBYE, _bytes(self._nonce), self._key)


class Opener:
    """The receiving half. After an AuthenticationError, or the goodbye, nothing more can be opened.

    :param key: 32 bytes, used for nothing else
    :param nonce: the first one, 24 bytes
    """

    def __init__(self, key: bytes, nonce: bytes) -> None:
        self._key = key
        self._nonce = int.from_bytes(nonce, "big")
        self._buffer = bytearray()
        self._length = 0
        """Of the body that comes next; 0: a head comes next."""
        self._tag = b""
        self.ended = False
        """The goodbye has come."""
        self._failed = False

    def open(self, data: bytes | bytearray | memoryview) -> bytes:
        """The bytes in all chunks that are complete with ``data``; what comes after a goodbye is ignored.

        :raises AuthenticationError: not sealed by the other side, or not in this place; whatever ``data`` held before
            that is withheld
        """
        if self._failed:
            raise AuthenticationError("what came before was changed on its way")
        buffer = self._buffer
        buffer += data
        opened: list[bytes] = []
        at, end, key = 0, len(buffer), self._key
        while not self.ended:
            if not self._length:
                if end - at < HEAD:
                    break
                head = self._unbox(bytes(buffer[at : at + HEAD]), key)
                at += HEAD
                if head == _GOODBYE:
                    self.ended = True
                    break
                self._length, self._tag = int.from_bytes(head[:2], "big"), head[2:]
                if not 0 < self._length <= CHUNK:
                    self._failed = True
                    raise AuthenticationError(f"expected a chunk of 1 to {CHUNK} bytes, got one of {self._length}")
            if end - at < self._length:
                break
            opened.append(self._unbox(self._tag + buffer[at : at + self._length], key))
            at += self._length
            self._length = 0
        del buffer[:at]
        return b"".join(opened)

    def _unbox(self, box: bytes, key: bytes) -> bytes:
        try:
            opened = crypto_secretbox_open_easy(box, _bytes(self._nonce), key)
        except (CryptoError, ValueError) as exc:
            self._failed = True
            raise AuthenticationError("what came was not sealed by the other side, or was changed on its way") from exc
        self._nonce = (self._nonce + 1) % _NONCES
        return opened


def _bytes(nonce: int) -> bytes:
    return (nonce % _NONCES).to_bytes(24, "big")

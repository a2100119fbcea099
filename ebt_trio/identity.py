"""Who signs: an Ed25519 key pair, its file, and the text form of its public key.

The text form is the public key in URL-safe base64 (RFC 4648, section 5) without padding: 43 characters of
``A-Z a-z 0-9 - _``, the first of which is never ``-``, so that an id on a command line is never taken for an option.
That is kept by drawing again: one key in 64 would begin with ``-``, and is no identity here, wherever it comes from.

Needs PyNaCl, ``pip install 'ebt-trio[identity]'``, but only when a key is made or used, not to import this module.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ._durable import sync, sync_directory
from .core.types import PeerId
from .errors import LocalProtocolError, StoreError

if TYPE_CHECKING:
    from nacl.signing import SigningKey

__all__ = ["Identity", "public_key_bytes", "public_key_text"]

KEY_BYTES: Final = 32
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_FILE: Final = re.compile(r"(?:#[^\n]*\n)*ed25519 ([A-Za-z0-9_-]{43})\n?")


class Identity:
    """An Ed25519 key pair. ``str()`` gives the public part; nothing shows the secret; only :meth:`save` writes it."""

    __slots__ = ("_key", "id", "public_key")

    id: PeerId
    """The public key's text form."""
    public_key: bytes
    """32 bytes."""

    def __init__(self, seed: bytes) -> None:
        """
        :param seed: 32 secret bytes (RFC 8032's private key)
        :raises LocalProtocolError: not 32 bytes, or a public key whose text would begin with ``-``
        :raises ImportError: PyNaCl is not installed
        """
        if len(seed) != KEY_BYTES:
            raise LocalProtocolError(f"a seed has {KEY_BYTES} bytes, not {len(seed)}")
        self._key = _signing_key(seed)
        self.public_key = bytes(self._key.verify_key)
        self.id = public_key_text(self.public_key)

    @classmethod
    def generate(cls) -> Identity:
        """A new one, from the system's randomness; drawn again until its text form does not begin with ``-``."""
        while True:
            seed = secrets.token_bytes(KEY_BYTES)
            with suppress(LocalProtocolError):
                return cls(seed)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Identity:
        """Read what :meth:`save` has written.

        :raises StoreError: no such file, not a key, or others than its owner may read it
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                text = file.read(4096).decode("ascii", "replace")
        except OSError as exc:
            raise StoreError(f"cannot read the key at {path}: {exc.strerror}") from exc
        if os.name == "posix" and mode & 0o077:
            raise StoreError(f"the key at {path} can be read by others (mode {mode:04o}): chmod 600 {path}")
        match = _FILE.fullmatch(text)
        if match is None:
            raise StoreError(f"{path} is not a key: expected a line 'ed25519 ' and 43 characters of base64")
        try:
            return cls(_decode(match[1]))
        except LocalProtocolError as exc:
            raise StoreError(f"{path} is not a key: {exc}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the key to a new file, for its owner only (mode 0600), whole or not at all. Never overwrites.
        When this returns, it survives a power cut.

        :raises StoreError: the file exists, or cannot be written
        """
        path = Path(path)
        seed = _encode(bytes(self._key))
        text = f"# Secret key of {self.id}.\n# Show it to nobody, and never use it on two stores.\ned25519 {seed}\n"
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            try:
                with open(descriptor, "wb") as file:
                    file.write(text.encode())
                    file.flush()
                    sync(file.fileno())
                _move_to_new(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except FileExistsError as exc:
            raise StoreError(f"there is a key at {path} already; it was left as it is") from exc
        except OSError as exc:
            raise StoreError(f"cannot write the key at {path}: {exc.strerror}") from exc

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature, 64 bytes."""
        return self._key.sign(message).signature

    def shared_secret(self, public: bytes) -> bytes:
        """The secret that our key, as an X25519 key (RFC 7748), shares with the X25519 key ``public``; 32 bytes each.

        :raises nacl.exceptions.CryptoError: a point of low order
        """
        from nacl.bindings import crypto_scalarmult

        return crypto_scalarmult(bytes(self._key.to_curve25519_private_key()), public)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<Identity {self.id}>"

    def __eq__(self, other: object) -> bool:
        return self.public_key == other.public_key if isinstance(other, Identity) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.public_key)

    def __reduce__(self) -> str:
        raise TypeError("an Identity cannot be pickled: that would write its secret; use save()")


def public_key_text(key: bytes) -> PeerId:
    """The text form of a public key.

    :raises LocalProtocolError: not 32 bytes, or a key whose text would begin with ``-``
    """
    if len(key) != KEY_BYTES:
        raise LocalProtocolError(f"a public key has {KEY_BYTES} bytes, not {len(key)}")
    text = _encode(key)
    if text.startswith("-"):
        raise LocalProtocolError(f"{text} is no identity: a public key's text must not begin with '-'")
    return PeerId(text)


def public_key_bytes(text: str) -> bytes:
    """The 32 bytes of a public key's text form; only the one text that :func:`public_key_text` gives is taken.

    :raises LocalProtocolError: not a public key
    """
    if not _TEXT.fullmatch(text) or text.startswith("-") or _encode(key := _decode(text)) != text:
        raise LocalProtocolError(f"expected a public key, 43 characters of URL-safe base64, got {text!r}")
    return key


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=")


def _signing_key(seed: bytes) -> SigningKey:
    try:
        from nacl.signing import SigningKey
    except ModuleNotFoundError as exc:
        raise ImportError("identities need PyNaCl: pip install 'ebt-trio[identity]'") from exc
    return SigningKey(seed)


def _move_to_new(temporary: Path, path: Path) -> None:
    """Give the file its name, unless there is one of that name."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # no hard links here
        if path.exists():
            raise FileExistsError(path) from None
        os.rename(temporary, path)
    sync_directory(path.parent)

"""The secret handshake (SHS1): four messages in which both ends prove their Ed25519 keys; no I/O.

After: Tarr, "Designing a Secret Handshake: Authenticated Key Exchange as a Capability System" (2015); byte for byte as
the npm package ``secret-handshake`` 1.1. ``K``: the network key. ``a``, ``b``: one-time X25519 keys of client and
server. ``A``, ``B``: their long-term keys. ``xy``: the secret that the owners of x and y share. ``mac(x)``: the first
32 bytes of HMAC-SHA-512 under K::

    1  client → server   64   mac(a) ‖ a
    2  server → client   64   mac(b) ‖ b
    3  client → server  112   box[hash(K ‖ ab ‖ aB)](H),   H = sign_A(K ‖ B ‖ hash(ab)) ‖ A
    4  server → client   80   box[hash(K ‖ ab ‖ aB ‖ Ab)](sign_B(K ‖ H ‖ hash(ab)))

Who does not know K, or B, gets no answer; who listens learns neither A nor B; and keys that leak later open nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nacl import bindings
from nacl.exceptions import CryptoError

from ebt_trio.errors import AuthenticationError
from ebt_trio.identity import Identity

__all__ = ["ACCEPT_BYTES", "AUTHENTICATE_BYTES", "HELLO_BYTES", "Client", "Keys", "Server", "network_key"]

HELLO_BYTES: Final = 64
AUTHENTICATE_BYTES: Final = 112
ACCEPT_BYTES: Final = 80
_NONCE: Final = bytes(24)
"""Each of the two keys that are used with it is used once."""
_DOMAIN: Final = b"ebt-trio secret handshake 1\0"


def network_key(network: str = "") -> bytes:
    """The 32 bytes that both ends have to know, for the name of a network (:class:`ebt_trio.EBT`'s ``network``)."""
    return sha256(_DOMAIN + network.encode()).digest()


@dataclass(frozen=True, slots=True)
class Keys:
    """For the box stream that follows; keys of 32 bytes, first nonces of 24."""

    sending: bytes
    sending_nonce: bytes
    receiving: bytes
    receiving_nonce: bytes


class _Side:
    """What both sides do. Each method either returns or raises AuthenticationError; then nothing more may be sent."""

    def __init__(self, identity: Identity, network: bytes, one_time: bytes | None) -> None:
        self._identity = identity
        self._network = network
        self._secret = bindings.randombytes(32) if one_time is None else one_time
        self._public = bindings.crypto_scalarmult_base(self._secret)
        self._theirs = b""
        self._their_mac = b""
        self._boxed = b""
        """H, what the client proves itself with."""
        self._final = b""
        """The key of message 4."""

    def hello(self) -> bytes:
        """Message 1 or 2."""
        return self._mac(self._public) + self._public

    def take_hello(self, message: bytes) -> None:
        """Message 2 or 1, from the other side."""
        mac, theirs = message[:32], message[32:]
        if len(message) != HELLO_BYTES or not hmac.compare_digest(mac, self._mac(theirs)):
            raise AuthenticationError("expected the secret handshake's hello under our network key, got something else")
        self._theirs, self._their_mac = theirs, mac

    def _mac(self, data: bytes) -> bytes:
        return hmac.digest(self._network, data, "sha512")[:32]

    def _one_time_secret(self) -> bytes:
        """ab"""
        return _shared(lambda: bindings.crypto_scalarmult(self._secret, self._theirs))

    def _keys(self, their_key: bytes) -> Keys:
        base = sha256(self._final).digest()
        return Keys(
            sending=sha256(base + their_key).digest(),
            sending_nonce=self._their_mac[:24],
            receiving=sha256(base + self._identity.public_key).digest(),
            receiving_nonce=self._mac(self._public)[:24],
        )


class Client(_Side):
    """Who dials: ``hello``, ``take_hello``, ``authenticate``, ``take_accept``.

    :param remote_key: the listener's public key, 32 bytes, which it has to prove
    :param one_time: 32 random bytes, for test vectors; never use any twice
    """

    def __init__(self, identity: Identity, remote_key: bytes, network: bytes, one_time: bytes | None = None) -> None:
        super().__init__(identity, network, one_time)
        self.remote_key = remote_key

    def authenticate(self) -> bytes:
        """Message 3."""
        ab = self._one_time_secret()
        theirs = _shared(lambda: bindings.crypto_sign_ed25519_pk_to_curve25519(self.remote_key))
        ab_aB = ab + _shared(lambda: bindings.crypto_scalarmult(self._secret, theirs))
        signed = self._network + self.remote_key + sha256(ab).digest()
        self._boxed = self._identity.sign(signed) + self._identity.public_key
        Ab = _shared(lambda: self._identity.shared_secret(self._theirs))
        self._final = sha256(self._network + ab_aB + Ab).digest()
        self._hash_ab = sha256(ab).digest()
        return bindings.crypto_secretbox_easy(self._boxed, _NONCE, sha256(self._network + ab_aB).digest())

    def take_accept(self, message: bytes) -> Keys:
        """Message 4: they are who they should be, and have accepted us."""
        signature = _unbox(message, self._final)
        _verify(signature, self._network + self._boxed + self._hash_ab, self.remote_key)
        return self._keys(self.remote_key)


class Server(_Side):
    """Who listens: ``take_hello``, ``hello``, ``take_authenticate``, ``accept``.

    :param one_time: 32 random bytes, for test vectors; never use any twice
    """

    def __init__(self, identity: Identity, network: bytes, one_time: bytes | None = None) -> None:
        super().__init__(identity, network, one_time)
        self.remote_key = b""
        """Who the client has proved to be."""

    def take_authenticate(self, message: bytes) -> None:
        """Message 3."""
        ab = self._one_time_secret()
        ab_aB = ab + _shared(lambda: self._identity.shared_secret(self._theirs))
        self._boxed = _unbox(message, sha256(self._network + ab_aB).digest())
        signature, key = self._boxed[:64], self._boxed[64:]
        self._hash_ab = sha256(ab).digest()
        _verify(signature, self._network + self._identity.public_key + self._hash_ab, key)
        theirs = _shared(lambda: bindings.crypto_sign_ed25519_pk_to_curve25519(key))
        Ab = _shared(lambda: bindings.crypto_scalarmult(self._secret, theirs))
        self._final = sha256(self._network + ab_aB + Ab).digest()
        self.remote_key = key

    def accept(self) -> tuple[bytes, Keys]:
        """Message 4, and the keys."""
        signature = self._identity.sign(self._network + self._boxed + self._hash_ab)
        return bindings.crypto_secretbox_easy(signature, _NONCE, self._final), self._keys(self.remote_key)


def _shared(compute: Callable[[], bytes]) -> bytes:
    """libsodium refuses points of low order, whose secret is all zeros; zeros are refused here once more."""
    try:
        secret = compute()
    except (CryptoError, RuntimeError, ValueError) as exc:
        raise AuthenticationError("expected a public key, got a point that shares no secret") from exc
    if not any(secret):
        raise AuthenticationError("expected a public key, got a point that shares no secret")
    return secret


def _unbox(message: bytes, key: bytes) -> bytes:
    try:
        return bindings.crypto_secretbox_open_easy(message, _NONCE, key)
    except (CryptoError, ValueError) as exc:
        raise AuthenticationError("expected the secret handshake's proof of a key, got something else") from exc


def _verify(signature: bytes, message: bytes, key: bytes) -> None:
    try:
        bindings.crypto_sign_open(signature + message, key)
    except (CryptoError, ValueError) as exc:
        raise AuthenticationError("expected a signature under the key that was named, got another one") from exc

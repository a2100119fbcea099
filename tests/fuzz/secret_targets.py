"""Targets in what encrypts links and proves who is there: the secret handshake, the box stream, keys in text form."""

from __future__ import annotations

from random import Random
from typing import Final

from table import Broken, Target, refused

from ebt_transports.shs.boxstream import CHUNK, HEAD, Opener, Sealer
from ebt_transports.shs.handshake import Client, Keys, Server, network_key
from ebt_trio.errors import AuthenticationError, EBTError
from ebt_trio.identity import Identity, public_key_bytes, public_key_text

__all__ = ["TARGETS"]

ALICE, BOB = Identity(bytes([1]) * 32), Identity(bytes([2]) * 32)
NETWORK: Final = network_key()
KEYS: Final = Keys(bytes(32), bytes(24), b"k" * 32, b"\xff" * 24)
SEALED: Final = ((b"\x00", b"hello" * 20, b"x" * CHUNK, b"y" * (CHUNK + 1)), (b"",))


def ends() -> tuple[Client, Server]:
    """Always with the same one-time keys."""
    return Client(ALICE, BOB.public_key, NETWORK, b"c" * 32), Server(BOB, NETWORK, b"s" * 32)


def handshake_messages() -> list[bytes]:
    client, server = ends()
    one, two = client.hello(), server.hello()
    server.take_hello(one)
    client.take_hello(two)
    three = client.authenticate()
    server.take_authenticate(three)
    return [one, two, three, server.accept()[0]]


GOOD: Final = handshake_messages()


def handshake_seeds() -> list[bytes]:
    return [bytes((number,)) + message for number, message in enumerate(GOOD)]


def check_handshake(data: bytes) -> None:
    """The first byte says which message; only the one that belongs there is taken."""
    number, message = (data[0] & 3, data[1:]) if data else (0, b"")
    client, server = ends()
    server.take_hello(GOOD[0])
    client.take_hello(GOOD[1])
    client.authenticate()
    try:
        if number == 0:
            server.take_hello(message)
        elif number == 1:
            client.take_hello(message)
        elif number == 2:
            server.take_authenticate(message)
        else:
            client.take_accept(message)
    except AuthenticationError as error:
        refused(error)
        return
    if message not in (GOOD[:2] if number < 2 else [GOOD[number]]):  # a hello names nobody: either end's will do
        raise Broken(f"message {number + 1} taken that nobody has sent")


def box_seeds() -> list[bytes]:
    found: list[bytes] = []
    for chunks in SEALED:
        sealer = Sealer(KEYS.receiving, KEYS.receiving_nonce)
        found.append(b"".join(map(sealer.seal, chunks)) + sealer.goodbye())
    return found


PLAIN_TEXT: Final = b"".join(SEALED[0])


def check_boxes(data: bytes) -> None:
    """What opens was sealed, from the beginning on; after an error nothing opens. Changed bytes open nothing more."""
    opener = Opener(KEYS.receiving, KEYS.receiving_nonce)
    found = b""
    rng = Random(len(data))
    try:
        at = 0
        while at < len(data):
            step = rng.choice((1, HEAD, 1000, 70_000))
            found += opener.open(data[at : at + step])
            at += step
    except AuthenticationError as error:
        refused(error)
        try:
            opener.open(b"")
        except AuthenticationError:
            pass
        else:
            raise Broken("goes on after an error") from error
    if not PLAIN_TEXT.startswith(found):
        raise Broken("opened what was not sealed")


def check_key(data: bytes) -> None:
    """A key in a HELLO, a URL or a list is taken in one form only."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        key = public_key_bytes(text)
    except EBTError as error:
        refused(error)
    else:
        if public_key_text(key) != text:
            raise Broken(f"{text!r} is not what its key is written as")


TARGETS: Final = (
    Target("handshake", check_handshake, handshake_seeds, few=150),
    Target("boxes", check_boxes, box_seeds, few=300),
    Target("key", check_key, lambda: [ALICE.id.encode(), BOB.id.encode()], few=1000),
)

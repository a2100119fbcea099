"""The secret handshake without I/O: what is refused, and that nothing is told to who is refused."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from nacl import bindings

from ebt_transports.shs.handshake import Client, Keys, Server, network_key
from ebt_trio.errors import AuthenticationError
from ebt_trio.identity import Identity

ALICE, BOB, EVE = (Identity(bytes([number]) * 32) for number in (1, 2, 5))
NETWORK = network_key()
ONE_TIME = bytes(range(32)), bytes(range(32, 64))
VECTORS = Path(__file__).parent.parent / "vectors" / "shs.json"


def pair(
    *,
    client: Identity = ALICE,
    server: Identity = BOB,
    expects: Identity = BOB,
    networks: tuple[bytes, bytes] | None = None,
) -> tuple[Client, Server]:
    """Always with the same one-time keys, so that all messages are known."""
    ours, theirs = networks or (NETWORK, NETWORK)
    return Client(client, expects.public_key, ours, ONE_TIME[0]), Server(server, theirs, ONE_TIME[1])


def messages() -> list[bytes]:
    client, server = pair()
    found = [client.hello()]
    server.take_hello(found[0])
    found.append(server.hello())
    client.take_hello(found[1])
    found.append(client.authenticate())
    server.take_authenticate(found[2])
    found.append(server.accept()[0])
    return found


MESSAGES = messages()


def deliver(number: int, message: bytes) -> None:
    """Everything goes well up to message ``number`` (1 to 4), which is ``message``."""
    client, server = pair()
    if number == 1:
        server.take_hello(message)
        return
    server.take_hello(client.hello())
    if number == 2:
        client.take_hello(message)
        client.authenticate()
        return
    client.take_hello(server.hello())
    proof = client.authenticate()
    if number == 3:
        server.take_authenticate(message)
        return
    server.take_authenticate(proof)
    client.take_accept(message)


def test_both_sides_end_with_the_same_keys() -> None:
    client, server = pair()
    server.take_hello(client.hello())
    client.take_hello(server.hello())
    server.take_authenticate(client.authenticate())
    message, theirs = server.accept()
    ours = client.take_accept(message)
    assert ours == Keys(theirs.receiving, theirs.receiving_nonce, theirs.sending, theirs.sending_nonce)
    assert ours.sending != ours.receiving
    assert server.remote_key == ALICE.public_key
    assert [len(found) for found in MESSAGES] == [64, 64, 112, 80]
    assert [*MESSAGES[:3], message] == MESSAGES[:4]


def test_the_vectors() -> None:
    """Checked against the npm implementation in ``tests/interop``."""
    vector = json.loads(VECTORS.read_text())
    assert vector["network_key"] == NETWORK.hex()
    assert vector["client_seed"] == (bytes([1]) * 32).hex()
    assert vector["server_seed"] == (bytes([2]) * 32).hex()
    assert [vector["client_one_time"], vector["server_one_time"]] == [secret.hex() for secret in ONE_TIME]
    assert vector["messages"] == [message.hex() for message in MESSAGES]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_flipped_bit_anywhere_is_refused(number: int) -> None:
    message = MESSAGES[number - 1]
    deliver(number, message)
    for bit in range(8 * len(message)):
        flipped = bytearray(message)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(AuthenticationError):
            deliver(number, bytes(flipped))


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("change", ["shorter", "longer", "empty", "random"])
def test_other_lengths_and_noise_are_refused(number: int, change: str) -> None:
    message = MESSAGES[number - 1]
    wrong = {
        "shorter": message[:-1],
        "longer": message + b"\0",
        "empty": b"",
        "random": Random(number).randbytes(len(message)),
    }
    with pytest.raises(AuthenticationError):
        deliver(number, wrong[change])


def test_a_replayed_client_is_refused() -> None:
    """Its first message is taken, since anybody could have sent it; its proof is for another server's one-time key."""
    server = Server(BOB, NETWORK)
    server.take_hello(MESSAGES[0])
    with pytest.raises(AuthenticationError):
        server.take_authenticate(MESSAGES[2])


def test_a_replayed_server_is_refused() -> None:
    client = Client(ALICE, BOB.public_key, NETWORK)
    client.take_hello(MESSAGES[1])
    client.authenticate()
    with pytest.raises(AuthenticationError):
        client.take_accept(MESSAGES[3])


def test_who_calls_the_wrong_key_is_refused() -> None:
    client, server = pair(expects=EVE)
    server.take_hello(client.hello())
    client.take_hello(server.hello())
    with pytest.raises(AuthenticationError):
        server.take_authenticate(client.authenticate())


def test_another_network_gets_no_answer() -> None:
    client, server = pair(networks=(network_key("other"), NETWORK))
    with pytest.raises(AuthenticationError, match="under our network key"):
        server.take_hello(client.hello())


def test_network_keys() -> None:
    assert network_key("") == sha256(b"ebt-trio secret handshake 1\0").digest()
    assert len({network_key(), network_key("a"), network_key("b")}) == 3


def test_somebody_elses_key_cannot_be_claimed() -> None:
    """Eve knows all public keys, and speaks the protocol well, but has no signature of Alice's."""
    client, server = pair(client=EVE)
    server.take_hello(client.hello())
    client.take_hello(server.hello())
    ab = bindings.crypto_scalarmult(ONE_TIME[0], bindings.crypto_scalarmult_base(ONE_TIME[1]))
    theirs = bindings.crypto_sign_ed25519_pk_to_curve25519(BOB.public_key)
    key = sha256(NETWORK + ab + bindings.crypto_scalarmult(ONE_TIME[0], theirs)).digest()
    signature = EVE.sign(NETWORK + BOB.public_key + sha256(ab).digest())
    box = bindings.crypto_secretbox_easy(signature + ALICE.public_key, bytes(24), key)
    with pytest.raises(AuthenticationError, match="expected a signature under the key that was named"):
        server.take_authenticate(box)


def test_a_listener_has_to_sign() -> None:
    """Whoever shares all its secrets, but not its signing key."""
    client, server = pair()
    server.take_hello(client.hello())
    client.take_hello(server.hello())
    server.take_authenticate(client.authenticate())
    ab = bindings.crypto_scalarmult(ONE_TIME[0], bindings.crypto_scalarmult_base(ONE_TIME[1]))
    theirs = bindings.crypto_sign_ed25519_pk_to_curve25519(BOB.public_key)
    aB = bindings.crypto_scalarmult(ONE_TIME[0], theirs)
    Ab = ALICE.shared_secret(bindings.crypto_scalarmult_base(ONE_TIME[1]))
    signed = NETWORK + ALICE.sign(NETWORK + BOB.public_key + sha256(ab).digest()) + ALICE.public_key
    signed += sha256(ab).digest()
    key = sha256(NETWORK + ab + aB + Ab).digest()
    assert bindings.crypto_secretbox_easy(BOB.sign(signed), bytes(24), key) == server.accept()[0]
    box = bindings.crypto_secretbox_easy(EVE.sign(signed), bytes(24), key)
    with pytest.raises(AuthenticationError, match="expected a signature under the key that was named"):
        client.take_accept(box)


LOW_ORDER = [
    bytes(32),
    bytes([1]) + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    bytes.fromhex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
]
"""Points of X25519 whose secret with any key is all zeros."""


@pytest.mark.parametrize("point", LOW_ORDER, ids=lambda point: point.hex()[:8])
def test_points_of_low_order_are_refused_by_both_sides(point: bytes) -> None:
    hello = hmac.digest(NETWORK, point, "sha512")[:32] + point
    client, server = pair()
    client.take_hello(hello)
    with pytest.raises(AuthenticationError, match="a point that shares no secret"):
        client.authenticate()
    server.take_hello(hello)
    with pytest.raises(AuthenticationError, match="a point that shares no secret"):
        server.take_authenticate(MESSAGES[2])


def test_a_remote_key_that_is_no_point_is_refused() -> None:
    client = Client(ALICE, bytes(32), NETWORK)
    client.take_hello(MESSAGES[1])
    with pytest.raises(AuthenticationError, match="a point that shares no secret"):
        client.authenticate()

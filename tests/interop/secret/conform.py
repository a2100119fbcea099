"""Handshakes over standard input and output, as the conformance suite ``shs1-test`` wants them.

``conform.py SOCKET`` listens there, and forks for each ``call.py``, which is what the suite starts::

    call.py SOCKET server NETWORK SECRET PUBLIC
    call.py SOCKET client NETWORK PUBLIC

All in hexadecimal. Out go the messages, then the keys and nonces for the box stream; whatever is wrong ends it with 1.

With ``EBT_SHS_WRONG`` in the environment the keys are wrong: what the suite must notice.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from functools import partial
from hashlib import sha256

from nacl.signing import SigningKey

from ebt_transports.shs import handshake
from ebt_transports.shs.handshake import ACCEPT_BYTES, AUTHENTICATE_BYTES, HELLO_BYTES, Client, Keys, Server
from ebt_trio.errors import AuthenticationError
from ebt_trio.identity import Identity

Read = Callable[[int], bytes]
Write = Callable[[bytes], object]


class AnyIdentity(Identity):
    """Also of those keys whose text would begin with a ``-``, which the suite may draw."""

    __slots__ = ()

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)
        self.public_key = bytes(self._key.verify_key)


def wrong_keys(self: handshake._Side, their_key: bytes) -> Keys:
    """Hashes once where twice is right."""
    return Keys(
        sending=sha256(self._final + their_key).digest(),
        sending_nonce=self._their_mac[:24],
        receiving=sha256(self._final + self._identity.public_key).digest(),
        receiving_nonce=self._mac(self._public)[:24],
    )


def shake(read: Read, write: Write, role: str, network: bytes, *keys: bytes) -> Keys:
    if role == "client":
        client = Client(Identity.generate(), keys[0], network)
        write(client.hello())
        client.take_hello(read(HELLO_BYTES))
        write(client.authenticate())
        return client.take_accept(read(ACCEPT_BYTES))
    identity = AnyIdentity(keys[0][:32])
    assert identity.public_key == keys[1]
    server = Server(identity, network)
    server.take_hello(read(HELLO_BYTES))
    write(server.hello())
    server.take_authenticate(read(AUTHENTICATE_BYTES))
    accept, found = server.accept()
    write(accept)
    return found


def run(arguments: list[str], source: int, sink: int) -> int:
    """The status to exit with."""

    def read(size: int) -> bytes:
        data = b""
        while len(data) < size:
            some = os.read(source, size - len(data))
            if not some:
                raise AuthenticationError("the end")
            data += some
        return data

    write = partial(os.write, sink)
    role, *rest = arguments
    try:
        keys = shake(read, write, role, *(bytes.fromhex(text) for text in rest))
    except AuthenticationError:
        return 1
    write(keys.sending + keys.sending_nonce + keys.receiving + keys.receiving_nonce)
    return 0


def serve(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(128)
        print("listening", flush=True)
        while True:
            link, _ = listener.accept()
            with link:
                if os.fork():
                    continue
                status = 2
                try:
                    data, descriptors, _, _ = socket.recv_fds(link, 65536, 3)
                    status = run(data.decode().split(), *descriptors[:2])
                except BaseException:
                    traceback.print_exc()
                finally:
                    link.sendall(bytes([status]))
                    os._exit(status)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if "EBT_SHS_WRONG" in os.environ:
        handshake._Side._keys = wrong_keys  # type: ignore[method-assign]
    serve(sys.argv[1])

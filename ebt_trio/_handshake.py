"""HELLO and RESUME: what we say, and what we accept (``docs/protocol.md``, section Session)."""

from __future__ import annotations

from typing import Final

import trio

from ._driver import Driver
from .core.types import PeerId, PeerKey, Remembered
from .errors import (
    AuthenticationError,
    Blocked,
    ByeCode,
    EBTError,
    HandshakeError,
    RemoteProtocolError,
    StoreError,
)
from .frames import VERSION, Bye, Hello

__all__ = ["DEFAULT_FRAME", "SMALLEST_FRAME", "check", "code_of", "hello", "key_of", "recall", "refusal"]

DEFAULT_FRAME: Final = 1 << 20
"""What a peer takes that says nothing about it, in bytes."""
SMALLEST_FRAME: Final = 1024
"""A peer has to take frames of so many bytes: one note about any feed has to fit."""
_PAGE: Final = 10_000

_REFUSALS: Final = {ByeCode.VERSION, ByeCode.NETWORK, ByeCode.SELF, ByeCode.BLOCKED, ByeCode.REFUSED}


def hello(driver: Driver) -> Hello:
    return Hello(
        driver.me,
        driver.network,
        store=driver.store.id,
        instance=driver.instance,
        max_frame=None if driver.limits.frame == DEFAULT_FRAME else driver.limits.frame,
        acks=True,
    )


def check(said: Hello, driver: Driver, authenticated: PeerId | None, address: str) -> None:
    """Is this a peer to talk to?

    :raises HandshakeError: another version or network, ourselves, or too small frames
    :raises AuthenticationError: not the peer that the transport has proved
    :raises Blocked: the peer is blocked here
    """
    if said.version != VERSION:
        raise HandshakeError(f"expected version {VERSION} from {address}, got {said.version}", ByeCode.VERSION)
    if authenticated is not None and authenticated != said.id:
        raise AuthenticationError(f"expected {authenticated} at {address}, as authenticated; it says it is {said.id}")
    if said.network != driver.network:
        raise HandshakeError(
            f"expected the network {driver.network!r} from {said.id}, got {said.network!r}", ByeCode.NETWORK
        )
    if said.id == driver.me:
        raise HandshakeError(f"expected another peer at {address}, found ourselves, {said.id}", ByeCode.SELF)
    if (said.id, None) in driver.core.blocks:
        raise Blocked(f"{said.id} is blocked here")
    if said.max_frame is not None and said.max_frame < SMALLEST_FRAME:
        raise HandshakeError(
            f"expected {said.id} to take frames of {SMALLEST_FRAME} bytes, it takes {said.max_frame}", ByeCode.PROTOCOL
        )


def key_of(said: Hello, authenticated: PeerId | None) -> PeerKey | None:
    """Under what to remember the peer, if it says what store it has."""
    return None if said.store is None else PeerKey(said.id, said.store, authenticated is not None)


async def recall(driver: Driver, key: PeerKey) -> None:
    """Have the core remember a peer. If the store fails, nothing is remembered, which costs only a full exchange.

    From then on until the next checkpoint it does; later it may drop again what no session uses.
    """
    while True:
        if not driver.core.remembers(key):
            await _load(driver, key)
        while driver.core.renew_digests(key, _PAGE):
            await trio.lowlevel.checkpoint()
        if driver.core.remembers(key):
            return


async def _load(driver: Driver, key: PeerKey) -> None:
    rows: list[Remembered] = []
    try:
        while page := await driver.store.recall(key, rows[-1].feed if rows else None, _PAGE):
            rows.extend(page)
    except StoreError:
        rows.clear()
    if not driver.core.remembers(key):  # another session with this peer may have been faster
        driver.core.recall(key, rows)


def code_of(error: Exception) -> ByeCode:
    """What our BYE says about an error that ends a session."""
    if isinstance(error, RemoteProtocolError):
        return error.code
    return ByeCode.BLOCKED if isinstance(error, Blocked) else ByeCode.INTERNAL


def refusal(bye: Bye, who: str) -> EBTError | None:
    """The error that a peer's BYE is to us; None if it is an orderly end."""
    if bye.code in (ByeCode.DONE, ByeCode.REPLACED):
        return None
    name = ByeCode(bye.code).name.lower() if bye.code in list(ByeCode) else str(bye.code)
    text = f"{who} ended the session: {name}{': ' if bye.text else ''}{bye.text}"
    code = ByeCode(bye.code) if bye.code in list(ByeCode) else ByeCode.PROTOCOL
    if code is ByeCode.IDENTITY:
        return AuthenticationError(text)
    return HandshakeError(text, code) if code in _REFUSALS else RemoteProtocolError(text, code)

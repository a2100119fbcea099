"""The errors, one tree::

    EBTError
    ├── LocalProtocolError        we were used wrongly
    │   ├── FeedBehind            a connected peer claims more of the feed than we hold
    │   ├── Blocked               the peer is blocked
    │   └── SessionClosed         the session has ended (carries the CloseReason)
    ├── RemoteProtocolError       the other side broke a rule (carries the code of the BYE)
    │   ├── FrameTooLarge
    │   ├── HandshakeError        HELLO or RESUME were not what they must be
    │   │   ├── AuthenticationError
    │   │   └── NotAdmitted       the caller is not one that we let in
    │   ├── InvalidMessage        a feed's format refused a message
    │   └── ForkDetected          two valid messages with one sequence
    ├── TransportError            the link failed, or could not be made
    └── StoreError                our own store failed
        └── SequenceGap           messages do not follow what is stored

A message says what was expected, what came, and from whom.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fork import Fork

__all__ = [
    "AuthenticationError",
    "Blocked",
    "ByeCode",
    "CloseReason",
    "EBTError",
    "FeedBehind",
    "ForkDetected",
    "FrameTooLarge",
    "HandshakeError",
    "InvalidMessage",
    "LocalProtocolError",
    "NotAdmitted",
    "RemoteProtocolError",
    "SequenceGap",
    "SessionClosed",
    "StoreError",
    "TransportError",
]


class ByeCode(IntEnum):
    """The codes of a BYE frame (``docs/protocol.md``)."""

    DONE = 0
    REPLACED = 1
    VERSION = 2
    NETWORK = 3
    SELF = 4
    BLOCKED = 5
    IDENTITY = 6
    REFUSED = 7
    MALFORMED = 8
    TOO_LARGE = 9
    PROTOCOL = 10
    TIMEOUT = 11
    INTERNAL = 12


@dataclass(frozen=True, slots=True)
class CloseReason:
    """Why a session ended. ``code`` is None where no BYE was said: the link broke."""

    code: ByeCode | int | None
    text: str
    by_remote: bool

    def __str__(self) -> str:
        who = "remote" if self.by_remote else "local"
        name = self.code.name.lower() if isinstance(self.code, ByeCode) else self.code
        said = "link broken" if self.code is None else f"{name} ({who})"
        return f"{said}: {self.text}" if self.text else said


class EBTError(Exception):
    """The root: everything that ebt_trio raises on purpose."""


class LocalProtocolError(EBTError):
    """We were used wrongly; nothing was sent or stored."""


class FeedBehind(LocalProtocolError):
    """A connected peer claims more of this feed than we hold: appending now would fork it. Wait until it is fetched."""


class Blocked(LocalProtocolError):
    """The peer is blocked here."""


class SessionClosed(LocalProtocolError):
    """The session has ended; ``reason`` says why."""

    def __init__(self, reason: CloseReason) -> None:
        super().__init__(f"the session has ended: {reason}")
        self.reason = reason


class RemoteProtocolError(EBTError):
    """The other side broke a rule; ``code`` is what our BYE says."""

    code: ByeCode = ByeCode.PROTOCOL

    def __init__(self, message: str, code: ByeCode | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class FrameTooLarge(RemoteProtocolError):
    """A frame is longer than allowed; found before it was buffered."""

    code = ByeCode.TOO_LARGE


class HandshakeError(RemoteProtocolError):
    """HELLO or RESUME were not what they must be."""


class AuthenticationError(HandshakeError):
    """The peer is not who it says it is."""

    code = ByeCode.IDENTITY


class NotAdmitted(HandshakeError):
    """Somebody asked for a session who is not to have one."""

    code = ByeCode.REFUSED


class InvalidMessage(RemoteProtocolError):
    """A feed's format refused a message."""


class ForkDetected(RemoteProtocolError):
    """A feed has two valid messages with one sequence; ``fork`` is the proof, if there is one."""

    def __init__(self, message: str, fork: Fork | None = None) -> None:
        super().__init__(message)
        self.fork = fork


class TransportError(EBTError):
    """The link failed, or could not be made."""


class StoreError(EBTError):
    """Our own store failed; no peer is to blame."""


class SequenceGap(StoreError):
    """Messages do not follow what is stored."""

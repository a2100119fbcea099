"""Epidemic Broadcast Trees on Trio: peers keep each other's append-only logs up to date over any links.

Begin with :class:`EBT`. The seams for other transports, stores and formats are in :mod:`ebt_trio.abc`, what helps in
tests in :mod:`ebt_trio.testing`.
"""

from ._events import Event as Event
from .admission import Caller as Caller
from .admission import allow as allow
from .core.actions import What as What
from .core.note import Mode as Mode
from .core.progress import FeedStatus as FeedStatus
from .core.progress import PeerStatus as PeerStatus
from .core.progress import Progress as Progress
from .core.types import FeedId as FeedId
from .core.types import PeerId as PeerId
from .ebt import EBT as EBT
from .ebt import follow_all as follow_all
from .errors import AuthenticationError as AuthenticationError
from .errors import Blocked as Blocked
from .errors import ByeCode as ByeCode
from .errors import CloseReason as CloseReason
from .errors import EBTError as EBTError
from .errors import FeedBehind as FeedBehind
from .errors import ForkDetected as ForkDetected
from .errors import FrameTooLarge as FrameTooLarge
from .errors import HandshakeError as HandshakeError
from .errors import InvalidMessage as InvalidMessage
from .errors import LocalProtocolError as LocalProtocolError
from .errors import NotAdmitted as NotAdmitted
from .errors import RemoteProtocolError as RemoteProtocolError
from .errors import SequenceGap as SequenceGap
from .errors import SessionClosed as SessionClosed
from .errors import StoreError as StoreError
from .errors import TransportError as TransportError
from .feeds.plain import PlainFormat as PlainFormat
from .feeds.signed import SignedFormat as SignedFormat
from .fork import Fork as Fork
from .identity import Identity as Identity
from .limits import Limits as Limits
from .message import Message as Message
from .session import Session as Session
from .statistics import Statistics as Statistics
from .stores.memory import MemoryStore as MemoryStore
from .stores.sqlite import SQLiteStore as SQLiteStore
from .transport import connect as connect
from .transport import listen as listen

__all__ = [
    "EBT",
    "AuthenticationError",
    "Blocked",
    "ByeCode",
    "Caller",
    "CloseReason",
    "EBTError",
    "Event",
    "FeedBehind",
    "FeedId",
    "FeedStatus",
    "Fork",
    "ForkDetected",
    "FrameTooLarge",
    "HandshakeError",
    "Identity",
    "InvalidMessage",
    "Limits",
    "LocalProtocolError",
    "MemoryStore",
    "Message",
    "Mode",
    "NotAdmitted",
    "PeerId",
    "PeerStatus",
    "PlainFormat",
    "Progress",
    "RemoteProtocolError",
    "SQLiteStore",
    "SequenceGap",
    "Session",
    "SessionClosed",
    "SignedFormat",
    "Statistics",
    "StoreError",
    "TransportError",
    "What",
    "allow",
    "connect",
    "follow_all",
    "listen",
]

"""Frames and their bytes: :func:`encode` and :func:`decode`, sans-IO (``docs/protocol.md``, section Frames).

A frame is a CBOR array ``[kind, …]``. What comes from outside is checked while it is read: whatever its bytes, a frame
costs at most a few times its size, plus what ``limits`` allow of notes and messages; and the only error is
:class:`~ebt_trio.errors.RemoteProtocolError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import cbor2

from ._cbor import ARRAY, ARRAY_HEADS, MAP, UINT, UINT_HEADS, Reader, put_run
from .core.types import MAX_SEQUENCE, FeedId, PeerId, Run
from .errors import ByeCode, FrameTooLarge, HandshakeError, LocalProtocolError, RemoteProtocolError
from .framing import FrameSplitter, byte_string_head, wrap
from .limits import Limits

__all__ = [
    "Ack",
    "Bye",
    "Frame",
    "FrameSplitter",
    "Hello",
    "Kind",
    "Messages",
    "Notes",
    "Ping",
    "Pong",
    "Resume",
    "Start",
    "Unknown",
    "byte_string_head",
    "decode",
    "encode",
    "run_size",
    "wrap",
]

VERSION: Final = 1
MAX_NOTE: Final = MAX_SEQUENCE << 1 | 1
PAYLOADS: Final = "payloads, byte strings"  # in messages about what was expected
_IGNORED_FROM: Final = 64
"""Kinds below it that we do not know are errors; from it on they are ignored."""


class Kind(IntEnum):
    HELLO = 0
    NOTES = 1
    MESSAGES = 2
    BYE = 3
    PING = 4
    PONG = 5
    RESUME = 6
    START = 7
    ACK = 64


@dataclass(slots=True)
class Hello:
    """The first frame. Of another ``version`` than 1 nothing but the version is read: ``id`` and the rest are empty."""

    id: PeerId
    network: str = ""
    store: bytes | None = None
    instance: bytes | None = None
    max_frame: int | None = None
    acks: bool = False
    version: int = VERSION


@dataclass(slots=True)
class Resume:
    """The second frame. ``heard``: the digest of what is remembered, 16 bytes; empty: nothing is."""

    heard: bytes = b""


@dataclass(slots=True)
class Notes:
    """feed → note: -1, or ``sequence << 1 | lazy``."""

    notes: Mapping[FeedId, int] = field(default_factory=dict[FeedId, int])


@dataclass(slots=True)
class Messages:
    runs: Sequence[Run]


@dataclass(slots=True)
class Bye:
    """``code``: a :class:`~ebt_trio.errors.ByeCode`, or a number that we do not know."""

    code: int
    text: str = ""


@dataclass(slots=True)
class Ping:
    n: int


@dataclass(slots=True)
class Pong:
    n: int


@dataclass(slots=True)
class Start:
    """feed → the first sequence that can be served."""

    firsts: Mapping[FeedId, int]


@dataclass(slots=True)
class Ack:
    """feed → the sequence up to which it is stored durably."""

    acks: Mapping[FeedId, int]


@dataclass(slots=True)
class Unknown:
    """A frame of a kind from 64 up that we do not know, to be ignored; nothing behind its kind has been looked at."""

    kind: int


Frame = Hello | Resume | Notes | Messages | Bye | Ping | Pong | Start | Ack | Unknown


def encode(frame: Frame) -> bytes:
    """The bytes of a frame: the same frame always gives the same bytes, in the order of its mappings.

    The values are taken as they are; that they keep within the limits of the other side is the caller's business.

    :raises LocalProtocolError: MESSAGES without runs, a run without payloads, or an :class:`Unknown`
    """
    match frame:
        case Messages(runs):
            if not runs:
                raise LocalProtocolError("expected at least one run for a MESSAGES frame, got none")
            parts = [ARRAY_HEADS[len(runs) + 1], UINT_HEADS[Kind.MESSAGES.value]]
            for run in runs:
                if not run.payloads:
                    raise LocalProtocolError(f"expected at least one payload in a run of {run.feed!r}, got none")
                put_run(parts, run.feed, run.first, run.payloads)
            return b"".join(parts)
        case Notes(notes):
            items: list[object] = [Kind.NOTES.value, notes]
        case Ack(acks):
            items = [Kind.ACK.value, acks]
        case Start(firsts):
            items = [Kind.START.value, firsts]
        case Ping(n):
            items = [Kind.PING.value, n]
        case Pong(n):
            items = [Kind.PONG.value, n]
        case Bye(code, text):
            items = [Kind.BYE.value, int(code), text]
        case Resume(heard):
            items = [Kind.RESUME.value, {"heard": heard} if heard else {}]
        case Hello():
            hello = {
                "ebt": frame.version,
                "id": frame.id,
                "network": frame.network,
                "store": frame.store,
                "instance": frame.instance,
                "max_frame": frame.max_frame,
                "acks": frame.acks,
            }
            items = [Kind.HELLO.value, {key: value for key, value in hello.items() if value is not None}]
        case Unknown(kind):
            raise LocalProtocolError(f"expected a frame of a known kind, got {kind}")
    return cbor2.dumps(items)


def run_size(feed: FeedId, count: int, payload_bytes: int) -> int:
    """At most how many bytes a MESSAGES frame takes that has one run: ``count`` payloads, ``payload_bytes`` together.

    The sum over several runs is at least the size of the frame that has them all.
    """
    return 24 + (len(feed) if feed.isascii() else len(feed.encode())) + 5 * count + payload_bytes


def decode(data: bytes, limits: Limits) -> Frame:
    """The frame that ``data`` is.

    :raises FrameTooLarge: it is longer, or has more notes, runs or messages, than ``limits`` allow
    :raises HandshakeError: a HELLO or RESUME that is malformed
    :raises RemoteProtocolError: with the code MALFORMED, or PROTOCOL for a kind that must not be sent
    """
    if len(data) > limits.frame:
        raise FrameTooLarge(f"expected a frame of at most {limits.frame} bytes, got one of {len(data)}")
    reader = Reader(data)
    count = reader.head(ARRAY, "an array [kind, …]")
    if not count:
        raise reader.malformed("an array [kind, …]", "an empty array")
    kind = reader.head(UINT, "the number of its kind")
    parser = _PARSERS.get(kind)
    if parser is None:
        if kind < _IGNORED_FROM:
            raise RemoteProtocolError(f"expected a frame of a known kind, got {kind}", ByeCode.PROTOCOL)
        return Unknown(kind)
    reader.what, items, parse = parser
    if items not in (_ANY, count):
        raise reader.malformed(f"an array of {items} items", count)
    frame = parse(reader, limits, count)
    reader.end()
    return frame


def _handshake_map(reader: Reader, limits: Limits) -> dict[str, int]:
    """The map of a HELLO or RESUME: key → where its value begins. Leaves ``at`` behind the map."""
    reader.error = HandshakeError
    if len(reader.data) > limits.hello_frame:
        size = len(reader.data)
        raise FrameTooLarge(f"{reader.what}: expected at most {limits.hello_frame} bytes, got {size}")
    places: dict[str, int] = {}
    for _ in range(reader.head(MAP, "a map")):
        key = reader.text("a text as key")
        if key in places:
            raise reader.malformed("every key once", f"{key[:40]!r} twice")
        places[key] = reader.at
        reader.skip("a value without tags, of definite length", limits.nesting - 2)
    return places


def _hello(reader: Reader, limits: Limits, count: int) -> Hello:
    places = _handshake_map(reader, limits)
    end = reader.at

    def find(key: str) -> bool:
        reader.at = places.get(key, end)
        return key in places

    def require(key: str) -> None:
        if not find(key):
            raise reader.malformed(f"the key {key!r}", f"only {', '.join(places)[:200] or 'an empty map'}")

    def fixed(key: str, length: int) -> bytes | None:
        if not find(key):
            return None
        value = reader.byte_string(f"{length} bytes as {key!r}")
        if len(value) != length:
            raise reader.malformed(f"{length} bytes as {key!r}", len(value))
        return value

    require("ebt")
    version = reader.head(UINT, "the number of a version as 'ebt'")
    if version != VERSION:
        reader.at = end
        return Hello(PeerId(""), version=version)
    require("id")
    peer = reader.text("a text as 'id'")
    if not 0 < (size := len(peer.encode())) <= limits.feed_id:
        raise reader.malformed(f"an 'id' of 1 to {limits.feed_id} bytes", size)
    require("network")
    hello = Hello(PeerId(peer), reader.text("a text as 'network'"))
    hello.store = fixed("store", 16)
    hello.instance = fixed("instance", 8)
    if find("max_frame"):
        hello.max_frame = reader.head(UINT, "a number of bytes as 'max_frame'")
    if find("acks"):
        hello.acks = reader.boolean("true or false as 'acks'")
    reader.at = end
    return hello


def _resume(reader: Reader, limits: Limits, count: int) -> Resume:
    places = _handshake_map(reader, limits)
    end = reader.at
    if "heard" not in places:
        return Resume()
    reader.at = places["heard"]
    heard = reader.byte_string("a byte string as 'heard'")
    if len(heard) not in (0, 16):
        raise reader.malformed("0 or 16 bytes as 'heard'", len(heard))
    reader.at = end
    return Resume(heard)


def _feeds(reader: Reader, limits: Limits, lowest: int, highest: int) -> dict[FeedId, int]:
    """A map feed → integer."""
    start = reader.at
    count = reader.head(MAP, "a map of feeds")
    if not count:
        return {}
    if count > limits.notes:
        raise FrameTooLarge(f"{reader.what}: expected at most {limits.notes} feeds, got {count}")
    reader.at = start
    entries: dict[FeedId, int] = reader.flat("a flat map of feeds and integers")
    if set(map(type, entries)) != {str} or set(map(type, entries.values())) != {int}:
        names = sorted({f"{type(feed).__name__}: {type(value).__name__}" for feed, value in entries.items()})
        raise reader.malformed("a map of texts and integers", ", ".join(names))
    if "" in entries:
        raise reader.malformed("feeds with an id", "an empty one")
    if max(map(len, entries)) > limits.feed_id // 4:  # a character has at most 4 bytes
        for feed in entries:
            _check_feed(reader, limits, feed)
    values = entries.values()
    if min(values) < lowest or max(values) > highest:
        raise reader.malformed(f"integers from {lowest} to {highest}", f"{min(values)} to {max(values)}")
    return entries


def _check_feed(reader: Reader, limits: Limits, feed: str) -> None:
    size = len(feed.encode()) if len(feed) <= limits.feed_id else len(feed)
    if not 0 < size <= limits.feed_id:
        raise reader.malformed(f"a feed id of 1 to {limits.feed_id} bytes", size)


def _messages(reader: Reader, limits: Limits, count: int) -> Messages:
    if count < 2:
        raise reader.malformed("at least one run", "none")
    if count > limits.notes + 1:
        raise FrameTooLarge(f"{reader.what}: expected at most {limits.notes} runs, got {count - 1}")
    runs: list[Run] = []
    most = limits.messages
    sure = limits.feed_id // 4  # a feed id of so many characters is never too long in UTF-8
    for _ in range(count - 1):
        if (usual := reader.usual_run(most, PAYLOADS)) is not None:
            feed, first, payloads = usual
            if not 0 < len(feed) <= sure:
                _check_feed(reader, limits, feed)
        else:
            if (items := reader.head(ARRAY, "a run [feed, first, payloads]")) != 3:
                raise reader.malformed("a run [feed, first, payloads]", f"an array of {items} items")
            feed = reader.text("the feed of a run")
            if not 0 < len(feed) <= sure:
                _check_feed(reader, limits, feed)
            first = reader.head(UINT, "the first sequence of a run")
            payloads = reader.byte_strings(PAYLOADS, most)
            if not payloads:
                raise reader.malformed("at least one payload in a run", "none")
        most -= len(payloads)
        if not 0 < first <= MAX_SEQUENCE + 1 - len(payloads):
            raise reader.malformed(f"sequences from 1 to {MAX_SEQUENCE}", f"{first} to {first + len(payloads) - 1}")
        runs.append(Run(FeedId(feed), first, payloads))
    return Messages(runs)


def _bye(reader: Reader, limits: Limits, count: int) -> Bye:
    return Bye(reader.head(UINT, "a number as code"), reader.text("a text"))


def _ping(reader: Reader, limits: Limits, count: int) -> Ping:
    return Ping(reader.head(UINT, "a number"))


def _pong(reader: Reader, limits: Limits, count: int) -> Pong:
    return Pong(reader.head(UINT, "a number"))


def _notes(reader: Reader, limits: Limits, count: int) -> Notes:
    return Notes(_feeds(reader, limits, -1, MAX_NOTE))


def _start(reader: Reader, limits: Limits, count: int) -> Start:
    return Start(_feeds(reader, limits, 1, MAX_SEQUENCE))


def _ack(reader: Reader, limits: Limits, count: int) -> Ack:
    return Ack(_feeds(reader, limits, 1, MAX_SEQUENCE))


_ANY: Final = -1
_PARSERS: Final[dict[int, tuple[str, int, Callable[[Reader, Limits, int], Frame]]]] = {
    Kind.HELLO: ("HELLO", 2, _hello),
    Kind.NOTES: ("NOTES", 2, _notes),
    Kind.MESSAGES: ("MESSAGES", _ANY, _messages),
    Kind.BYE: ("BYE", 3, _bye),
    Kind.PING: ("PING", 2, _ping),
    Kind.PONG: ("PONG", 2, _pong),
    Kind.RESUME: ("RESUME", 2, _resume),
    Kind.START: ("START", 2, _start),
    Kind.ACK: ("ACK", 2, _ack),
}
"""kind → its name, how many items the frame has, the kind included, and what reads those behind the kind"""

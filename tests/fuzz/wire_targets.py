"""Targets below a session: frames, streams of them, payloads, and proofs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

from mutate import Mutator
from table import Broken, Target, refused, vectors

from ebt_trio.core.types import FeedId, Run
from ebt_trio.errors import ForkDetected, InvalidMessage, RemoteProtocolError, StoreError
from ebt_trio.feeds.plain import PlainFormat
from ebt_trio.feeds.signed import SignedFormat
from ebt_trio.fork import Fork
from ebt_trio.frames import Unknown, decode, encode
from ebt_trio.framing import FrameSplitter, wrap
from ebt_trio.limits import Limits

__all__ = ["TARGETS", "frame_seeds"]

LIMITS: Final = Limits()
TIGHT: Final = replace(LIMITS, frame=4096, notes=20, messages=40, feed_id=40)
"""Other limits: what one set of them takes may be too much for another, and nothing else."""


# -- frames


def frame_seeds() -> list[bytes]:
    """Good frames, and those that are nearly good."""
    found = vectors("frames")
    return [bytes.fromhex(vector["hex"]) for section in ("frames", "refused") for vector in found[section]]


def check_frame(data: bytes) -> None:
    """A frame or a RemoteProtocolError; a frame survives being passed on."""
    try:
        frame = decode(data, LIMITS)
    except RemoteProtocolError as error:
        refused(error)
        return
    if isinstance(frame, Unknown):
        return
    again = encode(frame)
    if decode(again, LIMITS) != frame:
        raise Broken(f"{frame!r:.500} is another frame when passed on")
    if encode(decode(again, LIMITS)) != again:
        raise Broken(f"{frame!r:.500} has two encodings")
    try:
        if decode(data, TIGHT) != frame:
            raise Broken("other limits make another frame of it")
    except RemoteProtocolError as error:
        refused(error)


# -- streams


def stream_seeds() -> list[bytes]:
    frames = [seed for seed in frame_seeds() if len(seed) < 300]
    several = [b"".join(map(wrap, frames[start : start + 5])) for start in range(0, len(frames), 5)]
    return [
        b"\x07" + stream for stream in [*several, *(bytes.fromhex(one["hex"]) for one in vectors("frames")["streams"])]
    ]


def check_stream(data: bytes) -> None:
    """The same frames, and the same end, however the stream is cut. The first byte draws the cuts."""
    stream = data[1:]
    whole = split([stream])
    rng = Random(data[:1])
    cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.choice((1, 3, 20))))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    if split(pieces) != whole:
        raise Broken(f"cut at {cuts} it is {split(pieces)!r:.300}, in one piece {whole!r:.300}")
    for frame in whole:
        if isinstance(frame, bytes):
            check_frame(frame)


def split(pieces: Sequence[bytes]) -> list[bytes | str]:
    splitter, found = FrameSplitter(), list[bytes | str]()
    held = 0
    try:
        for piece in pieces:
            splitter.feed(piece)
            held += len(piece)
            while (frame := splitter.next_frame(2000)) is not None:
                found.append(frame)
                held -= len(wrap(frame))
    except RemoteProtocolError as error:
        refused(error)
        return [*found, type(error).__name__]
    if splitter.at_boundary != (held == 0):
        raise Broken("at a boundary where none is, or the other way round")
    return found


# -- payloads


def payload_seeds() -> list[bytes]:
    return [bytes.fromhex(message["content_cbor"]) for message in vectors("signed")["messages"]]


PLAIN: Final = PlainFormat()


def check_payload(data: bytes) -> None:
    """What a payload decodes to can be appended again, and is the same then."""
    try:
        content = PLAIN.decode(FeedId("alice"), 1, data)
    except InvalidMessage as error:
        refused(error)
        return
    again = PLAIN.encode(FeedId("alice"), 1, content, None)
    content_again = PLAIN.decode(FeedId("alice"), 1, again)
    if PLAIN.encode(FeedId("alice"), 1, content_again, None) != again:
        raise Broken(f"{content!r:.300} is {content_again!r:.300} when encoded again")


AUTHOR: Final = FeedId(vectors("signed")["feed"])


def signed_payloads() -> list[bytes]:
    return [bytes.fromhex(message["payload"]) for message in vectors("signed")["messages"]]


def run_seeds() -> list[bytes]:
    """Signed messages from the first on, each as on a stream of frames."""
    payloads = signed_payloads()
    return [b"".join(map(wrap, payloads[:count])) for count in (1, 2, len(payloads))]


def check_run(data: bytes) -> None:
    """Nothing is taken but what the author has signed, in its place."""
    payloads = [piece for piece in split([data]) if isinstance(piece, bytes)]
    if not payloads:
        return
    format, good = SignedFormat(), signed_payloads()
    try:
        format.validate(Run(AUTHOR, 1, payloads), None)
    except (InvalidMessage, ForkDetected) as error:
        refused(error)
    else:
        if payloads != good[: len(payloads)]:
            raise Broken(f"taken for signed: {[payload.hex() for payload in payloads]}")
    for payload in payloads:
        try:
            format.decode(AUTHOR, 1, payload)
        except InvalidMessage as error:
            refused(error)


def fork_seeds() -> list[bytes]:
    one, two, *_ = signed_payloads()
    return [
        Fork(AUTHOR, 1, (one,), 1, (two,)).to_bytes(),
        Fork(AUTHOR, 7, (one, two), 8, (two, one, one)).to_bytes(),
    ]


def check_fork(data: bytes) -> None:
    """A stored proof is one, or damaged; a made-up one proves nothing."""
    try:
        fork = Fork.from_bytes(AUTHOR, data, None)
    except StoreError as error:
        refused(error)
        return
    if Fork.from_bytes(AUTHOR, fork.to_bytes(), None) != fork:
        raise Broken(f"{fork!r:.300} is another when stored again")
    try:
        SignedFormat().check_fork(fork)
    except InvalidMessage as error:
        refused(error)
    else:
        raise Broken("a proof that its author has forked, who has not")


TARGETS: Final = (
    Target("frames", check_frame, frame_seeds, few=15_000),
    Target("stream", check_stream, stream_seeds, lambda seeds, rng: Mutator(seeds, rng, parts=pieces)),
    Target("payload", check_payload, payload_seeds, few=5000),
    Target("signed", check_run, run_seeds, few=300),
    Target("fork", check_fork, fork_seeds, few=1000),
)


def pieces(stream: bytes, start: int = 1) -> list[tuple[int, int]]:
    """Where the frames in a stream are, and the stream itself, whose items are the byte strings around them."""
    found: list[tuple[int, int]] = [(start, len(stream))]
    splitter, at = FrameSplitter(), start
    splitter.feed(stream[start:])
    try:
        while (frame := splitter.next_frame(1 << 20)) is not None:
            at += len(wrap(frame))
            found.append((at - len(frame), at))
    except RemoteProtocolError:
        pass
    return found

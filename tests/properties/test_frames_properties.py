"""Frames survive the way to bytes and back; whatever else comes is a RemoteProtocolError and nothing worse."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebt_trio import _cbor
from ebt_trio.core.types import MAX_SEQUENCE, FeedId, PeerId, Run
from ebt_trio.errors import RemoteProtocolError
from ebt_trio.frames import (
    Ack,
    Bye,
    Frame,
    FrameSplitter,
    Hello,
    Messages,
    Notes,
    Ping,
    Pong,
    Resume,
    Start,
    Unknown,
    decode,
    encode,
    wrap,
)
from ebt_trio.limits import Limits

LIMITS = Limits()
unhurried = settings(deadline=None)  # a busy machine is no failure

uints = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
sequences = st.one_of(st.integers(1, 300), st.integers(1, MAX_SEQUENCE))
feeds = st.text(st.characters(codec="utf-8"), min_size=1, max_size=64).map(FeedId)
texts = st.text(st.characters(codec="utf-8"), max_size=50)
payloads = st.lists(st.binary(max_size=300), min_size=1, max_size=40)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    items = draw(payloads)
    first = draw(st.one_of(st.integers(1, 300), st.integers(1, MAX_SEQUENCE + 1 - len(items))))
    return Run(draw(feeds), first, items)


hellos = st.builds(
    Hello,
    feeds.map(PeerId),
    texts,
    st.none() | st.binary(min_size=16, max_size=16),
    st.none() | st.binary(min_size=8, max_size=8),
    st.none() | uints,
    st.booleans(),
)
frames: st.SearchStrategy[Frame] = st.one_of(
    hellos,
    st.builds(Resume, st.just(b"") | st.binary(min_size=16, max_size=16)),
    st.builds(Notes, st.dictionaries(feeds, st.one_of(st.integers(-1, 300), st.integers(-1, 2**63 - 1)))),
    st.builds(Messages, st.lists(runs(), min_size=1, max_size=5)),
    st.builds(Bye, uints, texts),
    st.builds(Ping, uints),
    st.builds(Pong, uints),
    st.builds(Start, st.dictionaries(feeds, sequences)),
    st.builds(Ack, st.dictionaries(feeds, sequences)),
)
# values that look like frames, and values close to them
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(texts | st.integers(), inner, max_size=4),
    max_leaves=30,
)
near_frames = st.builds(
    lambda kind, rest: cbor2.dumps([kind, *rest]), st.integers(0, 10) | uints, st.lists(values, max_size=4)
)


def frame_or_error(data: bytes) -> Frame | None:
    try:
        return decode(data, LIMITS)
    except RemoteProtocolError as error:
        message = str(error)
    assert "expected" in message
    assert len(message) < 1000
    return None


@unhurried
@given(frames)
def test_round_trip(frame: Frame) -> None:
    data = encode(frame)
    assert decode(data, LIMITS) == frame
    assert encode(decode(data, LIMITS)) == data
    assert cbor2.loads(data, allow_indefinite=False, allow_duplicate_keys=False, max_depth=LIMITS.nesting)


@unhurried
@given(st.one_of(st.binary(max_size=100), near_frames))
def test_any_bytes_are_a_frame_or_a_protocol_error(data: bytes) -> None:
    frame = frame_or_error(data)
    if frame is not None and not isinstance(frame, Unknown | Hello | Resume):
        assert decode(encode(frame), LIMITS) == frame  # what was taken can be passed on
        assert len(encode(frame)) <= len(data)


@unhurried
@given(frames, st.data())
def test_a_mutated_frame_is_a_frame_or_a_protocol_error(frame: Frame, data: st.DataObject) -> None:
    good = encode(frame)
    mutated = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3), label="mutations")):
        at = data.draw(st.integers(0, len(mutated) - 1), label="at")
        match data.draw(st.sampled_from(["flip", "set", "insert", "delete"])):
            case "flip":
                mutated[at] ^= 1 << data.draw(st.integers(0, 7), label="bit")
            case "set":
                mutated[at] = data.draw(st.integers(0, 255), label="byte")
            case "insert":
                mutated[at:at] = data.draw(st.binary(min_size=1, max_size=9), label="bytes")
            case _:
                del mutated[at : at + 1 + data.draw(st.integers(0, 9), label="more")]
        if not mutated:
            break
    frame_or_error(bytes(mutated))


@unhurried
@given(frames, st.data())
def test_a_frame_cut_or_extended_is_refused(frame: Frame, data: st.DataObject) -> None:
    good = encode(frame)
    cut = good[: data.draw(st.integers(0, len(good) - 1))]
    longer = good + data.draw(st.binary(min_size=1, max_size=20))
    for bad in (cut, longer):
        with pytest.raises(RemoteProtocolError):
            decode(bad, LIMITS)


@unhurried
@given(st.one_of(frames.map(encode), near_frames), st.data())
def test_few_and_many_byte_strings_are_read_alike(data: bytes, draw: st.DataObject) -> None:
    """Short arrays are read by a loop here, long ones by cbor2: the outcome must not depend on which."""
    mutated = bytearray(data)
    mutated[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    outcomes: list[Frame | None] = []
    for bulk in (1, 1 << 30):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_cbor, "BULK", bulk)
            outcomes.append(frame_or_error(bytes(mutated)))
    assert outcomes[0] == outcomes[1]


@st.composite
def usual_messages(draw: st.DrawFn) -> Messages:
    """Ids as long as those in use."""
    names = st.text(st.characters(codec="utf-8"), min_size=24, max_size=64).map(FeedId)
    return Messages(
        [Run(draw(names), run.first, run.payloads) for run in draw(st.lists(runs(), min_size=1, max_size=4))]
    )


@unhurried
@given(usual_messages().map(encode), st.integers(0, 40), st.data())
def test_usual_runs_and_others_are_read_alike(data: bytes, mutations: int, draw: st.DataObject) -> None:
    """Runs of the usual sizes are read in one go: the outcome must not depend on that."""
    mutated = bytearray(data)
    for _ in range(mutations % 3):  # mostly in what is around the first payloads
        at = draw.draw(st.integers(0, min(len(data), 90) - 1) | st.integers(0, len(data) - 1))
        mutated[at] = draw.draw(st.integers(0, 255))
    data = bytes(mutated[: draw.draw(st.just(len(data)) | st.integers(1, len(data)))])
    usual = frame_or_error(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_cbor.Reader, "usual_run", lambda *_: None)
        assert usual == frame_or_error(data)


@unhurried
@given(st.lists(st.binary(max_size=40) | st.integers(0, 70_000).map(bytes), max_size=8), st.data())
def test_frames_are_the_same_for_every_chunking(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(wrap, frames))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    boundaries = {0}
    for frame in frames:
        boundaries.add(max(boundaries) + len(wrap(frame)))
    splitter, got = FrameSplitter(), list[bytes]()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        splitter.feed(stream[start:end])
        while (found := splitter.next_frame(1 << 20)) is not None:
            got.append(found)
        assert splitter.at_boundary == (end in boundaries)
    assert got == frames


@unhurried
@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_stream_is_split_or_refused(stream: bytes, cut: int) -> None:
    def outcome(*chunks: bytes) -> list[bytes | str]:
        splitter, got = FrameSplitter(), list[bytes | str]()
        try:
            for chunk in chunks:
                splitter.feed(chunk)
                while (frame := splitter.next_frame(30)) is not None:
                    got.append(frame)
        except RemoteProtocolError as error:
            got.append(str(error))
        return got

    assert outcome(stream) == outcome(stream[:cut], stream[cut:])

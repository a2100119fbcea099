"""Frames: limits, what hostile bytes cost, what encoding refuses. test_vectors.py has the rules one by one."""

from __future__ import annotations

import contextlib
import tracemalloc
from random import Random
from typing import Any

import cbor2
import pytest

from ebt_trio.core.types import MAX_SEQUENCE, FeedId, PeerId, Run
from ebt_trio.errors import ByeCode, FrameTooLarge, HandshakeError, LocalProtocolError, RemoteProtocolError
from ebt_trio.frames import (
    Ack,
    FrameSplitter,
    Hello,
    Kind,
    Messages,
    Notes,
    Ping,
    Resume,
    Start,
    Unknown,
    byte_string_head,
    decode,
    encode,
    run_size,
    wrap,
)
from ebt_trio.limits import Limits

LIMITS = Limits()
MIB = 1 << 20
ALICE = FeedId("alice")


def head(major: int, number: int) -> bytes:
    first, *rest = byte_string_head(number)
    return bytes([first & 31 | major << 5, *rest])


def array(items: list[bytes]) -> bytes:
    return head(4, len(items)) + b"".join(items)


def run(*payloads: bytes) -> bytes:
    """A run of feed f from 1 on, with items that are encoded already."""
    return b"\x83\x61f\x01" + array(list(payloads))


def refused(data: bytes, limits: Limits = LIMITS) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data, limits)
    return caught.value


def many_feeds(count: int) -> dict[FeedId, int]:
    return {FeedId(f"{i:x}"): 1 for i in range(count)}


def test_the_longest_frame() -> None:
    frame = Messages([Run(ALICE, 1, [bytes(100)])])
    size = len(encode(frame))
    assert decode(encode(frame), Limits(frame=size)) == frame
    error = refused(encode(frame), Limits(frame=size - 1))
    assert isinstance(error, FrameTooLarge)
    assert error.code is ByeCode.TOO_LARGE
    assert f"at most {size - 1} bytes, got one of {size}" in str(error)


@pytest.mark.parametrize("kind", [Notes, Start, Ack])
def test_the_most_feeds_in_a_frame(kind: Any) -> None:
    assert decode(encode(kind(many_feeds(10_000))), LIMITS) == kind(many_feeds(10_000))
    error = refused(encode(kind(many_feeds(10_001))))
    assert isinstance(error, FrameTooLarge)
    assert str(error) == f"{kind.__name__.upper()}: expected at most 10000 feeds, got 10001"


def test_the_most_runs_in_a_frame() -> None:
    limits = Limits(notes=3)
    runs = [Run(ALICE, i + 1, [b"x"]) for i in range(4)]
    assert decode(encode(Messages(runs[:3])), limits) == Messages(runs[:3])
    assert isinstance(refused(encode(Messages(runs)), limits), FrameTooLarge)


@pytest.mark.parametrize("sizes", [(40,), (3, 4), (20, 20), (39, 1)])
def test_the_most_messages_in_a_frame_are_counted_over_its_runs(sizes: tuple[int, ...]) -> None:
    frame = Messages([Run(ALICE, 1, [b"x"] * size) for size in sizes])
    assert decode(encode(frame), Limits(messages=sum(sizes))) == frame
    assert isinstance(refused(encode(frame), Limits(messages=sum(sizes) - 1)), FrameTooLarge)


@pytest.mark.parametrize("letter", ["a", "ü", "☃", "🐉"])
def test_the_longest_feed_id_is_counted_in_bytes(letter: str) -> None:
    size = len(letter.encode())
    longest, longer = FeedId(letter * (256 // size)), FeedId(letter * (256 // size + 1))
    for frame in (Notes({longest: 0}), Messages([Run(longest, 1, [b""])]), Hello(PeerId(longest))):
        assert decode(encode(frame), LIMITS) == frame
    for frame in (Notes({ALICE: 0, longer: 0}), Messages([Run(longer, 1, [b""])]), Hello(PeerId(longer))):
        assert "1 to 256 bytes" in str(refused(encode(frame)))


def test_hello_and_resume_have_a_limit_of_their_own() -> None:
    for kind in (0, 6):
        data = cbor2.dumps([kind, {"x": bytes(4096)}])
        error = refused(data)
        assert isinstance(error, FrameTooLarge)
        assert f"at most 4096 bytes, got {len(data)}" in str(error)
    assert decode(cbor2.dumps([6, {"x": bytes(4096)}]), Limits(hello_frame=5000)) == Resume()


def test_nesting_is_counted_from_the_frame_on() -> None:
    assert decode(cbor2.dumps([6, {"x": [[]]}]), Limits(nesting=4)) == Resume()
    assert "too deep" in str(refused(cbor2.dumps([6, {"x": [[[]]]}]), Limits(nesting=4)))
    assert "too deep" in str(refused(cbor2.dumps([6, {"x": [0, [{}]]}]), Limits(nesting=4)))
    # siblings are not deeper
    assert decode(cbor2.dumps([6, {"x": [[], {}, [], [1], {"a": 1}], "y": [[]]}]), Limits(nesting=4)) == Resume()


def test_errors_of_the_handshake_are_handshake_errors() -> None:
    assert isinstance(refused(cbor2.dumps([0, {}])), HandshakeError)
    assert isinstance(refused(cbor2.dumps([6, []])), HandshakeError)
    assert not isinstance(refused(cbor2.dumps([1, []])), HandshakeError)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (["x"], "a frame: expected the number of its kind, got a text"),
        ([4], "PING: expected an array of 2 items, got 1"),
        ([0, {"ebt": 1}], "HELLO: expected the key 'id', got only ebt"),
        ([0, {}], "HELLO: expected the key 'ebt', got only an empty map"),
        ([1, {"a": True}], "NOTES: expected a map of texts and integers, got str: bool"),
        ([1, {"a": -2, "b": 1}], f"NOTES: expected integers from -1 to {2**63 - 1}, got -2 to 1"),
        ([2, ["a", 0, [b""]]], f"MESSAGES: expected sequences from 1 to {2**62 - 1}, got 0 to 0"),
        ([2, ["a", 1, ["b"]]], "MESSAGES: expected payloads, byte strings, got a text"),
        ([2, ["a", 1, [0] * 20]], "MESSAGES: expected payloads, byte strings, got an item of the type int"),
        ([9, 0], "expected a frame of a known kind, got 9"),
    ],
)
def test_messages_say_what_was_expected_and_what_came(frame: list[Any], message: str) -> None:
    assert str(refused(cbor2.dumps(frame))) == message


def test_messages_say_where_a_frame_is_cut_off() -> None:
    whole = cbor2.dumps([2, ["a", 1, [b"xyz"]]])
    assert str(refused(whole[:-1])) == "MESSAGES: expected payloads, byte strings, got the end of the frame"
    assert str(refused(cbor2.dumps([3, 0, "done"])[:-1])) == (
        "BYE: expected a text, got 4 bytes announced where 3 are left"
    )
    assert str(refused(b"\x82\x04\x19\x01")) == "PING: expected a number, got the end of the frame"
    assert str(refused(whole + b"x")) == "MESSAGES: expected nothing after the frame, got 1 more bytes"


# What hostile frames cost. Each is as long as a frame may be, or as full as the limits allow.
K = MIB - 64
DRAGON = "🐉".encode() + b"a" * 1_000_000  # one character that makes Python take four bytes for each
HOSTILE = {
    "maps for runs": head(4, K + 1) + b"\x02" + b"\xa0" * K,
    "arrays for runs": head(4, K + 1) + b"\x02" + b"\x80" * K,
    "one run of nothing but arrays": head(4, 2) + b"\x02" + head(4, K) + b"\x80" * K,
    "arrays for payloads": b"\x82\x02" + run(*[b"\x80"] * K),
    "as many arrays for payloads as allowed": b"\x82\x02" + run(*[b"\x80"] * 65_536),
    "empty payloads": b"\x82\x02" + run(*[b"\x40"] * K),
    "as many empty payloads as allowed": b"\x82\x02" + run(*[b"\x40"] * 65_536),
    "as many tiny payloads as allowed": b"\x82\x02" + run(*[b"\x42ab"] * 65_536),
    "as many floats for payloads as allowed": b"\x82\x02" + run(*[b"\xf9\x12\x34"] * 65_536),
    "as many integers for payloads as allowed": b"\x82\x02" + run(*[b"\x1a\x12\x34\x56\x78"] * 65_536),
    "a long text for a payload": b"\x82\x02" + run(*[b"\x40"] * 20, head(3, len(DRAGON)) + DRAGON),
    "a long text for a feed": b"\x82\x02\x83" + head(3, len(DRAGON)) + DRAGON + b"\x01\x81\x40",
    "as many runs as allowed": head(4, 10_001) + b"\x02" + b"\x83\x61f\x19\xff\xff\x81\x42ab" * 10_000,
    "an array as long as can be said, without items": b"\x82\x02\x83\x61f\x01\x9b" + b"\xff" * 8,
    "an allowed array without items": b"\x82\x02\x83\x61f\x01\x9a\x00\x00\xff\xff",
    "a payload as long as can be said, without bytes": b"\x82\x02" + run(b"\x5b" + b"\xff" * 8),
    "the same among many": b"\x82\x02" + run(*[b"\x40"] * 20, b"\x5b" + b"\xff" * 8),
    "runs as many as can be said, without runs": b"\x9b" + b"\xff" * 8 + b"\x02",
    "notes as many as can be said, without notes": b"\x82\x01\xbb" + b"\xff" * 8,
    "an allowed number of notes, without notes": b"\x82\x01\xb9\x27\x10",
    "a long text in the notes": b"\x82\x01\xa1" + head(3, len(DRAGON)) + DRAGON + b"\x00",
    "as many long notes as allowed": encode(Notes({FeedId(chr(0x4E00 + i)): 2**63 - 1 for i in range(10_000)})),
    "arrays in the notes": b"\x82\x01\xb9\x27\x10" + b"\x61a\x80" * 10_000,
    "tags in the notes": b"\x82\x01\xa1\x61a\xc2" + head(2, K) + bytes(K),
    "nested arrays": b"\x81" * K,
    "nested arrays for a run": b"\x82\x02" + b"\x81" * K,
    "nested arrays for a payload": b"\x82\x02" + run(*[b"\x40"] * 20, b"\x81" * K),
    "nested tags for a payload": b"\x82\x02" + run(*[b"\x40"] * 20, b"\xc6" * K),
    "nested arrays in the notes": b"\x82\x01\xa1\x61a" + b"\x81" * K,
    "nested maps in HELLO": b"\x82\x00\xa1\x61x" + b"\xa1\x00" * 2000,
    "an array in HELLO": b"\x82\x00\xa1\x61x" + array([b"\xa0"] * 4000),
    "a long array in HELLO": b"\x82\x00\xa1\x61x" + array([b"\xa0"] * K),
    "a long array in RESUME": b"\x82\x06\xa1\x61x" + array([b"\xa0"] * K),
    "many keys in HELLO": b"\x82\x00" + head(5, 700) + b"".join(b"\x63%03d\x00" % i for i in range(700)),
    "a long text in BYE": b"\x83\x03\x00" + head(3, len(DRAGON)) + DRAGON,
    "an array for a PING": b"\x82\x04" + array([b"\xa0"] * K),
    "an ignored frame": b"\x82\x18\x41" + array([b"\xa0"] * K),
}


def cost(data: bytes) -> int:
    """The most memory that decoding has in use, in bytes."""
    tracemalloc.start()
    try:
        with contextlib.suppress(RemoteProtocolError):
            decode(data, LIMITS)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_frame_costs_a_few_times_its_size(name: str) -> None:
    data = HOSTILE[name]
    assert len(data) <= MIB
    # what the limits allow: 10,000 notes or runs of some 250 bytes each, or 65,536 payloads of some 64
    allowed = 4 * MIB if "allowed" in name else 0
    assert cost(data) <= 8 * len(data) + 128 * 1024 + allowed


def test_what_is_refused_by_its_size_is_not_looked_at() -> None:
    """Refused by a head costs next to nothing, however long the frame is."""
    for name in ("maps for runs", "arrays for runs", "empty payloads", "nested arrays", "a long array in HELLO"):
        refused(HOSTILE[name])
        assert cost(HOSTILE[name]) < 16 * 1024, name


def test_encoding_refuses_what_no_peer_would_take() -> None:
    with pytest.raises(LocalProtocolError, match="at least one run"):
        encode(Messages([]))
    with pytest.raises(LocalProtocolError, match="at least one payload in a run of 'alice'"):
        encode(Messages([Run(ALICE, 1, [b"x"]), Run(ALICE, 2, [])]))
    with pytest.raises(LocalProtocolError, match="got 65"):
        encode(Unknown(65))


@pytest.mark.parametrize("seed", range(20))
def test_runs_are_encoded_as_cbor2_would(seed: int) -> None:
    random = Random(seed)
    sizes = [0, 1, 23, 24, 255, 256, 5000, 65_535, 65_536]
    runs = [
        Run(
            FeedId("é" * random.choice([1, 12, 127])),
            random.choice([1, 23, 24, 2**32, MAX_SEQUENCE]),
            [random.randbytes(random.choice(sizes)) for _ in range(random.choice([1, 23, 24, 300]))],
        )
        for _ in range(random.randrange(1, 40))
    ]
    plain = [[run.feed, run.first, run.payloads] for run in runs]
    assert encode(Messages(runs)) == cbor2.dumps([Kind.MESSAGES.value, *plain])


def test_any_sequence_of_payloads_can_be_encoded() -> None:
    class Window(list[bytes]):
        pass

    expected = encode(Messages([Run(ALICE, 1, [b"a", b"b"])]))
    assert encode(Messages([Run(ALICE, 1, (b"a", b"b"))])) == expected
    assert encode(Messages((Run(ALICE, 1, Window([b"a", b"b"])),))) == expected


@pytest.mark.parametrize("count", [1, 23, 24, 300])
@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 70_000])
def test_run_size_is_enough_and_not_much_too_much(count: int, size: int) -> None:
    feed = FeedId("ü" * 100)
    long, short = Run(feed, 2**62 - 1 - count, [bytes(size)] * count), Run(ALICE, 1, [b""])
    one, bound = len(encode(Messages([long]))), run_size(feed, count, count * size)
    assert one <= bound <= one + 10 + 4 * count
    assert len(encode(Messages([long, short]))) <= bound + run_size(ALICE, 1, 0)


class TestFrameSplitter:
    @pytest.mark.parametrize("length", [0, 1, 23, 24, 255, 256, 65535, 65536])
    def test_every_form_of_head(self, length: int) -> None:
        splitter = FrameSplitter()
        splitter.feed(wrap(bytes(length)))
        assert splitter.next_frame(length) == bytes(length)

    def test_an_idle_stream_holds_no_memory(self) -> None:
        splitter = FrameSplitter()
        stream = wrap(bytes(MIB))
        tracemalloc.start()
        try:
            splitter.feed(stream)
            assert splitter.next_frame(MIB) == bytes(MIB)
            assert tracemalloc.get_traced_memory()[0] < 4096
        finally:
            tracemalloc.stop()

    def test_frames_are_returned_in_order(self) -> None:
        splitter = FrameSplitter()
        assert splitter.next_frame(MIB) is None
        assert splitter.at_boundary
        splitter.feed(wrap(b"one") + wrap(bytes(MIB)) + wrap(b"three")[:2])
        assert splitter.next_frame(MIB) == b"one"
        assert not splitter.at_boundary
        assert splitter.next_frame(MIB) == bytes(MIB)
        assert splitter.next_frame(MIB) is None
        assert not splitter.at_boundary
        splitter.feed(memoryview(wrap(b"three")[2:]))
        assert splitter.next_frame(MIB) == b"three"
        assert splitter.at_boundary

    def test_too_long_is_found_by_the_head(self) -> None:
        splitter = FrameSplitter()
        splitter.feed(wrap(b"x" * 4096))
        splitter.feed(byte_string_head(4097))
        assert splitter.next_frame(4096) == b"x" * 4096
        for _ in range(2):  # again and again
            with pytest.raises(FrameTooLarge, match="at most 4096 bytes, got one of 4097"):
                splitter.next_frame(4096)
        assert splitter.next_frame(4097) is None  # the limit may rise in between

    def test_nothing_is_reserved_for_an_announced_length(self) -> None:
        splitter = FrameSplitter()
        tracemalloc.start()
        try:
            splitter.feed(byte_string_head(1 << 30) + b"x")
            assert splitter.next_frame(1 << 30) is None
            assert tracemalloc.get_traced_memory()[1] < 4096
        finally:
            tracemalloc.stop()

    def test_what_has_been_returned_is_let_go(self) -> None:
        """A stream that never pauses between frames does not grow."""
        splitter = FrameSplitter()
        stream = wrap(bytes(30_000))
        splitter.feed(stream[:10])
        tracemalloc.start()
        try:
            for _ in range(100):
                splitter.feed(stream[10:] + stream[:10])
                assert splitter.next_frame(MIB) == bytes(30_000)
            assert tracemalloc.get_traced_memory()[1] < 10 * len(stream)
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("length", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1])
    def test_heads_are_those_of_cbor(self, length: int) -> None:
        number = cbor2.dumps(length)  # the head of an integer differs in the first three bits only
        assert byte_string_head(length) == bytes([number[0] | 0x40]) + number[1:]


def test_ping_of_any_number() -> None:
    assert decode(encode(Ping(0)), LIMITS) == Ping(0)
    assert "a negative integer" in str(refused(encode(Ping(-1))))

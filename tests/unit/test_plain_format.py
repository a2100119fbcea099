"""PlainFormat: which ids, which content, which payloads."""

from __future__ import annotations

import contextlib
import datetime
import sys
from collections import deque
from decimal import Decimal
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebt_trio.core.types import FeedId, Run
from ebt_trio.errors import InvalidMessage, LocalProtocolError
from ebt_trio.feeds import PlainFormat
from ebt_trio.feeds.plain import MAX_DEPTH
from ebt_trio.limits import Limits

BOB = FeedId("bob")
plain = PlainFormat()

atoms = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
contents = st.recursive(
    atoms,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int) -> Any:
    content: Any = 0
    for _ in range(depth):
        content = [content]
    return content


def test_name() -> None:
    assert plain.name == "plain"


@pytest.mark.parametrize(
    "feed", ["a", "bob", "-bob", "Zoë", "with space", "🦜" * 64, "x" * 256, "a/b#c?d", "‮", "a\u00a0b"]
)
def test_good_feed_ids(feed: str) -> None:
    assert plain.check_feed(feed) == feed


@pytest.mark.parametrize(
    ("feed", "why"),
    [
        ("", "not 0"),
        ("x" * 257, "not 257"),
        ("é" * 129, "not 258"),
        ("a\nb", "control"),
        ("\x00", "control"),
        ("a\x7f", "control"),
        ("a\x85", "control"),
        ("\ud800", "UTF-8"),
        (b"bob", "not bytes"),
        (None, "not NoneType"),
    ],
)
def test_bad_feed_ids(feed: str, why: str) -> None:
    with pytest.raises(LocalProtocolError, match=why):
        plain.check_feed(feed)


@given(contents)
def test_content_comes_back(content: Any) -> None:
    assert plain.decode(BOB, 1, plain.encode(BOB, 1, content, None)) == content


def test_payload_is_cbor() -> None:
    assert plain.encode(BOB, 2, {"text": "hello"}, b"before") == bytes.fromhex("a1647465787465") + b"hello"


@pytest.mark.parametrize(
    "content", [datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC), Decimal("1.5"), 2**200, {1, 2}]
)
def test_tagged_content_comes_back(content: Any) -> None:
    assert plain.decode(BOB, 1, plain.encode(BOB, 1, content, None)) == content


def cyclic() -> Any:
    content: list[Any] = []
    content.append(content)
    return content


@pytest.mark.parametrize(
    "content",
    [object(), [1, object()], {"x": lambda: 0}, "\ud800", cyclic(), {"x": cyclic()}, nested(MAX_DEPTH + 1), sys],
    ids=["object", "in a list", "function", "surrogate", "cyclic", "cyclic in a map", "deep", "module"],
)
def test_content_that_cannot_be_encoded(content: Any) -> None:
    with pytest.raises(LocalProtocolError, match="message 7 of bob: content that CBOR cannot encode"):
        plain.encode(BOB, 7, content, None)


def test_very_deep_content_does_not_crash_the_interpreter() -> None:
    content: Any = {"x": nested(20_000)}
    with pytest.raises(LocalProtocolError, match="deeper"):
        plain.encode(BOB, 1, content, None)
    with pytest.raises(LocalProtocolError):
        plain.encode(BOB, 1, cbor2.CBORTag(5000, content), None)
    with pytest.raises(LocalProtocolError):
        plain.encode(BOB, 1, deque([content]), None)


def test_the_deepest_content_comes_back() -> None:
    deepest = nested(MAX_DEPTH)
    assert plain.decode(BOB, 1, plain.encode(BOB, 1, deepest, None)) == deepest


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "end of stream"),
        (b"\x01\x02", "1 bytes behind the end"),
        (b"\xff", "break"),
        (b"\x65hell", "end of stream"),
        (b"\x61\xff", "text string"),
        (b"\x81" * (MAX_DEPTH + 1) + b"\x80", "depth"),
        (b"\x81" * 100_000 + b"\x80", "depth"),
        (b"\x5f\x41a\xff", "indefinite"),
        (b"\xa2\x01\x02\x01\x03", "Duplicate"),
        (b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", "end of stream"),
        (b"\xd8\x1c\x81\xd8\x1d\x00", "references"),
        (b"\xd9\x01\x00\x82\x64abcd\xd8\x19\x00", "references"),
    ],
)
def test_bad_payloads(payload: bytes, why: str) -> None:
    with pytest.raises(InvalidMessage, match=f"(?s)message 3 of bob.*{why}"):
        plain.decode(BOB, 3, payload)


@given(st.binary(max_size=200))
def test_any_payload_decodes_or_is_invalid(payload: bytes) -> None:
    with contextlib.suppress(InvalidMessage):
        plain.decode(BOB, 1, payload)


def test_size() -> None:
    small = PlainFormat(max_payload=10)
    assert len(small.encode(BOB, 1, "x" * 9, None)) == 10
    with pytest.raises(LocalProtocolError, match="message 1 of bob: the payload may have 10 bytes, not 11"):
        small.encode(BOB, 1, "x" * 10, None)
    small.validate(Run(BOB, 5, [b"", b"y" * 10]), None)
    with pytest.raises(InvalidMessage, match="message 6 of bob: expected at most 10 bytes, got 11"):
        small.validate(Run(BOB, 5, [b"", b"y" * 11]), b"before")


def test_validate_looks_at_the_size_only() -> None:
    plain.validate(Run(BOB, 9, [b"\xff not CBOR"]), None)


def test_largest_payload_leaves_room_in_a_default_frame() -> None:
    assert plain.max_payload == 2**20 - 2**10
    around = len(cbor2.dumps([2, ["f" * 256, 2**62 - 1, [b""]]]))
    assert plain.max_payload + around + 8 <= Limits().frame


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(LocalProtocolError):
        PlainFormat(max_payload=0)

"""Lines become contents and come back; nothing is lost."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebt_trio import Identity, SignedFormat
from ebt_trio.cli.lines import LineSplitter, bytes_of, content_of, json_content, json_object
from ebt_trio.core.types import FeedId
from ebt_trio.feeds.plain import decode_content, encode_content
from ebt_trio.message import Message

AUTHOR = Identity(b"a" * 32)
FEED = FeedId(AUTHOR.id)

PIECES = st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"a", "ä€".encode(), b"\xff", b"\x00", b"\xe2\x80\xa8", b"\x0b", b"\x85"]
)
FILES = st.lists(PIECES, max_size=40).map(b"".join) | st.binary(max_size=200)


@given(FILES, st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_in_any_chunks_come_back(data: bytes, cuts: list[int]) -> None:
    splitter = LineSplitter()
    lines: list[bytes] = []
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        lines += splitter.lines(data[first:last])
    if splitter.rest:
        lines.append(splitter.rest)
    assert len(lines) == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    stored = [decode_content(encode_content(content_of(line))) for line in lines]
    assert b"".join(map(bytes_of, stored)) == data


def test_what_is_stored() -> None:
    assert content_of(b"a\n") == "a"
    assert content_of(b"\n") == ""
    assert content_of(b"a\r\n") == "a\r"
    assert content_of(b"a") == b"a"
    assert content_of(b"\xff\n") == b"\xff\n"
    assert content_of(b"\xed\xa0\x80\n") == b"\xed\xa0\x80\n"


@pytest.mark.parametrize(
    ("line", "value"),
    [(b'{"a":[1,2.5,null,true,"\\u00e4"]}\n', {"a": [1, 2.5, None, True, "ä"]}), (b"1", 1), (b' "x" \r\n', "x")],
)
def test_json_lines(line: bytes, value: Any) -> None:
    assert json_content(line) == value


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "column 2"),
        (b"\n", "empty"),
        (b"NaN", "not JSON"),
        (b"-Infinity", "not JSON"),
        (b"1e999", "out of range"),
        (b'{"a":1,"a":2}', "'a' twice"),
        (b"\xff", "UTF-8"),
        (b"1 2", "column"),
        (b"[" * 100_000, "deep|column"),
        (b"1" * 5000, "digits"),
    ],
)
def test_what_is_not_json(line: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        json_content(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def message(content: Any) -> Message:
    return Message(FEED, 1, SignedFormat(AUTHOR).encode(FEED, 1, content, None), SignedFormat())


@given(JSON)
def test_json_comes_back_through_log_and_append(value: Any) -> None:
    shown = message(value)
    said = json.loads(json_object(shown))
    assert said == {
        "feed": FEED,
        "sequence": 1,
        "timestamp": shown.timestamp,
        "id": shown.id,
        "content": value,
    }
    if not isinstance(value, str):
        assert json_content(bytes_of(value)) == value


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        (b"\xff\xfe", "__4"),
        (float("nan"), None),
        ({1: "a"}, {"1": "a"}),
        ({"a": [b"x"]}, {"a": ["eA"]}),
        (datetime(2020, 1, 2, tzinfo=UTC), "2020-01-02 00:00:00+00:00"),
    ],
)
def test_what_json_cannot_say_is_there_as_cbor(value: Any, nearest: Any) -> None:
    said = json.loads(json_object(message(value)))
    assert said["content"] == nearest
    assert base64.b64decode(said["cbor"]) == encode_content(value)
    assert bytes_of(value)

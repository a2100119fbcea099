"""The plain format: unsigned feeds, whose payloads are the CBOR encoding (RFC 8949) of their content."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import Any, Final, NoReturn, cast

import cbor2

from ..abc import Format
from ..core.types import FeedId, Run
from ..errors import InvalidMessage, LocalProtocolError

__all__ = ["DEFAULT_MAX_PAYLOAD", "MAX_DEPTH", "MAX_FEED_BYTES", "PlainFormat", "decode_content", "encode_content"]

DEFAULT_MAX_PAYLOAD: Final = (1 << 20) - (1 << 10)
"""Bytes: a frame of the default size, less what a frame around one message needs."""
MAX_FEED_BYTES: Final = 256
MAX_DEPTH: Final = 64
"""How many containers content may have inside one another."""


class PlainFormat(Format):
    """Anyone may write any feed; a payload is checked for its size only.

    :param max_payload: the longest payload, in bytes. It has to fit one frame of every peer (1 MiB by default)
    """

    name = "plain"
    needs_previous = False

    def __init__(self, max_payload: int = DEFAULT_MAX_PAYLOAD) -> None:
        if max_payload < 1:
            raise LocalProtocolError(f"max_payload must be at least 1 byte, not {max_payload}")
        self.max_payload = max_payload

    def check_feed(self, feed: str) -> FeedId:
        """Take 1 to 256 bytes of UTF-8 without control characters."""
        if not isinstance(feed, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not check types
            raise LocalProtocolError(f"a feed id is a str, not {type(feed).__name__}")
        try:
            size = len(feed.encode())
        except UnicodeEncodeError:
            raise LocalProtocolError(f"a feed id is text that UTF-8 can encode, not {feed!r}") from None
        if not 1 <= size <= MAX_FEED_BYTES:
            raise LocalProtocolError(f"a feed id has 1 to {MAX_FEED_BYTES} bytes of UTF-8, not {size}")
        if not feed.isprintable() and any(unicodedata.category(character) == "Cc" for character in feed):
            raise LocalProtocolError(f"a feed id has no control characters: {feed!r}")
        return FeedId(feed)

    def encode(self, feed: FeedId, sequence: int, content: Any, previous: bytes | None) -> bytes:
        """Encode the content as CBOR; what this takes, :meth:`decode` gives back."""
        try:
            payload = encode_content(content)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"message {sequence} of {feed}: {error}") from error.__cause__
        if len(payload) > self.max_payload:
            raise LocalProtocolError(
                f"message {sequence} of {feed}: the payload may have {self.max_payload} bytes, not {len(payload)}"
            )
        return payload

    def decode(self, feed: FeedId, sequence: int, payload: bytes) -> Any:
        try:
            return decode_content(payload)
        except ValueError as error:
            raise InvalidMessage(f"message {sequence} of {feed} cannot be decoded: {error}") from error

    def validate(self, run: Run, previous: bytes | None) -> None:
        if max(map(len, run.payloads)) <= self.max_payload:
            return
        for sequence, payload in enumerate(run.payloads, run.first):
            if len(payload) > self.max_payload:
                raise InvalidMessage(
                    f"message {sequence} of {run.feed}: expected at most {self.max_payload} bytes, got {len(payload)}"
                )


def encode_content(content: Any) -> bytes:
    """The CBOR encoding of ``content``.

    :raises LocalProtocolError: CBOR has nothing for it, or it would not come back from :func:`decode_content`
    """
    try:
        if type(content) in _STRINGS_AND_BYTES:
            return cbor2.dumps(content)  # nothing in it that would not come back
        _check_depth(content, MAX_DEPTH)
        payload = cbor2.dumps(content)
        decode_content(payload)
    except (cbor2.CBOREncodeError, ValueError, TypeError, OverflowError) as error:
        raise LocalProtocolError(f"content that CBOR cannot encode: {error}") from error
    return payload


def decode_content(payload: bytes) -> Any:
    """The content that ``payload`` encodes: one CBOR item, and nothing behind it.

    :raises ValueError: it is not, or it needs what content may not have: references, indefinite lengths, duplicate keys
    """
    stream = io.BytesIO(payload)
    try:
        content = cbor2.load(
            stream,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=_REFUSED_TAGS,
        )
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError) as error:
        cause = f" ({error.__cause__})" if error.__cause__ is not None else ""
        raise ValueError(f"{error}{cause}") from error
    trailing = len(payload) - stream.tell()
    if trailing:
        raise ValueError(f"{trailing} bytes behind the end")
    return content


def _refuse_reference(value: object, immutable: bool) -> NoReturn:
    raise ValueError("references are refused")


# A few bytes of references can stand for gigabytes of text, or for a list that contains itself.
_REFUSED_TAGS: Final = {25: _refuse_reference, 29: _refuse_reference}


def _check_depth(value: object, left: int) -> None:
    """Refuse deep content before cbor2 sees it: its encoder recurses on the C stack, and 10,000 levels crash it."""
    children: Iterable[object]
    if type(value) in _ATOMS:
        return
    if isinstance(value, dict | Mapping):
        mapping = cast("Mapping[object, object]", value)
        children = chain(mapping, mapping.values())
    elif isinstance(value, list | Sequence | AbstractSet) and not isinstance(value, _STRINGS):
        children = cast("Iterable[object]", value)
    elif isinstance(value, cbor2.CBORTag):
        children = (value.value,)
    else:
        return
    if not left:
        raise LocalProtocolError(f"content that CBOR cannot encode: nested deeper than {MAX_DEPTH}, or in itself")
    for child in children:
        if type(child) not in _ATOMS:
            _check_depth(child, left - 1)


_STRINGS_AND_BYTES = frozenset((str, bytes))
_STRINGS = (str, bytes, bytearray, memoryview)
_ATOMS = frozenset((*_STRINGS, int, float, bool, type(None)))

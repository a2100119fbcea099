"""Between lines and contents, without losing a byte.

- A line of UTF-8, ended by a newline, is a text: what stands before the newline. A text is written with a newline.
- Anything else is a byte string, all of it: a line that is not UTF-8 with its newline, and a last line that has none.
  A byte string is written as it is.

So joining what :func:`bytes_of` makes of the contents gives back the bytes they came from, whatever those were. Only
``\\n`` ends a line: a ``\\r`` before it belongs to the text.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NoReturn, cast

from ..feeds.signed import CONTENT
from ..message import Message

__all__ = ["LineSplitter", "bytes_of", "content_of", "json_content", "json_object"]


class LineSplitter:
    """Cuts chunks of bytes into lines, each with its newline."""

    def __init__(self) -> None:
        self.rest = b""
        """What has come since the last newline."""

    def lines(self, chunk: bytes) -> list[bytes]:
        """The lines that are complete now."""
        lines = (self.rest + chunk).split(b"\n")
        self.rest = lines.pop()
        return [line + b"\n" for line in lines]


def content_of(line: bytes) -> str | bytes:
    """What to store for one line, given with its newline if it has one."""
    if line.endswith(b"\n"):
        try:
            return line[:-1].decode()
        except UnicodeDecodeError:
            pass
    return line


def bytes_of(content: Any) -> bytes:
    """What to write for one content: of other kinds than text and byte strings, JSON on a line."""
    if isinstance(content, str):
        return content.encode() + b"\n"
    if isinstance(content, bytes):
        return content
    return _dumps(_jsonable(content)[0]) + b"\n"


def json_content(line: bytes) -> Any:
    """The JSON value on one line.

    :raises ValueError: it is none, or would not come back as it is: a name twice in one object, a number out of range
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as exc:
        raise ValueError(f"not UTF-8 ({exc.reason})") from None
    if not text.strip():
        raise ValueError("expected a JSON value, got an empty line")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_float)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except json.JSONDecodeError as exc:
        raise ValueError(f"{exc.msg} at column {exc.colno}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} twice in one object")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is out of range")
    return value


def json_object(message: Message) -> bytes:
    """A line for ``ebt log --json``: feed, sequence, timestamp, id, content.

    Where JSON cannot say all of the content, it is as RFC 8949, section 6.1, advises (byte strings in base64url, NaN as
    null, …), and ``cbor`` has its CBOR encoding, in base64.
    """
    content, is_exact = _jsonable(message.content)
    found: dict[str, object] = {"feed": message.feed, "sequence": message.sequence}
    found |= {"timestamp": message.timestamp, "id": message.id, "content": content}
    if not is_exact:
        found["cbor"] = binascii.b2a_base64(message.payload[CONTENT:], newline=False).decode()
    return _dumps(found) + b"\n"


def _dumps(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


_PLAIN: Final = (str, int, type(None))


def _jsonable(value: Any) -> tuple[Any, bool]:
    """The nearest JSON value, and whether it says everything."""
    if isinstance(value, _PLAIN):
        return value, True
    if isinstance(value, float):
        return (value, True) if math.isfinite(value) else (None, False)
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode(), False
    if isinstance(value, dict):
        items = cast("Mapping[Any, Any]", value).items()
        pairs = [(name if isinstance(name, str) else str(name), _jsonable(item)) for name, item in items]
        is_exact = all(isinstance(name, str) for name, _ in items) and all(exact for _, (_, exact) in pairs)
        return {name: item for name, (item, _) in pairs}, is_exact
    if isinstance(value, list | tuple | AbstractSet):
        parts = [_jsonable(item) for item in cast("Sequence[Any]", value)]
        return [item for item, _ in parts], isinstance(value, list) and all(exact for _, exact in parts)
    return str(value), False

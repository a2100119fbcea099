"""One entry of a feed, as users see it; see :class:`Message`."""

from __future__ import annotations

from typing import Any, Final

from .abc import Format
from .core.types import FeedId

__all__ = ["Message"]

_UNDECODED: Final = object()


class Message:
    """A feed's message: ``feed``, ``sequence`` (from 1), ``payload`` (the stored bytes) and ``content``. Frozen.

    In signed feeds also ``timestamp`` and ``id``.

    The content is decoded when it is first asked for, since who only forwards or stores never needs it. Two messages
    are equal if feed, sequence and payload are.
    """

    __slots__ = ("_content", "_format", "feed", "payload", "sequence")

    feed: FeedId
    sequence: int
    payload: bytes

    def __init__(self, feed: FeedId, sequence: int, payload: bytes, format: Format) -> None:
        put = object.__setattr__
        put(self, "feed", feed)
        put(self, "sequence", sequence)
        put(self, "payload", payload)
        put(self, "_format", format)
        put(self, "_content", _UNDECODED)

    @property
    def content(self) -> Any:
        """What the author put in. The same object each time: do not change it.

        :raises InvalidMessage: the payload cannot be decoded
        """
        content = self._content
        if content is _UNDECODED:
            format: Format = self._format
            content = format.decode(self.feed, self.sequence, self.payload)
            object.__setattr__(self, "_content", content)
        return content

    @property
    def timestamp(self) -> float | None:
        """When its author says that it was made, in seconds since 1970; None: the feed's format does not say."""
        format: Format = self._format
        return format.timestamp(self.payload)

    @property
    def id(self) -> str | None:
        """What names the message by its content, in signed feeds its hash; None: the format has no such thing."""
        format: Format = self._format
        return format.message_id(self.payload)

    _format: Format
    _content: Any

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Message is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Message is frozen: {name} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        mine, theirs = (self.feed, self.sequence, self.payload), (other.feed, other.sequence, other.payload)
        return mine == theirs

    def __hash__(self) -> int:
        return hash((self.feed, self.sequence, self.payload))

    def __repr__(self) -> str:
        return f"<Message {self.feed} {self.sequence}: {len(self.payload)} bytes>"

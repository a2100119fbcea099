"""Whether what should be everywhere is: :func:`differences` looks at clocks, :func:`check_contents` at each message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...ebt import EBT

if TYPE_CHECKING:
    from ...message import Message
    from .peers import WorldPeer

__all__ = ["WorldBroken", "check_closed", "check_contents", "differences"]


class WorldBroken(AssertionError):
    """Something does not hold in a :class:`World`."""


def differences(peers: Mapping[str, WorldPeer]) -> Sequence[str]:
    """Who is down, has lost what was acknowledged, or lacks something that its author has; nothing: all is well."""
    wrong = [f"{peer.name} is down" for peer in peers.values() if not peer.is_up]
    if wrong:
        return wrong
    for peer in peers.values():
        for name in peer.wanted:
            author = peers[name]
            should, held = author.ebt.clock.get(author.ebt.feed, 0), peer.ebt.clock.get(author.ebt.feed, 0)
            if name == peer.name and held < max(peer.acknowledged, default=0):
                wrong.append(f"{name} has lost what it acknowledged: {held} of {max(peer.acknowledged)}")
            if held != should:
                wrong.append(f"{peer.name} has {held} of {name}'s {should}")
    return wrong


async def check_contents(peers: Mapping[str, WorldPeer]) -> None:
    """Each message everywhere the same, in order, none twice, and what was acknowledged among them.

    :raises WorldBroken: it is not so
    """
    written = {name: await _all(peer.ebt, peer.ebt.feed) for name, peer in peers.items()}
    for name, messages in written.items():
        author = peers[name]
        if [message.sequence for message in messages] != list(range(1, len(messages) + 1)):
            raise WorldBroken(f"{name}'s own messages have the sequences {[message.sequence for message in messages]}")
        if len(messages) > author.tried:
            raise WorldBroken(f"{name} has {len(messages)} messages, and was asked for {author.tried}")
        by_sequence = {message.sequence: message.content for message in messages}
        for sequence, content in author.acknowledged.items():
            if by_sequence.get(sequence) != content:
                found = by_sequence.get(sequence)
                raise WorldBroken(f"{name}'s {sequence} was acknowledged as {content!r}, is {found!r}")
    for peer in peers.values():
        for name in peer.wanted:
            if name != peer.name and list(await _all(peer.ebt, peers[name].ebt.feed)) != list(written[name]):
                raise WorldBroken(f"{peer.name} holds other messages of {name} than {name}")


def check_closed(peers: Mapping[str, WorldPeer], pairs: Sequence[tuple[str, str]]) -> None:
    """Where somebody dials there is exactly one session, on either side, and nobody has any other.

    :raises WorldBroken: it is not so
    """
    expected: dict[str, list[str]] = {name: [] for name in peers}
    for a, b in sorted({(min(pair), max(pair)) for pair in pairs}):
        expected[a].append(b)
        expected[b].append(a)
    for name, peer in peers.items():
        ids = {other.id: other.name for other in peers.values()}
        found = sorted(ids.get(str(session.peer_id), "?") for session in peer.ebt.sessions)
        if found != sorted(expected[name]):
            raise WorldBroken(f"{name} should have sessions with {sorted(expected[name])}, has them with {found}")


async def _all(ebt: EBT, feed: str) -> Sequence[Message]:
    messages: list[Message] = []
    while page := await ebt.read(feed, len(messages) + 1):
        messages += page
    return messages

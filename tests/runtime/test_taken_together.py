"""Messages that come faster than they are stored, or are made faster than they are sent, share a commit and a frame."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from ebt_transports import memory_pair
from ebt_trio import EBT, FeedId, Identity, SignedFormat
from ebt_trio.core.types import PeerId, Run
from ebt_trio.frames import Hello, Messages, Notes, Resume, encode
from ebt_trio.testing import connected

AUTHOR = Identity.generate()
FEED = FeedId(str(AUTHOR))


def branch(*contents: str) -> list[bytes]:
    format = SignedFormat(AUTHOR)
    payloads: list[bytes] = []
    for sequence, content in enumerate(contents, 1):
        payloads.append(format.encode(FEED, sequence, content, payloads[-1] if payloads else None))
    return payloads


OURS, OTHER = branch("1", "2", "3"), branch("a", "b", "c", "d")


@pytest.mark.parametrize("rest", [b"no message at all", OTHER[3]], ids=["bad", "fork"])
async def test_a_bad_frame_takes_no_good_one_with_it(rest: bytes, autojump_clock: trio.testing.MockClock) -> None:
    near, far = memory_pair()
    async with EBT(Identity.generate()) as bob, bob.session(near) as session:
        bob.follow(FEED)
        await far.send(encode(Hello(PeerId("relay"), instance=b"instance", acks=True)))
        await far.send(encode(Resume()))
        await session.wait_ready()
        await far.send(encode(Notes({FEED: 4 << 1 | 1})))
        await trio.testing.wait_all_tasks_blocked()
        for frame in (Messages([Run(FEED, 1, OURS)]), Messages([Run(FEED, 4, [rest])])):
            await far.send(encode(frame))  # both wait to be taken when the first is
        await trio.testing.wait_all_tasks_blocked()
        assert bob.clock[FEED] == 3
        assert (FEED in bob.forks) == (rest is OTHER[3])
        await far.aclose()


async def test_who_appends_for_ever_keeps_nothing_from_being_sent(autojump_clock: trio.testing.MockClock) -> None:
    """Also while the clock stands still."""
    async with EBT("alice") as alice, EBT("bob") as bob:
        bob.follow("alice")
        async with connected(alice, bob) as (session, _):
            await session.wait_synced()
            made = 0
            while bob.clock.get(alice.feed, 0) < 10:
                await alice.append(made)
                made += 1
                assert made < 2000

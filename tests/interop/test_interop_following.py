"""Who wants which feed, and with whom: declining and following later, unfollowing, blocking; both kinds of peer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from ebt_trio import follow_all

QUIET = 0.3
"""Seconds after which what has not come will not come."""


@pytest.fixture
def pair(ours: Any, theirs: Any, joined: Any) -> Any:
    """``async with pair() as (alice, zed)``: ours and theirs, linked, following each other."""

    @asynccontextmanager
    async def made(**options: Any) -> AsyncGenerator[tuple[Any, Any], None]:
        async with ours("alice", "zed", **options) as alice, theirs("zed", "alice") as zed, joined(zed, alice):
            await exchange(alice, zed)
            yield alice, zed

    return made


async def exchange(alice: Any, zed: Any) -> None:
    """One message each way: the link works, and all notes so far have been answered."""
    await alice.append("hello")
    await zed.append("hello")
    await alice.wait_for({"zed": (await zed.clock())["zed"]})
    await zed.wait_for(alice=alice.clock["alice"])


async def test_we_decline_and_follow_later(pair: Any, ours: Any) -> None:
    async with pair() as (alice, zed):
        await zed.follow("carol")
        await zed.append(*range(10), feed="carol")
        await exchange(alice, zed)
        assert "carol" not in alice.clock
        alice.follow("carol")
        await alice.wait_for({"carol": 10})
        await zed.append("live", feed="carol")
        await alice.wait_for({"carol": 11})
        assert alice.statistics().messages_received == 2 + 11


async def test_they_decline_and_follow_later(pair: Any) -> None:
    async with pair() as (alice, zed):
        alice.follow("carol")
        await alice.append_many(range(10), feed="carol")
        await exchange(alice, zed)
        assert "carol" not in await zed.clock()
        await zed.follow("carol")
        await zed.wait_for(carol=10)
        await alice.append("live", feed="carol")
        await zed.wait_for(carol=11)
        assert (await zed.count())["messagesIn"] == 2 + 11


async def test_both_follow_later_with_nothing_to_send_yet(pair: Any) -> None:
    async with pair() as (alice, zed):
        alice.follow("carol")
        await exchange(alice, zed)
        await zed.follow("carol")
        await exchange(alice, zed)
        await zed.append("first", feed="carol")
        await alice.wait_for({"carol": 1})
        await alice.append("second", feed="carol")
        await zed.wait_for(carol=2)


async def test_a_hook_follows_whatever_they_name(pair: Any) -> None:
    async with pair(should_replicate=follow_all) as (alice, zed):
        feeds = [f"feed {number}" for number in range(50)]
        await zed.follow(*feeds)
        for feed in feeds:
            await zed.append("x", feed=feed)
        await alice.wait_for(dict.fromkeys(feeds, 1))


async def test_we_unfollow_and_follow_again(pair: Any) -> None:
    async with pair() as (alice, zed):
        alice.follow("carol")
        await zed.follow("carol")
        await zed.append(1, 2, feed="carol")
        await alice.wait_for({"carol": 2})
        alice.unfollow("carol")
        await exchange(alice, zed)
        before = alice.statistics().messages_received
        await zed.append(3, 4, feed="carol")
        await exchange(alice, zed)
        assert alice.statistics().messages_received == before + 1, "our -1 keeps the feed away"
        assert alice.clock["carol"] == 2
        alice.follow("carol")
        await alice.wait_for({"carol": 4})


async def test_they_unfollow_and_follow_again(pair: Any) -> None:
    """The reference tells nobody when it unfollows a feed, its defect 11: we go on sending, it drops what comes."""
    async with pair() as (alice, zed):
        alice.follow("carol")
        await zed.follow("carol")
        await alice.append_many([1, 2], feed="carol")
        await zed.wait_for(carol=2)
        await zed.unfollow("carol")
        await alice.append_many([3, 4], feed="carol")
        await exchange(alice, zed)
        assert (await zed.clock())["carol"] == 2
        await zed.follow("carol")
        await zed.wait_for(carol=4)


# -- blocks


async def test_we_block_them(ours: Any, theirs: Any, serving: Any, until: Any) -> None:
    """While connected: BYE, and not one message more. Refused until unblocked, then all is caught up with."""
    async with ours("alice", "zed") as alice, theirs("zed", "alice") as zed, trio.open_nursery() as nursery:
        port = await serving(nursery, alice)
        await zed.connect(port)
        await exchange(alice, zed)
        alice.block("zed")
        await zed.wait_peers()
        await alice.append("secret")
        await zed.append("unheard")
        await zed.connect(port)
        await until(lambda: _byes(zed, 5, 2))
        await trio.sleep(QUIET)
        assert (dict(alice.clock), await zed.clock()) == ({"alice": 2, "zed": 1}, {"alice": 1, "zed": 2})
        alice.unblock("zed")
        await zed.connect(port)
        await zed.wait_for(alice=2)
        await alice.wait_for({"zed": 2})
        nursery.cancel_scope.cancel()


async def _byes(zed: Any, code: int, count: int) -> bool:
    return sum(bye["code"] == code for bye in await zed.byes()) >= count


async def test_they_block_us(ours: Any, theirs: Any, until: Any) -> None:
    """While connected, and again whenever we dial.

    To unblock a connected peer does nothing in the reference, its defect 13: here the block has ended the connection,
    and the next one is let in.
    """
    async with ours("alice", "zed") as alice, theirs("zed", "alice") as zed, trio.open_nursery() as nursery:
        nursery.start_soon(alice.dial, f"tcp://127.0.0.1:{await zed.listen()}")
        await exchange(alice, zed)
        await zed.block("alice")
        await until(lambda: not alice.sessions)
        await alice.append("unheard")
        await zed.append("secret")
        await trio.sleep(QUIET)
        assert (dict(alice.clock), await zed.clock()) == ({"alice": 2, "zed": 1}, {"alice": 1, "zed": 2})
        await zed.unblock("alice")
        await zed.wait_for(alice=2)
        await alice.wait_for({"zed": 2})
        nursery.cancel_scope.cancel()


async def test_a_block_by_a_third_party_here(ours: Any, theirs: Any, joined: Any) -> None:
    """Carol blocks zed, as alice knows: carol's feed does not go from alice to zed, all others do.

    Unblocked, the reference does not ask again while connected: a -1 leaves it believing that it is being sent the
    feed (kin of its defect 13). With the next connection it gets everything.
    """
    async with ours("alice", "zed", "carol") as alice, theirs("zed", "alice", "carol") as zed:
        async with joined(alice, zed):
            await alice.append(1, feed="carol")
            await zed.wait_for(carol=1)
            alice.block("zed", origin="carol")
            await alice.append_many([2, 3], feed="carol")
            await exchange(alice, zed)
            assert (await zed.clock())["carol"] == 1
            alice.unblock("zed", origin="carol")
            await exchange(alice, zed)
            assert (await zed.clock())["carol"] == 1, "asked for after all?"
        await zed.wait_peers()
        async with joined(alice, zed):
            await zed.wait_for(carol=3)


async def test_a_block_by_a_third_party_there(pair: Any) -> None:
    """Carol blocks alice, as zed knows. What the reference reads from its log when the block comes is sent even so (its
    defect 12); what is appended from then on is not."""
    async with pair() as (alice, zed):
        alice.follow("carol")
        await zed.follow("carol")
        await zed.append(1, feed="carol")
        await alice.wait_for({"carol": 1})
        await zed.block("alice", origin="carol")
        await zed.append(2, feed="carol")
        await exchange(alice, zed)
        assert alice.clock["carol"] == 1

"""Bulk between our peers and those of the JavaScript reference: in both roles, both ways, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest

ROLES = ["server", "client"]

CONTENTS = [
    "",
    0,
    None,
    True,
    -1,
    1 << 40,
    -(1 << 40),
    0.1,
    1e300,
    "Grüße, 世界 🌍",
    [],
    {},
    {"": {"a": [1, [2, [3, None]]]}},
    "long " * 60_000,
]
"""What JSON can carry, too."""

PAYLOADS = [b"", b"\x00", b"\xff" * 1000, b"not CBOR at all", bytes(range(256)) * 1000]


@pytest.mark.parametrize("role", ROLES)
async def test_thousands_both_ways(role: str, ours: Any, theirs: Any, joined: Any, ends: Any, digest: Any) -> None:
    """5,000 messages each way: each crosses once, all bytes survive, and no ACK goes to who does not know it."""
    async with ours("alice", "zed") as alice, theirs("zed", "alice") as zed:
        await alice.append_many([{"n": n, "text": "x" * 150} for n in range(5000)])
        await zed.append(*({"n": n, "text": "y" * 150} for n in range(5000)))
        async with joined(*ends(role, alice, zed)):
            await alice.wait_for({"zed": 5000})
            await zed.wait_for(alice=5000)
            await alice.wait_synced()
            assert alice.progress().fraction == 1.0
            for feed in ("alice", "zed"):
                assert await digest(alice, feed) == await zed.digest(feed)
            counted = alice.statistics()
            assert (counted.messages_sent, counted.messages_received) == (5000, 5000)
            assert (counted.duplicates, counted.gaps, counted.unwanted, counted.acks_sent) == (0, 0, 0, 0)
            count = await zed.count()
            assert (count["messagesIn"], count["messagesOut"], count["acks"]) == (5000, 5000, 0)
            assert (await alice.get("zed", 4711)).content == {"n": 4710, "text": "y" * 150}
            assert await zed.content("alice", 4711) == {"n": 4710, "text": "x" * 150}


@pytest.mark.parametrize("role", ROLES)
async def test_contents_mean_the_same_on_both_sides(
    role: str, ours: Any, theirs: Any, joined: Any, ends: Any, digest: Any
) -> None:
    async with ours("alice", "zed") as alice, theirs("zed", "alice") as zed:
        await alice.append_many([*CONTENTS, b"bytes"])
        await zed.append(*CONTENTS)
        async with joined(*ends(role, alice, zed)):
            await alice.wait_for({"zed": len(CONTENTS)})
            await zed.wait_for(alice=len(CONTENTS) + 1)
            for sequence, content in enumerate(CONTENTS, 1):
                assert (await alice.get("zed", sequence)).content == content
                assert await zed.content("alice", sequence) == content
            assert await digest(alice, "alice") == await zed.digest("alice")
            assert await digest(alice, "zed") == await zed.digest("zed")


async def test_payloads_pass_unopened_through_either_kind(ours: Any, theirs: Any, joined: Any, digest: Any) -> None:
    """theirs – ours – theirs – ours: whatever bytes somebody calls a payload arrive as they are, the empty one, too.

    (The bridge gives the reference a Buffer as content; an empty content that is falsy in JavaScript would be taken for
    notes, its defect 24.)
    """
    names = ("yves", "bob", "zed", "carol")
    async with (
        theirs("yves", *names) as yves,
        ours("bob", *names) as bob,
        theirs("zed", *names) as zed,
        ours("carol", *names) as carol,
        joined(bob, yves),
        joined(zed, bob),
        joined(carol, zed),
    ):
        await yves.append_payloads(PAYLOADS)
        await carol.append_many(CONTENTS)
        await carol.wait_for({"yves": len(PAYLOADS)})
        await yves.wait_for(carol=len(CONTENTS))
        for sequence, payload in enumerate(PAYLOADS, 1):
            assert (await carol.get("yves", sequence)).payload == payload
            assert await zed.payload("yves", sequence) == payload
        for sequence in range(1, len(CONTENTS) + 1):
            assert await yves.payload("carol", sequence) == (await carol.get("carol", sequence)).payload
        assert await digest(carol, "yves") == await yves.digest("yves")


@pytest.mark.parametrize("role", ROLES)
async def test_many_feeds_each_way(role: str, ours: Any, theirs: Any, joined: Any, ends: Any, digest: Any) -> None:
    """300 feeds of ten messages; a third held by both, a third only here, a third only there; nothing crosses twice."""
    feeds = [f"feed {number}" for number in range(300)]
    async with ours("alice", "zed", *feeds) as alice, theirs("zed", "alice", *feeds) as zed:
        for number, feed in enumerate(feeds):
            if number % 3 != 1:
                await alice.append_many(range(10), feed=feed)
            if number % 3 != 2:
                await zed.append(*range(10), feed=feed)
        async with joined(*ends(role, alice, zed)):
            clock = dict.fromkeys(feeds, 10)
            await alice.wait_for(clock)
            await zed.wait_for(**clock)
            await alice.wait_synced()
            assert alice.progress().fraction == 1.0
            assert (await zed.count())["messagesIn"] == alice.statistics().messages_received == 1000
            for feed in feeds[:6]:
                assert await digest(alice, feed) == await zed.digest(feed)

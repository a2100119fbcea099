"""Signed feeds between peers: what is not the author's never gets into a store, and the feed goes on from others."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
import trio
import trio.testing

from ebt_trio import EBT, Event, FeedId, Identity, InvalidMessage, LocalProtocolError, MemoryStore, What
from ebt_trio.core.types import Range, Run
from ebt_trio.feeds.signed import CONTENT, SignedFormat
from ebt_trio.testing import connected

ALICE, BOB, CAROL, DAVE = (Identity(bytes([number]) * 32) for number in range(1, 5))
FEED = FeedId(ALICE.id)


class Liar(MemoryStore):
    """Gives out other bytes than it holds."""

    def __init__(self, lie: Callable[[int, bytes], bytes]) -> None:
        super().__init__()
        self._lie = lie

    async def read(self, ranges: Sequence[Range], max_bytes: int) -> Sequence[Sequence[bytes]]:
        found = await super().read(ranges, max_bytes)
        return [
            [self._lie(sequence, payload) for sequence, payload in enumerate(payloads, wanted.first)]
            for wanted, payloads in zip(ranges, found, strict=True)
        ]


class Credulous(SignedFormat):
    """Takes and passes on anything."""

    can_fork = False

    def validate(self, run: Run, previous: bytes | None) -> None:
        pass

    def endable(self, feed: FeedId, first: int, payloads: Sequence[bytes]) -> int:
        return len(payloads)


async def history(count: int, identity: Identity = ALICE) -> MemoryStore:
    """A store with so many messages of its author's."""
    store = MemoryStore()
    async with EBT(identity, store) as ebt:
        await ebt.append_many([{"number": number} for number in range(count)])
    return store


async def payloads(ebt: EBT, feed: str = FEED) -> list[bytes]:
    return [message.payload for message in await ebt.read(feed, limit=10_000)]


async def next_event(events, what: What) -> Event:  # type: ignore[no-untyped-def]
    async for event in events:
        if event.what is what:
            return event
    raise AssertionError(what)


async def test_an_identity_means_signed_feeds(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT(ALICE) as alice, EBT(BOB) as bob:
        assert (alice.id, alice.feed) == (ALICE.id, ALICE.id)
        bob.follow(ALICE.id)
        async with connected(alice, bob):
            message = await alice.append({"text": "hello"})
            await bob.wait_for({FEED: 1})
        got = await bob.get(FEED, 1)
        assert got == message
        assert got.content == {"text": "hello"}
        assert got.id == message.id is not None
        assert got.timestamp is not None
        with pytest.raises(LocalProtocolError, match="has the key"):
            await bob.append("forged", feed=FEED)
        with pytest.raises(LocalProtocolError, match="public key"):
            bob.follow("carol")


async def test_a_str_is_no_key() -> None:
    with pytest.raises(LocalProtocolError, match="a str or an Identity"):
        EBT(b"alice")  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
async def test_a_flipped_bit_is_caught_and_the_feed_goes_on(seed: int, autojump_clock: trio.testing.MockClock) -> None:
    """From another peer, without waiting for anything."""
    rng = random.Random(seed)
    victim = rng.randrange(1, 51)

    def lie(sequence: int, payload: bytes) -> bytes:
        if sequence != victim:
            return payload
        flipped = bytearray(payload)
        flipped[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        return bytes(flipped)

    honest, liar = await history(50), Liar(lie)
    await liar.open("signed")
    await honest.open("signed")
    run = (await honest.read([Range(FEED, 1, 50)], 1 << 20))[0]
    await liar.append([Run(FEED, 1, run)])
    await liar.close()
    await honest.close()
    async with (
        EBT(BOB, liar, format=Credulous()) as bob,
        EBT(CAROL, honest) as carol,
        EBT(DAVE) as dave,
        dave.events() as events,
    ):
        for ebt in (bob, carol, dave):
            ebt.follow(FEED)
        async with connected(bob, dave) as (_, session):
            await session.wait_ready()
            event = await next_event(events, What.INVALID)
            assert (event.peer, event.feed) == (BOB.id, FEED)
            assert dave.clock.get(FEED, 0) < victim
            async with connected(carol, dave, delay=0.01):
                with trio.fail_after(0.2):  # seconds; a stall would take three
                    await dave.wait_for({FEED: 50})
            assert session.is_ready  # its other feeds go on
        assert await payloads(dave) == await payloads(carol)


async def test_others_are_asked_at_once_while_the_liar_is_the_owner(autojump_clock: trio.testing.MockClock) -> None:
    honest, liar = await history(500), Liar(lambda sequence, payload: payload[:-1] + b"\0")
    await honest.open("signed")
    run = (await honest.read([Range(FEED, 1, 500)], 1 << 20))[0]
    await honest.close()
    await liar.open("signed")
    await liar.append([Run(FEED, 1, run)])
    await liar.close()
    async with EBT(BOB, liar, format=Credulous()) as bob, EBT(CAROL, honest) as carol, EBT(DAVE) as dave:
        for ebt in (bob, carol, dave):
            ebt.follow(FEED)
        async with connected(bob, dave, delay=0.01), connected(carol, dave, delay=0.02):
            with trio.fail_after(0.5):
                await dave.wait_for({FEED: 500})
        SignedFormat().validate(Run(FEED, 1, await payloads(dave)), None)


async def test_an_author_who_signs_badly_harms_nobody_else(autojump_clock: trio.testing.MockClock) -> None:
    """Her chain has signatures in it that nobody can check but by those behind them; no forwarder is blamed."""
    writer = SignedFormat(ALICE)
    chain: list[bytes] = []
    for sequence in range(1, 101):
        payload = writer.encode(FEED, sequence, sequence, chain[-1] if chain else None)
        if sequence % 10:
            payload = payload[:43] + bytes(64) + payload[CONTENT:]
        chain.append(payload)
    store = MemoryStore()
    await store.open("signed")
    await store.append([Run(FEED, 1, chain)])
    await store.close()
    async with EBT(BOB, store) as bob, EBT(CAROL) as carol, EBT(DAVE) as dave, dave.events() as events:
        for ebt in (bob, carol, dave):
            ebt.follow(FEED)
        invalid: list[Event] = []

        async def watch() -> None:
            async for event in events:
                if event.what is What.INVALID:
                    invalid.append(event)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            async with connected(bob, carol), connected(carol, dave):
                await dave.wait_for({FEED: 100})
                await carol.wait_synced()
            nursery.cancel_scope.cancel()
        assert invalid == []
        assert await payloads(dave) == chain


async def test_a_stretch_that_nobody_can_check_is_not_passed_on(autojump_clock: trio.testing.MockClock) -> None:
    writer = SignedFormat(ALICE)
    good = writer.encode(FEED, 1, "good", None)
    bad = writer.encode(FEED, 2, "bad", good)
    store = MemoryStore()
    await store.open("signed")
    await store.append([Run(FEED, 1, [good, bad[:43] + bytes(64) + bad[CONTENT:]])])
    await store.close()
    async with EBT(BOB, store) as bob, EBT(CAROL) as carol, bob.events() as events:
        bob.follow(FEED)
        carol.follow(FEED)
        async with connected(bob, carol) as (_, session):
            event = await next_event(events, What.TOO_LARGE)
            assert (event.peer, event.feed) == (CAROL.id, FEED)
            assert "from message 2 on its author's signatures are bad" in event.detail
            await carol.wait_for({FEED: 1})
            await trio.sleep(20)
            assert carol.clock[FEED] == 1
            assert session.is_ready


async def test_a_late_start(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT(ALICE, await history(100)) as alice, EBT(BOB) as bob:
        bob.follow(FEED, last=10)
        async with connected(alice, bob):
            await bob.wait_for({FEED: 100})
            await alice.append("more")
            await bob.wait_for({FEED: 101})
        assert [message.sequence for message in await bob.read(FEED)] == list(range(91, 102))


async def test_messages_from_elsewhere_are_checked(autojump_clock: trio.testing.MockClock) -> None:
    async with EBT(ALICE, await history(10)) as alice, EBT(BOB) as bob:
        messages = list(await alice.read(FEED))
        assert await bob.add(messages[:5]) == 5
        forged = type(messages[5])(FEED, 6, messages[5].payload[:-1] + b"\0", SignedFormat())
        with pytest.raises(InvalidMessage):
            await bob.add([forged])
        assert await bob.add(messages) == 5


@pytest.mark.parametrize("behind_our_back", ["the same", "more of the same", "another branch"])
async def test_two_processes_on_one_store_never_mix_two_branches(
    behind_our_back: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The other one has stored something since we looked: what came in is checked again, at once."""
    writer = SignedFormat(ALICE)
    store = await history(3)
    async with EBT(BOB, store) as bob:
        bob.follow(FEED)
        held = await payloads(bob)
        ours = [writer.encode(FEED, 4, "ours", held[-1])]
        for sequence in (5, 6):
            ours.append(writer.encode(FEED, sequence, "ours", ours[-1]))
        theirs = [writer.encode(FEED, 4, "theirs", held[-1])]
        theirs.append(writer.encode(FEED, 5, "theirs", theirs[0]))
        fork = behind_our_back == "another branch"
        stored = {"the same": ours[:1], "more of the same": ours, "another branch": theirs[:1]}[behind_our_back]
        await store.append([Run(FEED, 4, stored)])
        other = MemoryStore()
        await other.open("signed")
        await other.append([Run(FEED, 1, [*held, *ours[:2]])])
        await other.close()
        async with EBT(CAROL, other) as carol, bob.events() as events, connected(bob, carol):
            carol.follow(FEED)
            with trio.fail_after(0.2):
                if fork:
                    event = await next_event(events, What.FORKED)
                    assert event.feed == FEED
                else:
                    await bob.wait_for({FEED: 5})
                    await bob.wait_synced()
        expected = {"the same": ours[:2], "more of the same": ours, "another branch": theirs[:1]}[behind_our_back]
        assert await payloads(bob) == [*held, *expected]
        assert not bob.forks or fork

"""What a session says and accepts on the wire: HELLO, RESUME, BYE, keep-alive, hostile frames. One end is played."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
import trio

from ebt_trio import (
    EBT,
    AuthenticationError,
    Blocked,
    ByeCode,
    CloseReason,
    EBTError,
    FrameTooLarge,
    HandshakeError,
    Limits,
    MemoryStore,
    PeerId,
    RemoteProtocolError,
    Session,
    SessionClosed,
    StoreError,
    TransportError,
)
from ebt_trio.core.types import FeedHead, FeedId, Run
from ebt_trio.frames import Ack, Bye, Frame, Hello, Messages, Notes, Ping, Pong, Resume, decode, encode
from ebt_trio.testing import LinkEnd, connected, link

BOB, ALICE = FeedId("bob"), FeedId("alice")


class ByHand:
    """The other end of a link."""

    def __init__(self, end: LinkEnd) -> None:
        self.end = end

    async def send(self, *frames: Frame | bytes) -> None:
        for frame in frames:
            await self.end.send(frame if isinstance(frame, bytes) else encode(frame))

    async def receive(self) -> Frame:
        return decode(await self.end.receive(), Limits())

    async def until(self, kind: type[Frame]) -> Frame:
        while True:
            frame = await self.receive()
            if isinstance(frame, kind):
                return frame

    async def greet(self, id: str = "bob", **more: object) -> Hello:
        """HELLO and RESUME both ways."""
        await self.send(Hello(PeerId(id), **more), Resume())
        hello = await self.until(Hello)
        await self.until(Resume)
        return hello

    async def expect_bye(self, code: int) -> str:
        """BYE with this code, then the end."""
        bye = await self.until(Bye)
        assert bye.code == code
        with pytest.raises(anyio.EndOfStream):
            await self.end.receive()
        await self.end.aclose()
        return bye.text


@asynccontextmanager
async def alice_and_hand(**options: object) -> AsyncGenerator[tuple[EBT, Session, ByHand], None]:
    near, far = link()
    near.address = "test"
    async with EBT("alice", **options) as alice, alice.session(near) as session:
        yield alice, session, ByHand(far)


Script = Callable[[ByHand], Awaitable[object]]


async def check_failure(error: type[EBTError], code: int, script: Script, **options: object) -> str:
    """The session fails with ``error``, having said BYE with ``code``, and nothing else is harmed. Returns the text."""
    near, far = link()
    near.address = "test"
    hand = ByHand(far)
    text = ""

    async def other_end() -> None:
        nonlocal text
        await script(hand)
        text = await hand.expect_bye(code)

    async with (
        EBT("alice", **options) as alice,
        EBT("carol", **options) as carol,
        connected(alice, carol) as (other, _),
        trio.open_nursery() as nursery,
    ):
        await other.wait_ready()
        nursery.start_soon(other_end)
        with pytest.raises(error) as caught:
            async with alice.session(near) as session:
                await trio.sleep_forever()
        assert type(caught.value) is error
        if isinstance(caught.value, RemoteProtocolError):
            assert caught.value.code == code
        assert (await session.wait_closed()).code == code
        with pytest.raises(SessionClosed):
            await session.wait_ready()
        await other.wait_synced()
    return text


def say(*frames: Frame | bytes) -> Script:
    async def script(hand: ByHand) -> None:
        await hand.send(*frames)

    return script


def greet_and_say(*frames: Frame | bytes) -> Script:
    async def script(hand: ByHand) -> None:
        await hand.greet()
        await hand.send(*frames)

    return script


# -- the handshake


async def test_hello_says_who_and_what(autojump_clock: trio.testing.MockClock) -> None:
    async with alice_and_hand(network="test", limits=Limits(frame=100_000)) as (alice, session, hand):
        hello = await hand.greet(network="test", max_frame=5000, acks=True)
        assert (hello.id, hello.network, hello.max_frame, hello.acks) == ("alice", "test", 100_000, True)
        assert len(hello.store or b"") == 16
        assert len(hello.instance or b"") == 8
        assert await session.wait_ready() == "bob"
        assert alice.sessions == (session,)
        await hand.end.aclose()


@pytest.mark.parametrize(
    ("hello", "error", "code"),
    [
        (Hello(PeerId("bob"), version=2), HandshakeError, ByeCode.VERSION),
        (Hello(PeerId("bob"), "elsewhere"), HandshakeError, ByeCode.NETWORK),
        (Hello(PeerId("alice")), HandshakeError, ByeCode.SELF),
        (Hello(PeerId("bob"), max_frame=100), HandshakeError, ByeCode.PROTOCOL),
        (Hello(PeerId("b" * 257)), HandshakeError, ByeCode.MALFORMED),
        (Hello(PeerId("bob"), "x" * 5000), FrameTooLarge, ByeCode.TOO_LARGE),
        (Resume(), HandshakeError, ByeCode.PROTOCOL),
        (Notes(), HandshakeError, ByeCode.PROTOCOL),
        (b"", RemoteProtocolError, ByeCode.MALFORMED),
        (b"\x00", RemoteProtocolError, ByeCode.MALFORMED),
    ],
    ids=repr,
)
async def test_a_bad_beginning(
    hello: Frame | bytes, error: type[EBTError], code: int, autojump_clock: trio.testing.MockClock
) -> None:
    assert await check_failure(error, code, say(hello))


async def test_another_id_than_the_transport_has_proved(autojump_clock: trio.testing.MockClock) -> None:
    near, far = link()
    near.peer_id = PeerId("bob")
    hand = ByHand(far)
    async with EBT("alice") as alice, trio.open_nursery() as nursery:
        await hand.send(Hello(PeerId("mallory")))
        nursery.start_soon(hand.expect_bye, ByeCode.IDENTITY)
        with pytest.raises(AuthenticationError, match=r"bob.*mallory"):
            async with alice.session(near):
                await trio.sleep_forever()


async def test_a_blocked_peer_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    near, far = link()
    hand = ByHand(far)
    async with EBT("alice") as alice, trio.open_nursery() as nursery:
        alice.block("bob")
        await hand.send(Hello(PeerId("bob")))
        nursery.start_soon(hand.expect_bye, ByeCode.BLOCKED)
        with pytest.raises(Blocked):
            async with alice.session(near):
                await trio.sleep_forever()


async def test_blocking_ends_the_session_in_order(autojump_clock: trio.testing.MockClock) -> None:
    async with alice_and_hand() as (alice, session, hand):
        await hand.greet()
        await session.wait_ready()
        alice.block("bob")
        await hand.expect_bye(ByeCode.BLOCKED)
        assert (await session.wait_closed()).code is ByeCode.BLOCKED


@pytest.mark.parametrize("missing", [Hello, Resume])
async def test_the_handshake_has_to_come_in_time(missing: type[Frame], autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    script = say() if missing is Hello else say(Hello(PeerId("bob")))
    await check_failure(HandshakeError, ByeCode.TIMEOUT, script)
    assert 5 <= trio.current_time() - began < 7


async def test_the_remote_goes_before_hello(autojump_clock: trio.testing.MockClock) -> None:
    near, far = link()
    async with EBT("alice") as alice:
        await far.aclose()
        with pytest.raises(TransportError, match="HELLO"):
            async with alice.session(near):
                await trio.sleep_forever()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (ByeCode.NETWORK, HandshakeError),
        (ByeCode.REFUSED, HandshakeError),
        (ByeCode.IDENTITY, AuthenticationError),
        (ByeCode.PROTOCOL, RemoteProtocolError),
        (99, RemoteProtocolError),
    ],
)
async def test_the_remote_refuses(code: int, error: type[EBTError], autojump_clock: trio.testing.MockClock) -> None:
    near, far = link()
    async with EBT("alice") as alice:
        await ByHand(far).send(Bye(code, "go away"))
        with pytest.raises(error, match="go away"):
            async with alice.session(near):
                await trio.sleep_forever()


# -- hostile frames


@pytest.mark.parametrize(
    ("frame", "error", "code"),
    [
        (b"\x9f\xff", RemoteProtocolError, ByeCode.MALFORMED),
        (b"\x82\x01\xa1\x61a\xf9\x3c\x00", RemoteProtocolError, ByeCode.MALFORMED),
        (b"\x81\x18\x20", RemoteProtocolError, ByeCode.PROTOCOL),
        (Hello(PeerId("bob")), RemoteProtocolError, ByeCode.PROTOCOL),
        (Resume(), RemoteProtocolError, ByeCode.PROTOCOL),
        (bytes(Limits().frame + 1), FrameTooLarge, ByeCode.TOO_LARGE),
    ],
    ids=["indefinite", "float", "unknown kind", "second HELLO", "second RESUME", "too large"],
)
async def test_a_frame_that_breaks_a_rule(
    frame: Frame | bytes, error: type[EBTError], code: int, autojump_clock: trio.testing.MockClock
) -> None:
    assert await check_failure(error, code, greet_and_say(frame))


async def test_unknown_kinds_from_64_are_ignored(autojump_clock: trio.testing.MockClock) -> None:
    async with alice_and_hand() as (_, session, hand):
        await hand.send(b"\x81\x18\x50")
        await hand.greet()
        await hand.send(b"\x82\x18\x50\x01", Ping(7))
        assert await hand.until(Pong) == Pong(7)
        assert session.is_ready
        await hand.end.aclose()


async def test_messages_that_nobody_asked_for_are_dropped_and_counted(autojump_clock: trio.testing.MockClock) -> None:
    async with alice_and_hand() as (alice, session, hand):
        await hand.greet()
        await hand.send(Messages([Run(FeedId("x"), 1, [b"\x01"])]), Ping(1))
        await hand.until(Pong)
        assert dict(alice.clock) == {}
        assert session.statistics().unwanted == 1
        await hand.end.aclose()


async def test_a_flood_of_pings_costs_nothing(autojump_clock: trio.testing.MockClock) -> None:
    """Who does not read gets no more than two times sixteen answers later."""
    async with alice_and_hand() as (_, _, hand):
        await hand.greet()
        for n in range(1000):
            await hand.send(Ping(n))
        await trio.testing.wait_all_tasks_blocked()
        pongs = [await hand.until(Pong)]
        with trio.move_on_after(1):
            while True:
                pongs.append(await hand.until(Pong))
        assert pongs[-1] == Pong(999)
        assert len(pongs) <= 64 + 16 + 16  # what the link holds, what waits, what was being sent
        await hand.end.aclose()


# -- the end, and keep-alive


async def test_the_remote_closes_without_bye(autojump_clock: trio.testing.MockClock) -> None:
    async with alice_and_hand() as (_, session, hand):
        await hand.greet()
        await session.wait_ready()
        await hand.end.aclose()
        reason = await session.wait_closed()
        assert (reason.code, reason.by_remote) == (ByeCode.DONE, True)


async def test_a_silent_peer_is_pinged_and_then_given_up(autojump_clock: trio.testing.MockClock) -> None:
    near, far = link()
    hand = ByHand(far)
    async with EBT("alice") as alice, trio.open_nursery() as nursery:

        async def other_end() -> None:
            await hand.greet()
            greeted = trio.current_time()
            ping = await hand.until(Ping)
            assert trio.current_time() - greeted == pytest.approx(30)
            await trio.sleep(29)
            await hand.send(Pong(ping.n))
            await hand.until(Ping)
            assert trio.current_time() - greeted == pytest.approx(30 + 29 + 30)
            assert "60 seconds" in await hand.expect_bye(ByeCode.TIMEOUT)
            assert trio.current_time() - greeted == pytest.approx(30 + 29 + 60)

        nursery.start_soon(other_end)
        with pytest.raises(TransportError, match="heard nothing from bob"):
            async with alice.session(near):
                await trio.sleep_forever()


async def test_bye_waits_a_second_at_most(autojump_clock: trio.testing.MockClock) -> None:
    near, far = link(capacity=3)
    async with EBT("alice") as alice:
        async with alice.session(near) as session:
            await ByHand(far).greet()
            await session.wait_ready()
            began = trio.current_time()
        assert trio.current_time() - began == pytest.approx(1)
        assert near._incoming.is_deaf  # closed


async def test_cancelled_with_room_for_bye(autojump_clock: trio.testing.MockClock) -> None:
    near, far = link()
    hand = ByHand(far)
    async with EBT("alice") as alice:
        with trio.move_on_after(1):
            async with alice.session(near):
                await hand.greet()
                await trio.sleep_forever()
        assert trio.current_time() == pytest.approx(1)
        await hand.expect_bye(ByeCode.DONE)


async def test_cancelled_in_mid_frame(autojump_clock: trio.testing.MockClock) -> None:
    """The remote does not read: no BYE behind half a frame, and no waiting."""
    near, far = link(capacity=1)
    async with EBT("alice") as alice:
        began = trio.current_time()
        with trio.move_on_after(2):
            async with alice.session(near):
                await ByHand(far).send(Hello(PeerId("bob")))
                await trio.sleep_forever()
        assert trio.current_time() - began == 2
        assert isinstance(await ByHand(far).receive(), Hello)
        with pytest.raises(anyio.EndOfStream):
            await far.receive()


async def test_every_ack_owed_goes_before_a_pong(autojump_clock: trio.testing.MockClock) -> None:
    async with alice_and_hand() as (alice, _, hand):
        alice.follow("bob")
        await hand.greet(acks=True)
        await hand.send(Notes({BOB: 3 << 1 | 1}), Notes())
        while (await hand.until(Notes)).notes.get(BOB) != 0:
            pass  # an eager note for nothing yet
        await hand.send(Messages([Run(BOB, 1, [b"\x01", b"\x02", b"\x03"])]), Ping(5))
        assert await hand.until(Ack) == Ack({BOB: 3})
        assert await hand.receive() == Pong(5)
        assert trio.current_time() < 0.5
        await hand.end.aclose()


async def test_all_acks_go_before_a_pong_even_in_several_frames(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ebt_trio.ebt.NOTES_PER_FRAME", 2)
    feeds = [FeedId(f"feed{number}") for number in range(5)]
    async with alice_and_hand() as (alice, _, hand):
        for feed in feeds:
            alice.follow(feed)
        await hand.greet(acks=True)
        await hand.send(Notes(dict.fromkeys(feeds, 1 << 1 | 1)), Notes())
        asked: set[FeedId] = set()
        while len(asked) < 5:
            asked |= {feed for feed, note in (await hand.until(Notes)).notes.items() if note == 0}
        await hand.send(Messages([Run(feed, 1, [b"\x01"]) for feed in feeds]), Ping(5))
        acked: dict[FeedId, int] = {}
        while not isinstance(frame := await hand.receive(), Pong):
            if isinstance(frame, Ack):
                acked.update(frame.acks)
        assert acked == dict.fromkeys(feeds, 1)
        await hand.end.aclose()


async def test_ended_before_it_was_ready(autojump_clock: trio.testing.MockClock) -> None:
    """A HELLO that comes after our BYE does not bring the session up."""
    near, far = link()
    hand = ByHand(far)
    async with EBT("alice") as alice, trio.open_nursery() as nursery, alice.session(near) as session:
        nursery.start_soon(session.aclose)
        await trio.testing.wait_all_tasks_blocked()
        await hand.send(Hello(PeerId("bob")), Resume(), Notes({ALICE: 1}), Notes())
        await trio.testing.wait_all_tasks_blocked()
        assert not session.was_ready
        assert not alice.status("alice").peers
        await hand.expect_bye(ByeCode.DONE)
        await session.wait_closed()


async def test_a_slow_reader_costs_no_memory_and_gets_the_newest_note(autojump_clock: trio.testing.MockClock) -> None:
    near, far = link(capacity=2)
    hand = ByHand(far)
    async with EBT("alice") as alice, alice.session(near) as session:
        await hand.greet()
        await hand.send(Notes({ALICE: 1}), Notes())
        await session.wait_ready()
        for number in range(1000):
            await alice.append(number)
        assert len(near._outgoing.frames) <= 2
        last = -1
        with trio.move_on_after(5):
            while True:
                last = (await hand.until(Notes)).notes.get(ALICE, last)
        assert last == 1000 << 1 | 1
        assert session.statistics().notes_sent < 10
        await far.aclose()


async def test_the_next_frame_is_read_when_the_last_is_durable(autojump_clock: trio.testing.MockClock) -> None:
    class Slow(MemoryStore):
        async def append(self, runs: Sequence[Run]) -> Sequence[FeedHead | StoreError]:
            await trio.sleep(10)
            return await super().append(runs)

    near, far = link()
    hand = ByHand(far)
    async with EBT("alice", Slow()) as alice, alice.session(near):
        alice.follow("bob")
        await hand.greet()
        await hand.send(Notes({BOB: 5 << 1 | 1}), Notes())
        while (await hand.until(Notes)).notes.get(BOB) != 0:
            pass
        for sequence in range(1, 6):
            await hand.send(Messages([Run(BOB, sequence, [b"\x01"])]))
        await trio.testing.wait_all_tasks_blocked()
        assert len(near._incoming.frames) == 4
        await trio.sleep(15)
        assert len(near._incoming.frames) == 3
        await alice.wait_for({"bob": 5})
        await far.aclose()


async def test_frames_fit_what_the_other_side_takes(autojump_clock: trio.testing.MockClock) -> None:
    async with alice_and_hand() as (alice, session, hand):
        small, large = [b"x" * 300] * 50, b"y" * 3000
        await alice.append_many(small)
        async with EBT("carol") as carol, connected(alice, carol):
            carol.follow("alice")
            await carol.wait_for({"alice": 50})
        await alice.append(large)
        await alice.append("never sent")
        await hand.greet(max_frame=2048)
        async with alice.events() as events:
            await hand.send(Notes({ALICE: 0}), Notes())
            received: list[bytes] = []
            while len(received) < 50:
                frame = decode(data := await hand.end.receive(), Limits())
                assert len(data) <= 2048
                if isinstance(frame, Messages):
                    received.extend(frame.runs[0].payloads)
            assert len(received) == 50
            async for event in events:
                if event.what.value == "too large":
                    assert (event.peer, event.feed) == ("bob", "alice")
                    break
        await hand.send(Ping(1))
        assert await hand.until(Pong) == Pong(1)
        assert session.is_ready
        await hand.end.aclose()


async def test_closing_by_hand(autojump_clock: trio.testing.MockClock) -> None:
    async with alice_and_hand() as (alice, session, hand):
        await hand.greet()
        await session.wait_ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hand.expect_bye, ByeCode.DONE)
            await session.aclose()
        await session.aclose()
        assert await session.wait_closed() == CloseReason(ByeCode.DONE, "", by_remote=False)
        assert alice.sessions == ()

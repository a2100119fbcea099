"""All bytes between two peers with signed feeds, over ``shs+tcp://``: neither keys nor contents are in them.

Over ``tcp://`` they are: the same search, which finds them there, would find them here.
"""

from __future__ import annotations

import base64

import pytest
import trio

from ebt_trio import EBT, Identity, listen
from ebt_trio.core.types import FeedId

ALICE, BOB, CAROL = (Identity(bytes([number]) * 32) for number in (11, 12, 13))
NETWORK = "a network whose name nobody else is to know"
SAID = {
    ALICE: "what Alice writes, which only Bob is to read: the keys are under the third stone",
    BOB: "what Bob answers, which only Alice is to read: there are but two stones here",
    CAROL: "what Carol wrote before, and Alice has kept: beware of stones",
}
WINDOW = 16
"""Bytes in a row that do not occur by chance."""


class Tap:
    """Carries bytes between who connects and a port behind it, and writes all of them down: one record each way."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.port = 0
        self.records: list[bytearray] = []

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        async with listener:
            task_status.started()
            await trio.serve_listeners(self._carry, [listener])

    async def _carry(self, near: trio.SocketStream) -> None:
        async with near, await trio.open_tcp_stream("127.0.0.1", self._target) as far, trio.open_nursery() as nursery:
            nursery.start_soon(self._copy, near, far)
            nursery.start_soon(self._copy, far, near)

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        record = bytearray()
        self.records.append(record)
        async for data in source:
            record += data
            await sink.send_all(data)
        await sink.send_eof()


async def recorded(scheme: str) -> tuple[list[bytes], list[bytes]]:
    """What went over the line, each way, between Alice and Bob, and the payloads of the messages in it."""
    async with (
        EBT(ALICE, network=NETWORK) as alice,
        EBT(BOB, network=NETWORK) as bob,
        EBT(CAROL, network=NETWORK) as carol,
        await listen(f"{scheme}://127.0.0.1:0", identity=ALICE, network=NETWORK) as listener,
        trio.open_nursery() as nursery,
    ):
        for ebt in (alice, bob):
            for identity in (ALICE, BOB, CAROL):
                if ebt.id != identity.id:
                    ebt.follow(identity.id)
        named = [identity.public_key for identity in (ALICE, BOB, CAROL)]
        sent = [await carol.append({"text": SAID[CAROL], "keys": named})]
        await alice.add(sent)

        url = listener.urls[0]
        tap = Tap(int(url.rpartition(":")[2]))
        await nursery.start(tap.run)
        await nursery.start(alice.serve, listener)
        await nursery.start(bob.dial, f"{url.rpartition(':')[0]}:{tap.port}")
        with trio.fail_after(120):
            sent.append(await alice.append({"text": SAID[ALICE]}))
            await bob.wait_for({FeedId(CAROL.id): 1, FeedId(ALICE.id): 1})
            sent.append(await bob.append({"text": SAID[BOB]}))
            await alice.wait_for({FeedId(BOB.id): 1})
            assert (await bob.get(FeedId(ALICE.id), 1)).content == {"text": SAID[ALICE]}
            assert (await alice.get(FeedId(BOB.id), 1)).content == {"text": SAID[BOB]}
        nursery.cancel_scope.cancel()
    return [bytes(record) for record in tap.records], [message.payload for message in sent]


def forms(identity: Identity) -> dict[str, bytes]:
    key = identity.public_key
    return {
        "raw": key,
        "id": identity.id.encode(),
        "hex": key.hex().encode(),
        "HEX": key.hex().upper().encode(),
        "base64": base64.b64encode(key),
        "base32": base64.b32encode(key),
    }


def found(secret: bytes, records: list[bytes]) -> bool:
    """Any part of it that is long enough to be no chance."""
    parts = {secret[start : start + WINDOW] for start in range(max(1, len(secret) - WINDOW + 1))}
    return any(part in record for part in parts for record in records)


SECRETS: dict[str, bytes] = {
    **{f"{name} {form}": text for name, who in zip(("alice", "bob", "carol"), (ALICE, BOB, CAROL), strict=True)
       for form, text in forms(who).items()},
    **{f"said by {index}": text.encode() for index, text in enumerate(SAID.values())},
    "network": NETWORK.encode(),
}  # fmt: skip
SHOWN_IN_PLAIN = [name for name in SECRETS if name.endswith((" raw", " id")) or name.startswith("said")]


async def test_a_recording_of_an_encrypted_link_shows_nothing() -> None:
    records, payloads = await recorded("shs+tcp")
    assert len(records) == 2
    assert all(len(record) > 500 for record in records)
    assert [name for name, secret in SECRETS.items() if found(secret, records)] == []
    assert [payload for payload in payloads if found(payload, records)] == []


async def test_a_recording_of_a_plain_link_shows_it_all() -> None:
    records, payloads = await recorded("tcp")
    assert [name for name in SHOWN_IN_PLAIN if not found(SECRETS[name], records)] == []
    assert all(any(payload in record for record in records) for payload in payloads)
    assert found(SECRETS["network"], records)


@pytest.mark.parametrize("part", [b"", b"x" * 40])
def test_the_search_finds_parts(part: bytes) -> None:
    key = ALICE.public_key
    assert found(key, [b"", part + key[7:25] + part])
    assert not found(key, [b"", part + key[7:22] + part])

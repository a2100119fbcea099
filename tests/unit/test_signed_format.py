"""The signed format: what it makes, what it refuses, and how it tells a fork."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from ebt_trio import (
    EBT,
    FeedId,
    Fork,
    ForkDetected,
    Identity,
    InvalidMessage,
    LocalProtocolError,
    Message,
    SignedFormat,
    StoreError,
)
from ebt_trio.core.types import Run
from ebt_trio.feeds.signed import CONTENT, DOMAIN
from ebt_trio.testing import connected

ALICE = Identity(bytes([1]) * 32)
BOB = Identity(bytes([2]) * 32)
FEED = FeedId(ALICE.id)
VECTORS = Path(__file__).parents[1] / "vectors" / "signed.json"


class Clock:
    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def chain(contents: Sequence[Any], identity: Identity = ALICE, clock: Clock | None = None) -> list[bytes]:
    format = SignedFormat(identity, clock=clock or Clock())
    payloads: list[bytes] = []
    for sequence, content in enumerate(contents, 1):
        previous = payloads[-1] if payloads else None
        payloads.append(format.encode(FeedId(identity.id), sequence, content, previous))
    return payloads


def badly_signed(payload: bytes) -> bytes:
    """What only its author can hide in a chain."""
    return payload[:43] + bytes(64) + payload[CONTENT:]


def behind(previous: bytes, sequence: int, content: Any) -> bytes:
    return SignedFormat(ALICE, clock=Clock()).encode(FEED, sequence, content, previous)


def check(payloads: Sequence[bytes], first: int = 1, previous: bytes | None = None, feed: FeedId = FEED) -> None:
    SignedFormat().validate(Run(feed, first, payloads), previous)


# What it makes


def test_a_payload_is_what_the_document_says() -> None:
    """Read with nothing but a CBOR decoder and an Ed25519 library."""
    clock = Clock(1_700_000_000.25)
    payloads = chain([{"text": "hello"}, "again", None], clock=clock)
    before = bytes(32)
    for sequence, (payload, content) in enumerate(zip(payloads, [{"text": "hello"}, "again", None], strict=True), 1):
        fixed, read = cbor2.loads(payload)
        assert len(fixed) == 104
        previous, microseconds, signature = fixed[:32], int.from_bytes(fixed[32:40], "big"), fixed[40:]
        assert (previous, microseconds, read) == (before, 1_700_000_000_250_000, content)
        signed = b"ebt-trio message 1\0" + ALICE.public_key + sequence.to_bytes(8, "big") + previous
        signed += microseconds.to_bytes(8, "big") + cbor2.dumps(content)
        VerifyKey(ALICE.public_key).verify(signed, signature)
        before = hashlib.blake2b(payload, digest_size=32).digest()


def test_what_a_message_shows() -> None:
    format = SignedFormat(ALICE)
    payload = chain([{"a": 1}])[0]
    message = Message(FEED, 1, payload, format)
    assert message.content == {"a": 1}
    assert message.timestamp == 1_700_000_000.0
    digest = hashlib.blake2b(payload, digest_size=32).digest()
    assert message.id == base64.urlsafe_b64encode(digest).decode().rstrip("=")


def test_timestamps_of_an_author_never_go_back() -> None:
    clock = Clock()
    format = SignedFormat(ALICE, clock=clock)
    first = format.encode(FEED, 1, 1, None)
    clock.now -= 1000
    second = format.encode(FEED, 2, 2, first)
    clock.now += 2000
    third = format.encode(FEED, 3, 3, second)
    assert [format.timestamp(payload) for payload in (first, second, third)] == [1.7e9, 1.7e9, 1.7e9 + 1000]


def test_nobody_writes_without_the_key() -> None:
    for identity in (None, BOB):
        with pytest.raises(LocalProtocolError, match="has the key"):
            SignedFormat(identity).encode(FEED, 1, "x", None)


def test_what_it_does_not_encode() -> None:
    format = SignedFormat(ALICE, max_payload=200)
    with pytest.raises(LocalProtocolError, match=r"message 1 of .* CBOR"):
        format.encode(FEED, 1, object(), None)
    with pytest.raises(LocalProtocolError, match="may have 200 bytes, not 209"):
        format.encode(FEED, 1, "x" * 100, None)
    with pytest.raises(LocalProtocolError, match=r"message 1 of .* is not stored"):
        format.encode(FEED, 2, "x", None)
    with pytest.raises(LocalProtocolError, match="max_payload"):
        SignedFormat(max_payload=CONTENT)


@pytest.mark.parametrize("feed", ["alice", "", "A" * 44, "-" * 43, 7])
def test_feeds_are_public_keys(feed: Any) -> None:
    with pytest.raises(LocalProtocolError):
        SignedFormat().check_feed(feed)
    assert SignedFormat().check_feed(FEED) == FEED


# What it refuses


def test_good_runs_pass() -> None:
    payloads = chain(range(10))
    check(payloads)
    check(payloads[3:], 4, payloads[2])
    check(payloads[3:], 4)  # a late start
    for number, payload in enumerate(payloads, 1):
        check([payload], number, payloads[number - 2] if number > 1 else None)


def test_every_bit_counts() -> None:
    payloads = chain(["one", {"two": 2}, [3]])
    for index, payload in enumerate(payloads):
        for bit in range(len(payload) * 8):
            flipped = bytearray(payload)
            flipped[bit // 8] ^= 1 << bit % 8
            run = [*payloads[:index], bytes(flipped), *payloads[index + 1 :]]
            with pytest.raises(InvalidMessage):
                check(run)
            with pytest.raises(InvalidMessage):
                check(run[index:], index + 1, payloads[index - 1] if index else None)


def test_a_flipped_bit_in_a_thousand_messages() -> None:
    rng = random.Random(7)
    payloads = chain([rng.randbytes(rng.randrange(200)) for _ in range(1000)])
    check(payloads)
    for number in range(1000):
        flipped = bytearray(payloads[number])
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        start = rng.randint(max(0, number - 100), number)
        run = [*payloads[start:number], bytes(flipped), *payloads[number + 1 : number + rng.randrange(1, 100)]]
        with pytest.raises(InvalidMessage):
            check(run, start + 1, payloads[start - 1] if start else None)


@given(st.binary(max_size=300), st.integers(1, 3))
def test_garbage(payload: bytes, number: int) -> None:
    payloads = chain(range(3))
    payloads[number - 1] = payload
    with pytest.raises(InvalidMessage):
        check(payloads)
    with pytest.raises(InvalidMessage):
        SignedFormat().decode(FEED, 1, payload)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda p: (p[1:], 1),
        lambda p: (p[1:], 3),
        lambda p: ([p[1], p[0], p[2]], 1),
        lambda p: ([p[0], p[2]], 1),
        lambda p: ([p[0], p[0], p[1]], 1),
        lambda p: ([p[0], badly_signed(p[1])], 1),
        lambda p: ([p[0] + b"\0"], 1),
        lambda p: ([p[0][:CONTENT]], 1),
    ],
    ids=["as the first", "elsewhere", "swapped", "left out", "twice", "no signature", "too long", "no content"],
)
def test_messages_in_the_wrong_place(wrong: Any) -> None:
    payloads, first = wrong(chain(range(3)))
    with pytest.raises(InvalidMessage):
        check(payloads, first)


def test_somebody_elses_messages() -> None:
    with pytest.raises(InvalidMessage, match="not the author's"):
        check(chain(range(3), BOB))


def test_larger_than_agreed() -> None:
    payloads = chain(["x" * 500])
    with pytest.raises(InvalidMessage, match="at most 600 bytes"):
        SignedFormat(max_payload=600).validate(Run(FEED, 1, payloads), None)


def test_a_first_message_that_names_one_before_it() -> None:
    one, two = chain(range(2))
    signed = b"".join((DOMAIN, ALICE.public_key, (1).to_bytes(8, "big"), two[3:35], two[35:43], two[CONTENT:]))
    forged = two[:43] + ALICE.sign(signed) + two[CONTENT:]
    with pytest.raises(InvalidMessage, match="expected no message before it"):
        check([forged])
    assert one != forged


# Where a run may end


def test_honest_runs_may_end_anywhere() -> None:
    payloads = chain(range(20))
    format = SignedFormat()
    assert all(format.endable(FEED, 1, payloads[:count]) == count for count in range(1, 21))
    assert format.endable(FEED, 1, []) == 0


def test_no_run_ends_at_a_bad_signature() -> None:
    """Only its author can have put one in, for others to be blamed."""
    one = chain([1])[0]
    two = badly_signed(behind(one, 2, 2))
    three = badly_signed(behind(two, 3, 3))
    four = behind(three, 4, 4)
    run = [one, two, three, four]
    check(run)
    check(run[1:], 2, one)
    format = SignedFormat()
    assert [format.endable(FEED, 1, run[:count]) for count in (1, 2, 3, 4)] == [1, 1, 1, 4]
    assert format.endable(FEED, 2, run[1:3]) == 0
    for count in (2, 3):
        with pytest.raises(InvalidMessage, match="not the author's"):
            check(run[:count])


def test_good_signatures_are_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from ebt_trio.feeds import signed

    checked: list[int] = []
    verifies = signed._verifies
    monkeypatch.setattr(
        signed, "_verifies", lambda key, sequence, payload: checked.append(sequence) or verifies(key, sequence, payload)
    )
    payloads = chain(range(10))
    format = SignedFormat()
    format.validate(Run(FEED, 1, payloads), None)
    assert checked == [10]  # one per run
    assert format.endable(FEED, 1, payloads) == 10
    assert checked == [10]
    for sequence in (3, 3):
        format.endable(FEED, 1, payloads[:sequence])
    assert checked == [10, 3]
    assert format.endable(FeedId(BOB.id), 1, payloads) == 0  # of this feed only
    assert format.endable(FEED, 2, payloads[9:]) == 0  # and at this place
    writer = SignedFormat(ALICE)
    own = writer.encode(FEED, 1, "x", None)
    checked.clear()
    assert writer.endable(FEED, 1, [own]) == 1
    assert checked == []


def test_good_signatures_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from ebt_trio.feeds import signed

    monkeypatch.setattr(signed, "REMEMBERED", 5)
    format = SignedFormat()
    for sequence, payload in enumerate(chain(range(20)), 1):
        format.endable(FEED, sequence, [payload])
    assert len(format._good) == 5


# Forks


def two_branches() -> tuple[list[bytes], list[bytes]]:
    """The same up to message 3, then 4, 5, 6 and 4', 5', 6', 7'."""
    common = chain(range(3))
    ours, theirs = list(common), list(common)
    for sequence in (4, 5, 6):
        ours.append(behind(ours[-1], sequence, "ours"))
    for sequence in (4, 5, 6, 7):
        theirs.append(behind(theirs[-1], sequence, "theirs"))
    return ours, theirs


def test_a_continuation_of_the_other_branch_is_a_fork() -> None:
    ours, theirs = two_branches()
    with pytest.raises(ForkDetected, match="two branches") as caught:
        check(theirs[6:], 7, ours[5])
    fork = caught.value.fork
    assert fork == Fork(FEED, 6, (ours[5],), 7, (theirs[6],))
    SignedFormat().check_fork(fork)
    with pytest.raises(InvalidMessage):  # not signed: a forger's, not a fork
        check([badly_signed(theirs[6])], 7, ours[5])


def test_other_messages_in_the_same_place_are_a_fork() -> None:
    ours, theirs = two_branches()
    format = SignedFormat()
    format.compare(Run(FEED, 1, ours), Run(FEED, 1, ours))
    format.compare(Run(FEED, 2, ours[1:3]), Run(FEED, 2, theirs[1:]))
    with pytest.raises(ForkDetected) as caught:
        format.compare(Run(FEED, 2, ours[1:]), Run(FEED, 2, theirs[1:]))
    assert caught.value.fork == Fork(FEED, 4, (ours[3],), 4, (theirs[3],))
    format.check_fork(caught.value.fork)
    with pytest.raises(InvalidMessage):
        format.compare(Run(FEED, 2, ours[1:]), Run(FEED, 2, [*theirs[1:5], badly_signed(theirs[5])]))


def test_what_is_no_proof() -> None:
    ours, theirs = two_branches()
    bobs = chain(range(4), BOB)
    for fork in (
        Fork(FEED, 3, (ours[2],), 4, (theirs[3],)),
        Fork(FEED, 3, (ours[2],), 3, (theirs[2],)),
        Fork(FEED, 4, (ours[3],), 4, (bobs[3],)),
        Fork(FEED, 4, (bobs[3],), 4, (theirs[3],)),
        Fork(FEED, 4, (ours[3],), 4, (badly_signed(theirs[3]),)),
        Fork(FEED, 4, (), 4, (theirs[3],)),
        Fork(FEED, 4, (ours[3],), 9, (theirs[3],)),
    ):
        with pytest.raises(InvalidMessage):
            SignedFormat().check_fork(fork)


def test_proofs_end_at_good_signatures() -> None:
    ours, theirs = two_branches()
    four = badly_signed(theirs[3])
    five = behind(four, 5, "theirs")
    six = behind(five, 6, "theirs")
    with pytest.raises(ForkDetected) as caught:
        SignedFormat().compare(Run(FEED, 4, ours[3:]), Run(FEED, 4, [four, five, six]))
    fork = caught.value.fork
    assert fork == Fork(FEED, 4, (ours[3],), 4, (four, five))
    SignedFormat().check_fork(fork)


def test_which_runs_contradict_a_branch() -> None:
    ours, theirs = two_branches()
    format = SignedFormat()

    def contradicts(payloads: Sequence[bytes], first: int, branch: Run) -> bool:
        return format.contradicts(Run(FEED, first, payloads), branch)

    fourth, seventh = Run(FEED, 4, theirs[3:4]), Run(FEED, 7, theirs[6:])
    assert not contradicts(theirs, 1, fourth)
    assert contradicts(ours, 1, fourth)
    assert not contradicts(ours[:3], 1, fourth)
    assert not contradicts(ours[4:], 5, fourth)  # cannot be told
    assert contradicts(ours, 1, seventh)  # by the message before it
    assert not contradicts(theirs, 1, seventh)
    assert not contradicts(ours[:5], 1, seventh)


def test_forks_as_bytes() -> None:
    ours, theirs = two_branches()
    fork = Fork(FEED, 6, (ours[5],), 7, tuple(theirs[6:]), "ours")
    assert Fork.from_bytes(FEED, fork.to_bytes(), "ours") == fork
    lacking = [1, [b"x"], 1, [b"y"]]
    changed = [[*lacking[:at], worse, *lacking[at + 1 :]] for at in range(4) for worse in (0, 1 << 62, "1", [1 << 40])]
    for damaged in (b"", b"\x80", fork.to_bytes()[:-1], cbor2.dumps("x"), *map(cbor2.dumps, changed)):
        with pytest.raises(StoreError, match="damaged"):
            Fork.from_bytes(FEED, damaged, None)


async def test_a_clock_that_jumps() -> None:
    """Back by years, forward by centuries, before 1970: messages are made, and taken by others, all the same."""
    clock = Clock()
    async with EBT(ALICE, format=SignedFormat(ALICE, clock=clock)) as alice, EBT(BOB) as bob:
        bob.follow(alice.feed)
        async with connected(alice, bob):
            for now in (1.7e9, 1.0e9, 4.0e9, 1.7e9, -5.0, 0.0):
                clock.now = now
                await alice.append(now)
            await bob.wait_for({alice.feed: 6})
        stamps = [message.timestamp for message in await bob.read(alice.feed)]
        assert stamps == [1.7e9, 1.7e9, 4.0e9, 4.0e9, 4.0e9, 4.0e9]


# Vectors, for other implementations


def vectors() -> dict[str, Any]:
    """What tests/vectors/signed.json has; written by ``python tests/unit/test_signed_format.py``."""
    contents = [{"text": "hello"}, "", None, [1, -1, 1.5, True, b"\x00\xff"], "é" * 100]
    payloads = chain(contents, clock=Clock(1_750_000_000.123456))
    good = [
        {
            "sequence": sequence,
            "content_cbor": payload[CONTENT:].hex(),
            "timestamp_microseconds": int.from_bytes(payload[35:43], "big"),
            "payload": payload.hex(),
            "blake2b_256": hashlib.blake2b(payload, digest_size=32).hexdigest(),
        }
        for sequence, payload in enumerate(payloads, 1)
    ]
    ours, theirs = two_branches()
    flipped = bytearray(payloads[1])
    flipped[-1] ^= 1
    bad = {
        "a message is missing": (1, [payloads[0], payloads[2]], None),
        "a bit of the content of a message in the middle": (1, [payloads[0], bytes(flipped), payloads[2]], None),
        "the last signature is bad": (1, [payloads[0], badly_signed(payloads[1])], None),
        "of another author": (1, chain(contents[:2], BOB), None),
        "another sequence": (2, [payloads[0]], None),
        "a byte too many": (1, [payloads[0] + b"\0"], None),
        "no array of two": (1, [b"\x83" + payloads[0][1:]], None),
        "another branch": (7, theirs[6:], ours[5]),
    }
    one = payloads[0]
    two = badly_signed(behind(one, 2, "two"))
    return {
        "seed": (bytes([1]) * 32).hex(),
        "public_key": ALICE.public_key.hex(),
        "feed": FEED,
        "messages": good,
        "valid_runs": [
            {"why": "all of it", "first": 1, "payloads": [p.hex() for p in payloads], "previous": None},
            {"why": "a late start", "first": 3, "payloads": [p.hex() for p in payloads[2:4]], "previous": None},
            {
                "why": "a bad signature in the middle, which the last one covers",
                "first": 1,
                "payloads": [p.hex() for p in (one, two, behind(two, 3, "three"))],
                "previous": None,
            },
        ],
        "invalid_runs": [
            {
                "why": why,
                "first": first,
                "payloads": [p.hex() for p in run],
                "previous": None if previous is None else previous.hex(),
                "fork": why == "another branch",
            }
            for why, (first, run, previous) in bad.items()
        ],
    }


def test_the_vectors_hold() -> None:
    stored = json.loads(VECTORS.read_text("ascii"))
    assert stored == vectors()
    for run in stored["valid_runs"]:
        check([bytes.fromhex(payload) for payload in run["payloads"]], run["first"])
    for run in stored["invalid_runs"]:
        previous = None if run["previous"] is None else bytes.fromhex(run["previous"])
        with pytest.raises(ForkDetected if run["fork"] else InvalidMessage):
            check([bytes.fromhex(payload) for payload in run["payloads"]], run["first"], previous)


def test_the_signatures_of_the_vectors_are_ed25519() -> None:
    stored = json.loads(VECTORS.read_text("ascii"))
    key = VerifyKey(bytes.fromhex(stored["public_key"]))
    for message in stored["messages"]:
        payload = bytes.fromhex(message["payload"])
        signed = DOMAIN + bytes(key) + message["sequence"].to_bytes(8, "big") + payload[3:35] + payload[35:43]
        key.verify(signed + bytes.fromhex(message["content_cbor"]), payload[43:CONTENT])
        with pytest.raises(BadSignatureError):
            key.verify(signed + b"x", payload[43:CONTENT])


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(vectors(), indent=1) + "\n", "ascii")

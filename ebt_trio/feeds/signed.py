"""The signed format: each message has the hash of the one before, a timestamp, and its author's signature.

A payload is one CBOR array of two: a byte string of 104 bytes, and the content. The byte string has the hash of the
payload before (32 bytes; zeros at sequence 1), the timestamp (8 bytes: microseconds since 1970, UTC), and the signature
(64 bytes); so each has a fixed place. ``docs/signed-feeds.md`` has the details, and says why one signature check per
run is enough; ``tests/vectors/signed.json`` has examples.

Signatures are Ed25519 (RFC 8032), hashes BLAKE2b with 32 bytes (RFC 7693). Needs PyNaCl.
"""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Final

from ..abc import Fork, Format
from ..core.types import FeedId, Run
from ..errors import ForkDetected, InvalidMessage, LocalProtocolError
from ..identity import Identity, public_key_bytes
from .plain import DEFAULT_MAX_PAYLOAD, decode_content, encode_content

__all__ = ["CONTENT", "DOMAIN", "SignedFormat"]

DOMAIN: Final = b"ebt-trio message 1\0"
"""What a signature is over begins with this, so that it is good for nothing else."""
CONTENT: Final = 107
"""Where the content begins, in bytes."""
FIRST: Final = bytes(32)
"""Stands for the hash of the message before the first."""
REMEMBERED: Final = 10_000
"""So many signatures that were found good are not checked again."""
_HEAD: Final = b"\x82\x58\x68"
"""An array of two, and the byte string in it."""


class SignedFormat(Format):
    """A feed's id is the public key of its author, who alone can write it.

    :param identity: with which to write our own feed; None: only others' feeds are kept, none is written
    :param max_payload: the longest payload, in bytes. It has to fit one frame of every peer (1 MiB by default)
    :param clock: the time for new messages, in seconds since 1970; an author's timestamps never go back even so
    """

    name = "signed"
    can_fork = True

    def __init__(
        self,
        identity: Identity | None = None,
        *,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if max_payload <= CONTENT:
            raise LocalProtocolError(f"max_payload must be more than {CONTENT} bytes, not {max_payload}")
        self.identity = identity
        self.max_payload = max_payload
        self._clock = clock
        self._good: OrderedDict[tuple[FeedId, int, bytes], None] = OrderedDict()

    def check_feed(self, feed: str) -> FeedId:
        """Take a public key in text form, 43 characters; see :mod:`ebt_trio.identity`."""
        if not isinstance(feed, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not check types
            raise LocalProtocolError(f"a feed id is a str, not {type(feed).__name__}")
        public_key_bytes(feed)
        return FeedId(feed)

    # -- writing

    def encode(self, feed: FeedId, sequence: int, content: Any, previous: bytes | None) -> bytes:
        """Sign the content as the feed's next message.

        :raises LocalProtocolError: CBOR has nothing for the content, it is too large, or we lack the feed's key
        """
        identity = self.identity
        if identity is None or str(identity) != feed:
            raise LocalProtocolError(f"only who has the key of feed {feed} can append to it; we do not")
        if (sequence == 1) != (previous is None):
            raise LocalProtocolError(f"message {sequence - 1} of {feed} is not stored: the next one cannot follow it")
        try:
            encoded = encode_content(content)
        except LocalProtocolError as error:
            raise LocalProtocolError(f"message {sequence} of {feed}: {error}") from error.__cause__
        if CONTENT + len(encoded) > self.max_payload:
            raise LocalProtocolError(
                f"message {sequence} of {feed}: the payload may have {self.max_payload} bytes, "
                f"not {CONTENT + len(encoded)}"
            )
        now = int(self._clock() * 1_000_000)
        if previous is not None:
            now = max(now, _microseconds(previous))
        before = FIRST if previous is None else _hash(previous)
        stamp = max(now, 0).to_bytes(8)
        signature = identity.sign(_signed(identity.public_key, sequence, before, stamp, encoded))
        payload = b"".join((_HEAD, before, stamp, signature, encoded))
        self._remember((feed, sequence, _hash(payload)))
        return payload

    # -- reading

    def decode(self, feed: FeedId, sequence: int, payload: bytes) -> Any:
        try:
            _check_form(payload, self.max_payload)
            return decode_content(payload[CONTENT:])
        except ValueError as error:
            raise InvalidMessage(f"message {sequence} of {feed} cannot be decoded: {error}") from error

    def timestamp(self, payload: bytes) -> float | None:
        """What the author's clock said, in seconds since 1970; nobody has checked it."""
        return _microseconds(payload) / 1_000_000

    def message_id(self, payload: bytes) -> str | None:
        """The hash of the payload, in URL-safe base64 without padding: 43 characters."""
        return base64.urlsafe_b64encode(_hash(payload)).rstrip(b"=").decode()

    # -- checking

    def validate(self, run: Run, previous: bytes | None) -> None:
        """Check the hash chain, and the last signature, which covers all of it.

        :raises InvalidMessage: not what the author has signed, or not in this place
        :raises ForkDetected: what the author has signed, but not behind ``previous``
        """
        feed, payloads = run.feed, run.payloads
        before = payloads[0][3:35]
        last = self._check_chain(run)
        if run.first == 1 and before != FIRST:
            raise InvalidMessage(f"message 1 of {feed}: expected no message before it, it names one")
        if not self._is_signed(feed, run.last, payloads[-1], last):
            raise InvalidMessage(f"message {run.last} of {feed}: the signature is not the author's")
        if previous is not None and before != _hash(previous):
            raise ForkDetected(
                f"feed {feed} has two branches: message {run.first} does not follow the {run.first - 1} that we hold, "
                "and both are signed",
                Fork.between(Run(feed, run.first - 1, (previous,)), self._shortest(run)),
            )

    def compare(self, ours: Run, theirs: Run) -> None:
        """Two runs of one feed with the same sequences: they should be the same.

        :raises InvalidMessage: they differ, and ``theirs`` is not what the author has signed
        :raises ForkDetected: they differ, and the author has signed both
        """
        count = min(len(ours.payloads), len(theirs.payloads))
        for index in range(count):
            if ours.payloads[index] != theirs.payloads[index]:
                sequence = theirs.first + index
                rest = Run(theirs.feed, sequence, theirs.payloads[index:])
                self.validate(rest, None)
                raise ForkDetected(
                    f"feed {theirs.feed} has two branches: two messages {sequence}, both signed",
                    Fork.between(self._shortest(Run(ours.feed, sequence, ours.payloads[index:])), self._shortest(rest)),
                )

    def contradicts(self, run: Run, branch: Run) -> bool:
        """Like any format's, and the branch also names the message before it."""
        before = branch.first - 1
        if run.first <= before <= run.last:
            digest = _hash(run.payloads[before - run.first])
            if digest != branch.payloads[0][3:35]:
                return True
        return super().contradicts(run, branch)

    def check_fork(self, fork: Fork) -> None:
        """:raises InvalidMessage: that is no proof of a fork"""
        ours, theirs = fork.branch("ours"), fork.branch("theirs")
        for run in (ours, theirs):
            if not run.payloads:
                raise InvalidMessage(f"feed {fork.feed}: no messages in the proof of a fork")
            self.validate(run, None)
        if not self.contradicts(ours, theirs):
            raise InvalidMessage(f"feed {fork.feed}: one history, not two")

    def endable(self, feed: FeedId, first: int, payloads: Sequence[bytes]) -> int:
        """Up to the last good signature: where that of a later message is bad, only its author can have made it so."""
        if self.identity is not None and str(self.identity) == feed:
            return len(payloads)  # we have signed each of them
        for count in range(len(payloads), 0, -1):
            payload = payloads[count - 1]
            if self._is_signed(feed, first + count - 1, payload, _hash(payload)):
                return count
        return 0

    def _check_chain(self, run: Run) -> bytes:
        """Form and hashes inside of the run; the hash of its last payload.

        :raises InvalidMessage: one is wrong
        """
        payloads = run.payloads
        if max(map(len, payloads)) <= self.max_payload and min(map(len, payloads)) > CONTENT:
            head = _HEAD + payloads[0][3:35]
            for payload in payloads:  # the hot loop of receiving
                if not payload.startswith(head):
                    break
                head = _HEAD + blake2b(payload, digest_size=32).digest()
            else:
                return head[3:]
        return self._explain(run)

    def _explain(self, run: Run) -> bytes:
        """:raises InvalidMessage: always, with what is wrong"""
        before: bytes | None = None
        for sequence, payload in enumerate(run.payloads, run.first):
            try:
                _check_form(payload, self.max_payload)
            except ValueError as error:
                raise InvalidMessage(f"message {sequence} of {run.feed}: {error}") from None
            if before not in (None, payload[3:35]):
                raise InvalidMessage(f"message {sequence} of {run.feed} does not follow the one before it")
            before = _hash(payload)
        raise AssertionError("nothing is wrong")

    def _is_signed(self, feed: FeedId, sequence: int, payload: bytes, digest: bytes) -> bool:
        key = (feed, sequence, digest)
        if key in self._good:
            return True
        if len(payload) <= CONTENT or not _verifies(public_key_bytes(feed), sequence, payload):
            return False
        self._remember(key)
        return True

    def _remember(self, key: tuple[FeedId, int, bytes]) -> None:
        self._good[key] = None
        if len(self._good) > REMEMBERED:
            self._good.popitem(last=False)

    def _shortest(self, run: Run) -> Run:
        """The beginning of the run up to the first good signature: enough for a proof."""
        for count, payload in enumerate(run.payloads[:16], 1):
            if self._is_signed(run.feed, run.first + count - 1, payload, _hash(payload)):
                return Run(run.feed, run.first, run.payloads[:count])
        return run


def _check_form(payload: bytes, most: int) -> None:
    """:raises ValueError: not a signed message"""
    if len(payload) > most:
        raise ValueError(f"expected at most {most} bytes, got {len(payload)}")
    if len(payload) <= CONTENT or not payload.startswith(_HEAD):
        raise ValueError("expected a signed message, got something else")


def _hash(payload: bytes) -> bytes:
    return blake2b(payload, digest_size=32).digest()


def _microseconds(payload: bytes) -> int:
    return int.from_bytes(payload[35:43])


def _signed(key: bytes, sequence: int, before: bytes, stamp: bytes, content: bytes) -> bytes:
    """What the signature is over: all of the message, and where it belongs."""
    return b"".join((DOMAIN, key, sequence.to_bytes(8), before, stamp, content))


def _verifies(key: bytes, sequence: int, payload: bytes) -> bool:
    """libsodium refuses signatures that are not the only one possible, and keys of small order."""
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError

    signed = _signed(key, sequence, payload[3:35], payload[35:43], payload[CONTENT:])
    try:
        crypto_sign_open(payload[43:CONTENT] + signed, key)
    except BadSignatureError:
        return False
    return True

"""How much a peer takes from others before it says no."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds; the defaults are those of ``docs/protocol.md``."""

    frame: int = 1 << 20
    """The largest frame we take (our HELLO's ``max_frame``)."""
    hello_frame: int = 4096
    """The largest frame we take before HELLO has come."""
    nesting: int = 16
    feed_id: int = 256
    """The longest feed id, in bytes of UTF-8."""
    notes: int = 10_000
    """Entries in one NOTES, START or ACK frame, and runs in one MESSAGES frame."""
    messages: int = 65_536
    """Messages in one MESSAGES frame, so that a frame of empty ones does not decode to many times its size."""
    hello_timeout: float = 5.0
    keepalive: float = 30.0
    """After this much silence a PING; after as much again without an answer the session ends."""
    bye_timeout: float = 1.0
    """How long we read on and discard after our BYE."""
    sessions: int = 1000
    """How many sessions :meth:`EBT.serve` has at once."""
    handshakes: int = 256
    """How many of them may not have got through HELLO and RESUME yet. For one more, the source with the most of them
    loses its oldest."""
    sessions_per_peer: int = 64
    """Sessions with one peer id at once: processes that share it, and links of which only one side knows they are dead.
    Those whose id is proved, and those whose id is not, are counted apart."""
    bytes_per_second: float | None = None
    """So fast do we read from one session, with bursts of a second; None: as fast as messages can be stored."""
    total_bytes_per_second: float | None = None
    """So fast do we read from all sessions together."""
    named_feeds: int = 65_536
    """Of feeds that peers have named and nobody here follows, so many are remembered; the others are declined, too."""
    adopted_feeds: int = 100_000
    """So many feeds does ``should_replicate`` have us follow because one peer has named them; then it is not asked."""
    total_adopted_feeds: int = 1_000_000
    """Likewise, because of all peers together."""
    feed_bytes: int | None = None
    """Of a feed that is not ours, so many bytes of payloads are stored; then what peers send of it is refused.
    None: as many as there are."""
    remembered_peers: int = 1000
    """How many peers' clocks the store remembers for request skipping; least recently seen dropped first."""

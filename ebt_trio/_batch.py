"""Group commits: which runs the jobs of a batch want stored, checked; see :class:`Batch`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ._forks import Forks
from ._jobs import Add, Job, Receive, Write
from ._tail import Tail
from .abc import Format, Store
from .core.replicator import Replicator
from .core.types import FeedId, Range, Run
from .errors import EBTError, FeedBehind, ForkDetected, InvalidMessage, LocalProtocolError, SequenceGap, StoreError
from .limits import Limits

__all__ = ["FRAME_OVERHEAD", "Batch", "OutOfPlace", "Planned", "TryAgain"]

FRAME_OVERHEAD = 40
"""At most so many bytes, and the feed id, are around the payload in a MESSAGES frame with one message."""
MAX_ATTEMPTS = 200


class OutOfPlace(SequenceGap):
    """What would have come before was refused, and whoever is to blame for that has been blamed."""


class TryAgain(Exception):
    """Not in this batch: something of the same feed has to be stored before."""


@dataclass(slots=True)
class Planned:
    """A run to be stored, the job that it belongs to, and how many of its messages are new as far as we know.

    A :class:`~._jobs.Receive` whose run is stored as it came stands for itself instead.
    """

    run: Run
    job: Receive | Write | Add
    new: int


class Batch:
    """Turns jobs into runs. What an earlier job of the batch is about to store counts as stored for a later one."""

    def __init__(
        self,
        me: str,
        core: Replicator,
        store: Store,
        format: Format,
        tail: Tail,
        forks: Forks,
        limits: Limits,
        sizes: dict[FeedId, int],
    ) -> None:
        """
        :param sizes: bytes per feed with what is on its way into the store; filled as needed
        """
        self._planned: list[Planned | Receive] = []
        self._me = me
        self._sizes = sizes
        self._core = core
        self._store = store
        self._format = format
        self._tail = tail
        self._forks = forks
        self._limits = limits
        self._newest: dict[FeedId, Run] = {}
        self._is_simple = not format.needs_previous and limits.feed_bytes is None

    def begin(self) -> list[Planned | Receive]:
        """For the next commit; what is planned from here on comes into the list."""
        self._planned = []
        self._newest.clear()
        return self._planned

    def plain(self, jobs: Sequence[Job]) -> Iterator[Job]:
        """Plan what peers have sent that follows what is stored, and is valid by itself, as :meth:`receive` would.

        That has more to ask for, and would take three times as long. Yields the others, in order.
        """
        durable, newest, planned, validate = self._core.durable, self._newest, self._planned, self._format.validate
        for job in jobs:
            if not isinstance(job, Receive) or not self._is_simple or self._forks:
                yield job
                continue
            run = job.run
            before = newest.get(run.feed)
            if run.first != (durable(run.feed) if before is None else before.last) + 1:
                yield job
                continue
            try:
                validate(run, None)
            except Exception:  # receive() gets the same, and there it is told
                yield job
                continue
            job.attempts += 1
            newest[run.feed] = run
            job.new = len(run.payloads)
            planned.append(job)

    async def receive(self, job: Receive) -> bool:
        """False: all of it is stored already, by another process.

        :raises InvalidMessage: the format refuses the run
        :raises ForkDetected: likewise, because of what is stored
        :raises OutOfPlace: what comes before it was refused
        :raises StoreError: what it has to be compared with cannot be read
        """
        run = job.run
        head = self._head(run.feed)
        if run.first > head + 1 and not (run.late and head == 0):
            raise OutOfPlace(f"feed {run.feed}: expected sequence {head + 1} next, got {run.first}; not stored")
        if self._forks:
            self._forks.check_run(run, job.session)
        if self._format.needs_previous and run.first <= head:  # another process has moved our head meanwhile
            await self._forks.check_held(run)
            run = _behind(run, head)
            if not run.payloads:
                return False
        previous: bytes | None = None
        if self._format.needs_previous:
            previous = await self._previous(run.feed, run.first - 1)
            if previous is None and 1 < run.first <= head + 1:
                raise StoreError(
                    f"feed {run.feed}: message {run.first - 1} cannot be read, so that what follows is not stored"
                )
            # What depends on what is stored must not be passed over because another process has stored something else.
            run.exact = not run.late
        self._format.validate(run, previous)
        if self._limits.feed_bytes is not None:
            await self._check_room(run, self._limits.feed_bytes)
        self._plan(run, job, len(run.payloads))
        return True

    async def write(self, job: Write) -> None:
        """:raises FeedBehind: a connected peer claims more of the feed than we hold
        :raises ForkDetected: the feed has forked
        :raises LocalProtocolError: content that cannot be encoded, or is too large
        :raises StoreError: the payload before it cannot be read
        :raises TryAgain: messages of the feed that a peer has sent are stored first
        """
        feed = job.feed
        head, accepted, claimed = self._head(feed), self._core.accepted(feed), self._core.claimed(feed)
        self._forks.check_append(feed, head)
        if claimed > max(accepted, head) or (accepted > head and job.attempts >= MAX_ATTEMPTS):
            raise FeedBehind(
                f"a connected peer has {max(claimed, accepted)} messages of feed {feed}, we hold {head}: "
                "appending now would fork it; wait until they have been fetched"
            )
        if accepted > head:
            raise TryAgain
        previous = await self._previous(feed, head) if self._format.needs_previous else None
        payloads: list[bytes] = []
        encode, most = self._format.encode, largest(feed, self._limits)
        for sequence, content in enumerate(job.contents, head + 1):
            previous = encode(feed, sequence, content, previous)
            if len(previous) > most:
                raise too_large(feed, sequence, previous, most)
            payloads.append(previous)
        job.first, job.payloads = head + 1, payloads
        self._plan(Run(feed, head + 1, payloads, exact=True), job, len(payloads))

    async def add(self, job: Add) -> None:
        """Plan those runs that follow what is stored; the first that is invalid becomes the job's error."""
        for run in job.runs:
            head = self._head(run.feed)
            if run.last <= head or run.first > head + 1:
                if run.last <= head and run.feed in self._newest:  # not stored yet: if that fails, so does this
                    self._planned.append(Planned(self._newest[run.feed], job, 0))
                continue
            if run.first <= head:
                run = _behind(run, head)
            try:
                self._forks.check_run(run, None)
                self._format.validate(run, await self._previous(run.feed, run.first - 1))
            except (InvalidMessage, ForkDetected) as exc:
                job.error = job.error or exc
                if isinstance(exc, ForkDetected) and exc.fork is not None:
                    self._forks.found(exc.fork, str(exc), run, None)
            else:
                self._plan(run, job, len(run.payloads))

    async def _check_room(self, run: Run, most: int) -> None:
        """:raises InvalidMessage: the feed would be longer than we take"""
        feed = run.feed
        if feed == self._me:
            return
        if feed not in self._sizes:
            self._sizes[feed] = await self._store.size(feed)
        self._sizes[feed] += sum(map(len, run.payloads))
        if self._sizes[feed] > most:
            del self._sizes[feed]
            raise InvalidMessage(f"feed {feed}: with message {run.last} it would have more than {most} bytes")

    def _plan(self, run: Run, job: Receive | Write | Add, new: int) -> None:
        self._newest[run.feed] = run
        self._planned.append(Planned(run, job, new))

    def _head(self, feed: FeedId) -> int:
        newest = self._newest.get(feed)
        return self._core.durable(feed) if newest is None else newest.last

    async def _previous(self, feed: FeedId, sequence: int) -> bytes | None:
        if not self._format.needs_previous or sequence < 1:
            return None
        newest = self._newest.get(feed)
        if newest is not None and newest.first <= sequence <= newest.last:
            return newest.payloads[sequence - newest.first]
        payload = self._tail.payload(feed, sequence)
        if payload is not None:
            return payload
        try:
            found = (await self._store.read([Range(feed, sequence, 1)], 1))[0]
        except EBTError as exc:
            raise exc if isinstance(exc, StoreError) else StoreError(str(exc)) from exc
        return found[0] if found else None


def _behind(run: Run, head: int) -> Run:
    """What is new of a run that begins at or before our head."""
    return Run(run.feed, head + 1, run.payloads[head + 1 - run.first :])


def largest(feed: FeedId, limits: Limits) -> int:
    """The most bytes that a payload of the feed may have, so that the message fits a frame."""
    return limits.frame - FRAME_OVERHEAD - len(feed.encode())


def too_large(feed: FeedId, sequence: int, payload: bytes, most: int) -> LocalProtocolError:
    return LocalProtocolError(
        f"message {sequence} of {feed}: the payload may have {most} bytes, so that it fits a frame, not {len(payload)}"
    )

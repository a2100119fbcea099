"""The one task that writes to the store, with group commit; see :class:`Commits`."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from ._batch import MAX_ATTEMPTS, Batch, OutOfPlace, Planned, TryAgain
from ._changes import PendingChange
from ._forks import Forks
from ._jobs import Add, Arrival, Asked, Flush, Job, Receive, Write
from ._saving import Saving
from ._tail import Tail
from .abc import Format, Store
from .core.actions import Append, What
from .core.events import Appended, AppendError, AppendFailed, Event, Forgotten, Stored
from .core.replicator import Replicator
from .core.types import FeedHead, FeedId, PeerId, Run, SessionId
from .errors import EBTError, ForkDetected, LocalProtocolError, SequenceGap, StoreError
from .limits import Limits

__all__ = ["Commits"]

_log = logging.getLogger("ebt_trio")

AT_ONCE: Final = 200
"""After so many outcomes other tasks get their turn."""
CONFLICT_PAUSE: Final = 0.02
"""At most, in seconds, when another process keeps taking the sequences that we are about to use."""

Reporter = Callable[[What, SessionId | None, FeedId | None, str], None]


class Commits:
    """Takes everything that is to be written, and writes what has gathered: one transaction for all messages.

    - Every run that the core wants appended gets exactly one outcome, whatever became of the session that it came from.
    - One bad run never fails the others.
    - A failing store never ends this task: whoever waits is told, and what must not be lost is tried again.
    - Follows, blocks and deletions are written in order by the next commit; peers' clocks every few seconds.

    Nothing cancels :meth:`run`: it ends by :meth:`stop`.
    """

    def __init__(
        self,
        me: PeerId,
        core: Replicator,
        store: Store,
        format: Format,
        tail: Tail,
        forks: Forks,
        pending: PendingChange,
        limits: Limits,
        *,
        handle: Callable[[Event], object],
        report: Reporter,
    ) -> None:
        self.saving = Saving(
            core, store, pending, limits.remembered_peers, failed=self._store_failed, forgotten=self._forgotten
        )
        """What is written besides messages."""
        self.stored = 0
        """How many transactions there were."""
        self._sizes: dict[FeedId, int] = {}
        self._planned = Batch(me, core, store, format, tail, forks, limits, self._sizes)
        self._core = core
        self._store = store
        self._format = format
        self._tail = tail
        self._forks = forks
        self._limits = limits
        self._handle = handle
        self._report = report
        self._jobs: list[Job] = []
        self._batch: Sequence[Job] = ()
        self._is_busy = False
        self._failure: BaseException | None = None
        self._wake = trio.Event()
        self._stopping = False
        self._ended = False

    # -- for others -------------------------------------------------------------------------------------------------

    async def receive(self, wanted: Append) -> Arrival:
        """The core wants this stored. Await the arrival's ``done``, or don't: nothing here waits, nor is cancelled."""
        arrival, session = Arrival(len(wanted.runs)), wanted.session
        jobs = [Receive(session, run, arrival) for run in wanted.runs]
        if self._is_free:
            await self._commit(jobs)
        else:
            self._submit(jobs)
        return arrival

    async def ask(self, job: Write | Add | Flush) -> None:
        """Have a job done. Cancellable until it is handed to the store, shielded after.

        :raises StoreError: the store failed
        :raises EBTError: why the job cannot be done
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._is_free and not isinstance(job, Flush):
            await self._commit([job])
        else:
            self._submit([job])
        if job.is_done:
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            await job.wait(lambda: self._withdraw(job))
        if job.error is not None:
            raise job.error

    @property
    def _is_free(self) -> bool:
        """Whoever has something to be stored may do it himself: nothing waits before it, and nothing in it waits."""
        return self._store.immediate and not (self._is_busy or self._jobs or self._ended)

    def stop(self) -> None:
        """Write what is left, and end."""
        self._stopping = True
        self._wake.set()

    def _withdraw(self, job: Job) -> None:
        if job in self._jobs:  # if not, the batch that is being planned has it
            self._jobs.remove(job)

    def _submit(self, jobs: Sequence[Job]) -> None:
        if self._ended:
            raise LocalProtocolError("this EBT is closed")
        self._jobs += jobs
        self._wake.set()

    # -- the task ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """:raises StoreError: the last write, after :meth:`stop`, has failed"""
        while self._jobs or self._is_busy or not self._stopping:
            await self._wait()
            jobs, self._jobs = self._jobs, []
            await self._commit(jobs, also=self._save_what_is_due)
        self._ended = True
        error = await self.saving.save(everything=True)
        if error is not None:
            raise error

    async def _wait(self) -> None:
        await trio.lowlevel.checkpoint()  # a job may come back, from a store that waits for nothing
        while self._is_busy or not (self._jobs or self._stopping or self.saving.is_due):
            self._wake = trio.Event()
            with self.saving.until_due():
                await self._wake.wait()
            if self._failure is not None:
                raise StoreError("nothing can be written any more") from self._failure

    async def _commit(
        self, jobs: Sequence[Job], also: Callable[[Sequence[Job]], Awaitable[None]] | None = None
    ) -> None:
        """Store messages, and do what is to be done ``also``; one task at a time does that."""
        self._is_busy = True
        self._batch = jobs
        try:
            await self._store_messages(jobs)
            if also is not None:
                await also(jobs)
        except BaseException as exc:
            self._abandon(exc)
            raise
        self.stored += 1
        self._batch = ()
        self._is_busy = False
        if self._jobs or self._stopping:
            self._wake.set()

    def _abandon(self, exc: BaseException) -> None:
        """A bug, here or in a store or format: let nobody wait for ever."""
        self._ended, self._failure, self._is_busy = True, exc, False
        self._wake.set()
        for job in (*self._batch, *self._jobs):
            if isinstance(job, Receive):
                job.arrival.done.set()
            else:
                job.finish(StoreError(f"nothing can be written any more: {exc!r}"))

    # -- messages ---------------------------------------------------------------------------------------------------

    async def _store_messages(self, jobs: Sequence[Job]) -> None:
        planned = self._planned.begin()
        for job in self._planned.plain(jobs):
            await self._plan(job)
        if not planned:
            self._finish_adds(jobs)
            return
        outcomes: Sequence[FeedHead | StoreError]
        try:
            outcomes = await self._store.append([plan.run for plan in planned])
        except Exception as exc:
            error = self._store_failed(exc, "messages could not be stored")
            outcomes = [error] * len(planned)
        conflicts: list[Write | Receive] = []
        for start in range(0, len(planned), AT_ONCE):
            if start:
                await trio.lowlevel.cancel_shielded_checkpoint()
            conflicts += self._settle(planned[start : start + AT_ONCE], outcomes[start : start + AT_ONCE])
        self._finish_adds(jobs)
        if conflicts:
            await self._look_again(conflicts)

    async def _plan(self, job: Job) -> None:
        batch = self._planned
        if isinstance(job, Asked):
            if job.is_done:
                return
            job.taken = True
        try:
            match job:
                case Receive():
                    job.attempts += 1
                    if not await batch.receive(job):
                        feed = job.run.feed
                        self._received([job], [(feed, self._core.durable(feed))])
                case Write():
                    job.attempts += 1
                    await batch.write(job)
                case Add():
                    await batch.add(job)
                case Flush():
                    pass
        except TryAgain:
            assert isinstance(job, Write)
            self._jobs.append(job)
        except Exception as exc:
            if not isinstance(exc, EBTError):
                _log.exception("the format %s, or the store, raised what it must not raise", self._format.name)
            if isinstance(job, Receive):
                self._refused(job, exc)
            else:
                job.finish(exc)

    def _settle(
        self, planned: Sequence[Planned | Receive], outcomes: Sequence[FeedHead | StoreError]
    ) -> Sequence[Write | Receive]:
        """Tell the core, all it has asked for at once, and who waits. Returns those whose sequences were taken."""
        conflicts: list[Write | Receive] = []
        received: list[Receive] = []
        heads: list[tuple[FeedId, int]] = []
        for plan, outcome in zip(planned, outcomes, strict=True):
            run, job = plan.run, plan if isinstance(plan, Receive) else plan.job
            if isinstance(outcome, StoreError):
                if isinstance(outcome, SequenceGap) and not isinstance(job, Add) and job.attempts < MAX_ATTEMPTS:
                    conflicts.append(job)
                else:
                    self._failed(job, outcome)
                continue
            if not plan.new:
                pass  # an earlier one of the batch has brought it, and put it there
            elif outcome.head == run.last:
                self._tail.add(run)
            else:
                self._tail.drop(run.feed)
            if isinstance(job, Receive):
                received.append(job)
                heads.append((run.feed, outcome.head))
                continue
            self._handle(Stored(run.feed, outcome.head, outcome.first))
            if isinstance(job, Write):
                job.finish()
            else:
                job.new += plan.new
        if received:
            self._received(received, heads)
        return conflicts

    def _failed(self, job: Receive | Write | Add, error: StoreError) -> None:
        if isinstance(job, Receive):
            self._refused(job, error)
        elif isinstance(job, Write):
            job.finish(_own(error))
        elif not isinstance(error, SequenceGap):
            job.error = job.error or _own(error)

    def _received(self, jobs: Sequence[Receive], heads: Sequence[tuple[FeedId, int]]) -> None:
        self._handle(Appended(heads))
        for job in jobs:
            job.arrival.finish_one()

    def _refused(self, job: Receive, exc: Exception) -> None:
        feed = job.run.feed
        self._sizes.pop(feed, None)
        blame = AppendError.STORE if isinstance(exc, StoreError) else AppendError.INVALID
        if isinstance(exc, OutOfPlace) or (
            isinstance(exc, ForkDetected) and self._has_forked(exc, job.run, job.session)
        ):
            blame = AppendError.DROPPED
        held = self._core.durable(feed)
        self._handle(AppendFailed(job.session, feed, held, blame, str(exc)))
        job.arrival.finish_one()

    def _has_forked(self, exc: ForkDetected, run: Run, session: SessionId) -> bool:
        """True: not the fault of whoever sent it."""
        if exc.fork is not None:
            return self._forks.found(exc.fork, str(exc), run, session)
        self._report(What.FORKED, session, run.feed, str(exc))  # a format without proofs
        return False

    def _finish_adds(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if isinstance(job, Add):
                job.finish()

    async def _look_again(self, conflicts: Sequence[Write | Receive]) -> None:
        """Another process has appended to these feeds meanwhile: our messages, and our peers', come behind its."""
        feeds = dict.fromkeys(job.run.feed if isinstance(job, Receive) else job.feed for job in conflicts)
        if any(job.attempts > 3 for job in conflicts):
            await trio.sleep(random.uniform(0, CONFLICT_PAUSE))  # two in step would collide again and again
        try:
            for feed in feeds:
                held = await self._store.head(feed)
                self._tail.drop(feed)
                self._sizes.pop(feed, None)
                self._handle(Stored(feed, held.head, held.first))
        except Exception as exc:
            error = self._store_failed(exc, "messages could not be stored")
            for job in conflicts:
                if isinstance(job, Receive):
                    self._refused(job, error)
                else:
                    job.finish(_own(error))
        else:
            self._jobs[:0] = conflicts

    # -- everything else --------------------------------------------------------------------------------------------

    async def _save_what_is_due(self, jobs: Sequence[Job]) -> None:
        flushes = [job for job in jobs if isinstance(job, Flush)]
        if flushes or self.saving.is_due:
            error = await self.saving.save(everything=bool(flushes))
            for flush in flushes:
                flush.finish(error)

    def _forgotten(self, feed: FeedId) -> None:
        self._tail.drop(feed)
        self._sizes.pop(feed, None)
        self._handle(Forgotten(feed))
        self._forks.forgotten(feed)

    def _store_failed(self, exc: Exception, what: str) -> StoreError:
        if not isinstance(exc, EBTError):
            _log.exception("the store raised what it must not raise")
        self._report(What.STORE_FAILED, None, None, f"{what}: {exc}")
        return exc if isinstance(exc, StoreError) else StoreError(f"{what}: {exc!r}")


def _own(error: StoreError) -> StoreError:
    """Several callers may get the same error: each its own object, since each adds its traceback."""
    mine = type(error)(*error.args)
    mine.__cause__ = error
    return mine

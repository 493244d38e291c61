"""The job queue as the server and the opcodes use it.

A number is given out when its job is on the disk, here and on the candidates that answer. From then
on the job is there until it has ended, whatever happens to this process: a daemon that is killed
finds it at its next start (`recovery`). At most ``limit()`` jobs are carried out at a time, the
best priority first; that they wait for locks is not known here.

Methods may be given up at any time (a client that vanishes): what they have begun is finished.
"""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pyganeti.base import errors, livelocks, log
from pyganeti.masterd.jobs import (
    acceptance,
    admission,
    archiving,
    board,
    commits,
    dispatching,
    elsewhere,
    fields,
    files,
    fileshelf,
    lifecycle,
    loading,
    moments,
    refusals,
    replication,
    rights,
    running,
    shelf,
    tracked,
    waiting,
    work,
)
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.wire.jobfile import Status

_LOG = log.get(__name__)
_T = TypeVar("_T")

RUNNING: Final = 20
"""Jobs carried out at a time, where nobody says otherwise: Ganeti's default."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much, and how long."""

    most_jobs: int = 5000
    """Jobs that are not archived."""
    aging: float = 1800.0
    """Seconds of waiting after which a priority improves by one."""
    end_patience: float = 10.0
    """Seconds that running jobs may take when the daemon ends."""
    copy_patience: float = 8.0
    """Seconds in which a candidate has to take a job."""
    copy_pauses: tuple[float, float] = (1.0, 60.0)
    """Seconds after which one that did not is tried again: the first time, and in the end."""


_BOUNDS: Final = Bounds()


@dataclass(frozen=True, slots=True)
class _Raised:
    error: Exception


class Queue:
    """The job queue, to be used as ``async with``: from then on jobs are carried out."""

    def __init__(  # noqa: PLR0913 - wired by keyword, in one place
        self,
        kept: Path | shelf.Shelf,
        carrier: work.Work,
        *,
        livelock_dir: Path | None = None,
        place: str = "/var/lib/ganeti/queue",
        candidates: replication.Candidates | None = None,
        copies: shelf.Copies | None = None,
        limit: Callable[[], int] = lambda: RUNNING,
        rules: Callable[[], Mapping[str, FilterRule]] = admission.nobody,
        reprioritized: Callable[[], None] = lambda: None,
        right: rights.Rights = rights.UNQUESTIONED,
        clock: moments.Clock = time.time,
        bounds: Bounds = _BOUNDS,
    ) -> None:
        """Make one that lies in a directory, or on another shelf that brings its own ``copies``.

        A directory is copied to ``candidates``, and all nodes know it as ``place``.
        ``rules`` are the cluster's filter rules by uuid. ``reprioritized`` is called when the
        priority of a job that waits for locks has changed. Without ``right`` no job is accepted
        or begun.
        """
        self._right = right
        self._bounds = bounds
        self._livelock_dir = livelock_dir
        self._livelock: livelocks.Livelock | None = None
        self._clock = clock
        self._carrier = carrier
        self._limit = limit
        self._rules = rules
        self._reprioritized = reprioritized
        self._is_closing = False
        self._tasks = asyncio.TaskGroup()
        self._board = board.Board()
        self._shelf: shelf.Shelf
        self._copies: shelf.Copies
        if isinstance(kept, Path):
            self._shelf = filed = fileshelf.FileShelf(kept)
            self._copies = replication.Replication(
                filed.directory,
                place,
                candidates or replication.Nobody(),
                self._board.numbers,
                pauses=bounds.copy_pauses,
                patience=bounds.copy_patience,
            )
        else:
            self._shelf = kept
            self._copies = copies or replication.Nowhere()
        self._commits = commits.Commits(self._shelf, self._copies, right=right)
        self._acceptance = acceptance.Acceptance(
            self._shelf, self._commits, self._board, clock, bounds.most_jobs, self._recount
        )
        self._archiving = archiving.Archiving(self._shelf, self._copies, self._board, clock)
        self._watch: shelf.Watching | None = None
        self._elsewhere = elsewhere.Elsewhere(self._shelf, self._on_ours)
        self._dispatcher: dispatching.Dispatcher | None = None

    # Its life.

    async def __aenter__(self) -> Self:
        """Open the queue, take up what lies there, and begin to carry jobs out.

        Raises AlreadyRunning if another master daemon has it, JobQueueError if it is none that can
        be read, OSError.
        """
        await self._tasks.__aenter__()
        try:
            await self._shelf.open()
            if self._livelock_dir is not None:
                self._livelock = livelocks.Livelock(self._livelock_dir, self._clock())
            self._watch = self._shelf.watch(self._on_gone, self._on_lost_count)
            loaded = await self._shelf.load()
            ours = None if self._livelock is None else str(self._livelock.path)
            others = await asyncio.to_thread(elsewhere.found, loaded.under_way, ours)
        except BaseException:
            self._let_go()
            await self._tasks.__aexit__(None, None, None)
            raise
        self._dispatcher = self._made_dispatcher()
        self._take_up(loaded, others, self._dispatcher)
        self._copies.start(self._tasks)
        self._commits.start(self._tasks)
        self._elsewhere.start(self._tasks)
        self._dispatcher.start_jobs()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Begin no more jobs; let those that run end, the others wait for the next start."""
        self._is_closing = True
        if self._watch is not None:
            self._watch.close()
        self._elsewhere.close()
        # Of what is another's now nothing more is waited for.
        await self._carrying.close(0 if self._right.is_lost else self._bounds.end_patience)
        await self._commits.close()
        await self._copies.close()
        for job in self._board.under_way.values():
            job.end()  # nobody need wait for it here
        await self._tasks.__aexit__(None, None, None)  # what was raised outside is no task's
        self._let_go()

    def reconsider(self) -> None:
        """Look again at limit, rules and candidates: the configuration may have changed.

        Before the queue is open, and when it is being closed, there is nothing to look at.
        """
        if self._dispatcher is None or self._is_closing:
            return
        self._carrying.start_jobs()
        self._copies.reconsider()

    def hurry(self) -> None:
        """Try candidates at once that are away: one of them may be back."""
        if self._dispatcher is not None and not self._is_closing:
            self._copies.hurry()

    # Jobs in.

    async def submit(
        self, opcodes: Sequence[Mapping[str, Any]], *, even_drained: bool = False
    ) -> int:
        """Accept a job, and return its number.

        Raises BadInput, JobQueueDrainError, JobQueueFull, or JobQueueError if the disk does not
        take it; what the right to write raises, if that is gone.
        """
        self._right.check()
        self._refuse_if_drained(even_drained=even_drained)
        [number] = await self._finish(self._accept([opcodes]))
        if isinstance(number, errors.Failure):
            raise number
        return number

    async def submit_many(
        self, jobs: Sequence[Sequence[Mapping[str, Any]]], *, even_drained: bool = False
    ) -> list[list[Any]]:
        """Accept jobs, which may depend on each other by relative (negative) numbers.

        Returns for each ``[True, number]`` or ``[False, why not]``; raises JobQueueDrainError, or
        as the right to write has it.
        """
        self._right.check()
        self._refuse_if_drained(even_drained=even_drained)
        found = await self._finish(self._accept(jobs))
        return [
            [False, str(number)] if isinstance(number, errors.Failure) else [True, number]
            for number in found
        ]

    @property
    def is_drained(self) -> bool:
        """Whether no more jobs are taken."""
        return self._shelf.is_drained()

    async def set_drain(self, *, drained: bool) -> None:
        """Take no more jobs, or take them again; here and on the candidates. Raises OSError."""
        self._right.check()
        await self._finish(self._archiving.set_drain(drained=drained))

    # Jobs under way.

    async def cancel(self, job_id: int, *, kill: bool = False) -> tuple[bool, str]:
        """Cancel a job; return whether that was done, and what was, in words.

        One that is queued leaves the queue, one that waits is interrupted; one that runs is left
        alone, unless ``kill`` insists: then it is stopped wherever it is, and ends in an error.
        """
        self._right.check()
        job = self._board.under_way.get(job_id)
        if job is None:
            return refusals.not_found(job_id)
        return await self._finish(self._carrying.cancel(job, kill=kill))

    async def change_priority(self, job_id: int, priority: int) -> tuple[bool, str]:
        """Change the priority of what a job has not begun; return whether there was any, in words.

        Raises BadInput if there is no such priority.
        """
        self._right.check()
        if not lifecycle.HIGHEST <= priority <= lifecycle.LOWEST:
            raise errors.BadInput(
                f"a priority is from {lifecycle.HIGHEST} to {lifecycle.LOWEST}, not {priority}"
            )
        job = self._board.under_way.get(job_id)
        if job is None:
            return refusals.not_found(job_id)
        changed = lifecycle.prioritize(job.job, priority)
        if self._elsewhere.has(job_id) or all(
            op.status not in {Status.QUEUED, Status.WAITING} for op in changed.ops
        ):
            return False, f"Job {job_id} has nothing left that could have another priority"
        job.job = changed
        if job_id in self._board.schedule:
            self._board.schedule.prioritize(job_id, priority)
        self._reprioritized()
        try:
            await self._finish(job.store())
        except files.Removed:
            return refusals.not_found(job_id)
        return True, f"Priority of job {job_id} has been changed to {priority}"

    async def wait_for_change(
        self,
        job_id: int,
        names: Sequence[str],
        previous: Any,  # noqa: ANN401 - JSON
        last_log: int | None,
        timeout: float,
    ) -> Any:  # noqa: ANN401 - JSON
        """Return the values of fields, and log entries after ``last_log``, when either is news.

        Of a job that has ended they are returned at once. After ``timeout`` seconds it is
        `waiting.NO_CHANGE`. Raises JobLost.
        """
        asked = waiting.Question(names, previous, last_log)
        try:
            async with asyncio.timeout(min(timeout, waiting.LONGEST)):
                while (job := self._board.under_way.get(job_id)) is not None:
                    answer = asked.news(fields.Found(job.shown))
                    if answer is not None:
                        return answer
                    await job.changed()
        except TimeoutError:
            return waiting.NO_CHANGE
        [(_, found)] = await self.get([job_id])
        if found is None:
            raise refusals.lost()
        return asked.answer(found)

    # Jobs looked at.

    def observe(self, accepted: Callable[[int], None], ended: board.Observer) -> None:
        """Have somebody told how many jobs are accepted, and of each that ends."""
        self._acceptance.observer = accepted
        self._board.observer = ended

    def statuses(self) -> Iterator[Status]:
        """Give the status of each job that is not archived."""
        return self._board.statuses()

    @property
    def numbers(self) -> list[int]:
        """The numbers of all jobs that are not archived, rising."""
        return sorted(self._board.numbers())

    @property
    def last_number(self) -> int:
        """The last number that was given out, 0 if none was."""
        return self._acceptance.serial

    async def archived_numbers(self) -> list[int]:
        """Return the numbers of all archived jobs; the whole archive is listed for that."""
        return await self._shelf.archived_numbers()

    async def get(
        self, job_ids: Sequence[int] | None = None, *, archived: bool = False
    ) -> list[tuple[int, fields.Found | None]]:
        """Return jobs by number, None for one that is not there; all of them if none is named.

        Archived ones are looked at only on request.
        """
        if job_ids is None:
            job_ids = self.numbers
            if archived:
                old = await self.archived_numbers()
                job_ids = sorted({*job_ids, *old})
        under_way = self._board.under_way
        shown = {n: fields.Found(under_way[n].shown) for n in job_ids if n in under_way}
        read = await self._shelf.find(
            [number for number in job_ids if number not in shown], archived=archived
        )
        return [(number, shown.get(number) or read.get(number)) for number in job_ids]

    # Jobs out.

    async def archive(self, job_id: int) -> bool:
        """Archive a job that has ended; return whether there was one."""
        self._right.check()
        return await self._finish(self._archiving.archive(job_id))

    async def auto_archive(self, age: float, timeout: float) -> tuple[int, int]:
        """Archive jobs that ended more than ``age`` seconds ago (negative: all that have ended).

        Returns how many were archived, and how many were not looked at within ``timeout`` seconds.
        """
        self._right.check()
        return await self._finish(self._archiving.auto_archive(age, timeout))

    async def pickup(self, job_id: int) -> None:
        """Refuse what Ganeti's job processes ask for: jobs are carried out in this process."""
        raise errors.Failure(f"Job {job_id} is not picked up: jobs are carried out in this process")

    # How.

    @property
    def _carrying(self) -> dispatching.Dispatcher:
        if self._dispatcher is None:
            raise RuntimeError("a queue works inside its 'async with' only")
        return self._dispatcher

    def _made_dispatcher(self) -> dispatching.Dispatcher:
        around = running.Surroundings(
            clock=self._clock,
            livelock=None if self._livelock is None else str(self._livelock.path),
            process_id=os.getpid(),
            aging=self._bounds.aging,
            state_of=self._state_of,
            submit=self._submit_further,
            reprioritized=self._reprioritized,
            is_closing=lambda: self._is_closing,
            may_begin=self._may_begin,
        )
        return dispatching.Dispatcher(
            self._board,
            self._elsewhere,
            admission.Admission(self._rules),
            self._carrier,
            self._limit,
            self._tasks,
            around,
        )

    def _may_begin(self) -> bool:
        try:
            self._right.check()
        except errors.Failure:
            return False
        return True

    def _take_up(
        self, loaded: loading.Loaded, others: AbstractSet[int], dispatcher: dispatching.Dispatcher
    ) -> None:
        """Go on with what lies in the queue, in the order of numbers: who waits finds the other."""
        self._acceptance.serial = loaded.serial
        self._board.ended.update(loaded.ended)
        for found in loaded.under_way:
            job = tracked.Tracked(found, self._commits)
            if found.id in others:
                self._board.watch(job)
                self._elsewhere.follow(job)
            else:
                dispatcher.take_up(job)
        _LOG.info(
            "the job queue is open",
            serial=loaded.serial,
            under_way=len(loaded.under_way),
            ended=len(loaded.ended),
        )

    def _let_go(self) -> None:
        if self._watch is not None:
            self._watch.close()
        self._shelf.close()
        if self._livelock is not None:
            self._livelock.close()

    async def _finish(self, begun: Coroutine[Any, Any, _T]) -> _T:
        """Do something to its end, even if who asked for it does not wait."""
        result = await asyncio.shield(self._tasks.create_task(_caught(begun)))
        if isinstance(result, _Raised):
            raise result.error
        return result

    def _refuse_if_drained(self, *, even_drained: bool) -> None:
        if self.is_drained and not even_drained:
            raise refusals.JobQueueDrainError("The job queue is drained, and takes no jobs")

    async def _accept(
        self, jobs: Sequence[Sequence[Mapping[str, Any]]]
    ) -> list[int | errors.Failure]:
        numbers = await self._acceptance.accept(jobs)
        self._carrying.start_jobs()
        return numbers

    async def _submit_further(self, jobs: list[list[dict[str, Any]]]) -> list[list[Any]]:
        return await self.submit_many(jobs, even_drained=True)

    async def _state_of(self, job_id: int) -> Status | None:
        known = self._board.ended.get(job_id)
        if known is not None:
            return known.status
        [(_, found)] = await self.get([job_id], archived=True)
        return None if found is None else lifecycle.status(found.job)

    # Files that somebody took away by hand.

    def _on_gone(self, job_id: int) -> None:
        job = self._board.under_way.get(job_id)
        if job_id not in self._board.ended and (job is None or job.is_removed):
            return  # nothing new, or moved by us
        if self._shelf.has(job_id):
            return
        self._board.ended.pop(job_id, None)
        if job is not None:
            self._carrying.drop(job)
        self._tasks.create_task(_logged(self._archiving.withdraw([job_id])))

    def _on_lost_count(self) -> None:
        self._tasks.create_task(_logged(self._recount()))

    async def _recount(self) -> None:
        there = set(await self._shelf.numbers())
        for number in set(self._board.numbers()) - there:
            self._on_gone(number)

    async def _on_ours(self, job: tracked.Tracked) -> None:
        self._board.under_way.pop(job.job.id, None)
        self._carrying.take_up(job)
        self._carrying.start_jobs()


async def _caught(begun: Coroutine[Any, Any, _T]) -> _T | _Raised:
    try:
        return await begun
    except Exception as error:  # noqa: BLE001 - it is raised where it was asked for
        return _Raised(error)


async def _logged(begun: Coroutine[Any, Any, None]) -> None:
    try:
        await begun
    except Exception:  # noqa: BLE001 - the task's top frame: nobody waits for it
        _LOG.exception("the queue's files could not be looked at")

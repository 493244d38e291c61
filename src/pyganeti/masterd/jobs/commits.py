"""Writes of jobs, gathered: all that come while the disk is busy are on it with the next sync.

One batch at a time is written here; then it is copied to the candidates while the next
is written. Of one job's states only the newest waiting one is written: an older one that nobody was
told about is never missed.

In failure: a new job that cannot be written is refused at once (its number is not used again). A
change of a job that was accepted is kept and tried again, with growing pauses, until the disk takes
it: whoever waits for it waits on. Nothing is told that is not written.

A candidate that has not taken its copy may be the one by which another master leads. So before a
new job is told then, it is found out whether that may be; if it may, the job is told as one that is
not confirmed. Once another is the master nothing is written or told any more.
"""

import asyncio
import collections
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pyganeti.base import errors, log
from pyganeti.masterd.jobs import files, refusals, replication, rights, shelf

_LOG = log.get(__name__)

_PAUSES: Final = (0.1, 5.0)
_CLOSED: Final = "The job queue has been closed"
_LOST: Final = "Another node is the master now, and this one's job queue has been closed"
_MOST: Final = 1000
"""Jobs in a batch: what a disk writes in some tenths of a second."""


@dataclass(slots=True)
class _Item:
    data: bytes
    is_new: bool
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


class Commits:
    """The way to the disk; `start` it and `close` it."""

    def __init__(
        self,
        kept: shelf.Shelf,
        copies: shelf.Copies,
        *,
        right: rights.Rights = rights.UNQUESTIONED,
        pauses: tuple[float, float] = _PAUSES,
    ) -> None:
        self._right = right
        self._shelf = kept
        self._copies = copies
        self._pauses = pauses
        self._waiting: collections.OrderedDict[int, _Item] = collections.OrderedDict()
        self._serial: int | None = None
        self._arrived = asyncio.Event()
        self._hurried = asyncio.Event()
        self._copying: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._is_failing = False
        self._is_closing = False
        self._is_closed = False

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin to write."""
        self._tasks = tasks
        self._task = tasks.create_task(self._run(), name="queue-commits")

    async def close(self) -> None:
        """Write what is waiting, unless the disk does not take it, and stop."""
        self._is_closing = True
        self._arrived.set()
        self._hurried.set()
        if self._task is not None:
            await asyncio.wait({self._task})
        if self._copying:
            await asyncio.wait(self._copying)
        self._is_closed = True
        for job_id, item in self._waiting.items():
            _LOG.error("the state of a job could not be written", job=job_id)
            _settle(item, refusals.JobQueueError(_CLOSED))
        self._waiting.clear()

    def raise_serial(self, serial: int) -> None:
        """Have this number written with the next batch, as the last that was given out."""
        self._serial = serial
        self._arrived.set()

    def put(self, job_id: int, data: bytes, *, is_new: bool = False) -> asyncio.Future[None]:
        """Have a job written; the future is done when that lasts, here and with the candidates.

        It fails with Removed if the job's file was taken away; for a new job with Taken if there is
        one of that number, JobQueueError if it cannot be written, or NotConfirmed if it is, and
        another may be the master. It need not be awaited.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_retrieve)
        if self._is_closed or self._right.is_lost:
            done.set_exception(refusals.JobQueueError(_CLOSED if self._is_closed else _LOST))
            return done
        item = self._waiting.get(job_id)
        if item is None:
            item = self._waiting[job_id] = _Item(data, is_new)
        item.data = data
        item.waiting.append(done)
        self._arrived.set()
        if is_new:  # whoever submits is told at once that the disk is full
            self._hurried.set()
        return done

    async def _run(self) -> None:
        pause = self._pauses[0]
        while True:
            await self._arrived.wait()
            if not self._waiting and self._serial is None:
                if self._is_closing:
                    return
                self._arrived.clear()
                continue
            is_well = await self._write_batch()
            if is_well:
                pause = self._pauses[0]
                continue
            if self._is_closing:
                return
            self._hurried.clear()
            try:
                async with asyncio.timeout(pause):
                    await self._hurried.wait()
            except TimeoutError:
                pause = min(pause * 2, self._pauses[1])

    async def _write_batch(self) -> bool:
        """Write what is waiting; return whether the disk took all of it."""
        count = min(len(self._waiting), _MOST)
        batch = dict(self._waiting.popitem(last=False) for _ in range(count))
        serial, self._serial = self._serial, None
        if self._right.is_lost:
            for item in batch.values():
                _settle(item, refusals.JobQueueError(_LOST))
            return True
        writes = [files.Write(job_id, item.data, item.is_new) for job_id, item in batch.items()]
        try:
            results = await self._shelf.write(writes, serial)
        except Exception as error:  # noqa: BLE001 - whatever happens, nobody may wait for ever
            _LOG.exception("writing jobs failed")
            results = {job_id: OSError(str(error)) for job_id in batch}
        done: dict[int, _Item] = {}
        kept: dict[int, _Item] = {}
        trouble: OSError | None = None
        for job_id, item in batch.items():
            result = results[job_id]
            if result is None:
                done[job_id] = item
            elif isinstance(result, errors.Failure):
                _settle(item, result)
            elif item.is_new:
                trouble = result
                _settle(item, _refused(result))
            else:
                trouble = result
                kept[job_id] = item
        self._keep(kept)
        self._say(trouble)
        changes: list[replication.Change] = []
        if serial is not None:
            changes.append(replication.Update("serial", b"%d\n" % serial))
        changes += [
            replication.Update(files.name_of(job_id), batch[job_id].data) for job_id in done
        ]
        self._copy(changes, list(done.values()))
        return not kept

    def _keep(self, kept: dict[int, _Item]) -> None:
        """Have what could not be written wait again, in its place, but for what is newer."""
        for job_id, item in reversed(kept.items()):
            newer = self._waiting.get(job_id)
            if newer is not None:
                newer.waiting[:0] = item.waiting
            else:
                self._waiting[job_id] = item
            self._waiting.move_to_end(job_id, last=False)

    def _copy(self, changes: Sequence[replication.Change], done: list[_Item]) -> None:
        """Copy a batch, in the order of batches, and tell those who wait for it."""
        assert self._tasks is not None, "not started"  # noqa: S101 - its caller's mistake
        task = self._tasks.create_task(self._finish(changes, done))
        self._copying.add(task)
        task.add_done_callback(self._copying.discard)

    async def _finish(self, changes: Sequence[replication.Change], done: list[_Item]) -> None:
        doubt: errors.Failure | None = None
        try:
            if changes and not await self._copies.send(changes):
                doubt = await self._doubt()
        except Exception:  # noqa: BLE001 - the task's top frame: it is written here, and that is told
            _LOG.exception("copying jobs failed")
        lost = refusals.JobQueueError(_LOST) if self._right.is_lost else None
        for item in done:
            _settle(item, lost or (doubt if item.is_new else None))

    async def _doubt(self) -> errors.Failure | None:
        """Return what there is to say if another may be the master, None if that cannot be."""
        try:
            await self._right.assure()
        except errors.Failure as error:
            return refusals.NotConfirmed(
                "The job was written down here, but it is not confirmed that this is still the"
                f" master: {error}. Look whether the job is in the queue before you submit it again"
            )
        return None

    def _say(self, trouble: OSError | None) -> None:
        if trouble is not None and not self._is_failing:
            self._is_failing = True
            _LOG.error(
                "jobs cannot be written, which is tried again",
                path=self._shelf.place,
                reason=str(trouble),
            )
        elif trouble is None and self._is_failing:
            self._is_failing = False
            _LOG.warning("jobs are written again", path=self._shelf.place)


def _refused(error: OSError) -> refusals.JobQueueError:
    return refusals.JobQueueError(
        f"The job was not accepted, because it cannot be written: {error.strerror or error}"
    )


def _settle(item: _Item, failure: errors.Failure | None) -> None:
    for future in item.waiting:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)


def _retrieve(future: asyncio.Future[None]) -> None:
    """Keep asyncio from complaining of a failure that nobody waited for."""
    if not future.cancelled():
        future.exception()

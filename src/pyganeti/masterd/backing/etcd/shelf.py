"""Jobs in etcd, one a key; archived ones in files.

Jobs that are written together are one transaction, as far as it may be that large; with the first
goes the number that was given out last. What is in memory here is what is in etcd, so jobs that
have ended can be read as long as there is room for them, whether etcd answers or not.

In failure: an etcd that does not answer, or has no room, is trouble as of a disk: a new job is
refused, a change is tried again. A new job that nobody knows about is undone (`chain`), so that
none is carried out that was refused. A job that somebody removes from etcd by hand is gone, as with
a file.
"""

import asyncio
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pyganeti.base import errors, log
from pyganeti.clients.etcd import client, messages, watching
from pyganeti.masterd.backing.etcd import archive, chain, fence, jobvalues, keys, remembered
from pyganeti.masterd.election import leadership
from pyganeti.masterd.jobs import fields, files, lifecycle, loading, refusals, shelf
from pyganeti.wire import jobfile

_LOG = log.get(__name__)

_MOST: Final = 100
"""Jobs in one transaction, beside the serial number and the link."""

_OVERHEAD: Final = 64


class EtcdShelf:
    """The queue of a cluster, for the one who leads it."""

    def __init__(
        self, etcd: client.Client, where: keys.Keys, right: fence.Fence, directory: Path
    ) -> None:
        """Make one that archives into a queue's directory."""
        self.chain: Final = chain.Chain(etcd, where.queue_now, right)
        self.archived: Final = archive.Archive(directory)
        self.patience = client.PATIENCE
        """Seconds in which etcd has to have taken a change."""
        self._etcd = etcd
        self._keys = where
        self._right = right
        self._jobs = remembered.Remembered()
        self._serial = 0
        self._drained = False
        self._minding: asyncio.Task[None] | None = None

    @property
    def place(self) -> str:
        """The keys."""
        return f"etcd, {self._keys.jobs.decode()}"

    async def open(self) -> None:
        """Read everything that lies in etcd, and lock the archive's directory.

        Raises AlreadyRunning, JobQueueError, OSError; NotLeading.
        """
        self._right.check()
        await asyncio.to_thread(self.archived.open)
        where = self._keys
        try:
            found = await self._etcd.range(where.queue, messages.end_of(where.queue))
        except errors.Failure as error:
            raise _trouble(error) from error
        self.chain.adopt(None)
        for item in found.items:
            number = where.number(item.key)
            if number is not None:
                self._jobs.put(number, item.value, item.modified)
            elif item.key == where.queue_now:
                self.chain.adopt(item)
            elif item.key == where.serial:
                self._serial = _number(item.value)
            elif item.key == where.drain:
                self._drained = True
        self._minding = asyncio.create_task(self.chain.mind(), name="mind the queue's chain")

    def close(self) -> None:
        """Let go of it."""
        if self._minding is not None:
            self._minding.cancel()
        self.archived.close()

    def watch(self, gone: shelf.Gone, lost: shelf.Lost) -> "_Watch":
        """Have etcd say when a job goes."""
        return _Watch(asyncio.create_task(self._watch(gone, lost), name="watch jobs in etcd"))

    # Reading.

    async def load(self) -> loading.Loaded:
        """Return what lies there."""
        loaded = loading.Loaded(serial=await self._last_number())
        jobs, broken = await asyncio.to_thread(
            jobvalues.decode_all, await self._values_of(sorted(self._jobs.there))
        )
        for number, job in jobs.items():
            if lifecycle.is_ended(job):
                loaded.ended[number] = loading.Ended(lifecycle.status(job), lifecycle.ended_at(job))
            else:
                loaded.under_way.append(job)
        for number, why in broken.items():
            await self._set_aside(number, why)
        return loaded

    async def numbers(self) -> list[int]:
        """Return the numbers of the jobs that are not archived."""
        where = self._keys
        try:
            found = await self._etcd.range(where.jobs, messages.end_of(where.jobs), bare=True)
        except errors.Failure as error:
            raise _trouble(error) from error
        there = {number for item in found.items if (number := where.number(item.key))}
        self._jobs.count(there, found.revision)
        return list(self._jobs.there)

    async def archived_numbers(self) -> list[int]:
        """Return the numbers of all archived jobs."""
        return await asyncio.to_thread(self.archived.directory.archived_numbers)

    async def job(self, job_id: int) -> jobfile.Job | None:
        """Return a job that is not archived."""
        value = await self._value(job_id)
        return None if value is None else jobfile.decode(jobvalues.unpack(value), job_id)

    async def find(self, job_ids: Sequence[int], *, archived: bool) -> dict[int, fields.Found]:
        """Return those that are there."""
        jobs, broken = await asyncio.to_thread(jobvalues.decode_all, await self._values_of(job_ids))
        found = {number: fields.Found(job) for number, job in jobs.items()}
        for number, why in broken.items():
            _LOG.warning("a job cannot be read", job=number, reason=str(why))
        missing = (
            [number for number in job_ids if number not in self._jobs.there] if archived else []
        )
        if missing:
            found |= await asyncio.to_thread(self._find_archived, missing)
        return found

    async def contents(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return the values of jobs that are there, all of them or raise OSError."""
        found = {}
        for number in numbers:
            value = await self._value(number)
            if value is not None:
                found[number] = value
        return found

    def has(self, job_id: int) -> bool:
        """Tell whether a job is there."""
        return job_id in self._jobs.there

    def is_drained(self) -> bool:
        """Tell whether no more jobs are taken."""
        return self._drained

    # Writing.

    async def write(
        self, writes: Sequence[files.Write], serial: int | None
    ) -> dict[int, OSError | errors.Failure | None]:
        """Write jobs, and the serial number with the first of them."""
        results: dict[int, OSError | errors.Failure | None] = {}
        packed: list[tuple[files.Write, bytes]] = []
        for write in writes:
            try:
                packed.append((write, await _packed(write)))
            except errors.BadInput as error:
                results[write.job_id] = refusals.JobQueueError(str(error))
        for group in _groups(packed) if packed else [[]]:
            trouble = await self._write_group(group, serial, results)
            if trouble is not None:  # nothing that comes after will fare better
                for write, _ in packed:
                    results.setdefault(write.job_id, trouble)
                break
            serial = None
        return results

    async def archive(self, job_ids: Sequence[int]) -> list[int]:
        """Write ended jobs into files, then take them out of etcd."""
        jobs = []
        for number in job_ids:
            value = await self._value(number)
            if value is not None:
                jobs.append((number, jobvalues.unpack(value)))
        await asyncio.to_thread(self.archived.keep, jobs)
        numbers = [number for number, _ in jobs]
        for start in range(0, len(numbers), _MOST):
            await self._remove(numbers[start : start + _MOST])
        return numbers

    async def set_drained(self, *, drained: bool) -> None:
        """Say whether no more jobs are taken."""
        put, delete = messages.Put(self._keys.drain, b"1"), messages.Delete(self._keys.drain)
        try:
            await self.chain.commit(
                [put if drained else delete], undo=[put if self._drained else delete]
            )
        except errors.Failure as error:
            raise _trouble(error) from error
        self._drained = drained

    # How.

    async def _write_group(
        self,
        group: Sequence[tuple[files.Write, bytes]],
        serial: int | None,
        results: dict[int, OSError | errors.Failure | None],
    ) -> OSError | None:
        """Write some jobs in one transaction, without those for which that makes no sense."""
        left = {write.job_id: (write, value) for write, value in group}
        while left or serial is not None:
            operations: list[messages.Operation] = []
            if serial is not None:
                operations.append(messages.Put(self._keys.serial, b"%d" % serial))
            operations += [messages.Put(self._keys.job(n), value) for n, (_, value) in left.items()]
            new = [number for number, (write, _) in left.items() if write.is_new]
            try:
                outcome = await self.chain.commit(
                    operations,
                    conditions=[self._condition(write) for write, _ in left.values()],
                    looks=[messages.Get(self._keys.job(number), bare=True) for number in left],
                    undo=[messages.Delete(self._keys.job(number)) for number in new],
                    patience=self.patience,
                )
            except errors.Failure as error:
                return _trouble(error)
            if outcome.held:
                for number, (_, value) in left.items():
                    self._jobs.put(number, value, outcome.revision)
                    results[number] = None
                return None
            there = {number for number, items in zip(left, outcome.found, strict=True) if items}
            for number, (write, _) in list(left.items()):
                if write.is_new is (number in there):
                    del left[number]
                    results[number] = self._nonsense(write)
        return None

    def _condition(self, write: files.Write) -> messages.Condition:
        key = self._keys.job(write.job_id)
        return messages.is_missing(key) if write.is_new else messages.exists(key)

    def _nonsense(self, write: files.Write) -> errors.Failure:
        name = self._keys.job(write.job_id).decode()
        if write.is_new:
            return files.Taken(f"there is a {name} in etcd already")
        self._jobs.forget(write.job_id)
        return files.Removed(f"{name} is gone from etcd")

    async def _remove(self, numbers: Sequence[int]) -> None:
        """Take jobs out of etcd for good. That may be done at any time: no number comes again."""
        there = self._jobs.hide(set(numbers))  # so that their going is no news
        try:
            self._right.check()
            outcome = await self._etcd.transact(
                messages.Transaction(
                    [self._right.condition],
                    [messages.Delete(self._keys.job(number)) for number in numbers],
                    [self._right.look],
                )
            )
            if not outcome.held:
                self._right.confirm(outcome.found[0])
        except errors.Failure as error:
            self._jobs.show(there)
            raise _trouble(error) from error
        for number in numbers:
            self._jobs.forget(number)

    async def _set_aside(self, number: int, why: errors.Failure) -> None:
        """Move what is no job out of the way, and say so."""
        where = self._keys
        target = where.broken + b"%d" % number
        try:
            value = await self._value(number)
            if value is None:
                return
            await self.chain.commit(
                [messages.Put(target, value), messages.Delete(where.job(number))],
                undo=[messages.Put(where.job(number), value), messages.Delete(target)],
            )
        except (errors.Failure, OSError) as error:
            _LOG.error("a broken job cannot be set aside", job=number, reason=str(error))
            return
        self._jobs.forget(number)
        _LOG.error("a broken job was set aside", job=number, to=target.decode(), reason=str(why))

    async def _value(self, number: int) -> bytes | None:
        """Return a job's value, from memory if it is there; raises OSError."""
        if number not in self._jobs.there:
            return None
        value = self._jobs.value(number)
        if value is None:
            try:
                item = await self._etcd.get(self._keys.job(number))
            except errors.Failure as error:
                raise _trouble(error) from error
            value = None if item is None else item.value
        return value

    async def _values_of(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return the values of jobs that are there and can be had."""
        found = {}
        for number in numbers:
            try:
                value = await self._value(number)
            except OSError as error:
                _LOG.warning("a job cannot be read", job=number, reason=str(error))
                continue
            if value is not None:
                found[number] = value
        return found

    async def _last_number(self) -> int:
        """Return the last number that was given out, as far as it can be known."""
        highest = max(self._jobs.there, default=0)
        if self._serial:
            return max(highest, self._serial)
        archived = await self.archived_numbers()
        highest = max(highest, max(archived, default=0))
        if highest:
            _LOG.warning("the serial number comes from the jobs that are there", serial=highest)
        return highest

    def _find_archived(self, numbers: Sequence[int]) -> dict[int, fields.Found]:
        found = {}
        for number in numbers:
            try:
                job = self.archived.directory.read_archived(number)
            except (errors.Failure, OSError) as error:
                _LOG.warning("a job cannot be read", job=number, reason=str(error))
                continue
            if job is not None:
                found[number] = fields.Found(job, is_archived=True)
        return found

    async def _watch(self, gone: shelf.Gone, lost: shelf.Lost) -> None:
        where = self._keys
        is_first = True
        async for seen in watching.follow(
            self._etcd, where.jobs, messages.end_of(where.jobs), bare=True, only_deletions=True
        ):
            if isinstance(seen, messages.Range):
                if not is_first:
                    lost()
                is_first = False
                continue
            for event in seen.events:
                number = where.number(event.item.key)
                if number is not None and number in self._jobs.there:
                    self._jobs.forget(number)
                    gone(number)


class _Watch:
    """What looks for jobs that go."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def close(self) -> None:
        """Look no more."""
        self._task.cancel()


def _trouble(error: errors.Failure) -> OSError:
    """Return an error of etcd as trouble of the place where jobs are."""
    if isinstance(error, errors.Exhausted):
        return OSError(errno.ENOSPC, str(error))
    if isinstance(error, chain.Undecided):
        return OSError(
            errno.EREMOTEIO,
            "etcd has not confirmed it in time. If it was written after all it will be taken back;"
            f" look for it before you submit it again ({error})",
        )
    if isinstance(error, leadership.NotLeading):
        return OSError(errno.EROFS, str(error))
    return OSError(errno.EREMOTEIO, str(error))


async def _packed(write: files.Write) -> bytes:
    """Return the value of a job; a long one is packed in a thread."""
    if len(write.data) <= jobvalues.SHORT:
        return write.data
    return await asyncio.to_thread(jobvalues.pack, write.data, is_new=write.is_new)


def _groups(
    packed: Sequence[tuple[files.Write, bytes]],
) -> Iterator[list[tuple[files.Write, bytes]]]:
    """Yield jobs in groups, each small enough for one request."""
    group: list[tuple[files.Write, bytes]] = []
    size = 0
    for write, value in packed:
        added = len(value) + _OVERHEAD
        if group and (len(group) >= _MOST or size + added > messages.MOST_BYTES):
            yield group
            group, size = [], 0
        group.append((write, value))
        size += added
    yield group


def _number(value: bytes) -> int:
    try:
        return int(value)
    except ValueError as error:
        _LOG.error("the queue's serial number in etcd is broken", reason=str(error))
        return 0

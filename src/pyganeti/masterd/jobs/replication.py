"""Copies of the queue on the other master candidates, for the day this node is gone.

Each candidate has a task that sends what was written here, in order, to that one. Whoever waits
for a write to be copied waits for the candidates that are up to date and answer, which do not wait
for each other.
One that does not answer, or cannot store, is away from then on: nobody waits for it. It is tried
again after pauses that grow, and when it answers it gets the whole queue anew: its own is purged
(it may have jobs that are archived by now, and would run them again), then the serial number and
all jobs are sent, those under way first; meanwhile what happens is sent too. Only then it counts
again.

Which candidates are up to date is on the disk, here and on each of them, before anybody is told
that something was copied that one of them has missed. So after a restart those get all jobs once
more (what a killed daemon did not get to send), without a purge and counting from the beginning;
the others are away. And who is to become the master without us learns from the newest of these
lists that he can reach which copies are good.

In failure: a job that a candidate does not take (it is too long for its node daemon) is said, and
left out. Memory is bounded: a candidate that is away is sent nothing, and keeps nothing waiting.
"""

import asyncio
import collections
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from pyganeti.base import errors, log
from pyganeti.masterd.jobs import files
from pyganeti.wire import noderpc, standings

_LOG = log.get(__name__)

_AT_ONCE: Final = 8
_KNOWN: Final = "candidates"
"""Where the names of those are that are up to date; Ganeti looks at no such file. It must not be
hidden: the purge by which a copy is begun anew removes what was known of the one before."""


class Candidates(Protocol):
    """The other nodes that keep copies."""

    def names(self) -> Collection[str]:
        """Return who they are now, without this node; those marked offline are not among them."""
        ...

    def own(self) -> tuple[int, str]:
        """Return the epoch by which this node leads, 0 if there are none, and who it is."""
        ...

    async def call(self, candidate: str, name: str, *arguments: object, timeout: float) -> Any:  # noqa: ANN401 - JSON
        """Have one carry out a call of its node daemon; raises Failure."""
        ...


class Nobody:
    """The candidates of a cluster whose master is the only one."""

    def names(self) -> Collection[str]:
        """Return nobody."""
        return ()

    def own(self) -> tuple[int, str]:
        """Return what says nothing."""
        return 0, ""

    async def call(self, candidate: str, name: str, *arguments: object, timeout: float) -> Any:  # noqa: ANN401, ARG002 - as the others
        """Fail: there is nobody to call."""
        raise errors.Unavailable(f"{candidate} is not there for {name} within {timeout:g} s")


class Nowhere:
    """The copies of a queue that has none."""

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Do nothing."""

    def reconsider(self) -> None:
        """Do nothing."""

    def hurry(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def send(self, changes: "Sequence[Change]") -> bool:  # noqa: ARG002 - as the others
        """Have everybody have everything."""
        return True


@dataclass(frozen=True, slots=True)
class Update:
    """A file and its content."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Rename:
    """Files that are archived: names before and after, from the queue's directory."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """Whether no more jobs are taken."""

    drained: bool


Change = Update | Rename | Drain


@dataclass(slots=True)
class _Parcel:
    changes: Sequence[Change]
    sent: asyncio.Event = field(default_factory=asyncio.Event)


class Replication:
    """All copies; use as ``start`` … ``close`` within one task group."""

    def __init__(
        self,
        directory: files.Directory,
        place: str,
        candidates: Candidates,
        live: Callable[[], Iterable[int]],
        *,
        pauses: tuple[float, float],
        patience: float,
    ) -> None:
        """Make one that copies ``directory``, which every node of the cluster knows as ``place``.

        ``live`` gives the numbers of all jobs that are not archived, those under way first. A
        candidate that has not taken a file within ``patience`` seconds is away, and is tried again
        after the first of ``pauses``, which grow to the second.
        """
        self._directory = directory
        self._place = place
        self._candidates = candidates
        self._live = live
        self._pauses = pauses
        self._patience = patience
        self._copies: dict[str, _Copy] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._writing = asyncio.Lock()
        self._written: tuple[int, frozenset[str]] | None = None
        self._number = 0
        self._notes: list[_Parcel] = []

    @property
    def up_to_date(self) -> frozenset[str]:
        """The candidates that have everything that anybody was told about."""
        return frozenset(name for name, copy in self._copies.items() if copy.is_trusted)

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Begin, with what is known from before."""
        self._tasks = tasks
        found = standings.decode_good(self._directory.recall(_KNOWN) or b"")
        if found is not None:
            self._number = found.number
            self._written = found.epoch, frozenset(found.names)
        self._meet(frozenset() if found is None else frozenset(found.names))

    def reconsider(self) -> None:
        """Look again at who the candidates are."""
        self._meet(frozenset())

    def hurry(self) -> None:
        """Try at once those that are away: one of them may be back."""
        for copy in self._copies.values():
            copy.hurried.set()

    async def close(self) -> None:
        """Send no more."""
        for copy in self._copies.values():
            await copy.end()
        self._copies.clear()

    async def send(self, changes: Sequence[Change]) -> bool:
        """Return when all candidates that answer have these changes, and the rest is noted down.

        The order of calls is the order in which each candidate gets them. What is returned is
        whether all have them that were up to date before.
        """
        self._meet(frozenset())
        before = [copy for copy in self._copies.values() if copy.is_trusted]
        parcels = [copy.put(changes) for copy in self._copies.values() if copy.is_listening]
        for parcel in parcels:
            if parcel is not None:
                await parcel.sent.wait()
        while await self._note():
            for note in self._notes:
                await note.sent.wait()
        return all(copy.is_trusted for copy in before)

    async def _note(self) -> bool:
        """Have it on the disk who is up to date, if that has changed, and on its way to them.

        Returns whether it is still to arrive somewhere.
        """
        epoch, own = self._candidates.own()
        if (epoch, self.up_to_date) != self._written:
            async with self._writing:
                now = epoch, self.up_to_date
                if now != self._written:
                    await self._write_down(now, own)
        self._notes = [note for note in self._notes if not note.sent.is_set()]
        return bool(self._notes)

    async def _write_down(self, now: tuple[int, frozenset[str]], own: str) -> None:
        epoch, names = now
        good = standings.Good(epoch, self._number + 1, own, tuple(sorted(names)))
        data = msgspec.json.encode(good)
        try:
            await asyncio.to_thread(self._directory.remember, _KNOWN, data)
        except OSError as error:
            _LOG.error("cannot note who has the queue's copies", reason=str(error))
            return
        self._written, self._number = now, good.number
        put = [
            self._copies[name].put([Update(_KNOWN, data)]) for name in names if name in self._copies
        ]
        self._notes += [note for note in put if note is not None]

    def _meet(self, known: frozenset[str]) -> None:
        """Begin with candidates that are new, and leave those that are none any more."""
        assert self._tasks is not None, "not started"  # noqa: S101 - its caller's mistake
        names = frozenset(self._candidates.names())
        if names == self._copies.keys():
            return
        for name in self._copies.keys() - names:
            self._copies.pop(name).dismiss()
        for name in names - self._copies.keys():
            copy = _Copy(
                name,
                self._directory,
                self._place,
                self._candidates,
                self._live,
                self._pauses,
                self._patience,
                is_trusted=name in known,
                changed=self._note,
            )
            self._copies[name] = copy
            copy.start(self._tasks)


class _Copy:
    """One candidate's copy."""

    def __init__(
        self,
        name: str,
        directory: files.Directory,
        place: str,
        candidates: Candidates,
        live: Callable[[], Iterable[int]],
        pauses: tuple[float, float],
        patience: float,
        *,
        is_trusted: bool,
        changed: Callable[[], Any],
    ) -> None:
        self.is_trusted = is_trusted
        self.is_listening = is_trusted
        self._name = name
        self._directory = directory
        self._place = place
        self._candidates = candidates
        self._live = live
        self._pauses = pauses
        self._pause = pauses[0]
        self._patience = patience
        self._changed = changed
        self._parcels: collections.deque[_Parcel] = collections.deque()
        self._owed: collections.deque[int] = collections.deque()
        self._is_told = False
        self._arrived = asyncio.Event()
        self.hurried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        self._task = tasks.create_task(self._run(), name=f"copy-{self._name}")

    def put(self, changes: Sequence[Change]) -> _Parcel | None:
        """Have changes sent after those that were put before; None if nobody needs to wait."""
        parcel = _Parcel(changes)
        self._parcels.append(parcel)
        self._arrived.set()
        return parcel if self.is_trusted else None

    def dismiss(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._give_up()

    async def end(self) -> None:
        self.dismiss()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        if self.is_trusted:
            self._owed.extend(self._live())
        while True:
            try:
                if not self.is_listening:
                    await self._begin_anew()
                while True:
                    await self._send_next()
            except errors.Failure as error:
                self._leave(error)
                await self._changed()
            except Exception:  # noqa: BLE001 - the task's top frame: the others must go on
                _LOG.exception("copying the queue failed", node=self._name)
                self._leave(errors.Failure("a defect"))
            self.hurried.clear()
            try:
                async with asyncio.timeout(self._pause * random.uniform(0.8, 1.2)):
                    await self.hurried.wait()
            except TimeoutError:
                self._pause = min(self._pause * 2, self._pauses[1])

    def _leave(self, error: errors.Failure) -> None:
        if not self._is_told:
            _LOG.warning(
                "a candidate gets no copies of jobs for now", node=self._name, reason=str(error)
            )
        else:
            _LOG.debug("a candidate is still away", node=self._name, reason=str(error))
        self._is_told = True
        self._give_up()

    def _give_up(self) -> None:
        self.is_trusted = self.is_listening = False
        self._owed.clear()
        while self._parcels:
            self._parcels.popleft().sent.set()

    async def _begin_anew(self) -> None:
        """Empty the candidate's queue; from here on it is sent everything, beginning with all."""
        await self._call("jobqueue_purge")
        self.is_listening = True
        self._owed.clear()
        self._owed.extend(self._live())
        serial = await asyncio.to_thread(self._directory.recall, "serial")
        if serial is not None:
            await self._update(Update("serial", serial))
        await self._call(
            "jobqueue_set_drain_flag", await asyncio.to_thread(self._directory.is_drained)
        )

    async def _send_next(self) -> None:
        if self._parcels:
            parcel = self._parcels[0]
            await self._send(parcel.changes)
            if self._parcels and self._parcels[0] is parcel:
                self._parcels.popleft()
            parcel.sent.set()
        elif self._owed:
            job_id = self._owed.popleft()
            data = await asyncio.to_thread(self._directory.content, job_id)
            if data is not None:
                await self._update(Update(files.name_of(job_id), data))
        else:
            if not self.is_trusted:
                self.is_trusted = True
                self._is_told = False
                self._pause = self._pauses[0]
                _LOG.info("a candidate has the whole queue", node=self._name)
                await self._changed()
            self._arrived.clear()
            if not self._parcels:
                await self._arrived.wait()

    async def _send(self, changes: Sequence[Change]) -> None:
        """Send changes, of which no two concern the same file; several go at once."""
        waiting = collections.deque(changes)

        async def one_after_the_other() -> None:
            while waiting:
                await self._send_one(waiting.popleft())

        senders = min(_AT_ONCE, len(changes))
        if senders == 1:
            await one_after_the_other()
            return
        found = await asyncio.gather(
            *(one_after_the_other() for _ in range(senders)), return_exceptions=True
        )
        for result in found:
            if isinstance(result, BaseException):
                raise result

    async def _send_one(self, change: Change) -> None:
        match change:
            case Update():
                await self._update(change)
            case Rename():
                await self._rename(change)
            case Drain(drained):
                await self._call("jobqueue_set_drain_flag", drained)

    async def _update(self, update: Update) -> None:
        try:
            await self._call(
                "jobqueue_update", self._path(update.name), noderpc.encode_blob(update.data)
            )
        except errors.BadInput as error:
            _LOG.error(
                "a candidate does not take a file of the queue",
                node=self._name,
                file=update.name,
                reason=str(error),
            )

    async def _rename(self, rename: Rename) -> None:
        pairs = [[self._path(old), self._path(new)] for old, new in rename.pairs]
        try:
            await self._call("jobqueue_rename", pairs)
        except errors.Failure as error:
            if type(error) is not errors.Failure:
                raise
            # In the node's own words: most likely it never had that job.
            _LOG.warning("a candidate archives no job", node=self._name, reason=str(error))

    async def _call(self, name: str, *arguments: object) -> None:
        await self._candidates.call(self._name, name, *arguments, timeout=self._patience)

    def _path(self, name: str) -> str:
        return f"{self._place}/{name}"

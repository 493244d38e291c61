"""Candidates: daemons that stand by and lead, which can be killed, paused and started again.

Each leads as the master daemon does, with its lease, configuration and queue; in the place of
operations there is one deed on one node for each job, and a tag on the cluster that says so.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from lab.takeover import client, etcd, nodes, world
from pyganeti.base import errors
from pyganeti.clients import node as nodeclient
from pyganeti.masterd.backing.etcd import fence, keys, shelf, store
from pyganeti.masterd.config import draft, state
from pyganeti.masterd.election import leadership, leased
from pyganeti.masterd.jobs import queue, work
from pyganeti.wire import epochs

WHERE: Final = keys.Keys("/ganeti/cluster.example.com/")
_BOUNDS: Final = queue.Bounds(end_patience=1.5)


@dataclass(frozen=True, slots=True)
class Reign:
    """One time of leading, as it was seen."""

    name: str
    epoch: int
    begun: float


@dataclass(slots=True)
class Diary:
    """What all candidates saw and told, in the order in which it happened."""

    reigns: list[Reign]
    serials: list[tuple[float, int, str]]
    """When which serial number of the configuration was told, by which process."""

    begun: list[tuple[int, int]]
    """Which job was begun, in which epoch."""

    broken: list[str]
    """What must not be."""


class Candidate:
    """One node's master daemon."""

    def __init__(
        self,
        around: world.World,
        store_: etcd.Etcd,
        everybody: list[nodes.Node],
        name: str,
        place: Path,
        diary: Diary,
    ) -> None:
        self.world = around
        self.etcd = store_
        self.name = name
        self.diary = diary
        self.leading: leased.Leased | None = None
        self.queue: queue.Queue | None = None
        self.process = around.process(name)
        self.process.is_alive = False
        self._nodes = everybody
        self._place = place
        self._starts = 0

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process.is_alive:
            return
        skew = self.process.skew
        self._starts += 1
        self.process = self.world.process(self.name, f"{self.name}#{self._starts}")
        self.process.skew = skew
        self.process.start(self._serve(self.process))
        self.world.say(f"{self.process.ident} starts")

    def kill(self) -> None:
        """Kill it."""
        if self.process.is_alive:
            self.process.is_alive = False
            self.leading = self.queue = None
            self.world.say(f"{self.process.ident} is killed")

    def stop(self) -> None:
        """Tell it to end in order."""
        if self.process.runs:
            self.world.say(f"{self.process.ident} is told to end")
            self.process.cancel()

    @property
    def believes(self) -> bool:
        """Whether it would change something now."""
        leading = self.leading
        return leading is not None and not leading.is_lost and leading.lease.is_held

    async def _serve(self, process: world.Process) -> None:
        place = self._place / process.ident
        try:
            async with client.Client(process, self.etcd) as speaking:
                await self._stand_by(process, speaking, place)
        except asyncio.CancelledError:
            self.world.say(f"{process.ident} has ended")
            process.is_alive = False
        finally:
            shutil.rmtree(place, ignore_errors=True)

    async def _stand_by(self, process: world.Process, speaking: client.Client, place: Path) -> None:
        election = leased.Election(
            speaking,
            str(WHERE),
            self.name,
            self.name,
            clock=lambda: process.world.now,
            wall=process.clock,
        )
        async with _beside(election.watch()):
            while True:
                try:
                    async with election.held() as leading:
                        await self._reign(process, speaking, leading, place)
                except (errors.Failure, OSError) as error:
                    self.world.say(f"{process.ident} cannot lead: {error}")
                    await asyncio.sleep(2 * self.world.random.uniform(0.8, 1.2))

    async def _reign(
        self, process: world.Process, speaking: client.Client, leading: leased.Leased, place: Path
    ) -> None:
        self._note(process, leading)
        calling = nodes.Caller(process, self._nodes)
        epoch = epochs.of(leading.epoch, self.name)
        right = fence.Fence(WHERE.leader, leading.revision, leading.check, leading.lose)
        kept = store.EtcdStore(speaking, WHERE, right, lost=leading.lost, clock=process.clock)
        try:
            async with state.opened(kept, clock=process.clock) as config:
                config.permitted = leading.check
                if await calling.promise(epoch):
                    raise leadership.NotLeading("a node follows a later leader")
                leading.check()
                config.follow(lambda now: self._tell(process, now.serial_no))
                carrier = Carrier(self, calling, config, leading, epoch)
                async with queue.Queue(
                    shelf.EtcdShelf(speaking, WHERE, right, place),
                    carrier,
                    right=leading,
                    clock=process.clock,
                    bounds=_BOUNDS,
                ) as jobs:
                    leading.follow(lambda _: jobs.reconsider())
                    self.queue = jobs
                    try:
                        why = await leading.lost()
                    finally:
                        if self.process is process:
                            self.queue = None
                    self.world.say(f"{process.ident} leads no more: {why}")
        finally:
            if self.process is process:
                self.leading = None

    def _note(self, process: world.Process, leading: leased.Leased) -> None:
        self.world.say(f"{process.ident} leads, epoch {leading.epoch}")
        self.leading = leading
        self.diary.reigns.append(Reign(process.ident, leading.epoch, self.world.now))

    def _tell(self, process: world.Process, serial: int) -> None:
        self.diary.serials.append((self.world.now, serial, process.ident))


class Carrier:
    """Carries jobs out: one deed on one node each, and a tag that says that it was done."""

    def __init__(
        self,
        candidate: Candidate,
        calling: nodes.Caller,
        config: state.Config,
        leading: leased.Leased,
        epoch: epochs.Epoch,
    ) -> None:
        self._candidate = candidate
        self._calling = calling
        self._config = config
        self._leading = leading
        self._epoch = epoch

    async def perform(self, opcode: dict[str, Any], run: work.Run) -> Any:  # noqa: ANN401 - JSON
        """Carry one out."""
        chance = self._candidate.world.random
        await asyncio.sleep(chance.uniform(0, 0.5))
        await run.begin()
        self._candidate.diary.begun.append((run.job_id, self._leading.epoch))
        await asyncio.sleep(opcode["duration"])
        try:
            node = await self._calling.work(run.job_id, self._epoch)
        except nodeclient.Deposed as error:
            self._leading.lose(str(error))
            raise
        await self._config.change(lambda edit: _tag(edit, run.job_id))
        return node


def _tag(edit: draft.Draft, job: int) -> None:
    tags = (*edit.cluster.tags, f"job{job}")
    edit.put(msgspec.structs.replace(edit.cluster, tags=tags))


@contextlib.asynccontextmanager
async def _beside(work_: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work_)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})

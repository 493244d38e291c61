"""One schedule from its seed to the verdict."""

import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lab import carriers, clusters
from lab.takeover import candidates, client, etcd, faults, judging, nodes, world
from pyganeti.base import errors
from pyganeti.masterd.backing.etcd import fence, store
from pyganeti.model.config import entries

_REST: Final = 120.0
"""Seconds in which the cluster has to come to rest when everything is well."""

_SUBMISSIONS: Final = (0.2, 2.5)
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - not for secrets


@dataclass(slots=True)
class Outcome:
    """What came of a schedule."""

    seed: int
    broken: list[str] = field(default_factory=list)
    """What must not be; empty if all is well."""

    accepted: int = 0
    done: int = 0
    reigns: int = 0
    longest_gap: float = 0.0
    """Seconds without anybody who leads, while everything was well."""

    history: tuple[Any, ...] = ()
    """What was written to etcd, to compare runs."""


class Clients:
    """Submit jobs to whoever leads, and remember what they were told."""

    def __init__(
        self, around: world.World, standing: list[candidates.Candidate], until: float
    ) -> None:
        self._world = around
        self._candidates = standing
        self._until = until
        self.accepted: list[int] = []

    def begin(self) -> None:
        """Submit from now on."""
        if self._world.now >= self._until:
            return
        for candidate in self._candidates:
            jobs, process = candidate.queue, candidate.process
            if jobs is not None and process.runs:
                process.start_beside(self._submit(candidate, jobs))
        self._world.at(self._world.random.uniform(*_SUBMISSIONS), self.begin)

    async def _submit(self, candidate: candidates.Candidate, jobs: Any) -> None:  # noqa: ANN401
        chance = self._world.random
        process = candidate.process
        opcodes = [
            [carriers.opcode(duration=round(chance.expovariate(2.0), 3))]
            for _ in range(chance.choice((1, 1, 1, 3)))
        ]
        try:
            answers = await jobs.submit_many(opcodes)
        except (errors.Failure, OSError) as error:
            self._world.say(f"{candidate.name} takes no job: {error}")
            return
        if process.is_alive:
            taken = [int(number) for is_taken, number in answers if is_taken]
            self._world.say(f"{candidate.name} has taken {taken}")
            self.accepted += taken


def run(seed: int, told: Any = None) -> Outcome:  # noqa: ANN401 - a function, or None
    """Run a schedule; ``told`` gets what happens, line by line."""
    before = random.getstate()
    random.seed(seed)
    try:
        memory = _MEMORY if _MEMORY.is_dir() else None
        with tempfile.TemporaryDirectory(prefix="takeover-", dir=memory) as place:
            return _run(seed, Path(place), told)
    finally:
        random.setstate(before)


def _run(seed: int, place: Path, told: Any) -> Outcome:  # noqa: ANN401 - see run
    around = world.World(seed)
    if told is not None:
        around.told = told
    kept = etcd.Etcd(around)
    everybody = [nodes.Node("n1"), nodes.Node("n2")]
    diary = candidates.Diary([], [], [], [])
    standing = [
        candidates.Candidate(around, kept, everybody, f"node{number}", place, diary)
        for number in (1, 2, 3)
    ]
    outcome = Outcome(seed)
    try:
        _found(around, kept)
        for candidate in standing:
            candidate.start()
        trouble = faults.Faults(around, kept, standing)
        clients = Clients(around, standing, around.now + faults.TROUBLE + 5)
        trouble.begin()
        clients.begin()
        around.run(lambda: False, within=faults.TROUBLE)
        trouble.mend()
        around.say("everything is well")
        around.run(lambda: False, within=6.0)
        judge = judging.Judge(kept, everybody, diary, clients.accepted)
        mended = around.now
        if not around.run(judge.is_at_rest, within=_REST):
            outcome.broken.append(f"no rest after {_REST} s: {judge.unrest()}")
        outcome.longest_gap = around.now - mended
        around.run(lambda: False, within=1.0)
        outcome.broken += judge.verdict()
        outcome.accepted = len(clients.accepted)
        outcome.done = sum(len(node.done) for node in everybody)
        outcome.reigns = len(diary.reigns)
        outcome.history = tuple((w.revision, w.by, w.key) for w in kept.history)
    except world.Stuck as error:
        outcome.broken.append(str(error))
    finally:
        around.end()
    outcome.broken += [
        f"in {process.ident}: {context.get('message')}: {context.get('exception')!r}"
        for process in around.everybody
        for context in process.loop.faults
    ]
    return outcome


def _found(around: world.World, kept: etcd.Etcd) -> None:
    """Put a cluster into etcd."""
    founder = around.process("founder")
    snapshot = clusters.small(nodes=3, instances=0)

    async def found() -> None:
        async with client.Client(founder, kept) as speaking:
            nobody = fence.Fence(candidates.WHERE.leader)
            await store.EtcdStore(speaking, candidates.WHERE, nobody).create(
                entries.from_snapshot(snapshot)
            )

    founding = founder.start(found())
    if not around.run(founding.done, within=30):
        raise world.Stuck("the cluster was not founded")
    founding.result()
    founder.is_alive = False
    kept.history.clear()

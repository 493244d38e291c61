"""The master daemons that are measured: ours, and Ganeti's luxid and wconfd from Debian's packages.

Both start over the same configuration and queue, on the plan's disk, with no other node there, and
are asked by the same client over the same protocol. Ganeti's carries each job out in a Python
process of its own; the same opcodes are given to both.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab import luxids, masterdaemons
from lab.bench import contestants, figures, ground
from pyganeti.base import paths
from pyganeti.clients import luxi
from pyganeti.model.config.snapshot import Snapshot

_ENDED: Final = frozenset({"success", "error", "canceled"})
NO_OP: Final = 1e-6
"""Seconds of a delay that is none: Ganeti refuses no time at all."""

_PIECE: Final = 30
"""Seconds that one WaitForJobChange waits for news."""


class Wrong(Exception):
    """A job did not succeed, or an answer is not what it should be."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the two, and how it is started."""

    title: str
    start: Callable[..., contextlib.AbstractContextManager[masterdaemons.Running]]

    @property
    def is_own(self) -> bool:
        """Whether it is ours."""
        return self is OWN


OWN: Final = Kind(contestants.Own.title, masterdaemons.started)
PEER: Final = Kind(contestants.Peer.title, luxids.master)


class Daemon:
    """One that runs; what is found out about it is noted under its title."""

    def __init__(
        self,
        kind: Kind,
        running: masterdaemons.Running,
        client: luxi.Client,
        found: figures.Results,
    ) -> None:
        self.kind = kind
        self.layout = running.layout
        self.pids = running.pids
        self.began = running.began
        self.client = client
        self._found = found

    def add(self, key: str, value: float) -> None:
        """Note a figure of it."""
        self._found.add(self.kind.title, key, value)

    def run(self, opcode: dict[str, Any]) -> int:
        """Have one opcode carried out; return the job's number. Raises `Wrong` if it fails."""
        job = self.client.submit([opcode])
        self.wait(job)
        return job

    def wait(self, *jobs: int) -> None:
        """Wait until jobs have succeeded, as commands do: by their changes."""
        for job in jobs:
            state = self._ended(job)
            if state != "success":
                raise Wrong(
                    f"job {job} ended as {state}: {self.client.query_jobs([job], ['opresult'])}"
                )

    def _ended(self, job: int) -> str:
        seen: list[Any] | None = None
        while True:
            news = self.client.wait_for_change(job, ["status"], seen, None, _PIECE)
            if news is None:
                continue
            seen = news[0]
            if seen[0] in _ENDED:
                return str(seen[0])

    def memory(self) -> float:
        """Return its share of memory (PSS), of all its processes, in MiB."""
        found = (contestants.fields(Path(f"/proc/{pid}/smaps_rollup"))["Pss"] for pid in self.pids)
        return sum(found) / 1024


@contextlib.contextmanager
def started(
    kind: Kind,
    disk: Path,
    found: figures.Results,
    snapshot: Snapshot,
    before: Callable[[paths.Paths], None] = masterdaemons.nothing,
) -> Iterator[Daemon]:
    """Run one until the block ends; ``before`` puts more in place."""
    with (
        ground.swept(disk, snapshot.master.name) as directory,
        kind.start(directory, snapshot, before) as running,
        luxi.Client(running.layout) as client,
    ):
        yield Daemon(kind, running, client, found)


def opcode(name: str, /, **parameters: object) -> dict[str, Any]:
    """Return an opcode as both daemons take it."""
    common = {"dry_run": False, "debug_level": 0, "priority": 0, "depends": None, "comment": None}
    return {"OP_ID": name, **common, "reason": [["bench", "", 0]], **parameters}


def delay(seconds: float) -> dict[str, Any]:
    """Return what does nothing for so long, and locks nothing."""
    return opcode(
        "OP_TEST_DELAY",
        duration=seconds,
        on_master=seconds > NO_OP,
        on_nodes=[],
        on_node_uuids=None,
        interruptible=False,
        no_locks=True,
        repeat=0,
    )

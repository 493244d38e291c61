"""How long a change of the cluster's configuration takes until it is durable, and what it costs.

Two ways. By itself, without the master daemon: the store of files, on a real disk, in a process of
its own (``python -m lab.bench.masters.changes INSTANCES DIRECTORY`` prints one run as JSON). And as
people cause one: a job at the socket that gives an instance a tag, from submit to success. That is
what can be had of Ganeti too.
"""

import asyncio
import gc
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from lab import clusters, configurations
from lab.bench import figures, runs
from lab.bench.masters import daemons
from pyganeti.base import paths
from pyganeti.masterd.config import draft as drafts
from pyganeti.masterd.config import filestore, state
from pyganeti.model.config import entries

CHANGES: Final = {1000: 25.0, 5000: 100.0}
"""Milliseconds that a change may take, by the number of instances."""

_SINGLE: Final = 60
_ROUNDS: Final = 15
_AT_ONCE: Final = 20
_LITTLE_MORE: Final = 2.0
"""Single changes that twenty at once may take together."""

_JOBS: Final = {True: 30, False: 3}
"""Jobs that change something, by whether it is our daemon's."""

_LIMIT: Final = 120
_MIB: Final = 1 << 20


def _figures(size: int, most: float) -> list[figures.Figure]:
    whom = f"configuration of {size:,} instances"
    return [
        figures.Figure(
            f"config.change.p50.{size}", f"{whom}: a change durable, median", "ms", most
        ),
        figures.Figure(f"config.change.p90.{size}", f"{whom}: a change durable, 9 of 10", "ms"),
        figures.Figure(f"config.twenty.p50.{size}", f"{whom}: twenty at once, median", "ms"),
        figures.Figure(
            f"config.twenty.ratio.{size}", f"{whom}: twenty, in single ones", "", _LITTLE_MORE
        ),
        figures.Figure(f"config.job.{size}", f"{whom}: a job that changes it, median", "ms", most),
        figures.Figure(f"config.jobs.{size}", f"{whom}: twenty such jobs at once, median", "ms"),
        figures.Figure(f"config.open.{size}", f"{whom}: read and verified", "ms", 1000),
        figures.Figure(f"config.memory.{size}", f"{whom}: what it holds (RSS)", "MiB"),
    ]


FIGURES: Final = [figure for size, most in CHANGES.items() for figure in _figures(size, most)]

Edit = Callable[[drafts.Draft], object]


def measure(plan: runs.Plan, found: figures.Results, kinds: Sequence[daemons.Kind]) -> None:
    """Measure one run of each size: the store in a process of its own, then the daemons."""
    for size in CHANGES:
        with tempfile.TemporaryDirectory(prefix="pg-", dir=plan.disk) as directory:
            done = subprocess.run(
                [sys.executable, "-m", __name__, str(size), directory],
                check=True, capture_output=True, timeout=_LIMIT,
            )  # fmt: skip
        for name, value in json.loads(done.stdout).items():
            found.add(daemons.OWN.title, f"config.{name}.{size}", value)
        snapshot = clusters.large(instances=size, nodes=1)
        for kind in kinds:
            with daemons.started(kind, plan.disk, found, snapshot) as daemon:
                _measure_jobs(daemon, size)


def _measure_jobs(daemon: daemons.Daemon, size: int) -> None:
    numbers = itertools.count(1)
    daemon.run(_tag(next(numbers)))
    single = []
    for _ in range(_JOBS[daemon.kind.is_own]):
        began = time.perf_counter()
        daemon.run(_tag(next(numbers)))
        single.append(time.perf_counter() - began)
    daemon.add(f"config.job.{size}", 1000 * figures.percentile(single, 0.5))
    if not daemon.kind.is_own:
        return  # it would take minutes
    together = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        made = daemon.client.submit_many([[_tag(next(numbers))] for _ in range(_AT_ONCE)])
        daemon.wait(*(int(number) for _, number in made))
        together.append(time.perf_counter() - began)
    daemon.add(f"config.jobs.{size}", 1000 * figures.percentile(together, 0.5))


def _tag(number: int) -> dict[str, Any]:
    """Return the opcode that gives one instance a new tag: each another one."""
    return daemons.opcode("OP_TAGS_SET", kind="instance", name=f"web{number}", tags=["new"])


async def one_run(size: int, root: Path) -> dict[str, float]:
    """Return one run's figures by name: milliseconds, and MiB of memory."""
    layout = paths.Paths(root, "node1.example.com")
    filestore.create(layout, entries.from_snapshot(configurations.of(size)))
    gc.collect()
    before = _resident()
    began = time.perf_counter()
    async with state.opened(filestore.FileStore(layout)) as config:
        opened = time.perf_counter() - began
        single = [await _timed(config, [_edit(number)]) for number in range(_SINGLE)]
        together = [
            await _timed(config, [_edit(number) for number in range(_AT_ONCE)])
            for _ in range(_ROUNDS)
        ]
        gc.collect()
        one, twenty = (figures.percentile(spent, 0.5) for spent in (single, together))
        return {
            "open": 1000 * opened,
            "change.p50": 1000 * one,
            "change.p90": 1000 * figures.percentile(single, 0.9),
            "twenty.p50": 1000 * twenty,
            "twenty.ratio": twenty / one,
            "memory": (_resident() - before) / _MIB,
        }


async def _timed(config: state.Config, edits: list[Edit]) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(config.change(edit) for edit in edits))
    return time.perf_counter() - began


def _edit(number: int) -> Edit:
    """Return what an instance's start changes: it is wanted up, its disks active, or neither."""

    def edit(draft: drafts.Draft) -> None:
        instance = draft.snapshot.instance(f"inst{number + 1}")
        is_up = instance.admin_state == "up"
        draft.put(
            msgspec.structs.replace(
                instance, admin_state="down" if is_up else "up", disks_active=not is_up
            )
        )

    return edit


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(one_run(int(sys.argv[1]), Path(sys.argv[2])))))

"""Jobs, at the socket: one that does nothing, hundreds in one submission, and those who wait.

From just before SubmitJob is sent until WaitForJobChange has told of the success: what a job adds
to whatever it does. Every one is synced to the disk as accepted, as running and as ended.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from lab import clusters, qemus
from lab.bench import figures, runs
from lab.bench.masters import daemons
from pyganeti.base import descriptors
from pyganeti.wire import luxi

MANY: Final = 500
WAITING: Final = 1000
_SINGLE: Final = {True: 100, False: 8}
"""How often, by whether it is ours: Ganeti takes its time."""

_HELD: Final = 120.0
_LOOK: Final = 2.0
_LIMIT: Final = 60.0

FIGURES: Final = (
    figures.Figure("jobs.one", "one no-op job, from submit to success: median", "ms", 10),
    figures.Figure("jobs.one.p90", "one no-op job: 9 of 10", "ms"),
    figures.Figure("jobs.many.accepted", f"{MANY} no-op jobs in one submission: accepted", "s"),
    figures.Figure("jobs.many", f"{MANY} no-op jobs in one submission: all ended", "s", 2),
    figures.Figure("jobs.waiting.cpu", f"{WAITING:,} who wait for a job: processor", "%"),
    figures.Figure("jobs.waiting.one", f"{WAITING:,} who wait: a no-op job beside, median", "ms"),
    figures.Figure("jobs.waiting.told", f"{WAITING:,} who wait for a job: all told", "ms"),
)


def measure(
    plan: runs.Plan, found: figures.Results, kinds: Sequence[daemons.Kind], *, is_first: bool
) -> None:
    """Measure one run; Ganeti's hundreds of jobs, which take minutes, in the first run only."""
    snapshot = clusters.large(instances=0, nodes=1)
    for kind in kinds:
        with daemons.started(kind, plan.disk, found, snapshot) as daemon:
            daemon.run(daemons.delay(daemons.NO_OP))
            spent = singles(daemon, _SINGLE[kind.is_own])
            daemon.add("jobs.one", figures.percentile(spent, 0.5) * 1000)
            daemon.add("jobs.one.p90", figures.percentile(spent, 0.9) * 1000)
            if kind.is_own or is_first:
                measure_many(daemon, "jobs.many")
            if kind.is_own:
                _measure_waiting(daemon)


def singles(daemon: daemons.Daemon, times: int) -> list[float]:
    """Return the seconds of single no-op jobs, one after the other."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        daemon.run(daemons.delay(daemons.NO_OP))
        spent.append(time.perf_counter() - began)
    return spent


def measure_many(daemon: daemons.Daemon, key: str) -> None:
    """Measure hundreds of jobs in one submission, as figures that begin with a key."""
    began = time.perf_counter()
    made = daemon.client.submit_many([[daemons.delay(daemons.NO_OP)]] * MANY)
    daemon.add(f"{key}.accepted", time.perf_counter() - began)
    refused = [said for is_taken, said in made if not is_taken]
    if refused:
        raise daemons.Wrong(f"{len(refused)} jobs were refused: {refused[0]}")
    daemon.wait(*(int(number) for _, number in made))
    daemon.add(key, time.perf_counter() - began)


def _measure_waiting(daemon: daemons.Daemon) -> None:
    job = daemon.client.submit([daemons.delay(_HELD)])
    qemus.wait_until(
        lambda: daemon.client.query_jobs([job], ["status"]) == [["running"]], what="a job to run"
    )
    question = luxi.encode_request("WaitForJobChange", [job, ["status"], ["running"], 0, 60])
    with _connected(daemon.layout.query_socket, WAITING) as waiting:
        for each in waiting:
            each.sendall(question)
        daemon.run(daemons.delay(_LOOK))  # until all of them are waited for
        began, used = time.perf_counter(), _processor(daemon.pids[0])
        time.sleep(_LOOK)
        spent = _processor(daemon.pids[0]) - used
        daemon.add("jobs.waiting.cpu", spent / (time.perf_counter() - began) * 100)
        beside = singles(daemon, 20)
        daemon.add("jobs.waiting.one", figures.percentile(beside, 0.5) * 1000)
        began = time.perf_counter()
        daemon.client.cancel(job, kill=True)
        for each in waiting:
            if not each.recv(1 << 16):
                raise daemons.Wrong("one who waited was told nothing")
        daemon.add("jobs.waiting.told", (time.perf_counter() - began) * 1000)


@contextlib.contextmanager
def _connected(path: Path, number: int) -> Iterator[list[socket.socket]]:
    descriptors.raise_limit()
    with contextlib.ExitStack() as opened:
        made = []
        for _ in range(number):
            connection = opened.enter_context(socket.socket(socket.AF_UNIX))
            connection.settimeout(_LIMIT)
            connection.connect(str(path))
            made.append(connection)
        yield made


def _processor(pid: int) -> float:
    """Return the seconds of processor time that a process has had."""
    words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

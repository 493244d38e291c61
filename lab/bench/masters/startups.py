"""How long the daemon takes until it answers, what it holds then, and whether an archive matters.

Ended jobs, archived ones among them, lie in the queue before it starts; each archive directory has
its ten thousand names.
"""

import itertools
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from lab import carriers, clusters
from lab.bench import figures, runs
from lab.bench.masters import daemons, jobs, lists
from pyganeti.base import paths
from pyganeti.masterd.jobs import files
from pyganeti.wire import jobfile

INSTANCES: Final = 1000
ARCHIVED: Final = 5000
MANY_ARCHIVED: Final = 100_000
ENDED: Final = 4900
_JOBS: Final = 50

FIGURES: Final = (
    figures.Figure(
        "start", f"start, {INSTANCES:,} instances and {ARCHIVED:,} archived jobs: answers", "s", 1
    ),
    figures.Figure("start.pss", "memory then (PSS)", "MiB", 120),
    figures.Figure("start.ended", f"start, {ENDED:,} ended jobs not archived: answers", "s"),
    figures.Figure("list.ended", f"list of {ENDED:,} ended jobs", "ms"),
    figures.Figure("archive.start", f"start, {MANY_ARCHIVED:,} archived jobs: answers", "s", 1),
    figures.Figure("archive.one", f"one no-op job beside {MANY_ARCHIVED:,} archived", "ms", 10),
    figures.Figure("archive.list", f"list of jobs beside {MANY_ARCHIVED:,} archived", "ms"),
    figures.Figure("archive.pss", f"memory beside {MANY_ARCHIVED:,} archived (PSS)", "MiB"),
)


def measure(plan: runs.Plan, found: figures.Results, kinds: Sequence[daemons.Kind]) -> None:
    """Measure one run."""
    crowded = clusters.large(instances=INSTANCES, nodes=lists.NODES)
    alone = clusters.large(instances=0, nodes=1)
    for kind in kinds:
        before = partial(fill, number=ARCHIVED, is_archived=True)
        with daemons.started(kind, plan.disk, found, crowded, before) as daemon:
            daemon.add("start", _answered(daemon))
            daemon.add("start.pss", daemon.memory())
        before = partial(fill, number=ENDED, is_archived=False)
        with daemons.started(kind, plan.disk, found, alone, before) as daemon:
            daemon.add("start.ended", _answered(daemon))
            daemon.add("list.ended", _listed(daemon))
        before = partial(fill, number=MANY_ARCHIVED, is_archived=True)
        with daemons.started(kind, plan.disk, found, alone, before) as daemon:
            daemon.add("archive.start", _answered(daemon))
            spent = jobs.singles(daemon, _JOBS if kind.is_own else 4)
            daemon.add("archive.one", figures.percentile(spent, 0.5) * 1000)
            daemon.add("archive.list", _listed(daemon))
            daemon.add("archive.pss", daemon.memory())


def _answered(daemon: daemons.Daemon) -> float:
    """Return how many seconds after its start it had answered a question."""
    daemon.client.query_cluster_info()
    return time.perf_counter() - daemon.began


def _listed(daemon: daemons.Daemon) -> float:
    """Return how many milliseconds a list of all jobs takes that are not archived."""
    began = time.perf_counter()
    daemon.client.query_jobs(None, ["id", "status", "summary"])
    return (time.perf_counter() - began) * 1000


def fill(layout: paths.Paths, *, number: int, is_archived: bool) -> None:
    """Put ended jobs there; of archived ones, which are not read, many share a file."""
    place = layout.queue_dir
    moment = (1795241559, 253069)
    opcode = jobfile.Opcode(
        carriers.opcode(duration=daemons.NO_OP),
        jobfile.Status.SUCCESS,
        start_timestamp=moment,
        exec_timestamp=moment,
        end_timestamp=moment,
    )
    name_of = files.archive_name if is_archived else files.name_of
    written = place
    made = set()
    for job in itertools.takewhile(lambda job: job <= number, itertools.count(1)):
        path = place / name_of(job)
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        elif is_archived and job % files.JOBS_PER_ARCHIVE > 1:
            path.hardlink_to(written)
            continue
        path.write_bytes(jobfile.encode(jobfile.Job(job, (opcode,), moment, moment, moment)))
        written = path
    for name, content in (("serial", f"{number}\n"), ("version", "1\n")):
        (place / name).write_text(content)

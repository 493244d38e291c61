"""Jobs of a cluster that is kept in etcd: what the way there adds to a job that does nothing.

One member, on the plan's disk of the same machine: its syncs are what a job waits for. With three
members on three machines a job waits for the second fastest disk, and a network between.
"""

import time
from collections.abc import Sequence
from typing import Final

from lab import clusters
from lab.bench import figures, runs
from lab.bench.masters import daemons, jobs
from lab.etcd import etcds, keeping
from pyganeti.base import errors

_TIMES: Final = 100
_PATIENCE: Final = 30.0
_PAUSE: Final = 0.02

FIGURES: Final = (
    figures.Figure("etcd.one", "in etcd: one no-op job, median", "ms", 25),
    figures.Figure("etcd.one.p90", "in etcd: one no-op job, 9 of 10", "ms"),
    figures.Figure("etcd.many.accepted", f"in etcd: {jobs.MANY} no-op jobs: accepted", "s"),
    figures.Figure("etcd.many", f"in etcd: {jobs.MANY} no-op jobs: all ended", "s", 6),
)


def measure(plan: runs.Plan, found: figures.Results, kinds: Sequence[daemons.Kind]) -> None:
    """Measure one run of our daemon; Ganeti's knows no etcd."""
    if daemons.OWN not in kinds or etcds.why_not():
        return
    snapshot = clusters.large(instances=0, nodes=1)
    with etcds.here(directory=plan.disk) as etcd:
        put = keeping.before(snapshot, etcd)
        with daemons.started(daemons.OWN, plan.disk, found, snapshot, put) as daemon:
            _await_leading(daemon)
            spent = jobs.singles(daemon, _TIMES)
            daemon.add("etcd.one", figures.percentile(spent, 0.5) * 1000)
            daemon.add("etcd.one.p90", figures.percentile(spent, 0.9) * 1000)
            jobs.measure_many(daemon, "etcd.many")


def _await_leading(daemon: daemons.Daemon) -> None:
    """Wait until the daemon leads: until then it knows nobody who would do a job."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            daemon.run(daemons.delay(daemons.NO_OP))
        except errors.Failure:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return

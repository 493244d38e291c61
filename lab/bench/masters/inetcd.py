"""Jobs of a cluster that is kept in etcd: what the way there adds to a job that does nothing.

One member, on the plan's disk of the same machine: its syncs are what a job waits for. With three
members on three machines a job waits for the second fastest disk, and a network between.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from lab import clusters
from lab.bench import figures, runs
from lab.bench.masters import daemons, jobs
from lab.etcd import backings, etcds
from pyganeti.base import errors, paths, ssconf
from pyganeti.model.config import datafile
from pyganeti.model.config import ssconf as settings
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import storefile

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
        kept = storefile.Etcd(endpoints=etcd.endpoints, prefix=backings.fresh_prefix())

        def put(layout: paths.Paths) -> None:
            _put(layout, snapshot, etcd, kept)

        with daemons.started(daemons.OWN, plan.disk, found, snapshot, put) as daemon:
            _await_leading(daemon)
            spent = jobs.singles(daemon, _TIMES)
            daemon.add("etcd.one", figures.percentile(spent, 0.5) * 1000)
            daemon.add("etcd.one.p90", figures.percentile(spent, 0.9) * 1000)
            jobs.measure_many(daemon, "etcd.many")


def _put(layout: paths.Paths, snapshot: Snapshot, etcd: etcds.Etcd, kept: storefile.Etcd) -> None:
    """Have the configuration that lies in a file be in etcd, and say so."""
    held = datafile.parse(layout.config_data.read_bytes())
    values = settings.make(snapshot)
    ssconf.write(
        layout,
        {name: "".join(f"{line}\n" for line in lines) for name, lines in values.items()},
    )
    layout.store_file.write_bytes(storefile.encode(kept))

    async def create() -> None:
        async with backings.unled(etcd, kept.prefix) as nobody:
            await nobody.store().create(held)

    asyncio.run(create())


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

"""Idleness: a thousand guests of which nothing is heard."""

import time
from typing import Final

from lab.bench import contestants, figures, runs

SIZE: Final = 1000


def measure(kind: type[contestants.Contestant], plan: runs.Plan, results: figures.Results) -> None:
    """Measure the processor time of a daemon that has nothing to do."""
    with runs.prepared(kind, plan, results) as run:
        if run.fill(SIZE) < SIZE:
            run.remark("idle.cpu", "the guests were not attached")
            return
        time.sleep(2.0)
        run.daemon.wait_idle()
        began, used = time.monotonic(), run.daemon.cpu
        time.sleep(plan.idle)
        spent = run.daemon.cpu - used
        run.add("idle.cpu", spent / (time.monotonic() - began) * 100)

"""A flood: guests that make their qemus emit harmless events as fast as they are read."""

import time
from typing import Final

from lab.bench import contestants, figures, runs

LINES: Final = 200_000
SOCKETS: Final = 10
_OTHERS: Final = 400
_PAUSE: Final = 0.015
_PATIENCE: Final = 120.0


def measure(kind: type[contestants.Contestant], plan: runs.Plan, results: figures.Results) -> None:
    """Measure the cost of a line, the growth, and how late other guests' stops are told."""
    with runs.prepared(kind, plan, results) as run:
        if run.fill(SOCKETS + _OTHERS) < SOCKETS + _OTHERS:
            run.remark("flood.cpu", "the guests were not attached")
            return
        time.sleep(1.0)
        run.daemon.wait_idle()
        flooding, others = run.living[:SOCKETS], run.living[SOCKETS:]
        before, used = run.daemon.reset_peak(), run.daemon.cpu
        deadline = time.monotonic() + _PATIENCE
        run.simulated.flood(LINES // SOCKETS, flooding)
        late: list[float] = []
        while run.simulated.report()["flooding"] and time.monotonic() < deadline:
            if others:
                late += run.stop([others.pop()], within=_PATIENCE).values()
            time.sleep(_PAUSE)
        run.daemon.wait_idle(within=_PATIENCE)
        run.add("flood.cpu", (run.daemon.cpu - used) / LINES * 1e6)
        run.add("flood.growth", run.daemon.peak() - before)
        run.add("flood.latency", max(late, default=0.0) * 1e3)

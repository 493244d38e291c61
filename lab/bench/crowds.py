"""Many guests: whether all are followed, what that takes, how fast a stop is told, and a storm."""

import random
import time
from typing import Final

from lab.bench import contestants, figures, runs

_SETTLE: Final = 1.0
_PAUSE: Final = (0.004, 0.012)
_PATIENCE: Final = 60.0


def measure(
    kind: type[contestants.Contestant],
    plan: runs.Plan,
    results: figures.Results,
    size: int,
    wanted: frozenset[str],
) -> None:
    """Measure one daemon with so many guests; ``wanted`` of memory, latency and storm."""
    with runs.prepared(kind, plan, results) as run:
        began = time.monotonic()
        attached = run.fill(size)
        took = time.monotonic() - began
        if attached < size:
            how = "no more" if run.daemon.alive else "it ended"
            run.add(f"lost.{size}", size - attached)
            run.remark(f"lost.{size}", f"{attached} were attached, then {how}")
            return
        if not run.missed:
            run.add(f"attach.{size}", took)
        time.sleep(_SETTLE)
        run.daemon.wait_idle()
        if "memory" in wanted:
            share, mapped = run.daemon.memory()
            run.add(f"pss.{size}", share)
            run.add(f"rss.{size}", mapped)
        lost = size - run.count_watched() if kind.keeps_journal else 0
        try:
            if "latency" in wanted:
                _latency(run, size, plan.stops)
            if "storm" in wanted:
                _storm(run, size)
        except runs.Lost as error:
            run.remark(f"lost.{size}", str(error))
            lost += 1
        lost += run.missed
        if kind.keeps_journal:
            lost += abs(run.stopped - run.count_stops())
        run.add(f"lost.{size}", lost)


def _latency(run: runs.Run, size: int, stops: int) -> None:
    """Stop guests one at a time, so that none waits for another; new ones take their places."""
    chance = random.Random(size)
    found: list[float] = []
    synced: list[float] = []
    while len(found) < stops:
        batch = run.living[: min(stops - len(found), max(1, size // 2))]
        for name in batch:
            found += run.stop([name]).values()
            if run.daemon.keeps_journal:
                run.sync()
                synced.append((time.monotonic_ns() - run.sent) / 1e9)
            time.sleep(chance.uniform(*_PAUSE))
        run.fill(size)
        time.sleep(_SETTLE / 4)
        run.daemon.wait_idle()
    run.add(f"latency.p50.{size}", figures.percentile(found, 0.5) * 1e3)
    run.add(f"latency.p99.{size}", figures.percentile(found, 0.99) * 1e3)
    run.add(f"latency.max.{size}", max(found) * 1e3)
    if synced:
        run.add(f"synced.p50.{size}", figures.percentile(synced, 0.5) * 1e3)
        run.add(f"synced.p99.{size}", figures.percentile(synced, 0.99) * 1e3)


def _storm(run: runs.Run, size: int) -> None:
    """Stop all at once, until the last marker is there and the disk has the last row."""
    before = run.stopped
    longest = max(run.stop(list(run.living), within=_PATIENCE).values())
    if run.daemon.keeps_journal:
        deadline = time.monotonic() + _PATIENCE
        while run.count_stops() < before + size:
            if time.monotonic() > deadline:
                raise runs.Lost(f"{before + size - run.count_stops()} rows are missing")
            time.sleep(0.002)
        run.sync()
        longest = (time.monotonic_ns() - run.sent) / 1e9
    if size in figures.STORMS:
        run.add(f"storm.{size}", longest)

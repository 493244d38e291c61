"""How fast what fell is back: guests of 512 bytes on one node, emulated, whose qemus get SIGKILL.

First single ones among a hundred, one after the other; then two hundred at once. An instance is
back when the job that starts it has ended, so its guest runs; whatever is measured is measured by
the machine's wall clock, from just before the signal.
"""

import collections
import os
import signal
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab import falls, guests, recoverers
from lab.bench import contestants, figures, runs
from lab.cluster import clusters, instances, machines, masters
from pyganeti.watcher import events

FEW: Final = 100
MANY: Final = 200
_SINGLES: Final = 20
_PATIENCE: Final = 300.0
_OWN: Final = contestants.Own.title

_AMONG: Final = f"one of {FEW} killed"
_ALL: Final = f"{MANY} killed at once"
FIGURES: Final = (
    figures.Figure("one.p50", f"{_AMONG}: it runs again, median", "s", 1.5),
    figures.Figure("one.max", f"{_AMONG}: it runs again, longest of {_SINGLES}", "s", 1.5),
    figures.Figure("one.seen", f"{_AMONG}: until the stop is seen, median", "ms"),
    figures.Figure("one.submitted", f"{_AMONG}: from then until its job is submitted", "ms"),
    figures.Figure("one.job", f"{_AMONG}: until that job has ended", "ms"),
    figures.Figure("many.half", f"{_ALL}: half of them run again", "s"),
    figures.Figure("many.all", f"{_ALL}: all run again", "s"),
    figures.Figure("many.wrong", f"{_ALL}: forgotten, or started more than once", "", 0),
    figures.Figure("many.pss", "memory after that (PSS)", "MiB"),
)


def measure(plan: runs.Plan, found: figures.Results) -> None:
    """Measure one run."""
    names = [f"tiny{number}.{machines.DOMAIN}" for number in range(MANY)]
    with clusters.Cluster(1) as cluster:
        tiny = [instances.Instance(name, cluster.shared, guests.idle()) for name in names]
        with masters.started(cluster, [(one, cluster.master) for one in tiny]) as master:
            _start(master, names[:FEW])
            with recoverers.running(cluster.master, sweep=recoverers.USUAL) as recoverer:
                _measure_singles(recoverer, names[:FEW], min(_SINGLES, plan.starts), found)
                _start(master, names[FEW:])
                _measure_all(recoverer, names, found)
                found.add(_OWN, "many.pss", _memory(recoverer.pid))


def _start(master: masters.Master, names: Sequence[str]) -> None:
    master.run("gnt-instance", "startup", *names, within=_PATIENCE)


def _measure_singles(
    recoverer: recoverers.Recoverer, names: Sequence[str], number: int, found: figures.Results
) -> None:
    spent: dict[str, list[float]] = collections.defaultdict(list)
    for name in names[:number]:
        began = time.time()
        falls.Guest(recoverer.machine, name).send(signal.SIGKILL)
        recoverer.wait_for(events.Kind.RESTARTED, name)
        seen, begun, ended = (
            recoverer.of(name, kind)[0].at
            for kind in (events.Kind.STOPPED, events.Kind.RESTARTING, events.Kind.RESTARTED)
        )
        for key, seconds in (
            ("whole", ended - began),
            ("seen", seen - began),
            ("submitted", begun - seen),
            ("job", ended - begun),
        ):
            spent[key].append(seconds)
    found.add(_OWN, "one.p50", statistics.median(spent["whole"]))
    found.add(_OWN, "one.max", max(spent["whole"]))
    for key in ("seen", "submitted", "job"):
        found.add(_OWN, f"one.{key}", statistics.median(spent[key]) * 1000)


def _measure_all(
    recoverer: recoverers.Recoverer, names: Sequence[str], found: figures.Results
) -> None:
    before = len(recoverer.told)
    pids = [pid for name in names if (pid := falls.Guest(recoverer.machine, name).pid)]
    began = time.time()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    ends: dict[str, list[float]] = {}
    deadline = time.monotonic() + _PATIENCE
    while len(ends) < len(names) and time.monotonic() < deadline:
        time.sleep(0.2)
        ends = {}
        for one in recoverer.told[before:]:
            if one.kind is events.Kind.RESTARTED:
                ends.setdefault(one.instance, []).append(one.at - began)
    first = sorted(times[0] for times in ends.values())
    wrong = len(names) - len(ends) + sum(len(times) > 1 for times in ends.values())
    wrong += sum(falls.Guest(recoverer.machine, name).pid is None for name in names)
    found.add(_OWN, "many.wrong", wrong + len(names) - len(pids))
    found.add(_OWN, "many.half", first[len(first) // 2])
    found.add(_OWN, "many.all", first[-1])


def _memory(pid: int) -> float:
    """Return a process's memory, what it shares divided among those that do, in MiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"nothing is told of the memory of {pid}")

"""Boots: between bind and listen a connect is refused; a daemon that gives up misses the guest."""

import concurrent.futures
import heapq
import itertools
import random
import time
from typing import Final

from lab import guests, qemus, qmpservers
from lab.bench import contestants, figures, ground, markers, runs

BOOTS: Final = 1000
_LONGEST_REFUSAL: Final = 0.03
_APART: Final = 0.003
_PATIENCE: Final = 8.0
_AT_A_TIME: Final = 60
_STARTERS: Final = 4
_LIFE: Final = 4.0
"""Seconds from a guest's boot to its powering itself off."""


def measure(kind: type[contestants.Contestant], plan: runs.Plan, results: figures.Results) -> None:
    """Bind a thousand sockets, some milliseconds apart, each refusing for up to 30 ms."""
    with runs.prepared(kind, plan, results) as run:
        chance = random.Random(BOOTS)
        began = time.monotonic()
        due: list[tuple[float, bool, str]] = []
        for index, name in enumerate(run.names(BOOTS)):
            bound = began + index * _APART
            due.append((bound, False, name))
            due.append((bound + chance.uniform(0, _LONGEST_REFUSAL), True, name))
        heapq.heapify(due)
        while due:
            at, listens, name = heapq.heappop(due)
            time.sleep(max(0.0, at - time.monotonic()))
            if listens:
                run.simulated.behave(qmpservers.SERVE, [name])
            else:
                run.simulated.create([name], behaviour=qmpservers.REFUSE, release=True)
                run.living.append(name)
        deadline = time.monotonic() + _PATIENCE
        while run.simulated.report()["attached"] < BOOTS and time.monotonic() < deadline:
            time.sleep(0.02)
        sent = run.simulated.power_off()
        told = {name.removesuffix(runs.SUFFIX) for name, at in sent.items() if at}
        seen = run.seen.wait(told, within=_PATIENCE)
        run.add("boots.missed", BOOTS - len(seen))


def measure_real(
    kind: type[contestants.Contestant], plan: runs.Plan, results: figures.Results
) -> None:
    """Boot real qemus, some sixty at a time, whose guests power themselves off after a while."""
    missed = 0
    sector = guests.later(guests.Command.POWER_OFF, _LIFE)
    for start in range(0, plan.qemus, _AT_A_TIME):
        number = min(_AT_A_TIME, plan.qemus - start)
        with (
            qemus.Qemus() as node,
            ground.Ground(plan.disk) as place,
            kind(place, node.ctrl_dir),
            markers.Markers(node.ctrl_dir) as seen,
        ):
            names = [f"boot{start + index:04}" for index in range(number)]
            with concurrent.futures.ThreadPoolExecutor(_STARTERS) as starters:
                list(starters.map(node.start, names, itertools.repeat(sector)))
            for qemu in node.started:
                qemu.wait_ended(within=60)
            missed += number - len(seen.wait(names, within=_PATIENCE / 2))
    results.add(kind.title, "qemus.missed", missed)
    results.remark(kind.title, "qemus.missed", f"of {plan.qemus}")

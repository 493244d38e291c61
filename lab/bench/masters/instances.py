"""Starts of instances by jobs, and the commands: a master daemon, a node daemon and real qemus.

In turns with bare qemus of the same command line, as `lab.bench.nodes.starts` has them. The guests
are 512 bytes, emulated. The commands are run while they are up, against our daemon, Ganeti's own
too.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab import guests
from lab.bench import figures, runs
from lab.bench.masters import daemons, ganetis
from lab.bench.nodes import starts
from lab.cluster import clusters, instances, machines, masters
from pyganeti.clients import luxi

AT_ONCE: Final = 10
_COMMANDS: Final = 10
_LIMIT: Final = 60.0
_PEER: Final = Path("/usr/share/ganeti/3.0/gnt-instance")

FIGURES: Final = (
    figures.Figure("instance.bare", "a bare `qemu -daemonize`: median", "ms"),
    figures.Figure("instance.start", "start of a tiny instance, submit to success", "ms", 200),
    figures.Figure("instance.ten.bare", "ten bare qemus at once", "s"),
    figures.Figure("instance.ten", "ten tiny instances at once, submit to success", "s", 1),
    figures.Figure("command.list", "`gnt-instance list`, ten running: the command", "ms", 130),
    figures.Figure("command.help", "`gnt-instance --help`: the command", "ms", 100),
)


def measure(plan: runs.Plan, found: figures.Results, kinds: Sequence[daemons.Kind]) -> None:
    """Measure one run: ours in turns with bare qemus, then Ganeti's, which is slower by far."""
    names = [f"tiny{number}.{machines.DOMAIN}" for number in range(AT_ONCE)]
    with clusters.Cluster(1) as cluster:
        tiny = [instances.Instance(name, cluster.shared, guests.idle()) for name in names]
        placed = [(one, cluster.master) for one in tiny]
        _measure_own(plan, found, cluster, placed, kinds)
        if daemons.PEER in kinds:
            with ganetis.started(cluster, placed) as client:
                _started(client, names[:1])
                for key, number, unit in (("start", 1, 1000), ("ten", AT_ONCE, 1)):
                    spent = [
                        _started(client, names[:number]) for _ in range(3 if number == 1 else 1)
                    ]
                    found.add(
                        daemons.PEER.title, f"instance.{key}", statistics.median(spent) * unit
                    )


def _measure_own(
    plan: runs.Plan,
    found: figures.Results,
    cluster: clusters.Cluster,
    placed: masters.Placed,
    kinds: Sequence[daemons.Kind],
) -> None:
    names = [one.name for one, _ in placed]
    bare = starts.Starts(cluster, AT_ONCE)
    with masters.started(cluster, placed) as master, luxi.Client(cluster.master.layout) as client:
        for key, without, number, times, unit in (
            ("start", "bare", 1, plan.starts, 1000),
            ("ten", "ten.bare", AT_ONCE, plan.starts // 4, 1),
        ):
            turns = [
                (bare.bare(bare.prepared[:number]), _started(client, names[:number]))
                for _ in range(max(times, 1))
            ]
            for name, spent in zip((without, key), zip(*turns, strict=True), strict=True):
                median = statistics.median(spent) * unit
                found.add(daemons.OWN.title, f"instance.{name}", median)
        _start(client, names)
        for kind in kinds:
            _measure_commands(kind, cluster.master, found)
        _stop(client, names)
        master.daemon.stop()
    bare.close()


def _started(client: luxi.Client, names: Sequence[str]) -> float:
    """Return how long the starts of instances take that are down; they are down again then."""
    spent = _start(client, names)
    _stop(client, names)
    return spent


def _start(client: luxi.Client, names: Sequence[str]) -> float:
    began = time.perf_counter()
    _run(client, [daemons.opcode("OP_INSTANCE_STARTUP", instance_name=name) for name in names])
    return time.perf_counter() - began


def _stop(client: luxi.Client, names: Sequence[str]) -> None:
    _run(
        client,
        [daemons.opcode("OP_INSTANCE_SHUTDOWN", instance_name=name, timeout=0) for name in names],
    )


def _run(client: luxi.Client, opcodes: Sequence[dict[str, object]]) -> None:
    """Have opcodes carried out, a job each; raises what one fails with."""
    jobs = [int(number) for _, number in client.submit_many([[one] for one in opcodes])]
    for job in jobs:
        client.wait(job)


def _measure_commands(kind: daemons.Kind, node: machines.Machine, found: figures.Results) -> None:
    command = Path(sys.executable).with_name("gnt-instance") if kind.is_own else _PEER
    for key, words in (("list", ["list"]), ("help", ["--help"])):
        _run_command(command, words, node)  # Python keeps what it has compiled
        spent = [_run_command(command, words, node) for _ in range(_COMMANDS)]
        found.add(kind.title, f"command.{key}", statistics.median(spent) * 1000)


def _run_command(command: Path, words: Sequence[str], node: machines.Machine) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [command, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
        # Ganeti wants the root of a node among several to be named after it.
        env={**os.environ, **node.variables, "GANETI_HOSTNAME": node.root.name},
    )
    spent = time.perf_counter() - began
    if done.returncode or ("tiny0" not in done.stdout and "list" in words):
        raise daemons.Wrong(f"{command} {words}: {done.stdout}{done.stderr}")
    return spent

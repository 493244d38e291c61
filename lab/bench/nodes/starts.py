"""Starting instances, beside qemus that are started by the same command line without a daemon.

The line is taken from a qemu that the node daemon has started; the same guest, the same files, the
same sockets, kvmd watching both. A bare one is over when qemu has detached itself. By that line its
guest does not run yet, which the daemon's does when it answers: so there are ones that run, too.
"""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab import guests, qemus
from lab.bench import contestants
from lab.cluster import calls, clusters, conductor, instances

_LIMIT: Final = 60.0
_SETTLED_WITHIN: Final = 5.0
_LOOK: Final = 0.05
_AT_REST: Final = 0.0005
_STANDS: Final = "-S"


@dataclass(slots=True)
class Prepared:
    """An instance that is down, ready to be started in both ways."""

    instance: instances.Instance
    line: Sequence[str]


class Starts:
    """Some instances on the cluster's only node, from construction to `close`."""

    def __init__(self, cluster: clusters.Cluster, number: int) -> None:
        self._cluster = cluster
        self._node = cluster.master
        self._master = conductor.Conductor(cluster)
        self._caller = cluster.caller()
        self.prepared: list[Prepared] = []
        for index in range(number):
            instance = instances.Instance(f"start{index}", cluster.shared, guests.idle())
            self._master.add(instance, self._node)
            self._start(instance)
            line = Path(f"/proc/{self._pid(instance)}/cmdline").read_bytes()
            self._kill(instance)
            self.prepared.append(
                Prepared(instance, [os.fsdecode(word) for word in line.split(b"\0")[:-1]])
            )

    def close(self) -> None:
        """Remove the instances."""
        for one in self.prepared:
            self._master.remove(one.instance, self._node)

    def bare(self, chosen: Sequence[Prepared], *, paused: bool = True) -> float:
        """Return the seconds that it takes qemus to come up, all at once.

        By the daemon's line the guests stand; without ``paused`` each runs as soon as it can, as
        those do that the daemon has started.
        """
        for one in chosen:
            self._place(one)

        def run(one: Prepared) -> None:
            self._run([word for word in one.line if paused or word != _STANDS])

        return self._timed(run, chosen)

    def served(
        self, chosen: Sequence[Prepared], *, kept: bool = True, paused: bool = False
    ) -> float:
        """Return the seconds that it takes the node daemon, called on ``kept`` or new connections.

        What is asked for is written beforehand, as is the bare ones' command line. ``paused`` has
        the guests stand at the end, as the bare ones' do.
        """
        asked = {one.instance.name: one.instance.wire(self._node) for one in chosen}
        with contextlib.ExitStack() as connected:

            def connect() -> http.client.HTTPConnection:
                return connected.enter_context(self._caller.connection(self._node.address))

            lines = {name: connect() for name in asked} if kept else {}
            for line in lines.values():
                calls.ask(line, "version")

            def start(one: Prepared) -> None:
                name = one.instance.name
                self._ask(lines[name] if kept else connect(), asked[name], paused=paused)

            return self._timed(start, chosen)

    def _timed(self, start: Callable[[Prepared], None], chosen: Sequence[Prepared]) -> float:
        self._settle()
        with futures.ThreadPoolExecutor(len(chosen)) as pool:
            began = time.perf_counter()
            for done in [pool.submit(start, one) for one in chosen]:
                done.result()
            found = time.perf_counter() - began
        for one in chosen:
            self._kill(one.instance)
        return found

    def _settle(self) -> None:
        """Wait until the node's daemons have done with what was before."""
        pids = [
            daemon.pid
            for daemon in (self._cluster.noded(self._node), self._cluster.kvmd(self._node))
        ]
        used, deadline = -1.0, time.monotonic() + _SETTLED_WITHIN
        while time.monotonic() < deadline:
            before, used = used, sum(contestants.cpu_of(pid) for pid in pids if pid)
            if used - before < _AT_REST:
                return
            time.sleep(_LOOK)

    def _start(self, instance: instances.Instance) -> None:
        with self._caller.connection(self._node.address) as line:
            self._ask(line, instance.wire(self._node))

    def _ask(
        self, line: http.client.HTTPConnection, described: dict[str, Any], *, paused: bool = False
    ) -> None:
        arguments = [described, paused, conductor.trail("startup")]
        calls.ask(line, "instance_start", *arguments)

    def _run(self, line: Sequence[str]) -> None:
        # Outside the node, for to go in there would cost the bare ones some milliseconds.
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT, check=False
        )
        if done.returncode:
            raise qemus.Failed(done.stderr.decode(errors="replace"))

    def _place(self, one: Prepared) -> None:
        """Put in place what the node daemon would: links to disks, nothing of an earlier run."""
        layout, name = self._node.layout, one.instance.name
        for index, disk in enumerate(one.instance.disks_info()):
            link = layout.run_dir / "instance-disks" / f"{name}:{index}"
            link.unlink(missing_ok=True)
            link.symlink_to(disk["logical_id"][1])
        for path in layout.ctrl_dir.glob(f"{name}.*"):
            path.unlink()

    def _pid(self, instance: instances.Instance) -> int:
        """Return the process number outside, of a qemu started in either way."""
        number = int((self._node.layout.kvm_pid_dir / instance.name).read_text())
        return self._node.namespace.processes().get(number, number)

    def _kill(self, instance: instances.Instance) -> None:
        """End a qemu, and have its node know it."""
        descriptor = os.pidfd_open(self._pid(instance))
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            if not qemus.readable(descriptor, _LIMIT):
                raise TimeoutError(f"{instance.name} does not end")
        finally:
            os.close(descriptor)
        layout = self._node.layout
        for left in (
            layout.kvm_pid_dir / instance.name,
            layout.run_dir / "kvm-hypervisor/conf" / f"{instance.name}.runtime",
            *layout.ctrl_dir.glob(f"{instance.name}.*"),
        ):
            left.unlink(missing_ok=True)

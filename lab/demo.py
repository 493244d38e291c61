"""Guests ended in every way there is, then a cluster that puts right what fell: `make demo`.

First a dozen real guests are made, run and ended by the node daemons of two nodes, call by call as
a master does it, and so comes the word of each stop, which ganeti-kvmd recorded there. Then a bare
machine becomes a cluster by the gnt-* commands, its watcher runs, and a guest that is killed is
back within moments (`demotour`). All nodes are in namespaces of their own. Nothing outside
temporary directories is touched, and nothing is left: not on success, not on failure, not on
Ctrl-C, not when this program is killed. Works for root, and for plain users who may have user
namespaces. Exit status: 0 if everything was as it should be, 1 if not, 2 if the demo cannot run
here, 130 on Ctrl-C.

The milliseconds are those from the end (qemu's own timestamp of it; if it left without a word,
the act that ended it) to the moment at which the master hears of it.
"""

import contextlib
import resource
import signal
import sys
import time
from concurrent import futures
from typing import Final, NoReturn

from lab import demoscenes, demostops, demotable, demotour, qemus
from lab.cluster import clusters, conductor, instances, machines, namespaces

_LIMIT: Final = 180.0
_NODES: Final = 2
_AT_ONCE: Final = 4
_SETTLED: Final = 3.0
"""Seconds after a stop within which the node says what it is to say of the guest."""

_LOOK: Final = 0.002
_MODULE: Final = "lab.demo"
_LAST_WORDS: Final = frozenset(("SHUTDOWN", "MIGRATION"))
_STATES: Final = ("running", "shutdown")


class Demo:
    """The scenes and what they are played with."""

    def __init__(self, cluster: clusters.Cluster) -> None:
        self.scenes = demoscenes.scenes()
        self._cluster = cluster
        self._master = conductor.Conductor(cluster)
        self._stages: dict[str, demoscenes.Stage] = {}
        self._show: demotable.Show = lambda: None

    def play(self) -> None:
        """Start all guests, end them, have every verdict judged."""
        heard = demostops.Stops(self._cluster)
        try:
            with demotable.shown(self.scenes) as self._show:
                self._begin()
                for scene in self.scenes:
                    self._end(scene, heard)
        finally:
            heard.close()
            for stage in self._stages.values():
                stage.close()

    def _begin(self) -> None:
        own = [scene for scene in self.scenes if not scene.guest]
        with futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._start, own))

    def _start(self, scene: demoscenes.Scene) -> None:
        node = self._cluster.master
        instance = instances.Instance(
            scene.name, self._cluster.shared, scene.sector, hvparams=scene.hvparams
        )
        scene.says = "(starting)"
        self._show()
        self._master.add(instance, node)
        self._master.start(instance, node)
        stage = demoscenes.Stage(self._cluster, self._master, instance, node)
        stage.wait_up()
        self._stages[scene.name] = stage
        scene.says = "(running)"
        self._show()

    def _end(self, scene: demoscenes.Scene, heard: demostops.Stops) -> None:
        stage = self._stages[scene.guest or scene.name]
        node = stage.node
        acted = time.time()
        if scene.is_unseen:
            self._end_unseen(scene, stage)
        else:
            scene.act(stage)
        found = heard.wait(node, stage.instance.name)
        if found is None:
            scene.says, scene.right = "(nothing)", False
        else:
            stop, at = found
            told = [event.at for event in stop.evidence.events if event.name in _LAST_WORDS]
            if scene.is_timed:
                scene.seconds = at - (told[-1] if told else acted)
            scene.says = str(stop.cause)
            scene.right = stop.cause == scene.expected and self._has_right_state(scene, node)
        self._show()

    def _end_unseen(self, scene: demoscenes.Scene, stage: demoscenes.Stage) -> None:
        daemons = (self._cluster.noded(stage.node), self._cluster.kvmd(stage.node))
        for daemon in daemons:
            daemon.kill()
        scene.act(stage)
        for daemon in daemons:
            daemon.start()

    def _has_right_state(self, scene: demoscenes.Scene, node: machines.Machine) -> bool:
        deadline = time.monotonic() + _SETTLED
        while True:
            told = self._cluster.call(node, "instance_info", scene.guest or scene.name, "kvm", {})
            scene.node_says = _STATES[told["state"]] if told else "gone"
            if scene.node_says == scene.wanted_state or time.monotonic() >= deadline:
                return scene.node_says == scene.wanted_state
            time.sleep(_LOOK)


def main() -> int:
    """Play the demo; return the exit status."""
    namespaces.become_root(_MODULE)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    why_not = qemus.why_not() or namespaces.why_not()
    if why_not:
        print(f"The demo cannot run here: {why_not}", file=sys.stderr)
        return 2
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one guest crashes
    began = time.monotonic()
    try:
        print("A dozen guests on two nodes, each ended its own way:\n", flush=True)
        with clusters.Cluster(_NODES, limit=_LIMIT) as cluster:
            demo = Demo(cluster)
            demo.play()
            wrong = [scene for scene in demo.scenes if not scene.right]
            print(f"\n$ ganeti-kvmd why {demoscenes.EXPLAINED}")
            print(cluster.on(cluster.master, "ganeti-kvmd", "why", demoscenes.EXPLAINED).stdout)
            for node in cluster.nodes if wrong else ():
                for daemon in (cluster.noded(node), cluster.kvmd(node)):
                    print(f"{node.port}, {daemon.command}:\n{daemon.log}", file=sys.stderr)
        print("A cluster by its own commands, and what happens to those who fall:", flush=True)
        if not _walked():
            return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing is left behind.", file=sys.stderr)
        return 130
    seen = [scene.seconds for scene in demo.scenes if scene.seconds is not None]
    right = len(demo.scenes) - len(wrong)
    print(
        f"\n{len(demo.scenes)} ends on {_NODES} nodes: {right} verdicts right, {len(wrong)} wrong;"
        f" the slowest took {max(seen, default=0) * 1000:.1f} ms, the whole demo"
        f" {time.monotonic() - began:.1f} s. Nothing is left behind."
    )
    return 1 if wrong else 0


def _walked() -> bool:
    """Make a cluster by its own commands and use it; return whether all was as it should be."""
    with clusters.Cluster(1, limit=_LIMIT, founded=False) as cluster:
        try:
            demotour.Tour(cluster, lambda line: print(line, flush=True)).make()
        except demotour.Wrong as wrong:
            print(f"\nThis went wrong: {wrong}", file=sys.stderr)
            for command in ("ganeti-masterd", "ganeti-noded", "ganeti-watcher"):
                print(cluster.service(cluster.master, command).log, file=sys.stderr)
            return False
    return True


def _leave(number: int, frame: object) -> NoReturn:
    del frame
    raise SystemExit(128 + number)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())

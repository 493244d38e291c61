"""A whole cluster as a ``with`` block: machines on one network, founded, their daemons running.

    with clusters.Cluster(3) as cluster:
        assert cluster.call(cluster.nodes[1], "version") == 3000000

Everything is below one fresh directory and in namespaces. All of it goes with the block, also
after a failure; and with the program, if that is killed: the first process of each namespace ends
everything in it, and a guardian removes the directory.

The cluster's daemons on a node are `lab.cluster.services.Service` objects, whether they run or not;
`Cluster.on` runs a command on a node, which is how a master daemon's commands are tried.
"""

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent import futures
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from lab import guarding
from lab.cluster import calls, founding, machines, namespaces, network, services

LIMIT: Final = 900.0
"""How long a cluster may live at most, in seconds."""


class Cluster:
    """See the module. ``disk`` is the size in MiB of disks that can be filled up, 0: no limit.

    Without ``founded`` the machines are bare: switched on, connected, and nothing on them.
    """

    def __init__(
        self, size: int = 3, *, limit: float = LIMIT, disk: int = 0, founded: bool = True
    ) -> None:
        self._size = size
        self._limit = limit
        self._disk = disk
        self._founded = founded
        self._closing = contextlib.ExitStack()
        self._callers: dict[str, calls.Caller] = {}
        self.place = Path()
        self.nodes: list[machines.Machine] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            # Short: a socket's path has at most 107 bytes.
            self.place = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
            guarded = guarding.Guarded(self.place, self._limit)
            opened.callback(guarded.close)
            self.place.chmod(0o755)
            self.shared.mkdir()
            self.room = namespaces.Namespace("room", limit=self._limit)
            opened.callback(self.room.end)
            guarded.guard(self.room.pid)
            self.switch = network.Switch(self.room)
            for number in range(1, self._size + 1):
                made = machines.Machine(
                    number, self.place, self.switch, limit=self._limit, disk=self._disk
                )
                opened.callback(made.power_off)
                self.nodes.append(made)
            (self.place / "hosts").write_text(founding.hosts(self.nodes))
            if self._founded:
                founding.found(self.nodes, self.shared)
            self._at_once(self._bring_up, self.nodes)
            self._closing = opened.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    @property
    def shared(self) -> Path:
        """The directory that all nodes see at the same place, for disks that are shared files."""
        return self.place / "shared"

    @property
    def master(self) -> machines.Machine:
        """The node whose certificate calls show, and where a master daemon would run."""
        return self.nodes[0]

    def service(self, node: machines.Machine, command: str) -> services.Service:
        """Return a daemon of a node, whether it runs or not."""
        return services.Service(node, command)

    def noded(self, node: machines.Machine) -> services.Service:
        """Return a node's node daemon."""
        return self.service(node, services.NODED)

    def kvmd(self, node: machines.Machine) -> services.Service:
        """Return the daemon that says why guests on a node stopped."""
        return self.service(node, services.KVMD)

    def on(
        self, node: machines.Machine, *line: str, within: float = namespaces.PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a node, to its end."""
        return node.run(*line, within=within)

    def call(
        self,
        node: machines.Machine,
        name: str,
        *arguments: object,
        timeout: float = calls.PATIENCE,
    ) -> Any:  # noqa: ANN401 - JSON
        """Have a node carry out a call, as the master, whichever the node follows.

        See `lab.cluster.calls`.
        """
        caller = self.caller()
        try:
            return caller.call(node.address, name, *arguments, timeout=timeout)
        except calls.Outdated as later:
            epoch = later.epoch
            return caller.call(node.address, name, *arguments, timeout=timeout, epoch=epoch)

    def caller(self, node: machines.Machine | None = None) -> calls.Caller:
        """Return what calls with a node's certificate: the master's unless told otherwise.

        It calls from the switch, so that it reaches nodes whatever happens to the node.
        """
        name = (node or self.master).name
        if name not in self._callers:
            self._callers[name] = calls.Caller(self.room, founding.client_of(name).pem)
        return self._callers[name]

    def start(self, *nodes: machines.Machine) -> None:
        """Switch nodes on, if they are off, and start their node daemons, if they do not run."""
        self._at_once(self._bring_up, nodes)

    def lose(self, source: machines.Machine, *targets: machines.Machine) -> None:
        """Lose what one node sends to others; what those send to it arrives."""
        self.switch.lose(source.port, [target.address for target in targets])

    def find(self, source: machines.Machine, *targets: machines.Machine) -> None:
        """Have it arrive again."""
        self.switch.find(source.port, [target.address for target in targets])

    def _bring_up(self, node: machines.Machine) -> None:
        node.power_on()
        if self._founded and not self.noded(node).alive:
            self.noded(node).start()

    def _at_once(
        self, function: Callable[[machines.Machine], None], nodes: Iterable[machines.Machine]
    ) -> None:
        with futures.ThreadPoolExecutor(max(self._size, 1)) as pool:
            for done in [pool.submit(function, node) for node in nodes]:
                done.result()

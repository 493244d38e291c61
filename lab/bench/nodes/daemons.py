"""The node daemons that are measured: our own, and Ganeti's where Debian's package is installed.

Both run on the same machine of the laboratory, in turns, over the same files: guests that ours has
started are there for the other. Ganeti's finds them in the system's own places, which on that
machine are ours, and the users that it wants are all root there.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from lab import qemus
from lab.bench import contestants
from lab.cluster import clusters, services

_PEER: Final = Path("/usr/share/ganeti/3.0/ganeti-noded")
_PEER_PYTHON: Final = "/usr/bin/python3"
_PEER_PID_FILE: Final = "ganeti-noded.pid"
_USERS: Final = (
    "gnt-admin gnt-confd gnt-daemons gnt-luxid gnt-masterd gnt-metad gnt-rapi gnt-wconfd".split()  # noqa: SIM905
)

# Nothing is made outside: what is missing in the system's places lies on file systems of its own.
_IN_ITS_PLACE: Final = """
for place in lib/ganeti log/ganeti run/ganeti; do
    top=/var/${place%/*}
    [ "$top" = /var/run ] && top=/run
    mount -t tmpfs tmpfs "$top"
    mkdir "$top/ganeti"
    mount --bind "$0/var/$place" "$top/ganeti"
done
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
"""


class Daemon:
    """One node daemon on the cluster's only machine; running inside `running`."""

    title: ClassVar[str]

    def __init__(self, cluster: clusters.Cluster) -> None:
        self._cluster = cluster
        self._machine = cluster.master

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Have it run, and no other."""
        self._start()
        try:
            yield
        finally:
            self._stop()

    @property
    def pid(self) -> int:
        """Its process number; raises ProcessLookupError if it does not run."""
        raise NotImplementedError

    def memory(self) -> tuple[float, float]:
        """Return its share of memory (PSS) and all of what it has mapped (RSS), in MiB."""
        found = contestants.fields(Path(f"/proc/{self.pid}/smaps_rollup"))
        return found["Pss"] / 1024, found["Rss"] / 1024

    def _start(self) -> None:
        raise NotImplementedError

    def _stop(self) -> None:
        raise NotImplementedError


class Own(Daemon):
    """Our own, as the cluster starts it."""

    title: ClassVar[str] = contestants.Own.title

    @property
    def pid(self) -> int:
        """Its process number."""
        pid = self._service.pid
        if pid is None:
            raise ProcessLookupError("our node daemon does not run")
        return pid

    @property
    def _service(self) -> services.Service:
        return self._cluster.noded(self._machine)

    def _start(self) -> None:
        if not self._service.alive:
            self._service.start()

    def _stop(self) -> None:
        self._service.stop()


class Peer(Daemon):
    """Ganeti's, from Debian's package."""

    title: ClassVar[str] = contestants.Peer.title

    def __init__(self, cluster: clusters.Cluster) -> None:
        super().__init__(cluster)
        self._pid = 0
        for name, line in (("passwd", "{0}:x:0:0::/:/bin/false\n"), ("group", "{0}:x:0:\n")):
            added = "".join(line.format(user) for user in _USERS)
            (cluster.place / name).write_text(Path(f"/etc/{name}").read_text() + added)
        place = [str(self._machine.root), str(cluster.place)]
        done = self._machine.run("sh", "-ec", _IN_ITS_PLACE, *place)
        if done.returncode:
            raise contestants.Failed(f"Ganeti's places: {done.stderr.strip()}")

    @property
    def pid(self) -> int:
        """Its process number."""
        if not self._pid:
            raise ProcessLookupError("Ganeti's node daemon does not run")
        return self._pid

    def _start(self) -> None:
        apart = ["env", "-u", "GANETI_ROOTDIR", "-u", "GANETI_HOSTNAME"]
        python = ["PYTHONPATH=" + str(_PEER.parent), _PEER_PYTHON, str(_PEER)]
        done = self._machine.run(*apart, *python, within=contestants.PATIENCE)
        if done.returncode:
            raise contestants.Failed(f"Ganeti's node daemon: {done.stderr.strip()}")
        pid_file = self._machine.layout.run_dir / _PEER_PID_FILE

        def is_there() -> bool:
            with contextlib.suppress(OSError, ValueError):
                self._pid = self._machine.namespace.processes().get(int(pid_file.read_text()), 0)
            return bool(self._pid)

        qemus.wait_until(is_there, within=contestants.PATIENCE, what="Ganeti's node daemon")
        qemus.wait_until(self._answers, within=contestants.PATIENCE, what="its first answer")

    def _answers(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(self._cluster.call(self._machine, "version"))
        return False

    def _stop(self) -> None:
        pid, self._pid = self._pid, 0
        self._machine.run("kill", *[str(n) for n, outer in self._inner().items() if outer == pid])
        qemus.wait_until(lambda: pid not in self._inner().values(), what="the end of Ganeti's")

    def _inner(self) -> dict[int, int]:
        return self._machine.namespace.processes()


def find_peer() -> str:
    """Return why Ganeti's node daemon cannot be measured, or nothing."""
    if not _PEER.exists():
        return "the package ganeti-3.0 is not installed"
    return ""


def version() -> str:
    """Return what Ganeti's node daemon says about itself."""
    done = subprocess.run(
        [_PEER_PYTHON, str(_PEER), "--version"],
        env={"PYTHONPATH": str(_PEER.parent), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return f"Debian's {done.stdout.strip() or 'ganeti-noded'}"

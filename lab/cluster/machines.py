"""A node's computer: a name, an address, a disk of its own below a root, and a power switch.

Switched off, all its processes are gone at once, as when the plug is pulled; what is below its root
stays but for ``/run``. Switched on again it is another boot, with another boot id, and nothing
runs: starting daemons is somebody else's business (`lab.cluster.services`).

With ``disk`` it has a disk of so many MiB that can be filled up. That is seen from outside only
through `Machine.view`.
"""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from lab.cluster import namespaces, network
from pyganeti.base import paths

DOMAIN: Final = "lab.example"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PIECE: Final = 1 << 16
_FILLER: Final = "filled-up"


class Node:
    """What is known of a node by its number: names and places; whoever has it may not be there."""

    def __init__(self, number: int, place: Path) -> None:
        self.number = number
        self.place = place
        self.port = f"node{number}"
        self.name = f"{self.port}.{DOMAIN}"
        self.address = network.address_of(number)
        self.root = place / self.port
        self.layout = paths.Paths(self.root, self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables by which a program works as one of this node's."""
        beside = Path(sys.executable).parent
        return {
            "PATH": f"{beside}:{_PATH}",
            "GANETI_ROOTDIR": str(self.root),
            "GANETI_HOSTNAME": self.name,
        }


class Machine(Node):
    """One computer; it is off until `power_on`."""

    def __init__(
        self, number: int, place: Path, switch: network.Switch, *, limit: float, disk: int = 0
    ) -> None:
        super().__init__(number, place)
        self._switch = switch
        self._limit = limit
        self._disk = disk
        self._namespace: namespaces.Namespace | None = None
        self.root.mkdir()
        if disk:
            size = f"size={disk}m"
            done = switch.room.run("mount", "-t", "tmpfs", "-o", size, self.port, self.root)
            if done.returncode:
                raise namespaces.NotMade(f"{self.name}: {done.stderr.strip()}")

    # Its power.

    @property
    def is_on(self) -> bool:
        """Whether it is switched on."""
        return self._namespace is not None and self._namespace.alive

    @property
    def namespace(self) -> namespaces.Namespace:
        """What it runs in."""
        if self._namespace is None:
            raise namespaces.NotMade(f"{self.name} is off")
        return self._namespace

    def power_on(self) -> None:
        """Switch it on, and connect it; nothing if it is on."""
        if self.is_on:
            return
        shutil.rmtree(self.seen(self.layout.run_dir), ignore_errors=True)
        boot_id = self.place / f"{self.port}.boot-id"
        boot_id.write_text(f"{uuid.uuid4()}\n")
        self._namespace = namespaces.Namespace(
            self.name,
            limit=self._limit,
            mounts_of=self._switch.room,
            hosts=self.place / "hosts",
            boot_id=boot_id,
        )
        self._switch.plug(self.port, self.address, self._namespace)

    def power_off(self) -> None:
        """Pull the plug; harmless if it is off."""
        going, self._namespace = self._namespace, None
        if going is not None:
            going.end()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Have all its processes stand still, as those of a machine do that swaps."""
        self.namespace.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.namespace.send(signal.SIGCONT)

    # What it does.

    @property
    def environment(self) -> dict[str, str]:
        """What programs find in their environment here."""
        return {**os.environ, **self.variables}

    def run(
        self,
        *line: str | Path,
        environment: Mapping[str, str] | None = None,
        given: str = "",
        within: float = namespaces.PATIENCE,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command here to its end, whatever its status; ``environment`` is added."""
        words = self.environment | dict(environment or {})
        return self.namespace.run(*line, environment=words, given=given, within=within)

    def spawn(self, *line: str | Path, log: str) -> int:
        """Start a command here that goes on until the machine is off; ``log`` is a file's name.

        Returns its process number outside. For what does not detach itself, as our daemons do.
        """
        return self.namespace.spawn(*line, log=self.root / log, environment=self.environment)

    # Its disk.

    def seen(self, path: Path) -> Path:
        """Return where a file of this machine is to be seen from outside."""
        if not self._disk:
            return path
        return Path(f"/proc/{self._switch.room.pid}/root", *path.parts[1:])

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Have its disk be full."""
        if not self._disk:
            raise ValueError(f"{self.name} was made without a disk that can be filled up")
        filler = self.seen(self.root / _FILLER)
        try:
            with filler.open("wb", buffering=0) as file:
                _fill(file.fileno())
            yield
        finally:
            filler.unlink()


def _fill(descriptor: int) -> None:
    for piece in (_PIECE, 1):
        try:
            while True:
                os.write(descriptor, b"\0" * piece)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

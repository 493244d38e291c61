"""A cluster made, used and looked at by its own commands, as people do: how the demo ends.

One machine in namespaces of its own becomes a cluster with `gnt-cluster init`; instances of 512
bytes are added, one powers itself off, one is killed. Then the watcher's daemon is started: what
was killed is running again, and so is what is killed from then on, within moments; what its user
powered off stays down. What is printed is what was typed and what came back, and how long it took.
Every state is checked.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Final

from lab import guests
from lab.cluster import clusters, founding, machines

_PATIENCE: Final = 30.0
_LOOK: Final = 0.05
_GLANCE: Final = 0.005
_POLITE: Final = "web1"
_LEAVING: Final = "mail"
_UNLUCKY: Final = "db1"
_LIST: Final = ("gnt-instance", "list", "-o", "name,os,pnode,status,oper_ram")

Show = Callable[[str], None]


class Wrong(Exception):
    """A command did not do what it should; the message says which, and what came of it."""


class Tour:
    """One cluster's tour; ``show`` gets every line."""

    def __init__(self, cluster: clusters.Cluster, show: Show) -> None:
        self._cluster = cluster
        self._node = cluster.master
        self._show = show

    def make(self) -> None:
        """Walk it from one end to the other; raises `Wrong`."""
        self._type("gnt-cluster", "init", founding.NAME)
        sectors = {
            _POLITE: guests.polite(),
            _LEAVING: guests.later(guests.Command.POWER_OFF, 2.0),
            _UNLUCKY: guests.stubborn(),
        }
        for name, sector in sectors.items():
            self._add(name, sector)
        self._until({_LEAVING: "USER_down", _POLITE: "running", _UNLUCKY: "running"})
        self._say("mail has powered itself off from inside; and somebody kills web1's qemu:")
        self._kill(_POLITE)
        self._until({_POLITE: "ERROR_down"})
        self._type(*_LIST)
        self._say("Nobody looks after them yet. From now on the watcher does:")
        self._type("ganeti-watcher", "--daemon")
        self._until({_LEAVING: "USER_down", _POLITE: "running", _UNLUCKY: "running"})
        self._say("web1 is back. Now db1's qemu is killed, as the watcher looks on:")
        self._say(f"db1 was back {self._killed_and_back(_UNLUCKY):.2f} s later.")
        self._type("gnt-instance", "shutdown", _POLITE)
        self._until({_LEAVING: "USER_down", _POLITE: "ADMIN_down", _UNLUCKY: "running"})
        self._type("gnt-instance", "list", "-o", "name,os,pnode,status,admin_state_source")
        for name in (_UNLUCKY, _LEAVING):
            self._type("gnt-instance", "why", name)
        self._type("gnt-job", "list", "-o", "id,status,summary")

    def _add(self, name: str, sector: bytes) -> None:
        image = self._node.root / f"{name}.sector"
        self._node.seen(image).write_bytes(sector)
        self._type(
            "gnt-instance", "add", "-t", "file", "-s", "4M", "-B", "memory=16M",
            "-H", "kvm:kvm_flag=disabled,user_shutdown=yes", "--no-nics", "--no-name-check",
            "--ignore-ipolicy", "-o", "image", "-O", f"image={image},sha256=unchecked", name,
        )  # fmt: skip

    def _kill(self, name: str) -> int:
        """Kill a guest's qemu; return the number it had."""
        pid = self._qemu(name)
        if pid is None:
            raise Wrong(f"{name} does not run")
        os.kill(pid, signal.SIGKILL)
        return pid

    def _killed_and_back(self, name: str) -> float:
        """Kill a guest's qemu, and wait for the next one; return the seconds in between."""
        killed = time.monotonic()
        before = self._kill(name)
        while self._qemu(name) in {None, before}:
            if time.monotonic() > killed + _PATIENCE:
                raise Wrong(f"{name} was killed, and is not back after {_PATIENCE:.0f} s")
            time.sleep(_GLANCE)
        return time.monotonic() - killed

    def _qemu(self, name: str) -> int | None:
        """Return the process number of a guest's qemu, None if it does not run."""
        try:
            pid_file = self._node.seen(self._node.layout.kvm_pid_dir / name)
            return self._node.namespace.processes()[int(pid_file.read_text().split()[0])]
        except (OSError, IndexError, ValueError, KeyError):
            return None

    def _until(self, wanted: Mapping[str, str]) -> None:
        """Wait until instances are as they should be; raises `Wrong` if they do not become so."""
        ends = time.monotonic() + _PATIENCE
        while True:
            lines = self._quietly("gnt-instance", "list", "--json", "-o", "name,status")
            found = {row["name"]: row["status"] for row in map(json.loads, lines.splitlines())}
            if all(found.get(name) == status for name, status in wanted.items()):
                return
            if time.monotonic() > ends:
                raise Wrong(f"instances should be {dict(wanted)}, and are {found}")
            time.sleep(_LOOK)

    def _say(self, text: str) -> None:
        self._show(f"\n{text}")

    def _type(self, *line: str) -> None:
        """Show a command and what it prints."""
        self._show(f"\n# {' '.join(_short(word, self._node) for word in line)}")
        if said := self._quietly(*line).rstrip():
            self._show(said)

    def _quietly(self, *line: str) -> str:
        done = self._node.run(*line)
        if done.returncode:
            said = f"{done.stdout}{done.stderr}".strip()
            raise Wrong(f"{' '.join(line)}: exit status {done.returncode}: {said}")
        return done.stdout


def _short(word: str, node: machines.Machine) -> str:
    """Return a word as people would type it: without the laboratory's own directory."""
    return word.replace(str(node.root), "")

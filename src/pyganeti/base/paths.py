"""Where things lie on a node: Ganeti's own places, below an optional root.

``GANETI_ROOTDIR`` moves everything and ``GANETI_HOSTNAME`` names the node, so that several nodes
fit on one machine.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SSCONF_LIMIT: Final = 128 * 1024


@dataclass(frozen=True, slots=True)
class Paths:
    """The places of one node."""

    root: Path
    hostname: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Paths":
        """Return the places that the environment asks for."""
        root = Path(os.path.abspath(environment.get("GANETI_ROOTDIR") or "/"))  # noqa: PTH100
        return cls(root, environment.get("GANETI_HOSTNAME") or socket.getfqdn())

    @property
    def run_dir(self) -> Path:
        """What is gone after a boot."""
        return self.root / "var/run/ganeti"

    @property
    def state_dir(self) -> Path:
        """What must stay."""
        return self.root / "var/lib/ganeti"

    @property
    def log_dir(self) -> Path:
        """Logs."""
        return self.root / "var/log/ganeti"

    @property
    def config_dir(self) -> Path:
        """What administrators write."""
        return self.root / "etc/ganeti"

    @property
    def ctrl_dir(self) -> Path:
        """The sockets of the KVM instances, their markers and intents."""
        return self.run_dir / "kvm-hypervisor/ctrl"

    @property
    def kvm_pid_dir(self) -> Path:
        """The pid files of the KVM instances."""
        return self.run_dir / "kvm-hypervisor/pid"

    @property
    def kvmd_journal(self) -> Path:
        """Why instances stopped."""
        return self.state_dir / "kvmd/journal.sqlite"

    @property
    def stop_hooks_dir(self) -> Path:
        """What is run on every stop."""
        return self.config_dir / "hooks/instance-stop.d"

    def pid_file(self, program: str) -> Path:
        """Return a daemon's pid file."""
        return self.run_dir / f"{program}.pid"

    def log_file(self, program: str) -> Path:
        """Return a daemon's log."""
        name = program.removeprefix("ganeti-")
        return self.log_dir / f"{name}.log"

    def ssconf(self, name: str) -> Path:
        """Return the file of one of the cluster's simple settings."""
        return self.state_dir / f"ssconf_{name}"

    def read_ssconf(self, name: str) -> str | None:
        """Return the content of one of the cluster's simple settings, None if there is none."""
        try:
            with self.ssconf(name).open("rb") as file:
                return file.read(_SSCONF_LIMIT).decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None

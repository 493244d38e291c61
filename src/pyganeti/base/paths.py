"""Where things lie on a node: Ganeti's layout, below a root that may be moved.

``GANETI_ROOTDIR`` stands before every path and ``GANETI_HOSTNAME`` for the machine's name, so that
several nodes live on one machine. Nothing here looks at the disk; only `Paths.hostname` may ask
the resolver.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pyganeti.base import errors

_LOG_NAMES: Final = {
    "ganeti-kvmd": "kvm-daemon",
    "ganeti-masterd": "master-daemon",
    "ganeti-noded": "node-daemon",
    "ganeti-rapi": "rapi-daemon",
    "ganeti-watcher": "watcher",
}
"""The names that Ganeti's log files have, which log rotation and people look for."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The places of one node; ``root`` is "/" or an absolute path, ``node_name`` may be empty."""

    root: Path = Path("/")
    node_name: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Return the places that the environment asks for; raises BadInput if it makes no sense."""
        root = environ.get("GANETI_ROOTDIR", "")
        if root and not os.path.isabs(root):  # noqa: PTH117 - a str, and nothing is opened
            raise errors.BadInput(f"GANETI_ROOTDIR is not an absolute path: {root}")
        name = environ.get("GANETI_HOSTNAME", "")
        if name in {".", ".."} or any(
            c in "/=" or c.isspace() or not c.isprintable() for c in name
        ):
            raise errors.BadInput(f"GANETI_HOSTNAME is not a host's name: {name!r}")
        return cls(Path(os.path.normpath(root or "/")), name)

    @property
    def hostname(self) -> str:
        """The node's name. If it is not given the resolver is asked, which may take seconds."""
        if self.node_name:
            return self.node_name
        import socket  # noqa: PLC0415 - half a megabyte that who has a name can do without

        return socket.getfqdn()

    @property
    def run_dir(self) -> Path:
        """What is gone after a reboot."""
        return self.root / "var/run/ganeti"

    @property
    def ctrl_dir(self) -> Path:
        """The guests' sockets, markers and intents."""
        return self.run_dir / "kvm-hypervisor/ctrl"

    @property
    def kvm_pid_dir(self) -> Path:
        """One file a guest, written by its qemu, with its pid."""
        return self.run_dir / "kvm-hypervisor/pid"

    @property
    def state_dir(self) -> Path:
        """What stays: configuration, ssconf, queue, journals."""
        return self.root / "var/lib/ganeti"

    @property
    def log_dir(self) -> Path:
        """The daemons' logs."""
        return self.root / "var/log/ganeti"

    @property
    def config_dir(self) -> Path:
        """What the administrator writes."""
        return self.root / "etc/ganeti"

    @property
    def kvmd_journal(self) -> Path:
        """The record of every guest's stop on this node."""
        return self.state_dir / "kvmd/journal.sqlite"

    @property
    def stop_hooks_dir(self) -> Path:
        """Programs to run when a guest stopped."""
        return self.config_dir / "hooks/instance-stop.d"

    @property
    def server_certificate(self) -> Path:
        """The cluster's key and certificate, the same on every node."""
        return self.state_dir / "server.pem"

    @property
    def client_certificate(self) -> Path:
        """The node's own key and certificate, signed by the cluster's."""
        return self.state_dir / "client.pem"

    @property
    def config_data(self) -> Path:
        """The cluster's configuration, on master candidates."""
        return self.state_dir / "config.data"

    @property
    def config_generations(self) -> Path:
        """Earlier states of the configuration, on the master; its lock keeps two from writing."""
        return self.state_dir / "config.generations"

    @property
    def epoch_file(self) -> Path:
        """The latest master that this node has promised to follow."""
        return self.state_dir / "epoch.json"

    @property
    def config_epoch_file(self) -> Path:
        """Of which master's time this node's copy of the configuration is."""
        return self.state_dir / "config.epoch.json"

    @property
    def queue_dir(self) -> Path:
        """The cluster's jobs, a file each."""
        return self.state_dir / "queue"

    @property
    def query_socket(self) -> Path:
        """Where the master daemon is asked; commands come here."""
        return self.run_dir / "socket/ganeti-query"

    @property
    def master_socket(self) -> Path:
        """The same, by the name it had before Ganeti 2.12."""
        return self.run_dir / "socket/ganeti-master"

    @property
    def livelock_dir(self) -> Path:
        """A file for each process that carries jobs out, locked for as long as it lives."""
        return self.run_dir / "livelocks"

    @property
    def crypto_dir(self) -> Path:
        """Keys of transfers between clusters, a folder each."""
        return self.run_dir / "crypto"

    @property
    def lock_dir(self) -> Path:
        """Files that programs lock, ours and Ganeti's, to keep out of each other's way."""
        return self.root / "var/lock"

    @property
    def watcher_lock(self) -> Path:
        """Locked shared by watchers that act, and for himself by who wants none of them to."""
        return self.lock_dir / "ganeti-watcher.lock"

    @property
    def leader_socket(self) -> Path:
        """The same, there only while the daemon leads: who comes here is sent on to nobody else."""
        return self.run_dir / "socket/ganeti-leader"

    @property
    def store_file(self) -> Path:
        """What the cluster is kept in, on master candidates; without it, in files."""
        return self.state_dir / "store.json"

    @property
    def watcher_pause(self) -> Path:
        """Until when the watcher rests."""
        return self.state_dir / "watcher.pause"

    def localize(self, path: str) -> Path:
        """Return where a path that the whole cluster knows by one name lies on this node.

        What comes back is below the root, whatever ``..`` is in the path; symlinks are not looked
        at. Raises BadInput if it is not an absolute path.
        """
        if not path.startswith("/") or "\0" in path:
            raise errors.BadInput(f"{path!r} is not an absolute path")
        return self.root / os.path.normpath(path).lstrip("/")

    def ssconf(self, name: str) -> Path:
        """Return where the cluster says one simple thing; ``name`` without the ssconf prefix."""
        return self.state_dir / f"ssconf_{name}"

    def pid_file(self, daemon: str) -> Path:
        """Return a daemon's pid file, by the name of its command."""
        return self.run_dir / f"{daemon}.pid"

    def log_file(self, daemon: str) -> Path:
        """Return a daemon's log, named as Ganeti names it; ``ganeti-kvmd-x`` logs beside it."""
        for command, name in _LOG_NAMES.items():
            if daemon == command or daemon.startswith(command + "-"):
                return self.log_dir / f"{name}{daemon[len(command) :]}.log"
        return self.log_dir / f"{daemon}.log"

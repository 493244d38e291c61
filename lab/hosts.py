"""A node's ability to run instances, in this process, below a private root, with real qemus.

For tests that look at single steps: the parts of the node daemon without its protocol. Instances
are made from a recorded request, with a disk that holds a guest of 512 bytes. Whatever runs at
the end is killed, and `Host.left` says what should not be there any more.
"""

import contextlib
import copy
import os
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from pyganeti.base import paths, pidfd
from pyganeti.model import instance as instances
from pyganeti.noded.instance import hypervisor
from pyganeti.noded.net import network
from pyganeti.noded.qemu import places, process
from pyganeti.noded.storage import storage

_DISK: Final = 1 << 20
_FEWEST_DIGITS: Final = 6
"""Of a NIC's uuid in the name of its tap; less is a number that the kernel gave."""
_SCRIPT: Final = "#!/bin/sh\nexit 0\n"


@dataclass(frozen=True, slots=True)
class Host:
    """One node."""

    layout: paths.Paths
    parts: hypervisor.Hypervisor
    recorded: dict[str, Any]
    kvmds: list[str]
    """One entry for each time that kvmd was asked for."""
    _nics: dict[tuple[str, str], str] = field(default_factory=dict)
    """For an instance and a recorded uuid of a NIC, the uuid that it has here."""

    @property
    def where(self) -> places.Places:
        """Where everything lies."""
        return self.parts.where

    def describe(
        self, name: str = "k1.example.com", sector: bytes = b"", **hvparams: object
    ) -> dict[str, Any]:
        """Return what a master sends about an instance, and have its disk there."""
        body = copy.deepcopy(self.recorded)
        body["name"] = name
        beparams = hvparams.pop("beparams", {"maxmem": 16, "minmem": 16})
        body["hvparams"] |= {"kvm_flag": "tcg,tb-size=8"} | hvparams
        body["beparams"] |= beparams
        for nic in body["nics"]:
            # A tap is named after its NIC, and other tests have the network's names in common.
            nic["uuid"] = self._nics.setdefault((name, nic["uuid"]), str(uuid.uuid4()))
        for disk in body["disks_info"]:
            path = self.layout.root / "srv/disks" / f"{name}.{disk['uuid']}"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(sector)
                file.truncate(_DISK)
            disk["logical_id"] = ["loop", str(path)]
        return body

    def instance(
        self, name: str = "k1.example.com", sector: bytes = b"", **hvparams: object
    ) -> instances.Instance:
        """Return the same as the node understands it."""
        return self.understood(self.describe(name, sector, **hvparams))

    @staticmethod
    def understood(body: dict[str, Any]) -> instances.Instance:
        """Return what a master sends about an instance as the node understands it."""
        return msgspec.convert(body, instances.Instance)

    def running(self, name: str = "k1.example.com") -> process.Running | None:
        """Return an instance's qemu."""
        return process.find(self.where, name)

    def taps(self) -> list[str]:
        """Return the taps of this node's instances that are there."""
        digits = [nic.replace("-", "") for nic in self._nics.values()]
        names = [path.parent.name for path in Path("/sys/class/net").glob("tap*/tun_flags")]
        return [name for name in names if _is_of(name, digits)]

    def left(self, *expected: str) -> list[str]:
        """Return the files of running instances that are there, but for those with these ends."""
        found = []
        for directory in (self.where.root, self.where.disk_links):
            for top, _, files in os.walk(directory):
                found += [f"{Path(top).name}/{file}" for file in files]
            found += [str(p.name) for p in directory.glob("chroot/*")]
        return sorted(f for f in found if not f.endswith(expected or ("\0",)))


def _is_of(tap: str, digits: list[str]) -> bool:
    suffix = tap.removeprefix("tap")
    return len(suffix) >= _FEWEST_DIGITS and any(d.startswith(suffix) for d in digits)


@contextlib.asynccontextmanager
async def host(recorded: dict[str, Any]) -> AsyncIterator[Host]:
    """Make a node; all that runs on it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as place:
        async with _host(Path(place), recorded) as made:
            yield made


@contextlib.asynccontextmanager
async def _host(root: Path, recorded: dict[str, Any]) -> AsyncIterator[Host]:
    layout = paths.Paths(root, "node1.example.com")
    layout.config_dir.mkdir(parents=True)
    (layout.config_dir / "file-storage-paths").write_text(f"{root}/srv/disks\n")
    script = layout.config_dir / "kvm-vif-bridge"
    script.write_text(_SCRIPT)
    script.chmod(0o755)
    kvmds: list[str] = []

    async def ensure_kvmd() -> None:
        kvmds.append("asked")

    net = network.Network(layout)
    parts = hypervisor.Hypervisor(
        paths=layout,
        storage=storage.Storage(layout, os.environ),
        network=net,
        ensure_kvmd=ensure_kvmd,
        kvmd_runs=lambda: False,
    )
    try:
        yield Host(layout, parts, recorded, kvmds)
    finally:
        for name in process.names(parts.where):
            running = process.find(parts.where, name)
            fd = None if running is None else pidfd.open(running.pid)
            if fd is not None:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
                os.close(fd)
            await net.release(name)
        await net.close()

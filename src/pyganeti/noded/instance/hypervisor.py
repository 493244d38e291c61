"""The parts that instances are run with, put together once by the app, handed to all here."""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pyganeti.base import errors, paths, ssconf
from pyganeti.model import hvparams as hypervisors
from pyganeti.noded.instance import rush as rushes
from pyganeti.noded.net import network
from pyganeti.noded.qemu import capabilities, places, validation
from pyganeti.noded.storage import storage

_KVM: Final = "kvm"

EnsureKvmd: TypeAlias = Callable[[], Awaitable[object]]
"""Have the daemon run that watches how guests end; raises Failure if it does not start."""


@dataclass(frozen=True)
class Hypervisor:
    """A node's ability to run instances."""

    paths: paths.Paths
    storage: storage.Storage
    network: network.Network
    ensure_kvmd: EnsureKvmd
    kvmd_runs: Callable[[], bool]
    """Whether that daemon runs now; shortly blocking."""
    known: capabilities.Known = field(default_factory=capabilities.Known)
    pool: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a user is taken from the pool."""
    rush: rushes.Rush = field(default_factory=lambda: rushes.Rush(len(os.sched_getaffinity(0))))
    """The starts that are under way."""

    @functools.cached_property
    def where(self) -> places.Places:
        """Where everything about running instances lies."""
        return places.Places(self.paths)

    def watches_ends(self, hvparams: hypervisors.HvParams) -> bool:
        """Tell whether guests' ends are to be noticed: by the instance and by the cluster.

        Where the cluster has it switched off kvmd does not run, and a qemu that stayed for it
        would stay for ever. A node without any cluster's settings is whoever's who runs it.
        """
        if not hvparams.user_shutdown:
            return False
        switch = ssconf.read(self.paths, "enabled_user_shutdown")
        return switch is None or switch.strip() == "True"


def check(kind: str) -> None:
    """Raise BadInput unless it is the hypervisor that there is."""
    if kind != _KVM:
        raise errors.BadInput(f"this node runs kvm, not {kind[:40]}")


async def validate(host: Hypervisor, kind: str, hvparams: Mapping[str, Any]) -> None:
    """Raise BadInput, with all that is wrong, unless this node can run instances with these."""
    check(kind)
    unknown = hypervisors.unknown(hvparams)
    if unknown:
        raise errors.BadInput(f"Hypervisor parameters that kvm has not: {', '.join(unknown)}")
    await validation.check(hypervisors.decode(hvparams), host.known)

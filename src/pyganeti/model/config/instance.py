"""A virtual machine and its network cards, as the configuration keeps them.

What a node is told about it has every parameter filled in and the disks beside it: that is
`model.instance`, and `masterd.config.rpcargs` makes it.
"""

from typing import Final

from pyganeti.model.config import record
from pyganeti.model.config.record import Params, written

ADMIN_STATES: Final = ("down", "offline", "up")
ADMIN_SOURCES: Final = ("admin", "user")


class Nic(record.Record, frozen=True, kw_only=True):
    """A network card. ``nicparams`` override the cluster's; ``network`` is a network's uuid."""

    mac: str
    ip: str | None = None
    nicparams: Params = written({})
    network: str | None = None
    name: str | None = None
    uuid: str


class Instance(record.Record, frozen=True, kw_only=True):
    """One instance. ``primary_node`` and ``disks`` are uuids, the disks in their order.

    ``os`` is the operating system's name with its variant, empty if none was ever installed.
    ``admin_state`` is what it is wanted to be, ``admin_state_source`` who wanted that: the
    administrator, or the user from inside. ``disks_active``: its disks are meant to be assembled.
    ``network_port`` is where its display listens. ``forthcoming``: a place is kept for it, and it
    does not exist yet; then anything but the uuid may be missing, and empty here.
    """

    forthcoming: bool = False
    name: str = written("")
    primary_node: str = written("")
    os: str = written("")
    hypervisor: str = written("kvm")
    hvparams: Params = written({})
    beparams: Params = written({})
    osparams: Params = written({})
    osparams_private: Params = written({})
    admin_state: str = written("down")
    admin_state_source: str = written("admin")
    nics: tuple[Nic, ...] = written(())
    disks: tuple[str, ...] = written(())
    disks_active: bool = written(default=False)
    network_port: int | None = None
    ctime: float = written(0.0)
    mtime: float = written(0.0)
    uuid: str
    serial_no: int = written(1)
    tags: tuple[str, ...] = written(())

"""A machine of the cluster, as the configuration knows it."""

import msgspec

from pyganeti.model.config import record
from pyganeti.model.config.record import Params, written


class Node(record.Record, frozen=True, kw_only=True):
    """One node. ``group`` is a group's uuid; ``ndparams`` override the group's.

    ``offline``: nobody talks to it. ``drained``: no new instances. ``powered`` is what was last
    ordered through its out-of-band program. ``secondary_ip`` is the address for the nodes' talk
    among themselves about disks and migrations, the primary one where there is no other.
    """

    name: str
    primary_ip: str
    secondary_ip: str
    master_candidate: bool = written(default=False)
    offline: bool = written(default=False)
    drained: bool = written(default=False)
    group: str
    master_capable: bool = written(default=True)
    vm_capable: bool = written(default=True)
    ndparams: Params = written({})
    powered: bool = written(default=True)
    hv_state_static: Params = msgspec.field(default_factory=dict)
    disk_state_static: Params = msgspec.field(default_factory=dict)
    ctime: float = written(0.0)
    mtime: float = written(0.0)
    uuid: str
    serial_no: int = written(1)
    tags: tuple[str, ...] = written(())

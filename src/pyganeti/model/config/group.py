"""A group of nodes among which instances may be placed and moved."""

from collections.abc import Mapping

import msgspec

from pyganeti.model.config import record
from pyganeti.model.config.record import Params, written


class NodeGroup(record.Record, frozen=True, kw_only=True):
    """One group; which nodes are in it the nodes say, and ``members`` in the file is always empty.

    ``alloc_policy`` is preferred, last_resort or unallocable. ``networks`` has, by a network's
    uuid, the NIC parameters with which it is reached from here.
    """

    name: str
    members: tuple[str, ...] = written(())
    ndparams: Params = written({})
    alloc_policy: str = written("preferred")
    ipolicy: Params = written({})
    diskparams: Mapping[str, Params] = written({})
    networks: Mapping[str, Params] = written({})
    hv_state_static: Params = msgspec.field(default_factory=dict)
    disk_state_static: Params = msgspec.field(default_factory=dict)
    ctime: float = written(0.0)
    mtime: float = written(0.0)
    uuid: str
    serial_no: int = written(1)
    tags: tuple[str, ...] = written(())

"""The cluster's TCP ports: for displays of instances, and for disks that two nodes mirror.

A port given back goes into the pool, which is used up first; else the next one never used.
"""

from typing import Final

import msgspec

from pyganeti.base import errors
from pyganeti.model.config.cluster import Cluster

FIRST: Final = 11000
LAST: Final = 14999


def allocate(cluster: Cluster) -> tuple[int, Cluster]:
    """Return a free port, and the cluster after it is taken; raises Exhausted if none is left."""
    if cluster.tcpudp_port_pool:
        port, *pool = cluster.tcpudp_port_pool
        return port, msgspec.structs.replace(cluster, tcpudp_port_pool=tuple(pool))
    port = cluster.highest_used_port + 1
    if port > LAST:
        raise errors.Exhausted(f"all ports up to {LAST} are in use")
    return port, msgspec.structs.replace(cluster, highest_used_port=port)


def release(cluster: Cluster, port: int) -> Cluster:
    """Return the cluster after a port is given back."""
    pool = (port, *(other for other in cluster.tcpudp_port_pool if other != port))
    return msgspec.structs.replace(cluster, tcpudp_port_pool=pool)

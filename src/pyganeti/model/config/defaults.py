"""What parameters are when nobody says otherwise: Ganeti 3.0's names and values.

A new cluster starts with these written out in its configuration, and from then on the cluster's
own stand. Here they remain below the cluster's, for a parameter that a newer version adds to an
older configuration. Of hypervisors only KVM is here, without the parameters that are ours alone
(`model.hvparams` has those, and a node fills them in). Two values are KVM's customs instead of
Xen's: no kernel of the host's, so that an instance boots what is on its disk, and the bridge br0.
"""

from collections.abc import Mapping
from typing import Any, Final

from pyganeti.model import hvparams
from pyganeti.model.config.record import Params

_OURS: Final = frozenset({"firmware", "migration_tls", "tpm"})
"""Parameters of KVM that Ganeti's own programs do not know."""


def _kvm() -> dict[str, Any]:
    filled = hvparams.HvParams()
    return {name: getattr(filled, name) for name in sorted(hvparams.KNOWN - _OURS)}


HYPERVISORS: Final[Mapping[str, Params]] = {"kvm": _kvm()}

HYPERVISOR_GLOBALS: Final = frozenset(
    {"migration_bandwidth", "migration_mode", "migration_port", "xen_cmd"}
)
"""Hypervisor parameters that hold for the whole cluster: an instance has none of its own."""

BACKEND: Final[Params] = {
    "always_failover": False,
    "auto_balance": True,
    "maxmem": 128,
    "minmem": 128,
    "spindle_use": 1,
    "vcpus": 1,
}

NIC: Final[Params] = {"link": "br0", "mode": "bridged", "vlan": ""}

NODE: Final[Params] = {
    "cpu_speed": 1.0,
    "exclusive_storage": False,
    "oob_program": "",
    "ovs": False,
    "ovs_link": "",
    "ovs_name": "switch1",
    "spindle_count": 1,
    "ssh_port": 22,
}

NODE_GLOBALS: Final = frozenset({"exclusive_storage"})
"""Node parameters that hold for a whole group: a node has none of its own."""

DISKS: Final[Mapping[str, Params]] = {
    "blockdev": {},
    "diskless": {},
    "drbd": {
        "c-delay-target": 1,
        "c-fill-target": 0,
        "c-max-rate": 61440,
        "c-min-rate": 4096,
        "c-plan-ahead": 20,
        "data-stripes": 1,
        "disk-barriers": "n",
        "disk-custom": "",
        "dynamic-resync": False,
        "meta-barriers": False,
        "meta-stripes": 1,
        "metavg": "xenvg",
        "net-custom": "",
        "protocol": "C",
        "resync-rate": 61440,
    },
    "ext": {"access": "kernelspace"},
    "file": {},
    "gluster": {"access": "kernelspace", "host": "127.0.0.1", "port": 24007, "volume": "gv0"},
    "plain": {"stripes": 1},
    "rbd": {"access": "kernelspace", "pool": "rbd"},
    "sharedfile": {},
}
"""Disk parameters by template, as administrators set them."""

_SMALLEST: Final = {
    "cpu-count": 1,
    "disk-count": 1,
    "disk-size": 1024,
    "memory-size": 128,
    "nic-count": 1,
    "spindle-use": 1,
}
_LARGEST: Final = {
    "cpu-count": 8,
    "disk-count": 16,
    "disk-size": 1048576,
    "memory-size": 32768,
    "nic-count": 8,
    "spindle-use": 12,
}

POLICY: Final[Params] = {
    "disk-templates": sorted(DISKS),
    "minmax": [{"max": _LARGEST, "min": _SMALLEST}],
    "spindle-ratio": 32.0,
    "std": _SMALLEST,
    "vcpu-ratio": 4.0,
}
"""What instances may be like. Sizes in MiB."""

HYPERVISOR_STATE: Final[Params] = {
    "cpu_node": 1,
    "cpu_total": 1,
    "mem_hv": 0,
    "mem_node": 0,
    "mem_total": 0,
}

COLLECTORS: Final = (
    "cpu-avg-load",
    "diskstats",
    "drbd",
    "inst-status-xen",
    "lv",
    "xen-cpu-avg-load",
)
COLLECTOR: Final[Params] = {"active": True, "interval": 5_000_000}
"""How a data collector of Ganeti's monitoring daemon runs; microseconds."""

CANDIDATE_POOL_SIZE: Final = 10
COMPRESSION_TOOLS: Final = ("gzip", "gzip-fast", "gzip-slow")
GROUP_NAME: Final = "default"
MAC_PREFIX: Final = "aa:00:00"
MAX_RUNNING_JOBS: Final = 20
MAX_TRACKED_JOBS: Final = 25

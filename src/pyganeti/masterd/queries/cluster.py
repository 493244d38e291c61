"""The cluster as a whole: the resource "cluster", and what the old questions want to know of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import pyganeti
from pyganeti.base import errors, log
from pyganeti.masterd.queries import cells, fields
from pyganeti.masterd.queries.cells import Cell, Compared, Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.snapshot import Snapshot

_LOG = log.get(__name__)

SOFTWARE: Final = "3.0.2"
"""The Ganeti whose protocols and files these are: what clients want to know."""

_VERSIONS: Final[Mapping[str, tuple[str, Kind, Any, str]]] = {
    "software_version": ("SoftwareVersion", Kind.TEXT, SOFTWARE, "The Ganeti that it behaves as"),
    "protocol_version": ("ProtocolVersion", Kind.NUMBER, 3000000, "The protocol between nodes"),
    "config_version": ("ConfigVersion", Kind.NUMBER, 3000000, "The form of the configuration"),
    "os_api_version": ("OsApiVersion", Kind.NUMBER, 20, "The interface to OS scripts"),
    "export_version": ("ExportVersion", Kind.NUMBER, 0, "The form of exports"),
    "vcs_version": (
        "VCSVersion",
        Kind.TEXT,
        f"(pyganeti) version {pyganeti.__version__}",
        "The very program",
    ),
}

_ARCHITECTURE: Final = ("64bits", "x86_64")


class Surroundings(Protocol):
    """What is known of the cluster and is not in its configuration."""

    def is_drained(self) -> bool:
        """Say whether the queue takes no jobs."""

    def watcher_pause(self) -> int | None:
        """Return until when the watcher rests, in seconds since 1970; None if it does not."""

    def leadership(self) -> dict[str, Any]:
        """Return what the cluster is kept in, who leads it and by what right; may be empty."""


class Here:
    """The surroundings as they are: the queue's own word, and the watcher's file on this node."""

    def __init__(
        self,
        is_drained: Callable[[], bool],
        pause_file: Path,
        clock: Callable[[], float] = time.time,
        leadership: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self.is_drained = is_drained
        self.leadership = leadership
        self._pause_file = pause_file
        self._clock = clock

    def watcher_pause(self) -> int | None:
        """Return until when the watcher rests; a file that cannot be read pauses nobody."""
        try:
            with self._pause_file.open("rb") as file:
                until = int(file.read(32))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _LOG.warning("the watcher's pause cannot be read", file=self._pause_file, why=error)
            return None
        return until if until > self._clock() else None


class Clusters(fields.Static):
    """Answers about the cluster: one row."""

    name_field = "name"

    def __init__(self, surroundings: Surroundings) -> None:
        self.fields = fields.table(_OWN, _outside(surroundings))
        self.fields["name"] = self.fields["cluster_name"].also_as("name")

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[Cluster]:
        """Return the cluster; another name than its own is no mistake, and no row."""
        return [snapshot.cluster]


def _master(snapshot: Snapshot) -> fields.Getter[Cluster]:
    def getter(cluster: Cluster) -> Cell:
        node = snapshot.nodes.get(cluster.master_node)
        return cells.NO_DATA if node is None else (cells.NORMAL, node.name)

    return getter


def _constant(value: object) -> Callable[[Cluster], object]:
    return lambda _: value


_OWN: Final[list[fields.Field[Cluster, Any]]] = [
    fields.plain(
        "cluster_name",
        "Name",
        Kind.TEXT,
        "The cluster's name",
        lambda cluster: cluster.cluster_name,
        compared=Compared.AS_HOST,
    ),
    fields.attribute(
        "volume_group_name",
        "VgName",
        Kind.TEXT,
        "The LVM volume group for disks",
        otherwise=cells.UNAVAILABLE,
    ),
    fields.bound(
        "master_node", "Master", Kind.TEXT, "The master node", _master, compared=Compared.AS_HOST
    ),
    fields.plain(
        "architecture", "ArchInfo", Kind.OTHER, "What machines it runs on", _constant(_ARCHITECTURE)
    ),
    *(
        fields.plain(name, title, kind, doc, _constant(value))
        for name, (title, kind, value, doc) in _VERSIONS.items()
    ),
    *(field for field in fields.common("cluster") if field.name in {"tags", "ctime", "mtime"}),
]


def _outside(surroundings: Surroundings) -> list[fields.Field[Cluster, Any]]:
    return [
        fields.plain(
            "drain_flag",
            "QueueDrained",
            Kind.BOOL,
            "Whether the queue takes no jobs",
            lambda _: surroundings.is_drained(),
        ),
        fields.Field(
            "watcher_pause",
            "WatcherPause",
            Kind.TIMESTAMP,
            "Until when the watcher rests",
            lambda _: lambda _: cells.value_or(surroundings.watcher_pause(), cells.UNAVAILABLE),
        ),
    ]


# The old questions


def config_values(
    snapshot: Snapshot, surroundings: Surroundings, names: Sequence[str]
) -> list[Any]:
    """Return what QueryConfigValues answers; None for what it does not know."""
    cluster = snapshot.cluster
    master = snapshot.nodes.get(cluster.master_node)
    known: dict[str, Callable[[], Any]] = {
        "cluster_name": lambda: cluster.cluster_name,
        "watcher_pause": surroundings.watcher_pause,
        "master_node": lambda: None if master is None else master.name,
        "drain_flag": surroundings.is_drained,
        "modify_ssh_setup": lambda: cluster.modify_ssh_setup,
        "ssh_key_type": lambda: cluster.ssh_key_type,
        "ssh_key_bits": lambda: cluster.ssh_key_bits,
    }
    return [known[name]() if name in known else None for name in names]


def tags(snapshot: Snapshot, kind: str, name: str) -> list[str]:
    """Return what QueryTags answers; raises BadInput for something that there is not."""
    match kind:
        case "cluster":
            found: Sequence[str] = snapshot.cluster.tags
        case "node":
            found = snapshot.node(name).tags
        case "instance":
            found = snapshot.instance(name).tags
        case "nodegroup":
            found = snapshot.group(name).tags
        case "network":
            found = snapshot.network(name).tags
        case _:
            raise errors.BadInput(f"there are no tags of a {kind}")
    return sorted(found)


_AS_THEY_ARE: Final = (
    "hvparams",
    "os_hvp",
    "beparams",
    "osparams",
    "ipolicy",
    "nicparams",
    "ndparams",
    "diskparams",
    "candidate_pool_size",
    "max_running_jobs",
    "max_tracked_jobs",
    "mac_prefix",
    "master_netdev",
    "master_netmask",
    "use_external_mip_script",
    "volume_group_name",
    "drbd_usermode_helper",
    "file_storage_dir",
    "shared_file_storage_dir",
    "gluster_storage_dir",
    "maintain_node_health",
    "ctime",
    "mtime",
    "uuid",
    "tags",
    "uid_pool",
    "default_iallocator",
    "default_iallocator_params",
    "reserved_lvs",
)

_LATER: Final = (
    "prealloc_wipe_disks",
    "hidden_os",
    "blacklisted_os",
    "enabled_disk_templates",
    "install_image",
    "instance_communication_network",
    "zeroing_image",
    "compression_tools",
    "enabled_user_shutdown",
)

_IP_VERSIONS: Final = {2: 4, 10: 6}
"""Linux's numbers for families of addresses, and the versions that people know."""


def info(snapshot: Snapshot) -> dict[str, Any]:
    """Return what QueryClusterInfo answers; raises Damaged if the master is none of the nodes."""
    cluster = snapshot.cluster
    told: dict[str, Any] = {name: value for name, (_, _, value, _) in _VERSIONS.items()}
    told |= {
        "architecture": _ARCHITECTURE,
        "name": cluster.cluster_name,
        "master": snapshot.master.name,
        "default_hypervisor": next(iter(cluster.enabled_hypervisors), None),
        "enabled_hypervisors": cluster.enabled_hypervisors,
    }
    told |= {name: getattr(cluster, name) for name in _AS_THEY_ARE}
    told["tags"] = sorted(cluster.tags)
    told["primary_ip_version"] = _IP_VERSIONS.get(cluster.primary_ip_family)
    told |= {name: getattr(cluster, name) for name in _LATER}
    told["enabled_data_collectors"] = {
        name: held.get("active") for name, held in cluster.data_collectors.items()
    }
    told["data_collector_interval"] = {
        name: held.get("interval") for name, held in cluster.data_collectors.items()
    }
    told |= {
        name: getattr(cluster, name)
        for name in ("modify_ssh_setup", "ssh_key_type", "ssh_key_bits")
    }
    return told

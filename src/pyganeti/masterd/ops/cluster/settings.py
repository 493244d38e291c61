"""The cluster's plain settings, as they are after a change; pure."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.ops.node import statics
from pyganeti.model.config import defaults, macs
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.opcodes import cluster as opcodes

_LARGEST_UID: Final = 2**32 - 1
_MASKS: Final = {2: 32, 10: 128}
"""The longest netmask by address family."""

_LVM: Final = frozenset({"drbd", "plain"})
_DIRECTORIES: Final = {
    "file_storage_dir": "file",
    "shared_file_storage_dir": "sharedfile",
    "gluster_storage_dir": "gluster",
}
_AS_THEY_ARE: Final = (
    "candidate_pool_size",
    "default_iallocator",
    "default_iallocator_params",
    "enabled_user_shutdown",
    "install_image",
    "instance_communication_network",
    "maintain_node_health",
    "master_netmask",
    "max_running_jobs",
    "max_tracked_jobs",
    "modify_etc_hosts",
    "prealloc_wipe_disks",
    "use_external_mip_script",
    "zeroing_image",
    *_DIRECTORIES,
)
_LISTS: Final = ("compression_tools", "enabled_disk_templates", "enabled_hypervisors",
                 "reserved_lvs")  # fmt: skip
_OR_NOTHING: Final = {"vg_name": "volume_group_name", "drbd_helper": "drbd_usermode_helper"}

Fields = dict[str, Any]


def changes(cluster: Cluster, op: opcodes.ClusterSetParams) -> Fields:
    """Return the fields of the cluster that change; raises BadInput for what makes no sense."""
    found: Fields = {
        name: value for name in _AS_THEY_ARE if (value := getattr(op, name)) is not None
    }
    for name in _LISTS:
        if (values := getattr(op, name)) is not None:
            found[name] = tuple(dict.fromkeys(values))
    for name, field in _OR_NOTHING.items():
        if (value := getattr(op, name)) is not None:
            found[field] = value or None
    if op.mac_prefix:
        prefix = op.mac_prefix.lower()
        macs.check_prefix(prefix)
        found["mac_prefix"] = prefix
    if op.master_netdev:
        found["master_netdev"] = op.master_netdev
    _check(cluster, op)
    return found | _merged(cluster, op)


def _merged(cluster: Cluster, op: opcodes.ClusterSetParams) -> Fields:
    """Return the fields that are what they were, and something put in or taken away."""
    found: Fields = {}
    if op.compression_tools is not None and not op.compression_tools:
        found["compression_tools"] = defaults.COMPRESSION_TOOLS
    if op.uid_pool is not None or op.add_uids or op.remove_uids:
        found["uid_pool"] = uids(cluster.uid_pool, op)
    for name in ("hidden_os", "blacklisted_os"):
        if mods := getattr(op, name):
            found[name] = systems(getattr(cluster, name), mods)
    if op.hv_state:
        found["hv_state_static"] = statics.hypervisors(op.hv_state, cluster.hv_state_static)
    if op.disk_state:
        found["disk_state_static"] = statics.storage(op.disk_state, cluster.disk_state_static)
    if op.enabled_data_collectors or op.data_collector_interval:
        found["data_collectors"] = collectors(cluster, op)
    return found


def uids(
    before: Sequence[tuple[int, int]], op: opcodes.ClusterSetParams
) -> tuple[tuple[int, int], ...]:
    """Return the ranges of users' numbers, in order."""
    for low, high in (*(op.uid_pool or ()), *(op.add_uids or ()), *(op.remove_uids or ())):
        if not 0 <= low <= high <= _LARGEST_UID:
            raise errors.BadInput(f"{low}-{high} is no range of user ids")
    if op.uid_pool is not None:
        return tuple(sorted(set(op.uid_pool)))
    found = {tuple(one) for one in before} | {tuple(one) for one in op.add_uids or ()}
    for one in op.remove_uids or ():
        if tuple(one) not in found:
            raise errors.BadInput(
                "User-id range to be removed is not found in the current user-id pool:"
                f" {one[0]}-{one[1]}"
            )
        found.discard(tuple(one))
    return tuple(sorted((low, high) for low, high in found))


def systems(before: Iterable[str], mods: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return a list of operating systems; what is there already, or is not, changes nothing."""
    found = list(before)
    for action, name in mods:
        match action:
            case "add" if name not in found:
                found.append(name)
            case "remove" if name in found:
                found.remove(name)
            case "add" | "remove":
                pass
            case _:
                raise errors.BadInput(f"Invalid modification '{action}'")
    return tuple(found)


def collectors(cluster: Cluster, op: opcodes.ClusterSetParams) -> dict[str, dict[str, Any]]:
    """Return how Ganeti's monitoring daemon's collectors run; intervals are in microseconds."""
    found = {name: dict(one) for name, one in cluster.data_collectors.items()}
    for key, given in (
        ("active", op.enabled_data_collectors or {}),
        ("interval", op.data_collector_interval or {}),
    ):
        for name, value in given.items():
            if name not in defaults.COLLECTORS:
                raise errors.BadInput(f"Data collector name not recognized: {name}")
            if key == "interval" and value <= 0:
                raise errors.BadInput(f"the interval of {name} has to be above zero")
            found.setdefault(name, dict(defaults.COLLECTOR))[key] = value
    return found


def _check(cluster: Cluster, op: opcodes.ClusterSetParams) -> None:
    longest = _MASKS.get(cluster.primary_ip_family, 32)
    if op.master_netmask is not None and not 0 < op.master_netmask <= longest:
        raise errors.BadInput(f"CIDR netmask ({op.master_netmask}) not valid")
    for what, image in (("Install", op.install_image), ("Zeroing", op.zeroing_image)):
        if image and not (image.startswith("/") or "://" in image):
            raise errors.BadInput(f"{what} image must be an absolute path or a URL")
    for tool in op.compression_tools or ():
        if not tool or "/" in tool or not tool.isprintable() or " " in tool:
            raise errors.BadInput(f"{tool!r} is not the name of a compression tool")
    templates = set(op.enabled_disk_templates or cluster.enabled_disk_templates)
    for name, template in _DIRECTORIES.items():
        value = getattr(op, name)
        if value == "" and template in templates:
            raise errors.BadInput(
                f"Unsetting the '{template}' storage directory while having '{template}' storage"
                " enabled is not permitted."
            )
        if value and not value.startswith("/"):
            raise errors.BadInput(f"{value!r} is not an absolute path")
    if templates & _LVM:
        if op.vg_name == "":
            raise errors.BadInput(
                "Cannot unset volume group if lvm-based disk templates are or get enabled."
            )
        if op.vg_name is None and cluster.volume_group_name is None:
            raise errors.BadInput(
                "Please specify a volume group when enabling lvm-based disk-templates."
            )


def warnings(cluster: Cluster, op: opcodes.ClusterSetParams) -> list[str]:
    """Return what is allowed and may not be meant."""
    templates = set(op.enabled_disk_templates or cluster.enabled_disk_templates)
    found = [
        f"Specified a {template} storage directory, although {template} storage is not enabled."
        for name, template in _DIRECTORIES.items()
        if getattr(op, name) and template not in templates
    ]
    for name, word in (("hidden_os", "hidden"), ("blacklisted_os", "blacklisted")):
        present = getattr(cluster, name)
        for action, os in getattr(op, name) or ():
            if action == "add" and os in present:
                found.append(f"OS {os} already in {word} OS list, ignoring")
            if action == "remove" and os not in present:
                found.append(f"OS {os} not found in {word} OS list, ignoring")
    return found

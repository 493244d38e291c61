"""What hooks are told about an instance, in Ganeti's words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyganeti.masterd.ops import operation
from pyganeti.model import network as networks
from pyganeti.model.config import codec, filling
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance, Nic
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template

_BRIDGED: Final = ("bridged", "openvswitch")
_FILES: Final = (Template.FILE, Template.SHARED_FILE, Template.GLUSTER)
MIXED: Final = "mixed"
"""What the template is called of an instance whose disks have several."""


def of(
    snapshot: Snapshot,
    instance: Instance,
    *,
    disks: Sequence[Disk] | None = None,
    status: object = None,
) -> dict[str, object]:
    """Return the environment that tells of an instance, without its prefix.

    ``disks`` are told of instead of those in the configuration, ``status`` instead of its admin
    state.
    """
    cluster = snapshot.cluster
    backend = filling.backend(cluster, instance.beparams)
    hypervisor = filling.hypervisor_of(cluster, instance)
    shown = snapshot.disks_of(instance) if disks is None else disks
    said: dict[str, object] = {
        "OP_TARGET": instance.name,
        "INSTANCE_NAME": instance.name,
        "INSTANCE_PRIMARY": snapshot.nodes[instance.primary_node].name,
        "INSTANCE_SECONDARIES": " ".join(
            snapshot.nodes[uuid].name for uuid in snapshot.secondaries_of(instance)
        ),
        "INSTANCE_OS_TYPE": instance.os,
        "INSTANCE_STATUS": instance.admin_state if status is None else status,
        "INSTANCE_MINMEM": backend["minmem"],
        "INSTANCE_MAXMEM": backend["maxmem"],
        "INSTANCE_MEMORY": backend["maxmem"],
        "INSTANCE_VCPUS": backend["vcpus"],
        "INSTANCE_DISK_TEMPLATE": template_of(shown),
        "INSTANCE_HYPERVISOR": instance.hypervisor,
    }
    for index, nic in enumerate(instance.nics):
        said.update(of_nic(snapshot, nic, f"INSTANCE_NIC{index}_"))
    said["INSTANCE_NIC_COUNT"] = len(instance.nics)
    for index, disk in enumerate(shown):
        said.update(of_disk(disk, f"INSTANCE_DISK{index}_"))
    said["INSTANCE_DISK_COUNT"] = len(shown)
    said["INSTANCE_TAGS"] = " ".join(sorted(instance.tags))
    said.update({f"INSTANCE_BE_{key}": value for key, value in backend.items()})
    said.update({f"INSTANCE_HV_{key}": value for key, value in hypervisor.items()})
    return said


def of_nic(snapshot: Snapshot, nic: Nic, prefix: str) -> dict[str, object]:
    """Return what tells of a network card."""
    params = filling.nic(snapshot.cluster, nic.nicparams)
    said: dict[str, object] = {}
    if nic.name:
        said["NAME"] = nic.name
    said |= {
        "UUID": nic.uuid or "",
        "IP": nic.ip or "",
        "MAC": nic.mac,
        "MODE": params["mode"],
        "LINK": params["link"],
        "VLAN": params.get("vlan") or "",
    }
    if nic.network and nic.network in snapshot.networks:
        network = codec.to_wire(snapshot.networks[nic.network])
        said.update(networks.environment(network))
    elif nic.network:
        said["NETWORK_NAME"] = nic.network
    if params["mode"] in _BRIDGED:
        said["BRIDGE"] = params["link"]
    return {prefix + key: value for key, value in said.items()}


def of_disk(disk: Disk, prefix: str) -> dict[str, object]:
    """Return what tells of a disk; of one that is yet to be made only what is known."""
    said: dict[str, Any] = {}
    if disk.logical_id:
        said |= _place_of(disk)
        said["DEV_TYPE"] = disk.dev_type.value
    if disk.name:
        said["NAME"] = disk.name
    said |= {"UUID": disk.uuid or "", "SIZE": disk.size, "MODE": disk.mode}
    return {prefix + key: value for key, value in said.items()}


def template_of(disks: Sequence[Disk]) -> str:
    """Return the template that disks have in common."""
    found = {disk.dev_type.value for disk in disks}
    if not found:
        return Template.DISKLESS.value
    return found.pop() if len(found) == 1 else MIXED


def around(
    snapshot: Snapshot,
    path: str,
    instance: Instance,
    environment: Mapping[str, object],
    *,
    nodes: Sequence[str] | None = None,
) -> operation.Hooks:
    """Return hooks that run on the master and the instance's nodes, or other ``nodes`` of it."""
    if nodes is None:
        nodes = [node.uuid for node in snapshot.nodes_of(instance)]
    everywhere = [snapshot.cluster.master_node, *nodes]
    return operation.Hooks(
        path=path, kind="INSTANCE", environment=environment, before=everywhere, after=everywhere
    )


def _place_of(disk: Disk) -> dict[str, object]:
    first, *others = disk.logical_id
    if disk.dev_type in _FILES:
        return {"DRIVER": first, "ID": others[0]}
    if disk.dev_type is Template.PLAIN:
        return {"VG": first, "ID": others[0]}
    if disk.dev_type is Template.EXT:
        return {"PROVIDER": first, "ID": others[0]}
    if disk.dev_type in {Template.BLOCK, Template.RBD}:
        return {"DRIVER": first, "ID": others[0]}
    return {}

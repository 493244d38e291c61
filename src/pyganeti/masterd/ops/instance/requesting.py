"""From the opcode that creates an instance to what is asked for; pure.

All is checked that needs neither a node nor other instances. Raises BadInput.
"""

import dataclasses
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.ops.instance import newinstance, parameters
from pyganeti.masterd.ops.tags import tagged
from pyganeti.model.config import filling
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template
from pyganeti.model.opcodes import instance as opcodes

_CREATE: Final = "create"


def refuse_unknown(op: opcodes.InstanceCreate) -> None:
    """Raise BadInput for what there is in Ganeti, and not here."""
    if op.mode != _CREATE:
        raise errors.BadInput(f"mode {op.mode} cannot be carried out by this master daemon yet")
    for given, words in (
        (op.forthcoming, "forthcoming instances"),
        (op.commit, "forthcoming instances"),
        (op.instance_communication, "instance communication"),
    ):
        if given:
            raise errors.BadInput(f"{words} cannot be had from this master daemon yet")


def node_of(snapshot: Snapshot, op: opcodes.InstanceCreate) -> Node | None:
    """Return the node that an instance is to be on, None if that is yet to be chosen."""
    wanted = op.pnode_uuid or op.pnode
    return snapshot.node(wanted) if wanted else None


def of(
    snapshot: Snapshot, op: opcodes.InstanceCreate, name: str, address: str | None
) -> newinstance.Request:
    """Return what is asked for, all that needs no node checked; raises BadInput."""
    cluster = snapshot.cluster
    template = _template(snapshot, op)
    hypervisor = op.hypervisor or cluster.enabled_hypervisors[0]
    if hypervisor not in cluster.enabled_hypervisors:
        raise errors.BadInput(
            f"Selected hypervisor ({hypervisor}) not enabled in the cluster"
            f" ({','.join(cluster.enabled_hypervisors)})",
            "wrong_state",
        )
    if not op.os_type:
        raise errors.BadInput("No guest OS specified (-o; 'gnt-os list' shows which there are)")
    if op.os_type in cluster.blacklisted_os:
        raise errors.BadInput(
            f"Guest OS '{op.os_type}' is not allowed for installation", "wrong_state"
        )
    adopted = ["adopt" in disk for disk in op.disks]
    if any(adopted):
        if not all(adopted):
            raise errors.BadInput("Either all disks are adopted or none is")
        if op.iallocator or node_of(snapshot, op) is None:
            raise errors.BadInput("Disk adoption needs a node: the one that has the disks")
    for tag in op.tags:
        tagged.check(tag)
    tagged.check_number(frozenset(op.tags))
    asked = newinstance.Request(
        name=name,
        node="",
        template=template,
        disks=op.disks,
        nics=op.nics,
        hypervisor=hypervisor,
        hvparams=parameters.hypervisor(op.hvparams),
        beparams=parameters.backend(op.beparams),
        os=op.os_type,
        osparams=op.osparams,
        osparams_private=op.osparams_private or {},
        tags=op.tags,
        directory=op.file_storage_dir,
        driver=op.file_driver,
        address=address,
        conflicts=op.conflicts_check,
    )
    if op.identify_defaults:
        asked = _without_defaults(snapshot, asked)
    return asked


def _template(snapshot: Snapshot, op: opcodes.InstanceCreate) -> Template:
    enabled = snapshot.cluster.enabled_disk_templates
    found = op.disk_template or (enabled[0] if enabled else Template.DISKLESS.value)
    if found not in enabled and found != Template.DISKLESS.value:
        raise errors.BadInput(
            f"Disk template '{found}' is not enabled in cluster. Enabled disk templates are:"
            f" {', '.join(enabled)}"
        )
    return Template(found)


def _without_defaults(snapshot: Snapshot, asked: newinstance.Request) -> newinstance.Request:
    """Return what is asked for without what would be so anyway."""
    cluster = snapshot.cluster
    below = {
        "hvparams": filling.hypervisor_of_os(cluster, asked.hypervisor, asked.os),
        "beparams": filling.backend(cluster, {}),
        "osparams": filling.operating_system(cluster, asked.os, {}),
    }
    nic = filling.nic(cluster, {})
    changes: dict[str, Any] = {
        name: {
            key: value
            for key, value in getattr(asked, name).items()
            if key not in default or default[key] != value
        }
        for name, default in below.items()
    }
    changes["nics"] = [
        {key: value for key, value in card.items() if key not in nic or nic[key] != value}
        for card in asked.nics
    ]
    return dataclasses.replace(asked, **changes)

"""What has to be so before an instance is touched. Raises BadInput where it is not."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.ops import context as contexts
from pyganeti.model import instancestatus
from pyganeti.model.config import filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.record import Params
from pyganeti.model.config.snapshot import Snapshot

ONLINE: Final = frozenset({"up", "down"})
"""The admin states of instances that are counted with."""

_BRIDGED: Final = "bridged"
_OF_ALL_PROVIDERS: Final = frozenset({"provider", "access"})
"""Parameters of disks of external storage that providers need not list."""


def state(instance: Instance, allowed: Collection[str]) -> None:
    """Check an instance's admin state."""
    if instance.admin_state not in allowed:
        raise errors.BadInput(
            f"Instance '{instance.name}' is marked to be {instance.admin_state},"
            f" which has to be {' or '.join(sorted(allowed))}",
            "wrong_state",
        )


def online(node: Node) -> None:
    """Check that a node may be called."""
    if node.offline:
        raise errors.BadInput(f"Can't use offline node {node.name}", "wrong_state")


def usable(node: Node) -> None:
    """Check that a node may get instances."""
    online(node)
    if node.drained:
        raise errors.BadInput(f"Can't use drained node {node.name}", "wrong_state")
    if not node.vm_capable:
        raise errors.BadInput(f"Can't use non-vm_capable node {node.name}", "wrong_state")


async def bridges(
    context: contexts.Context, snapshot: Snapshot, instance: Instance, node: Node
) -> None:
    """Check that a node has the bridges that an instance is connected to."""
    wanted = []
    for nic in instance.nics:
        params = filling.nic(snapshot.cluster, nic.nicparams)
        if params["mode"] == _BRIDGED:
            wanted.append(params["link"])
    if wanted:
        try:
            await context.nodes.call(node, "bridges_exist", sorted(set(wanted)))
        except errors.Failure as error:
            raise errors.BadInput(
                f"not all bridges of the instance are there: {error}", "environment_error"
            ) from error


async def running(
    context: contexts.Context, snapshot: Snapshot, instance: Instance, node: Node
) -> Mapping[str, Any] | None:
    """Return what a node says about an instance; None if it does not know it."""
    try:
        said = await context.nodes.call(
            node,
            "instance_info",
            instance.name,
            instance.hypervisor,
            filling.hypervisor_of_os(snapshot.cluster, instance.hypervisor, ""),
        )
    except errors.Failure as error:
        raise errors.BadInput(f"Error checking node: {error}", "environment_error") from error
    return said if isinstance(said, dict) and said else None


def is_user_down(snapshot: Snapshot, instance: Instance, said: Mapping[str, Any] | None) -> bool:
    """Tell whether the user has shut an instance down from inside, by what its node says."""
    if said is None:
        return False
    hypervisor = filling.hypervisor_of(snapshot.cluster, instance)
    return bool(
        snapshot.cluster.enabled_user_shutdown
        and hypervisor.get("user_shutdown")
        and instancestatus.is_shutdown(said.get("state"))
    )


async def memory(
    context: contexts.Context,
    snapshot: Snapshot,
    node: Node,
    hypervisor: str,
    wanted: int,
    reason: str,
) -> int:
    """Check that a node has so much memory free, in MiB; return how much it has."""
    params = filling.hypervisor_of_os(snapshot.cluster, hypervisor, "")
    try:
        said = await context.nodes.call(node, "node_info", [], [[hypervisor, params]])
        free = said[2][0]["memory_free"]
    except errors.Failure as error:
        raise errors.BadInput(
            f"Can't get data from node {node.name}: {error}", "environment_error"
        ) from error
    except (LookupError, TypeError) as error:
        raise errors.BadInput(
            f"node {node.name} does not say how much memory is free", "environment_error"
        ) from error
    if not isinstance(free, int):
        raise errors.BadInput(
            f"node {node.name} says {free!r} is its free memory", "environment_error"
        )
    if wanted > free:
        raise errors.BadInput(
            f"Not enough memory on node {node.name} for {reason}: needed {wanted} MiB,"
            f" available {free} MiB",
            "insufficient_resources",
        )
    return free


async def volumes(
    context: contexts.Context, snapshot: Snapshot, node: Node, wanted: Mapping[str, int]
) -> None:
    """Check that a node has so much free, in MiB, in its volume groups."""
    units = [("lvm-vg", name) for name in wanted]
    asked = rpcargs.storage_units(snapshot, node, units)
    try:
        said = await context.nodes.call(node, "node_info", asked, [])
        free = {unit["name"]: unit["storage_free"] for unit in said[1] if unit["type"] == "lvm-vg"}
    except errors.Failure as error:
        raise errors.BadInput(
            f"Can't get data from node {node.name}: {error}", "environment_error"
        ) from error
    except (LookupError, TypeError) as error:
        raise errors.BadInput(
            "Can't retrieve storage information for LVM", "environment_error"
        ) from error
    for name, size in wanted.items():
        found = free.get(name)
        if not isinstance(found, int | float):
            raise errors.BadInput(
                f"Can't compute free disk space on node {node.name} for vg {name},"
                f" result was '{found}'",
                "environment_error",
            )
        if size > found:
            raise errors.BadInput(
                f"Not enough disk space on target node {node.name} vg {name}: required {size} MiB,"
                f" available {int(found)} MiB",
                "insufficient_resources",
            )


async def providers(context: contexts.Context, node: Node, wanted: Iterable[Params]) -> None:
    """Check that a node has disks' providers of external storage, and that those know parameters.

    ``wanted`` are the parameters of each disk, the provider among them.
    """
    try:
        said = await context.nodes.call(node, "extstorage_diagnose")
        known = {one[0]: (one[2], one[3], {words[0] for words in one[4]}) for one in said}
    except errors.Failure as error:
        raise errors.BadInput(
            f"Can't get data from node {node.name}: {error}", "environment_error"
        ) from error
    except (LookupError, TypeError, ValueError) as error:
        raise errors.BadInput(
            f"node {node.name} does not say which storage providers it has", "environment_error"
        ) from error
    for params in wanted:
        name = params["provider"]
        if name not in known:
            raise errors.BadInput(f"node {node.name} has no storage provider {name!r}")
        is_usable, why_not, names = known[name]
        if not is_usable:
            raise errors.BadInput(
                f"the storage provider {name!r} of node {node.name} cannot be used: {why_not}",
                "wrong_state",
            )
        if strange := sorted(set(params) - names - _OF_ALL_PROVIDERS):
            raise errors.BadInput(f"the storage provider {name!r} knows no {strange[0]!r}")

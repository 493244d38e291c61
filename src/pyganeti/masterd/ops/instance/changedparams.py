"""An instance's parameters as they are to be: its own, with what is asked for, and what that needs.

``default`` takes a parameter of its own away, so that it has what the next level above has.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import checks, parameters
from pyganeti.model import cpumask, hvparams
from pyganeti.model.config import defaults, filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.record import Params
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes

_DEFAULT: Final = "default"
_MEMORY: Final = ("maxmem", "minmem")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The instance's own parameters as they will be, of each kind."""

    hvparams: Params
    beparams: Params
    osparams: Params
    osparams_private: Params


async def plan(
    context: contexts.Context, instance: Instance, op: opcodes.InstanceSetParams
) -> Plan:
    """Return what the parameters come to; checked here, and by the instance's nodes.

    Raises BadInput.
    """
    snapshot = context.snapshot
    planned = Plan(
        hvparams=_hypervisor(instance, op.hvparams),
        beparams=_backend(instance, op.beparams),
        osparams=updated(instance.osparams, op.osparams),
        osparams_private=updated(instance.osparams_private, op.osparams_private or {}),
    )
    cluster = snapshot.cluster
    hypervisor = filling.hypervisor(cluster, instance.hypervisor, instance.os, planned.hvparams)
    backend = filling.backend(cluster, planned.beparams)
    if backend["minmem"] > backend["maxmem"]:
        raise errors.BadInput(
            f"Minimum memory ({backend['minmem']}) is above maximum memory ({backend['maxmem']})"
        )
    _check_cpus(hypervisor.get("cpu_mask") or "all", backend["vcpus"])
    nodes = snapshot.nodes_of(instance)
    if op.hvparams:
        await parameters.check_on_nodes(context, instance.hypervisor, hypervisor, nodes)
    await _check_os(context, snapshot, instance, op, planned)
    return planned


def updated(own: Params, given: Params, *, resets: Collection[object] = (_DEFAULT,)) -> Params:
    """Return parameters with others set, and those taken away whose value is one of ``resets``."""
    kept = {key: value for key, value in own.items() if key not in given}
    return kept | {
        key: value
        for key, value in given.items()
        if not any(value is one or (isinstance(one, str) and value == one) for one in resets)
    }


async def check_memory(
    context: contexts.Context, instance: Instance, op: opcodes.InstanceSetParams, planned: Plan
) -> None:
    """Check that an instance that gets more memory can still be started; raises BadInput.

    A primary node that does not answer is told of, and that is all: it may be why one asks.
    """
    cluster = context.snapshot.cluster
    before = filling.backend(cluster, instance.beparams)["maxmem"]
    after = filling.backend(cluster, planned.beparams)["maxmem"]
    if op.force or after <= before:
        return
    node = context.snapshot.nodes[instance.primary_node]
    if node.offline:
        context.warn(f"Can't get info from primary node {node.name}: it is marked offline")
        return
    try:
        said = await checks.running(context, context.snapshot, instance, node)
        now = _memory_of(said)
    except errors.BadInput as error:
        context.warn(f"Can't get info from primary node {node.name}: {error}")
        return
    await checks.memory(
        context,
        context.snapshot,
        node,
        instance.hypervisor,
        after - now,
        f"starting instance {instance.name} with as much as this",
    )


async def check_balloon(
    context: contexts.Context, instance: Instance, op: opcodes.InstanceSetParams, planned: Plan
) -> None:
    """Check that a running instance can have so much memory now; raises BadInput."""
    if op.runtime_mem is None:
        return
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    checks.online(node)
    said = await checks.running(context, snapshot, instance, node)
    if said is None:
        raise errors.BadInput(f"Instance {instance.name} is not running", "wrong_state")
    backend = filling.backend(snapshot.cluster, planned.beparams)
    least, most = backend["minmem"], backend["maxmem"]
    if not op.force and not least <= op.runtime_mem <= most:
        raise errors.BadInput(
            f"Instance {instance.name} must have memory between {least} and {most} MB of memory"
            " unless --force is given"
        )
    more = op.runtime_mem - _memory_of(said)
    if more > 0:
        await checks.memory(
            context, snapshot, node, instance.hypervisor, more,
            f"ballooning memory for instance {instance.name}",
        )  # fmt: skip


def _hypervisor(instance: Instance, given: Params) -> Params:
    own = parameters.hypervisor(given)
    if strange := sorted(set(given) - set(own) - hvparams.KNOWN - instance.hvparams.keys()):
        raise errors.BadInput(f"Unknown hypervisor parameter '{strange[0]}'")
    return updated(instance.hvparams, given)


def _backend(instance: Instance, given: Params) -> Params:
    found = dict(given)
    if "memory" in found:
        memory = found.pop("memory")
        for name in _MEMORY:
            found.setdefault(name, memory)
    if strange := sorted(set(found) - defaults.BACKEND.keys()):
        raise errors.BadInput(f"Unknown backend parameter '{strange[0]}'")
    result = updated(instance.beparams, found, resets=(_DEFAULT, "auto", None))
    return parameters.checked(result, defaults.BACKEND, "backend parameter")


def _check_cpus(mask: str, vcpus: int) -> None:
    masks = cpumask.parse(mask)
    if len(masks) > 1 and len(masks) != vcpus:
        raise errors.BadInput(f"Number of vCPUs [{vcpus}] does not match the CPU mask [{mask}]")


async def _check_os(
    context: contexts.Context,
    snapshot: Snapshot,
    instance: Instance,
    op: opcodes.InstanceSetParams,
    planned: Plan,
) -> None:
    """Have the nodes check the OS if it, or what it is told, changes."""
    private = op.osparams_private or {}
    if twice := sorted(op.osparams.keys() & private.keys()):
        raise errors.BadInput(f"OS parameters repeated multiple times: {', '.join(twice)}")
    is_other = op.os_name is not None and op.os_name != instance.os and not op.force
    if not is_other and not op.osparams and not private:
        return
    os = op.os_name if op.os_name and not op.force else instance.os
    cluster = snapshot.cluster
    if is_other and os in cluster.blacklisted_os:
        raise errors.BadInput(f"Guest OS '{os}' is not allowed for installation", "wrong_state")
    await parameters.check_os(
        context,
        os,
        filling.operating_system(cluster, os, planned.osparams, planned.osparams_private),
        snapshot.nodes_of(instance),
        force_variant=op.force_variant,
    )


def _memory_of(said: Any) -> int:  # noqa: ANN401 - what a node says
    memory = said.get("memory") if said else 0
    return memory if isinstance(memory, int) else 0

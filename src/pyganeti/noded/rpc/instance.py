"""The calls about instances: arguments in Ganeti's order, answers in Ganeti's shapes."""

from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model import hvparams as hypervisors
from pyganeti.model import instance as instances
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.instance import (
    console,
    hotplug,
    hypervisor,
    info,
    memory,
    migrate,
    pausing,
    start,
    stop,
)

_KVM: Final = "kvm"


async def instance_info(
    node: nodes.Node, name: str, kind: str, hvparams: dict[str, Any] | None
) -> dict[str, Any]:
    """Return memory, vcpus, state and time of an instance, nothing if it is not there."""
    del hvparams
    return await info.one(node.hypervisor, name) if kind == _KVM else {}


async def all_instances_info(
    node: nodes.Node, kinds: list[str], hvparams: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the same for every instance."""
    del hvparams
    return await info.every(node.hypervisor) if _KVM in kinds else {}


async def instance_list(
    node: nodes.Node, kinds: list[str], hvparams: dict[str, Any] | None
) -> list[str]:
    """Return the names of the instances that run."""
    del hvparams
    return await info.running(node.hypervisor) if _KVM in kinds else []


async def instance_start(
    node: nodes.Node,
    instance: instances.Instance,
    paused: bool,  # noqa: FBT001 - the protocol has no names
    trail: calls.Trail,
) -> None:
    """Start an instance."""
    await start.start(node.hypervisor, instance, paused=paused, trail=trail)


async def instance_shutdown(
    node: nodes.Node, instance: instances.Instance, timeout: float, trail: calls.Trail
) -> None:
    """Stop an instance."""
    await stop.stop(node.hypervisor, instance, timeout, trail)


async def instance_pause(node: nodes.Node, name: str, trail: calls.Trail) -> None:
    """Halt a running instance, announced to whoever watches it. A call of ours."""
    instances.check_name(name)
    await pausing.pause(node.hypervisor, name, trail)


async def instance_resume(node: nodes.Node, name: str, trail: calls.Trail) -> None:
    """Let a halted instance go on. A call of ours."""
    del trail  # for the log: the table knows it by its name
    instances.check_name(name)
    await pausing.resume(node.hypervisor, name)


async def instance_reboot(
    node: nodes.Node,
    instance: instances.Instance,
    kind: str,
    timeout: float,
    trail: calls.Trail,
) -> None:
    """Stop and start an instance: ``soft`` as it was, ``hard`` as it is configured."""
    if kind == "soft":
        await stop.reboot_soft(node.hypervisor, instance, timeout, trail)
    elif kind == "hard":
        await stop.reboot_hard(node.hypervisor, instance, timeout, trail)
    else:
        raise errors.BadInput(f"Invalid reboot_type received: '{kind[:40]}'")


async def instance_balloon_memory(
    node: nodes.Node, instance: instances.Instance, mebibytes: int
) -> None:
    """Change how much memory a running instance has."""
    hypervisor.check(instance.hypervisor)
    await memory.balloon(node.hypervisor, instance.name, mebibytes)


async def hotplug_supported(node: nodes.Node, instance: instances.Instance) -> None:
    """Fail unless the devices of a running instance can be changed."""
    await hotplug.check(node.hypervisor, instance)


async def hotplug_device(
    node: nodes.Node,
    instance: instances.Instance,
    action: str,
    kind: str,
    device: dict[str, Any],
    _extra: Any,  # noqa: ANN401 - link and URI of a disk, which the node knows itself
    seq: int,
) -> dict[str, str | int] | None:
    """Plug a disk or NIC in, take it out (returns where it was), or exchange a NIC."""
    host = node.hypervisor
    if kind not in {"disk", "nic"}:
        raise errors.BadInput(f"hotplug_device: {kind[:40]!r} is neither disk nor nic")
    if seq < 0:
        raise errors.BadInput(f"hotplug_device: {seq} is not the number of a device")
    match action:
        case "hotremove":
            return await hotplug.remove(host, instance, kind, str(device.get("uuid") or ""))
        case "hotadd" if kind == "disk":
            await hotplug.add_disk(host, instance, device, seq)
        case "hotadd":
            await hotplug.add_nic(host, instance, _nic(device), seq)
        case "hotmod" if kind == "nic":
            await hotplug.exchange_nic(host, instance, _nic(device), seq)
        case _:
            raise errors.BadInput(f"hotplug_device: a {kind} has no {action[:40]!r}")
    return None


def _nic(device: dict[str, Any]) -> instances.Nic:
    try:
        return msgspec.convert(device, instances.Nic)
    except msgspec.ValidationError as error:
        raise errors.BadInput(f"hotplug_device: this is no NIC: {error}") from error


async def resize_disk(
    node: nodes.Node, instance: instances.Instance, disk: dict[str, Any], new_size: int
) -> None:
    """Tell a running guest that a disk has so many bytes now."""
    await hotplug.resize(node.hypervisor, instance, disk, new_size)


async def instance_migratable(node: nodes.Node, instance: instances.Instance) -> None:
    """Fail unless the instance runs here."""
    await migrate.check(node.hypervisor, instance)


async def migration_info(node: nodes.Node, instance: instances.Instance) -> str:
    """Return what the target of a migration has to know."""
    return await migrate.information(node.hypervisor, instance)


async def accept_instance(
    node: nodes.Node, instance: instances.Instance, information: str, target: str
) -> None:
    """Wait for a guest to come."""
    await migrate.accept(node.hypervisor, instance, information, target)


async def instance_migrate(
    node: nodes.Node,
    _cluster: str,
    instance: instances.Instance,
    target: str,
    live: bool,  # noqa: FBT001 - the protocol has no names
) -> None:
    """Begin to send a guest away."""
    await migrate.send(node.hypervisor, instance, target, live=live)


async def instance_get_migration_status(
    node: nodes.Node, instance: instances.Instance
) -> dict[str, Any]:
    """Return how the sending goes."""
    return await migrate.progress(node.hypervisor, instance)


async def instance_finalize_migration_src(
    node: nodes.Node,
    instance: instances.Instance,
    success: bool,  # noqa: FBT001 - likewise
    live: bool,  # noqa: FBT001 - likewise
) -> None:
    """Clean up where a guest was, or have it go on there."""
    await migrate.finish_source(node.hypervisor, instance, success=success, live=live)


async def instance_finalize_migration_dst(
    node: nodes.Node,
    instance: instances.Instance,
    information: str,
    success: bool,  # noqa: FBT001 - likewise
) -> None:
    """Finish where a guest is, or clean up where it did not come."""
    await migrate.finish_target(node.hypervisor, instance, success=success, information=information)


async def instance_console_info(
    node: nodes.Node, wanted: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return how to get to the console of each instance."""
    told = {}
    for name, about in wanted.items():
        try:
            instance, primary = about["instance"], about["node"]
            told[name] = console.info(
                str(instance["name"]),
                instance.get("network_port"),
                hypervisors.decode(about["hvParams"]),
                str(primary["name"]),
                console.ssh_port(primary, about.get("group") or {}),
                node.hypervisor.where,
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise errors.BadInput(f"{name}: what is needed for a console is missing") from error
    return told


async def hypervisor_validate_params(node: nodes.Node, kind: str, hvparams: dict[str, Any]) -> None:
    """Fail, with all that is wrong, unless this node can run instances with these parameters."""
    await hypervisor.validate(node.hypervisor, kind, hvparams)


async def instance_metadata_modify(_node: nodes.Node, _metadata: dict[str, Any]) -> None:
    """Take what a metadata daemon would tell guests: there is none here, so nobody is waited for.

    Guests learn what they need from their seed (see the OS definition ``image``).
    """


CALLS: Final = (
    calls.Call("instance_info", instance_info),
    calls.Call("all_instances_info", all_instances_info),
    calls.Call("instance_list", instance_list),
    calls.Call("instance_start", instance_start, calls.by(0)),
    # Who waits no longer keeps nobody from ending it at once.
    calls.Call("instance_shutdown", instance_shutdown, calls.by(0), ends_with_client=True),
    calls.Call("instance_reboot", instance_reboot, calls.by(0)),
    calls.Call("instance_pause", instance_pause, calls.by(0)),
    calls.Call("instance_resume", instance_resume, calls.by(0)),
    calls.Call("instance_balloon_memory", instance_balloon_memory, calls.by(0)),
    calls.Call("instance_console_info", instance_console_info),
    calls.Call("hotplug_supported", hotplug_supported, calls.by(0)),
    calls.Call("hotplug_device", hotplug_device, calls.by(0)),
    calls.Call("resize_disk", resize_disk, calls.by(0)),
    calls.Call("instance_migratable", instance_migratable),
    calls.Call("migration_info", migration_info, calls.by(0)),
    calls.Call("accept_instance", accept_instance, calls.by(0)),
    calls.Call("instance_migrate", instance_migrate, calls.by(1)),
    calls.Call("instance_get_migration_status", instance_get_migration_status, calls.by(0)),
    calls.Call("instance_finalize_migration_src", instance_finalize_migration_src, calls.by(0)),
    calls.Call("instance_finalize_migration_dst", instance_finalize_migration_dst, calls.by(0)),
    calls.Call("hypervisor_validate_params", hypervisor_validate_params),
    calls.Call("instance_metadata_modify", instance_metadata_modify),
)

"""OP_TEST_ALLOCATOR: what an allocator would be asked, or what it answers."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.allocation import builtin, description
from pyganeti.masterd.ops import allocating, operation
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import placing
from pyganeti.model.config import defaults
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template
from pyganeti.model.opcodes import testing as opcodes

_PLACING = frozenset({"allocate", "multi-allocate"})
_MODES = ("rw", "ro")


class Allocator(operation.Operation[opcodes.TestAllocator, None]):
    """Shows an allocator's input, or has it run; nothing is placed."""

    opcode = opcodes.TestAllocator

    async def prepare(self, context: contexts.Context, op: opcodes.TestAllocator) -> None:
        """Check that what is asked for makes sense."""
        if op.mode in _PLACING:
            _check_new(context.snapshot, op)
        elif op.mode in {"relocate", "allocate-secondary"}:
            context.snapshot.instance(op.name)
        else:
            if not op.instances:
                raise errors.BadInput("Missing instances")
            for name in op.instances:
                context.snapshot.instance(name)
        if op.direction == "out" and op.iallocator is None:
            raise errors.BadInput("Missing allocator name")

    async def execute(
        self, context: contexts.Context, op: opcodes.TestAllocator, plan: None
    ) -> str:
        """Return a text: the input, or the output."""
        del plan
        snapshot = context.snapshot
        hypervisor = op.hypervisor or snapshot.cluster.enabled_hypervisors[0]
        request = _request(snapshot, op, hypervisor)
        template = _template(snapshot, op)
        is_asked = op.direction == "in"
        name = "" if is_asked else allocating.name_of(context, op.iallocator)
        state = await allocating.described(context, hypervisor, template, name=name)
        if is_asked:
            return msgspec.json.encode({**state, "request": request}).decode()
        if name != builtin.NAME:
            return await allocating.run(context, name, state, request)
        return _built_in(snapshot, state, request)


def _check_new(snapshot: Snapshot, op: opcodes.TestAllocator) -> None:
    if any(one.name == op.name for one in snapshot.instances.values()):
        raise errors.BadInput(f"Instance '{op.name}' already in the cluster", "already_exists")
    for disk in op.disks or ():
        sized = isinstance(disk, dict) and isinstance(disk.get("size"), int)
        if not sized or disk.get("mode") not in _MODES:
            raise errors.BadInput("Invalid contents of the 'disks' parameter")


def _template(snapshot: Snapshot, op: opcodes.TestAllocator) -> Template:
    if op.mode in {"relocate", "allocate-secondary"}:
        disks = snapshot.disks_of(snapshot.instance(op.name))
        return disks[0].dev_type if disks else Template.DISKLESS
    enabled = snapshot.cluster.enabled_disk_templates
    return Template(op.disk_template or (enabled[0] if enabled else Template.DISKLESS))


def _request(snapshot: Snapshot, op: opcodes.TestAllocator, hypervisor: str) -> dict[str, Any]:
    """Return what is asked for, in the words of the protocol."""
    given: dict[str, Any]
    match op.mode:
        case "allocate":
            given = _new(snapshot, op, op.name, hypervisor)
        case "multi-allocate":
            names = [f"{op.name}{index}" for index in range(op.count)]
            given = {"instances": [_new(snapshot, op, name, hypervisor) for name in names]}
        case "relocate":
            given = _relocation(snapshot, op)
        case "allocate-secondary":
            given = {"name": snapshot.instance(op.name).name}
        case "change-group":
            groups = [snapshot.group(name).uuid for name in op.target_groups or ()]
            given = {"instances": _names(snapshot, op), "target_groups": groups}
        case _:
            given = {"instances": _names(snapshot, op), "evac_mode": op.evac_mode}
    return {**given, "type": op.mode}


def _new(
    snapshot: Snapshot, op: opcodes.TestAllocator, name: str, hypervisor: str
) -> dict[str, Any]:
    template = _template(snapshot, op)
    disks = [{**disk, "dev_type": template.value} for disk in op.disks or ()]
    memory, vcpus = op.memory, op.vcpus
    return {
        "name": name,
        "disk_template": template.value,
        "group_name": op.group_name,
        "tags": list(op.tags),
        "os": op.os or "",
        "vcpus": defaults.BACKEND["vcpus"] if vcpus is None else vcpus,
        "memory": defaults.BACKEND["maxmem"] if memory is None else memory,
        "spindle_use": op.spindle_use,
        "disks": disks,
        "disk_space_total": description.space(disks, template),
        "nics": list(op.nics or ()),
        "required_nodes": 2 if template is Template.DRBD else 1,
        "hypervisor": hypervisor,
    }


def _relocation(snapshot: Snapshot, op: opcodes.TestAllocator) -> dict[str, Any]:
    instance = snapshot.instance(op.name)
    disks = snapshot.disks_of(instance)
    total = sum(description.space([{"size": disk.size}], disk.dev_type) for disk in disks)
    return {
        "name": instance.name,
        "disk_space_total": total,
        "required_nodes": 1,
        "relocate_from": [snapshot.nodes[uuid].name for uuid in snapshot.secondaries_of(instance)],
    }


def _names(snapshot: Snapshot, op: opcodes.TestAllocator) -> list[str]:
    return [snapshot.instance(name).name for name in op.instances or ()]


def _built_in(snapshot: Snapshot, state: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    """Return what the built-in allocator would answer if it were a program."""
    if request["type"] not in _PLACING:
        raise errors.BadInput(f"the built-in allocator places new instances, only, and does not"
                              f" know how to {request['type']}")  # fmt: skip
    single = request["type"] == "allocate"
    requests = [request] if single else request["instances"]
    placed, failed = placing.built_in(snapshot, state, requests)
    result: Any = [[[name, [node]] for name, node in placed.items()], list(failed)]
    if single:
        result = list(placed.values())
    answer = {
        "success": not (single and failed),
        "info": "; ".join(failed.values()) or "Request successful",
        "result": result,
    }
    return msgspec.json.encode(answer).decode()


OPERATION = Allocator()

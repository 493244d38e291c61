"""OP_INSTANCE_MULTI_ALLOC: several instances placed at once; each is made by a job of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.instance import locking, naming, placing, requesting
from pyganeti.model.config import filling
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import instance as opcodes
from pyganeti.model.opcodes import table

_CREATE = "OP_INSTANCE_CREATE"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is submitted, and the names of those for which there is no place."""

    jobs: Sequence[opcodes.InstanceCreate]
    failed: Sequence[str] = field(default_factory=list)


class MultiAlloc(operation.Operation[opcodes.InstanceMultiAlloc, Plan]):
    """Places instances and submits a job for each; answers the jobs, and who found no place."""

    opcode = opcodes.InstanceMultiAlloc

    def locks(self, op: opcodes.InstanceMultiAlloc, snapshot: Snapshot) -> levels.Wanted:
        """Have placing to oneself, unless all instances come with their nodes."""
        asked = _parsed(op)
        for one in asked:
            requesting.node_of(snapshot, one)
        return {} if all(map(_has_node, asked)) else locking.to_create(snapshot, [], None)

    async def prepare(self, context: contexts.Context, op: opcodes.InstanceMultiAlloc) -> Plan:
        """Check the instances as far as their own jobs do not, and place them."""
        asked = _parsed(op)
        _check(asked)
        if all(map(_has_node, asked)):
            return Plan(asked)
        snapshot = context.snapshot
        requests = []
        for one in asked:
            requesting.refuse_unknown(one)
            request = requesting.of(snapshot, one, naming.normalized(one.instance_name), None)
            backend = filling.backend(snapshot.cluster, request.beparams)
            requests.append(placing.wanted(request, backend, one.group_name))
        lenient = {naming.normalized(one.instance_name) for one in asked if one.ignore_ipolicy}
        placed, failed = await placing.choose_some(
            context, requests, op.iallocator, lenient=lenient
        )
        for name, why in failed.items():
            context.warn(f"{name}: {why}")
        jobs = [
            msgspec.structs.replace(one, pnode=placed[name])
            for one in asked
            if (name := naming.normalized(one.instance_name)) in placed
        ]
        return Plan(jobs, list(failed))

    def dry_result(self, op: opcodes.InstanceMultiAlloc, plan: Plan) -> dict[str, Any]:
        """Answer as in earnest, without jobs."""
        del op
        return _result(plan, [])

    async def execute(
        self, context: contexts.Context, op: opcodes.InstanceMultiAlloc, plan: Plan
    ) -> dict[str, Any]:
        """Submit the jobs."""
        del op
        return _result(plan, await context.submit([[job] for job in plan.jobs]))


def _result(plan: Plan, jobs: list[list[Any]]) -> dict[str, Any]:
    return {
        "allocatable": [job.instance_name for job in plan.jobs],
        "failed": list(plan.failed),
        "jobs": jobs,
    }


def _parsed(op: opcodes.InstanceMultiAlloc) -> list[opcodes.InstanceCreate]:
    found = []
    for index, one in enumerate(op.instances):
        if not isinstance(one, dict):
            raise errors.BadInput(f"instance {index} is not described by an object")
        parsed = table.parse({"OP_ID": _CREATE, "reason": [], **one})
        if not isinstance(parsed, opcodes.InstanceCreate):
            raise errors.BadInput(f"instance {index} is not an {_CREATE}")
        found.append(parsed)
    return found


def _check(asked: Sequence[opcodes.InstanceCreate]) -> None:
    names = [naming.normalized(one.instance_name) for one in asked]
    if not names:
        raise errors.BadInput("there is no instance among the instances")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise errors.BadInput(f"There are duplicate instance names: {', '.join(twice)}")
    if any(one.iallocator for one in asked):
        raise errors.BadInput("iallocator are not allowed to be set on instance objects")
    if any(map(_has_node, asked)) and not all(map(_has_node, asked)):
        raise errors.BadInput("There are instance objects providing pnode while others do not")


def _has_node(one: opcodes.InstanceCreate) -> bool:
    return bool(one.pnode or one.pnode_uuid)


OPERATION = MultiAlloc()

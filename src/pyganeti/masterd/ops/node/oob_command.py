"""OP_OOB_COMMAND: have the site's program act on nodes out of band: power and health."""

import asyncio
from typing import Any, Final, TypeAlias

import msgspec

from pyganeti.base import errors, log
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.config import filling, names
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import node

_LOG = log.get(__name__)

_NORMAL: Final = 0
_NO_DATA: Final = 2
_UNAVAILABLE: Final = 3
"""Statuses of cells, as queries answer them."""

_NOT_THE_MASTER: Final = frozenset({"power-cycle", "power-off"})
_POWERED: Final = {"power-on": True, "power-off": False}
_STATUSES: Final = frozenset({"CRITICAL", "OK", "UNKNOWN", "WARNING"})
_WORRYING: Final = frozenset({"CRITICAL", "WARNING"})

Row: TypeAlias = list[tuple[int, Any]]
"""The node's name, and what the program said, each with its status."""


class OobCommand(operation.Operation[node.OobCommand, list[Node]]):
    """The plan is the nodes, in order. One that cannot be acted on does not keep the others."""

    opcode = node.OobCommand

    def locks(self, op: node.OobCommand, snapshot: Snapshot) -> levels.Wanted:
        """Have the nodes alone."""
        if not (op.node_uuids or op.node_names):
            return {levels.Level.NODE: levels.exclusive(levels.ALL)}
        return {levels.Level.NODE: levels.exclusive(one.uuid for one in _named(snapshot, op))}

    async def prepare(self, context: contexts.Context, op: node.OobCommand) -> list[Node]:
        """Find the nodes, and check that they may be acted on."""
        snapshot = context.snapshot
        if op.power_delay < 0:
            raise errors.BadInput("the power delay is below zero")
        found = _named(snapshot, op)
        if op.command in _NOT_THE_MASTER:
            master = snapshot.master
            if master in found:
                raise errors.BadInput(
                    f"Operating on the master node {master.name} is not allowed for"
                    f" {op.command}; {_instead(snapshot, op)}"
                )
        found = found or [
            one
            for one in snapshot.nodes.values()
            if op.command not in _NOT_THE_MASTER or one.uuid != snapshot.cluster.master_node
        ]
        for one in found:
            if op.command == "power-off" and not one.offline and not op.ignore_status:
                raise errors.BadInput(
                    f"Cannot power off node {one.name} because it is not marked offline",
                    "wrong_state",
                )
        return sorted(found, key=names.by_name)

    async def execute(
        self, context: contexts.Context, op: node.OobCommand, plan: list[Node]
    ) -> list[Row]:
        """Run the program for one node after the other."""
        rows: list[Row] = []
        for place, one in enumerate(plan):
            status, said = await _act(context, op, one)
            rows.append([(_NORMAL, one.name), (status, said)])
            if status == _NORMAL and op.command == "power-on" and place < len(plan) - 1:
                await asyncio.sleep(op.power_delay)
        return rows


async def _act(context: contexts.Context, op: node.OobCommand, one: Node) -> tuple[int, Any]:
    snapshot = context.snapshot
    program = _program(snapshot, one)
    if not program:
        return _UNAVAILABLE, None
    try:
        said = await context.nodes.call(
            snapshot.master, "run_oob", program, op.command, one.name, op.timeout,
            timeout=op.timeout + 60.0,
        )  # fmt: skip
    except errors.Failure as error:
        context.warn(f"Out-of-band RPC failed on node '{one.name}': {error}")
        return _NO_DATA, None
    if why := _nonsense(op.command, said):
        context.warn(f"Payload returned by node '{one.name}' is not valid: {why}")
        return _NO_DATA, None
    if op.command == "health":
        for item, status in said:
            if status in _WORRYING:
                context.warn(f"Item '{item}' on node '{one.name}' has status '{status}'")
    if op.command == "power-status" and said["powered"] != one.powered:
        _LOG.warning("a node's power is not as recorded", node=one.name, recorded=one.powered)
    if op.command in _POWERED:
        await _record(context, one, powered=_POWERED[op.command])
    return _NORMAL, said


async def _record(context: contexts.Context, one: Node, *, powered: bool) -> None:
    def edit(changed: draft.Draft) -> None:
        changed.put(msgspec.structs.replace(changed.snapshot.nodes[one.uuid], powered=powered))

    await context.change(edit)


def _nonsense(command: str, said: Any) -> str | None:  # noqa: ANN401 - JSON
    """Return what is wrong with a program's answer, None if nothing is."""
    if command == "health":
        try:
            items = msgspec.convert(said, list[tuple[str, str]])
        except msgspec.ValidationError as error:
            return f"command 'health' is expected to return a list of items: {error}"
        wrong = [f"'{item}' has status '{status}'" for item, status in items
                 if status not in _STATUSES]  # fmt: skip
        return f"health item {wrong[0]}" if wrong else None
    if command == "power-status":
        is_good = isinstance(said, dict) and isinstance(said.get("powered"), bool)
        return None if is_good else f"power-status is expected to tell 'powered', not {said!r:.80}"
    return None if said is None else f"{command} is expected to return nothing, not {said!r:.80}"


def _program(snapshot: Snapshot, one: Node) -> str:
    filled = filling.node(snapshot.cluster, snapshot.group_of(one), one)
    return str(filled["oob_program"])


def _instead(snapshot: Snapshot, op: node.OobCommand) -> str:
    program = _program(snapshot, snapshot.master)
    if not program:
        return "it does not support out-of-band operations"
    return (
        f"run '{program} {op.command} {snapshot.master.name}' if you want to operate on the master"
        " regardless"
    )


def _named(snapshot: Snapshot, op: node.OobCommand) -> list[Node]:
    wanted = dict.fromkeys(op.node_uuids or op.node_names)
    return [snapshot.node(one) for one in wanted]


OPERATION = OobCommand()

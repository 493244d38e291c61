"""OP_RESTRICTED_COMMAND: run one of the programs that an administrator has put ready on nodes.

What a node that fails has said is its answer: the others are not held up by it.
"""

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import node as opcodes

Answers = list[tuple[bool, str]]


class RestrictedCommand(operation.Operation[opcodes.RestrictedCommand, list[Node]]):
    """The plan is the nodes. Answers for each whether it worked, and the output or what failed."""

    opcode = opcodes.RestrictedCommand

    def locks(self, op: opcodes.RestrictedCommand, snapshot: Snapshot) -> levels.Wanted:
        """Have the nodes to itself if that is wanted, else only keep them from being changed."""
        nodes = [node.uuid for node in _nodes(op, snapshot)]
        mode = levels.exclusive if op.use_locking else levels.shared
        return {levels.Level.NODE: mode(nodes)}

    async def prepare(self, context: contexts.Context, op: opcodes.RestrictedCommand) -> list[Node]:
        """Find the nodes; whether there is such a program only they know."""
        return _nodes(op, context.snapshot)

    async def execute(
        self, context: contexts.Context, op: opcodes.RestrictedCommand, plan: list[Node]
    ) -> Answers:
        """Have all run it at once."""
        answers = await context.nodes.each(plan, "restricted_command", (op.command,))
        return [
            (True, str(answer.payload))
            if (answer := answers[node.uuid]).error is None
            else (False, f"Command '{op.command}' on node '{node.name}' failed: {answer.error}")
            for node in plan
        ]


def _nodes(op: opcodes.RestrictedCommand, snapshot: Snapshot) -> list[Node]:
    wanted = op.node_uuids or op.nodes
    found = {one.uuid: one for one in (snapshot.node(name) for name in wanted)}
    return list(found.values())


OPERATION = RestrictedCommand()

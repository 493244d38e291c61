"""OP_OS_DIAGNOSE: which OS definitions the nodes have, and whether they are in order."""

from typing import Any

from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.query import diagnosing
from pyganeti.model.opcodes import query


class OsDiagnose(operation.Operation[query.OsDiagnose, None]):
    """Answers a row for each definition."""

    opcode = query.OsDiagnose

    async def prepare(self, context: contexts.Context, op: query.OsDiagnose) -> None:
        """Need nothing."""

    async def execute(
        self, context: contexts.Context, op: query.OsDiagnose, plan: None
    ) -> list[list[Any]]:
        """Ask the nodes."""
        del plan
        return await diagnosing.rows(context, "os", op.output_fields, op.names)


OPERATION = OsDiagnose()

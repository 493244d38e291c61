"""OP_EXT_STORAGE_DIAGNOSE: which storage providers the nodes have, and how they are."""

from typing import Any

from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.query import diagnosing
from pyganeti.model.opcodes import query


class ExtStorageDiagnose(operation.Operation[query.ExtStorageDiagnose, None]):
    """Answers a row for each provider."""

    opcode = query.ExtStorageDiagnose

    async def prepare(self, context: contexts.Context, op: query.ExtStorageDiagnose) -> None:
        """Need nothing."""

    async def execute(
        self, context: contexts.Context, op: query.ExtStorageDiagnose, plan: None
    ) -> list[list[Any]]:
        """Ask the nodes."""
        del plan
        return await diagnosing.rows(context, "extstorage", op.output_fields, op.names)


OPERATION = ExtStorageDiagnose()

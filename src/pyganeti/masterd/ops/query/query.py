"""OP_QUERY: a query as a job, for what the query language has."""

from typing import Any

from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.opcodes import query


class Query(operation.Operation[query.Query, None]):
    """Answers what LUXI's Query answers."""

    opcode = query.Query

    async def prepare(self, context: contexts.Context, op: query.Query) -> None:
        """Need nothing: the query says itself what is wrong with it."""

    async def execute(
        self, context: contexts.Context, op: query.Query, plan: None
    ) -> dict[str, Any]:
        """Ask the query engine."""
        del plan
        return await context.services.engine.query(op.what, op.fields, op.qfilter)


OPERATION = Query()

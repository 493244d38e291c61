"""OP_QUERY_FIELDS: which fields a query has."""

from typing import Any

from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.opcodes import query


class QueryFields(operation.Operation[query.QueryFields, None]):
    """Answers what LUXI's QueryFields answers."""

    opcode = query.QueryFields

    async def prepare(self, context: contexts.Context, op: query.QueryFields) -> None:
        """Need nothing."""

    async def execute(
        self, context: contexts.Context, op: query.QueryFields, plan: None
    ) -> dict[str, Any]:
        """Ask the query engine."""
        del plan
        return context.services.engine.query_fields(op.what, op.fields)


OPERATION = QueryFields()

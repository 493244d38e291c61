"""OP_OS_DIAGNOSE: which OS definitions the nodes have, and whether they are in order.

Who does not ask whether they are in order, hidden or blacklisted gets those only that are in order
and neither: the ones to choose from.
"""

from typing import Any, Final

from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.query import diagnosing
from pyganeti.model.opcodes import query

_KEPT_BACK: Final = ("hidden", "blacklisted")
_VALID: Final = "valid"


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
        fields = op.output_fields
        conditions: list[Any] = [["!", ["?", name]] for name in _KEPT_BACK if name not in fields]
        if _VALID not in fields:
            conditions.append(["?", _VALID])
        return await diagnosing.rows(context, "os", fields, op.names, conditions)


OPERATION = OsDiagnose()

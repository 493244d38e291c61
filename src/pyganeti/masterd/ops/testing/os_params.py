"""OP_TEST_OS_PARAMS: say which secret OS parameters have arrived."""

from pyganeti.base import errors
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.opcodes import testing


class OsParams(operation.Operation[testing.TestOsParams, None]):
    """Tells the secret parameters in the job's log: they had better be made up."""

    opcode = testing.TestOsParams

    async def prepare(self, context: contexts.Context, op: testing.TestOsParams) -> None:
        """Check that there are some."""
        del context
        if not op.osparams_secret:
            raise errors.BadInput("Opcode needs secret parameters")

    async def execute(
        self, context: contexts.Context, op: testing.TestOsParams, plan: None
    ) -> None:
        """Tell them."""
        del plan
        context.say(f"Secret OS parameters: {op.osparams_secret}")


OPERATION = OsParams()

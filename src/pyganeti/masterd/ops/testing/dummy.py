"""OP_TEST_DUMMY: log, submit, fail or answer, as told."""

from typing import Any

from pyganeti.base import errors
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.opcodes import testing


class Dummy(operation.Operation[testing.TestDummy, None]):
    """Does what its parameters say."""

    opcode = testing.TestDummy

    async def prepare(self, context: contexts.Context, op: testing.TestDummy) -> None:
        """Need nothing."""

    async def execute(self, context: contexts.Context, op: testing.TestDummy, plan: None) -> Any:  # noqa: ANN401 - as told
        """Say, submit, fail, answer."""
        del plan
        for message in op.messages or ():
            context.say(str(message))
        if op.submit_jobs:
            return {"jobs": await context.run.submit(op.submit_jobs)}
        if op.fail:
            raise errors.Failure("Opcode failure was requested")
        return op.result


OPERATION = Dummy()

"""Carries an opcode out, in the steps that all have in common.

1. The locks that it wants by the configuration are taken, and taken anew for as long as the
   configuration has changed what it wants by the time it holds them.
2. It begins: from here on a crash of the daemon ends the job in an error, not in a second try.
3. The plan is made; whoever asked for something that makes no sense hears it here.
4. The hooks before it, which may forbid it; a dry run ends here.
5. The execution.
6. The hooks after it; the configuration has reached the candidates that answer, or that is said.

Locks are given back whatever happens. What an operation raises that is no Failure is a fault of
ours: its traceback goes into the log, and the job's error says so.
"""

from typing import Any, ClassVar, Final

from pyganeti.base import errors, log
from pyganeti.masterd.jobs import work
from pyganeti.masterd.locks import levels, manager
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import hooks as hooking
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops import table as tables
from pyganeti.model.opcodes import base
from pyganeti.model.opcodes import table as opcodes

_LOG = log.get(__name__)

_BIG_LEVEL: Final = levels.Level.CLUSTER
_SHARED: Final = levels.shared({levels.BIG})
"""What every opcode has that does not want the cluster for itself."""

_SPREADING: Final = 15.0
"""Seconds that candidates have to take the configuration before the job ends without them."""


class NotThere(errors.Failure):
    """An opcode of Ganeti's that this master daemon cannot carry out yet."""

    wire_code: ClassVar[str] = "OpPrereqError"

    @property
    def wire_args(self) -> list[Any]:
        """The message and its code."""
        return [str(self), "wrong_input"]


class NotDone(errors.Failure):
    """An opcode did not come to its end; the words are those of what failed."""

    wire_code: ClassVar[str] = "OpExecError"


class Fault(errors.Failure):
    """Something went wrong that nobody foresaw."""

    wire_code: ClassVar[str] = "OpExecError"


class Performer:
    """Carries opcodes out; what the job queue is given as its `Work`.

    ``services`` is set by who wires the daemon, before the first opcode comes: opcodes may ask the
    query engine, which asks the queue.
    """

    services: contexts.Services

    def __init__(self, operations: tables.Operations) -> None:
        self._operations = operations

    async def perform(self, opcode: dict[str, Any], run: work.Run) -> Any:  # noqa: ANN401 - JSON
        """Return the opcode's result; raises Failure."""
        op = opcodes.parse(opcode)
        name = opcodes.name_of(op)
        found = self._operations.get(type(op))
        if found is None:
            raise NotThere(f"{name} cannot be carried out by this master daemon yet")
        try:
            await found.announce(self.services, op, run)
            async with await self._lock(found, op, run) as held:
                await run.begin()
                return await self._carry_out(contexts.Context(self.services, run, held), found, op)
        except errors.Failure as error:
            if error.wire_code != errors.Failure.wire_code:
                raise
            # What has no name of its own on the wire has this one, from an opcode.
            raise NotDone(str(error)) from error
        except Exception as error:
            _LOG.exception("an opcode failed unforeseen", opcode=name, job=run.job_id)
            raise Fault(f"a fault of ours: {error!r}; the log has more") from error

    async def _lock(
        self, found: operation.Operation[Any, Any], op: base.Opcode, run: work.Run
    ) -> manager.Held:
        wanted = self._wanted(found, op)
        held = await self.services.locks.acquire(str(run.job_id), wanted, lambda: run.priority)
        while True:
            try:
                now = self._wanted(found, op)
            except BaseException:
                held.release()
                raise
            if now == wanted:
                return held
            await held.exchange(now)
            wanted = now

    def _wanted(self, found: operation.Operation[Any, Any], op: base.Opcode) -> levels.Wanted:
        """Return an opcode's locks by the configuration as it is, the cluster's own among them."""
        return {_BIG_LEVEL: _SHARED, **found.locks(op, self.services.config.current)}

    async def _carry_out(
        self, context: contexts.Context, found: operation.Operation[Any, Any], op: base.Opcode
    ) -> Any:  # noqa: ANN401 - JSON
        name = opcodes.name_of(op)
        began = context.snapshot.serial_no
        plan = await found.prepare(context, op)
        hooks = found.hooks(context, op, plan)
        if hooks is not None:
            await hooking.before(context, name, hooks)
        if op.dry_run:
            context.info("dry-run mode requested, not actually executing the operation")
            return found.dry_result(op, plan)
        try:
            result = await found.execute(context, op, plan)
        finally:
            if context.snapshot.serial_no != began:
                await self._spread(context, name)
        if hooks is not None:
            now = found.hooks_after(context, op, plan) or hooks
            await hooking.after(context, name, hooks, now)
        return result

    async def _spread(self, context: contexts.Context, name: str) -> None:
        """See to it that a changed configuration is not on this node alone.

        A node that is known to take nothing is told of, and does not hold up the job.
        """
        for node in await context.config.distributed(timeout=_SPREADING, patient=False):
            context.warn(f"{node} does not have the changed configuration yet")
        await hooking.config_changed(context, name)

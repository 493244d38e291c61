"""What an opcode's module provides: locks, a plan, hooks, and the plan's execution.

A module has one `Operation` as ``OPERATION``. It has no state: what one run knows is in its plan.
"""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from pyganeti.masterd.jobs import work
from pyganeti.masterd.locks import levels
from pyganeti.model.config import snapshot as snapshots
from pyganeti.model.opcodes import base

if TYPE_CHECKING:
    from pyganeti.masterd.ops import context as contexts

OpT = TypeVar("OpT", bound=base.Opcode)
PlanT = TypeVar("PlanT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Which hooks are run around an operation, and where.

    ``path`` names them (``instance-start``), ``kind`` says what they are about. ``environment`` is
    given without the prefix GANETI_, and has OP_TARGET. ``before`` and ``after`` are uuids of
    nodes.
    """

    path: str
    kind: Literal["CLUSTER", "GROUP", "INSTANCE", "NETWORK", "NODE", ""]
    environment: Mapping[str, object] = field(default_factory=dict)
    before: Sequence[str] = ()
    after: Sequence[str] = ()


class Operation(abc.ABC, Generic[OpT, PlanT]):
    """How one kind of opcode is carried out: ``OpT`` is its parameters, ``PlanT`` the plan."""

    opcode: ClassVar[type[base.Opcode]]

    async def announce(self, services: "contexts.Services", op: OpT, run: work.Run) -> None:
        """Do something while the opcode still waits, before it has its locks; nearly none does."""
        del services, op, run

    def locks(self, op: OpT, snapshot: snapshots.Snapshot) -> levels.Wanted:
        """Return what has to be locked, by the configuration as it is; pure.

        It is asked again once the locks are held, and the locks are taken anew if the answer has
        changed by then. Raises BadInput if the opcode names what does not exist.
        """
        del op, snapshot
        return {}

    @abc.abstractmethod
    async def prepare(self, context: "contexts.Context", op: OpT) -> PlanT:
        """Check all that has to be so, and return the plan; changes nothing anywhere.

        Raises BadInput if it cannot be done. This is all that a dry run does.
        """

    def hooks(self, context: "contexts.Context", op: OpT, plan: PlanT) -> Hooks | None:
        """Return the hooks to run around the execution, None if there are none."""
        del context, op, plan
        return None

    def hooks_after(self, context: "contexts.Context", op: OpT, plan: PlanT) -> Hooks | None:
        """Return the hooks again, as they tell of things after the execution.

        Their environment gets the prefix GANETI_POST_, beside that of before.
        """
        return self.hooks(context, op, plan)

    def dry_result(self, op: OpT, plan: PlanT) -> Any:  # noqa: ANN401 - JSON
        """Return what a dry run answers."""
        del op, plan
        return None

    @abc.abstractmethod
    async def execute(self, context: "contexts.Context", op: OpT, plan: PlanT) -> Any:  # noqa: ANN401 - JSON
        """Do it, and return the opcode's result.

        Raises Failure with words for an operator; what was done by then is either undone or in the
        configuration.
        """

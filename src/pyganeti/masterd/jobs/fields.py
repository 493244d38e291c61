"""What may be asked about a job, by field: the values that queries and who follows a job see.

Values are JSON. None stands for a time that has not come.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.jobs import lifecycle
from pyganeti.model.opcodes import table
from pyganeti.wire import jobfile

_UNREADABLE: Final = "INVALID_OP"


@dataclass(frozen=True, slots=True)
class Found:
    """A job as it is known to be kept, and where that is."""

    job: jobfile.Job
    is_archived: bool = False


def summary(opcode: Mapping[str, Any]) -> str:
    """Return an opcode in a few words; of one that nobody knows, its name."""
    try:
        return table.summary(table.parse(opcode))
    except errors.BadInput:
        name = opcode.get("OP_ID")
        return name.removeprefix("OP_") if isinstance(name, str) else _UNREADABLE


def _each(of: Callable[[jobfile.Opcode], Any]) -> Callable[[Found], Any]:
    return lambda found: [of(op) for op in found.job.ops]


def _listed(moment: jobfile.Timestamp | None) -> list[int] | None:
    return None if moment is None else list(moment)


FIELDS: Final[Mapping[str, Callable[[Found], Any]]] = {
    "id": lambda found: found.job.id,
    "status": lambda found: lifecycle.status(found.job).value,
    "priority": lambda found: lifecycle.priority(found.job),
    "archived": lambda found: found.is_archived,
    "ops": _each(lambda op: op.input),
    "opresult": _each(lambda op: op.result),
    "opstatus": _each(lambda op: op.status.value),
    "oplog": _each(
        lambda op: [[number, list(at), kind, text] for number, at, kind, text in op.log]
    ),
    "opstart": _each(lambda op: _listed(op.start_timestamp)),
    "opexec": _each(lambda op: _listed(op.exec_timestamp)),
    "opend": _each(lambda op: _listed(op.end_timestamp)),
    "oppriority": _each(lambda op: op.priority),
    "summary": _each(lambda op: summary(op.input)),
    "received_ts": lambda found: _listed(found.job.received_timestamp),
    "start_ts": lambda found: _listed(found.job.start_timestamp),
    "end_ts": lambda found: _listed(found.job.end_timestamp),
}

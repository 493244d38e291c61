"""The resource "job": the queue's jobs, and those in the archive where somebody asks for them.

Rows are numbers; only of those that the condition does not rule out by number is the job looked at,
some hundred at a time, so that an archive of any size is listed without being held.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from pyganeti.base import errors
from pyganeti.masterd.jobs import fields as jobfields
from pyganeti.masterd.queries import cells, fields
from pyganeti.masterd.queries.cells import Cell, Compared, Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config.snapshot import Snapshot

_ARCHIVED: Final = "archived"
_BATCH: Final = 200

Live = Mapping[int, jobfields.Found | None]


class Queue(Protocol):
    """Where jobs are; `masterd.jobs.queue.Queue` is it."""

    @property
    def numbers(self) -> list[int]:
        """The numbers of all jobs that are not archived, rising."""

    async def archived_numbers(self) -> list[int]:
        """Return the numbers of all archived jobs."""

    async def get(
        self, job_ids: Sequence[int] | None = None, *, archived: bool = False
    ) -> list[tuple[int, jobfields.Found | None]]:
        """Return jobs by number, None for one that is not there."""


class Jobs:
    """Answers about jobs."""

    name_field = "id"
    batch: int | None = _BATCH

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.fields = FIELDS

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[int]:
        """Return numbers; one that there is not is no mistake, its job is just not available."""
        if wanted:
            return list(dict.fromkeys(number_of(held) for held in wanted))
        numbers = self._queue.numbers
        if _ARCHIVED in asked:
            return sorted({*numbers, *await self._queue.archived_numbers()})
        return numbers

    async def look(self, snapshot: Snapshot, rows: Sequence[int], asked: frozenset[str]) -> Live:
        """Look at jobs, archived ones too: they may have been archived meanwhile."""
        return dict(await self._queue.get(rows, archived=True))


def number_of(value: Value) -> int:
    """Return a job's number, however it is written; raises BadInput if it is none."""
    try:
        number = int(value)
    except ValueError as error:
        raise errors.BadInput(f"Invalid job ID: {str(value)[:100]}") from error
    if number < 0:
        raise errors.BadInput(f"Invalid job ID: {number}")
    return number


def _field(
    name: str, title: str, kind: Kind, doc: str, *, compared: Compared = Compared.AS_IT_IS
) -> fields.Field[int, Live]:
    value = jobfields.FIELDS[name]
    is_moment = compared is Compared.AS_SECONDS

    def bind(view: fields.View[Live]) -> Callable[[int], Cell]:
        found = view.live

        def getter(number: int) -> Cell:
            job = found.get(number)
            if job is None:
                return cells.UNAVAILABLE
            held = value(job)
            return cells.UNAVAILABLE if held is None and is_moment else (cells.NORMAL, held)

        return getter

    return fields.Field(name, title, kind, doc, bind, is_live=True, compared=compared)


FIELDS: Final[dict[str, fields.Field[int, Any]]] = fields.table(
    [
        fields.plain("id", "ID", Kind.NUMBER, "The job's number", lambda number: number),
        _field("status", "Status", Kind.TEXT, "How far it is"),
        _field("priority", "Priority", Kind.NUMBER, "The priority of what is left, from -20 to 19"),
        _field(_ARCHIVED, "Archived", Kind.BOOL, "Whether it is in the archive"),
        _field("ops", "OpCodes", Kind.OTHER, "Its opcodes"),
        _field("opresult", "OpCode_result", Kind.OTHER, "What each opcode came to"),
        _field("opstatus", "OpCode_status", Kind.OTHER, "How far each opcode is"),
        _field("oplog", "OpCode_log", Kind.OTHER, "What each opcode said"),
        _field(
            "opstart", "OpCode_start", Kind.OTHER, "When each opcode began to wait for its locks"
        ),
        _field("opexec", "OpCode_exec", Kind.OTHER, "When each opcode had its locks"),
        _field("opend", "OpCode_end", Kind.OTHER, "When each opcode ended"),
        _field("oppriority", "OpCode_prio", Kind.OTHER, "Each opcode's priority"),
        _field("summary", "Summary", Kind.OTHER, "Each opcode in a few words"),
        _field(
            "received_ts",
            "Received",
            Kind.OTHER,
            "When it was submitted, in seconds and microseconds",
            compared=Compared.AS_SECONDS,
        ),
        _field(
            "start_ts",
            "Start",
            Kind.OTHER,
            "When it began, in seconds and microseconds",
            compared=Compared.AS_SECONDS,
        ),
        _field(
            "end_ts",
            "End",
            Kind.OTHER,
            "When it ended, in seconds and microseconds",
            compared=Compared.AS_SECONDS,
        ),
    ]
)

"""The resource "lock": who holds what in the cluster, and who waits for it."""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from pyganeti.masterd.locks import manager
from pyganeti.masterd.queries import fields
from pyganeti.masterd.queries.cells import Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config.snapshot import Snapshot


class Described(Protocol):
    """What knows all locks; `masterd.locks.manager.Manager` does."""

    def describe(self) -> list[manager.Row]:
        """Return every lock that is held or waited for."""


class Locks(fields.Static):
    """Answers about locks."""

    name_field = "name"

    def __init__(self, held: Described) -> None:
        self._held = held
        self.fields = FIELDS

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[manager.Row]:
        """Return locks; names that nobody holds or wants are no mistake."""
        rows = self._held.describe()
        return [row for row in rows if row.name in wanted] if wanted else rows


FIELDS: Final[dict[str, fields.Field[manager.Row, Any]]] = fields.table(
    [
        fields.attribute("name", "Name", Kind.OTHER, "What is locked"),
        fields.attribute("mode", "Mode", Kind.OTHER, "How it is held: exclusive, shared or not"),
        fields.attribute("owner", "Owner", Kind.OTHER, "Who holds it: numbers of jobs"),
        fields.attribute(
            "pending", "Pending", Kind.OTHER, "Who waits for it, and in which mode: the best first"
        ),
    ]
)

"""The resource "filter": rules about which jobs may run."""

from collections.abc import Sequence
from typing import Any, Final

from pyganeti.masterd.queries import fields
from pyganeti.masterd.queries.cells import Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.model.config.snapshot import Snapshot


class Filters(fields.Static):
    """Answers about filter rules."""

    name_field = "uuid"

    def __init__(self) -> None:
        self.fields = FIELDS

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[FilterRule]:
        """Return rules, by their uuids; one that there is not is no mistake."""
        if not wanted:
            return sorted(snapshot.filters.values(), key=lambda rule: rule.uuid)
        return [rule for uuid in wanted if (rule := snapshot.filters.get(str(uuid))) is not None]


FIELDS: Final[dict[str, fields.Field[FilterRule, Any]]] = fields.table(
    [
        fields.attribute("uuid", "UUID", Kind.OTHER, "The rule's UUID"),
        fields.attribute(
            "watermark", "Watermark", Kind.OTHER, "The last job's number when the rule was made"
        ),
        fields.attribute("priority", "Priority", Kind.OTHER, "Lower ones are looked at first"),
        fields.attribute(
            "predicates", "Predicates", Kind.OTHER, "What all has to be true of a job for the rule"
        ),
        fields.attribute("action", "Action", Kind.OTHER, "What happens to such a job"),
        fields.attribute("reason_trail", "ReasonTrail", Kind.OTHER, "Who made the rule, and why"),
    ]
)

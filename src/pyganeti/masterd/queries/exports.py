"""The resource "export": the instances' exports that lie on nodes. All of it the nodes say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.masterd.queries import asking, cells, fields
from pyganeti.masterd.queries.cells import Cell, Compared, Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Export:
    """One export, or why a node's are not known."""

    node: str
    export: Cell


class Exports(fields.Static):
    """Answers about exports."""

    name_field = "node"

    def __init__(self, nodes: asking.Nodes) -> None:
        self._nodes = nodes
        self.fields = FIELDS

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[Export]:
        """Ask nodes, those named or all; raises BadInput for a name that there is not."""
        nodes = (
            [snapshot.node(name) for name in wanted if isinstance(name, str)]
            if wanted
            else fields.by_name(snapshot.nodes.values())
        )
        said = await asking.each(self._nodes, nodes, "export_list", (), list[str])
        rows: list[Export] = []
        for node in nodes:
            answer = said[node.uuid]
            if answer.what is None:
                rows.append(Export(node.name, answer.missing))
            else:
                rows += [Export(node.name, (cells.NORMAL, name)) for name in answer.what]
        return rows


FIELDS: Final[dict[str, fields.Field[Export, Any]]] = fields.table(
    [
        fields.plain(
            "node",
            "Node",
            Kind.TEXT,
            "The node on which it lies",
            lambda row: row.node,
            compared=Compared.AS_HOST,
        ),
        fields.Field(
            "export", "Export", Kind.TEXT, "The export's name", lambda _: lambda row: row.export
        ),
    ]
)

"""What the sub-commands ``power`` and ``health`` have in common."""

from collections.abc import Sequence
from typing import Any, Final

from pyganeti.cli import tables
from pyganeti.model.opcodes import node

COLUMNS: Final = (tables.Column("node", "Node", "text"), tables.Column("status", "Status", "text"))
WHY_NOT: Final = {tables.NO_DATA: "(nodata)", tables.UNAVAILABLE: "(unavail)"}


def opcode(action: Any, names: Sequence[str], timeout: int, **more: Any) -> node.OobCommand:  # noqa: ANN401 - the opcode's
    """Return the opcode that acts on nodes; with no names on all of them."""
    return node.OobCommand(node_names=list(names), command=action, timeout=timeout, **more)

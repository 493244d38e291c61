"""What nodes have of a kind, as rows of values: the way of old clients to be answered."""

from collections.abc import Sequence
from typing import Any, Final

from pyganeti.masterd.ops import context as contexts

_NORMAL: Final = 0


async def rows(
    context: contexts.Context,
    what: str,
    fields: Sequence[str],
    names: Sequence[str],
    conditions: Sequence[Any] = (),
) -> list[list[Any]]:
    """Query a resource; return plain values, None for what is not known.

    Only what is named, if anything is, and meets all of the ``conditions``.
    """
    met: list[Any] = [["|", *(["==", "name", name] for name in names)]] if names else []
    met += conditions
    wanted = ["&", *met] if met else None
    answer = await context.services.engine.query(what, fields, wanted)
    return [
        [value if status == _NORMAL else None for status, value in row] for row in answer["data"]
    ]

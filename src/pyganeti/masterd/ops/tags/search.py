"""OP_TAGS_SEARCH: which things have tags that match."""

import re
from collections.abc import Iterator

from pyganeti.base import errors
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.tags import tagged
from pyganeti.model.config import snapshot
from pyganeti.model.opcodes import tags


class Search(operation.Operation[tags.TagsSearch, re.Pattern[str]]):
    """Answers pairs of a path, such as ``/instances/web1``, and a tag."""

    opcode = tags.TagsSearch

    async def prepare(self, context: contexts.Context, op: tags.TagsSearch) -> re.Pattern[str]:
        """Check that it is a regular expression."""
        del context
        try:
            return re.compile(op.pattern)
        except re.error as error:
            raise errors.BadInput(f"Invalid search pattern '{op.pattern}': {error}") from error

    async def execute(
        self, context: contexts.Context, op: tags.TagsSearch, plan: re.Pattern[str]
    ) -> list[tuple[str, str]]:
        """Look through everything that has tags."""
        del op
        return [(path, tag) for path, tag in _all(context.snapshot) if plan.search(tag)]


def _all(snapshot: snapshot.Snapshot) -> Iterator[tuple[str, str]]:
    for path, found in tagged.everything(snapshot):
        for tag in sorted(found.tags):
            yield path, tag


OPERATION = Search()

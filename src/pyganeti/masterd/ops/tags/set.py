"""OP_TAGS_SET: give something tags."""

import msgspec

from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.tags import tagged
from pyganeti.model.config import snapshot
from pyganeti.model.opcodes import tags


class Set(operation.Operation[tags.TagsSet, None]):
    """Adds tags; those that are there already stay."""

    opcode = tags.TagsSet

    def locks(self, op: tags.TagsSet, snapshot: snapshot.Snapshot) -> levels.Wanted:
        """Lock what gets the tags."""
        return tagged.locks(snapshot, op.kind, op.name, levels.Mode.EXCLUSIVE)

    async def prepare(self, context: contexts.Context, op: tags.TagsSet) -> None:
        """Check the tags."""
        for tag in op.tags:
            tagged.check(tag)
        found = tagged.find(context.snapshot, op.kind, op.name)
        tagged.check_number(frozenset({*found.tags, *op.tags}))

    async def execute(self, context: contexts.Context, op: tags.TagsSet, plan: None) -> None:
        """Add them."""
        del plan

        def edit(changed: draft.Draft) -> None:
            found = tagged.find(changed.snapshot, op.kind, op.name)
            after = tuple(sorted({*found.tags, *op.tags}))
            changed.put(msgspec.structs.replace(found, tags=after))

        await context.change(edit)


OPERATION = Set()

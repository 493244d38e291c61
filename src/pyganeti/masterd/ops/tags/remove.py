"""OP_TAGS_DEL: take tags from something."""

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.tags import tagged
from pyganeti.model.config import snapshot
from pyganeti.model.opcodes import tags


class Remove(operation.Operation[tags.TagsDel, None]):
    """Removes tags, all of which have to be there."""

    opcode = tags.TagsDel

    def locks(self, op: tags.TagsDel, snapshot: snapshot.Snapshot) -> levels.Wanted:
        """Lock what loses the tags."""
        return tagged.locks(snapshot, op.kind, op.name, levels.Mode.EXCLUSIVE)

    async def prepare(self, context: contexts.Context, op: tags.TagsDel) -> None:
        """Check that they are there."""
        for tag in op.tags:
            tagged.check(tag)
        found = tagged.find(context.snapshot, op.kind, op.name)
        missing = sorted(set(op.tags) - set(found.tags))
        if missing:
            names = ", ".join(f"'{tag}'" for tag in missing)
            raise errors.BadInput(f"Tag(s) {names} not found", "unknown_entity")

    async def execute(self, context: contexts.Context, op: tags.TagsDel, plan: None) -> None:
        """Remove them."""
        del plan

        def edit(changed: draft.Draft) -> None:
            found = tagged.find(changed.snapshot, op.kind, op.name)
            after = tuple(sorted(set(found.tags) - set(op.tags)))
            changed.put(msgspec.structs.replace(found, tags=after))

        await context.change(edit)


OPERATION = Remove()

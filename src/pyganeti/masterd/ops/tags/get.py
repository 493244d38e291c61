"""OP_TAGS_GET: the tags of one thing."""

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.tags import tagged
from pyganeti.model.config import snapshot
from pyganeti.model.opcodes import tags


class Get(operation.Operation[tags.TagsGet, list[str]]):
    """Answers the tags, in order."""

    opcode = tags.TagsGet

    def locks(self, op: tags.TagsGet, snapshot: snapshot.Snapshot) -> levels.Wanted:
        """Keep the thing from changing meanwhile, if that was asked for."""
        if not op.use_locking:
            return {}
        return tagged.locks(snapshot, op.kind, op.name, levels.Mode.SHARED)

    async def prepare(self, context: contexts.Context, op: tags.TagsGet) -> list[str]:
        """Look them up."""
        return sorted(tagged.find(context.snapshot, op.kind, op.name).tags)

    async def execute(
        self, context: contexts.Context, op: tags.TagsGet, plan: list[str]
    ) -> list[str]:
        """Answer them."""
        del context, op
        return plan


OPERATION = Get()

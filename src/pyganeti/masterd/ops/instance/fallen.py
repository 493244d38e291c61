"""Whether an instance fell: it is wanted to run, and does not.

What the watcher saw is old by the time that its job has the lock; so this is looked at again there.
"""

from typing import Final

from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import checks
from pyganeti.model import instancestatus
from pyganeti.model.config.instance import Instance

_WANTED: Final = "up"


async def why_not(context: contexts.Context, instance: Instance) -> str | None:
    """Return why an instance is none that fell, in words; None if it is one.

    Raises BadInput if its node cannot be asked.
    """
    if instance.admin_state != _WANTED:
        return f"{instance.name} is marked to be {instance.admin_state}"
    snapshot = context.snapshot
    node = snapshot.nodes[instance.primary_node]
    checks.online(node)
    said = await checks.running(context, snapshot, instance, node)
    if said is not None and not instancestatus.is_shutdown(said.get("state")):
        return f"{instance.name} runs"
    return None

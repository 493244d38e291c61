"""Where an instance moves to if nobody says: an allocator's choice, in its node's own group."""

from pyganeti.base import errors
from pyganeti.masterd.allocation import answer as answers
from pyganeti.masterd.allocation import builtin, description
from pyganeti.masterd.ops import allocating
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import hookenv, placing
from pyganeti.model.config import filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.disk import Template


async def choose(context: contexts.Context, instance: Instance, named: str | None) -> Node:
    """Return another node for an instance. Raises BadInput, with the reasons, if there is none.

    Its group's policy is not asked: the instance is there already.
    """
    name = allocating.name_of(context, named)
    snapshot = context.snapshot
    source = snapshot.nodes[instance.primary_node]
    disks = snapshot.disks_of(instance)
    template = Template(hookenv.template_of(disks))
    state = await allocating.described(context, instance.hypervisor, template, name=name)
    sizes = [{"size": disk.size, "dev_type": disk.dev_type.value} for disk in disks]
    space = description.space(sizes, template)
    if name == builtin.NAME:
        backend = filling.backend(snapshot.cluster, instance.beparams)
        request = {
            "name": instance.name,
            "disk_template": template.value,
            "group_name": snapshot.group_of(source).name,
            "vcpus": backend["vcpus"],
            "memory": backend["maxmem"],
            "spindle_use": backend["spindle_use"],
            "disks": sizes,
            "disk_space_total": 0,  # its disks are there already
            "nics": list(instance.nics),
        }
        others = {node: told for node, told in state["nodes"].items() if node != source.name}
        placed, failed = placing.built_in(
            snapshot, {**state, "nodes": others}, [request], ignore_policy=True
        )
        if failed:
            raise errors.BadInput(failed[instance.name], "insufficient_resources")
        chosen = placed[instance.name]
    else:
        asked = {
            "type": "relocate",
            "name": instance.name,
            "disk_space_total": space,
            "required_nodes": 1,
            "relocate_from": [source.name],
        }
        found = await allocating.solve(context, name, state, asked)
        chosen = answers.one_node(found, state["nodes"])
    context.info(f"Selected nodes for instance {instance.name} via iallocator {name}: {chosen}")
    return snapshot.node(chosen)

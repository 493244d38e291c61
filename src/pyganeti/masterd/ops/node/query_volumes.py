"""OP_NODE_QUERYVOLS: answer which logical volumes nodes have, a row each, all values as text."""

from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.node import storing
from pyganeti.masterd.ops.verifying import images
from pyganeti.model.config import names
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import node

_FIELDS: Final = ("instance", "name", "node", "phys", "size", "vg")


class QueryVolumes(operation.Operation[node.NodeQueryvols, None]):
    """Asks every node for its volumes; nodes that do not answer are warned about."""

    opcode = node.NodeQueryvols

    def locks(self, op: node.NodeQueryvols, snapshot: Snapshot) -> levels.Wanted:
        """Share the nodes."""
        if not op.nodes:
            return {levels.Level.NODE: levels.shared(levels.ALL)}
        uuids = [one.uuid for one in storing.wanted(snapshot, op.nodes)]
        return {levels.Level.NODE: levels.shared(uuids)}

    async def prepare(self, context: contexts.Context, op: node.NodeQueryvols) -> None:
        """Check what is asked for."""
        storing.check_fields(op.output_fields, _FIELDS)

    async def execute(
        self, context: contexts.Context, op: node.NodeQueryvols, plan: None
    ) -> list[list[str]]:
        """Ask the nodes."""
        snapshot = context.snapshot
        nodes = sorted(storing.wanted(snapshot, op.nodes), key=names.by_name)
        owners = {
            (uuid, volume): one.name
            for one in snapshot.instances.values()
            for uuid, volumes in images.volumes_of(snapshot, [one.uuid]).items()
            for volume in volumes
        }
        answers = await context.nodes.each(nodes, "node_volumes")
        rows: list[list[str]] = []
        for one in nodes:
            answer = answers[one.uuid]
            if answer.offline:
                continue
            try:
                volumes = msgspec.convert(answer.unwrap(), list[dict[str, Any]])
                found = [
                    {
                        "node": one.name,
                        "phys": volume["dev"],
                        "vg": volume["vg"],
                        "name": volume["name"],
                        "size": str(int(float(volume["size"]))),
                        "instance": owners.get((one.uuid, f"{volume['vg']}/{volume['name']}"), "-"),
                    }
                    for volume in sorted(volumes, key=lambda volume: str(volume["dev"]))
                ]
            except (errors.Failure, msgspec.ValidationError, LookupError, ValueError) as error:
                context.warn(f"Can't compute volume data on node {one.name}: {error}")
                continue
            rows += [[str(row[name]) for name in op.output_fields] for row in found]
        return rows


OPERATION = QueryVolumes()

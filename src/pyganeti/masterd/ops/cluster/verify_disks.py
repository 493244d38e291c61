"""OP_CLUSTER_VERIFY_DISKS: answers with the jobs that look for missing disks, one a group."""

from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.model.config import names
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster, group


class VerifyDisks(operation.Operation[cluster.ClusterVerifyDisks, list[str]]):
    """The plan is the names of the groups."""

    opcode = cluster.ClusterVerifyDisks

    def locks(self, op: cluster.ClusterVerifyDisks, snapshot: Snapshot) -> levels.Wanted:
        """Share the groups."""
        groups = {snapshot.group(op.group_name).uuid} if op.group_name else levels.ALL
        return {levels.Level.NODEGROUP: levels.shared(groups)}

    async def prepare(self, context: contexts.Context, op: cluster.ClusterVerifyDisks) -> list[str]:
        """Find the groups."""
        if op.group_name:
            return [context.snapshot.group(op.group_name).name]
        return [one.name for one in sorted(context.snapshot.groups.values(), key=names.by_name)]

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterVerifyDisks, plan: list[str]
    ) -> dict[str, list[list[object]]]:
        """Submit the jobs; none if nothing could be found out.

        Providers of external storage have no way of being asked.
        """
        disks = context.snapshot.disks.values()
        if all(disk.dev_type.value == "ext" for disk in disks):
            return {"jobs": []}
        return {
            "jobs": await context.submit([[group.GroupVerifyDisks(group_name=n)] for n in plan])
        }


OPERATION = VerifyDisks()

"""OP_CLUSTER_VERIFY_CONFIG: look for what is wrong with the configuration by itself."""

import asyncio

from pyganeti.base import apart, errors, validity
from pyganeti.masterd.config import invariants
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.verifying import files, findings, questions, recovering
from pyganeti.masterd.ops.verifying.findings import Code, Findings, Level
from pyganeti.model import hvparams
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster

_PATIENCE = 60.0


class VerifyConfig(operation.Operation[cluster.ClusterVerifyConfig, None]):
    """Tells what is wrong in the job's log; the result is whether nothing is."""

    opcode = cluster.ClusterVerifyConfig

    def locks(self, op: cluster.ClusterVerifyConfig, snapshot: Snapshot) -> levels.Wanted:
        """Share everything: nothing is to change meanwhile."""
        return {
            level: levels.shared(levels.ALL)
            for level in levels.Level
            if level is not levels.Level.CLUSTER
        }

    async def prepare(self, context: contexts.Context, op: cluster.ClusterVerifyConfig) -> None:
        """Check the words."""
        findings.check_codes(op.ignore_errors)

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterVerifyConfig, plan: None
    ) -> bool:
        """Look at everything."""
        found = Findings(
            context.say,
            ignored=op.ignore_errors,
            for_programs=op.error_codes,
            is_simulated=op.debug_simulate_errors,
        )
        snapshot = context.snapshot
        context.say("* Verifying cluster config")
        for finding in await asyncio.to_thread(invariants.verify, snapshot):
            found.add(
                Code.CLUSTER_CONFIG,
                None,
                str(finding),
                Level.ERROR if finding.is_hard else Level.WARNING,
            )
        context.say("* Verifying cluster certificate files")
        await _certificates(context, found)
        context.say("* Verifying hypervisor parameters")
        for text in await asyncio.to_thread(_wrong_parameters, snapshot):
            found.add(Code.CLUSTER_CONFIG, None, text)
        context.say("* Verifying settings for recovery")
        for text in await asyncio.to_thread(recovering.problems, snapshot):
            found.add(Code.CLUSTER_CONFIG, None, text, Level.WARNING)
        context.say("* Verifying all nodes belong to an existing group")
        _dangling(found, snapshot)
        return not found.is_bad


async def _certificates(context: contexts.Context, found: Findings) -> None:
    names = [str(context.layout.state_dir / name) for name in files.CERTIFICATES]
    try:
        worries = await apart.call(
            validity.worries, names, context.services.now(), timeout=_PATIENCE
        )
    except errors.Failure as error:
        found.add(Code.CLUSTER_CERTIFICATE, None, f"cannot look at certificates: {error}")
        return
    for level, text in worries:
        found.add(Code.CLUSTER_CERTIFICATE, None, text, Level(level))


def _wrong_parameters(snapshot: Snapshot) -> list[str]:
    """Return what is wrong with hypervisor parameters as such."""
    found = []
    for source, name, given in questions.parameters(snapshot):
        if name != "kvm":
            continue  # nobody here knows what those mean; no node could run them either
        try:
            wrong = hvparams.problems(hvparams.decode(given))
        except errors.BadInput as error:
            wrong = [str(error)]
        wrong += [f"there is no parameter {one}" for one in hvparams.unknown(given)]
        found += [
            f"hypervisor {name} parameters syntax check (source {source}): {text}" for text in wrong
        ]
    return found


def _dangling(found: Findings, snapshot: Snapshot) -> None:
    """Tell which nodes are in no group, and which instances on no node: no group has them."""
    lost = [node for node in snapshot.nodes.values() if node.group not in snapshot.groups]
    told = [
        f"{node.name} ({', '.join(one.name for one in snapshot.instances_on(node))})"
        for node in lost
    ]
    found.when(
        lost,
        Code.CLUSTER_DANGLING_NODES,
        None,
        "the following nodes (and their instances) belong to a non existing group:"
        f" {', '.join(told)}",
    )
    nowhere = [
        instance.name
        for instance in snapshot.instances.values()
        if instance.primary_node not in snapshot.nodes and not instance.forthcoming
    ]
    found.when(
        nowhere,
        Code.CLUSTER_DANGLING_INSTANCES,
        None,
        f"the following instances have a non-existing primary-node: {', '.join(nowhere)}",
    )


OPERATION = VerifyConfig()

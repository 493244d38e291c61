"""OP_CLUSTER_VERIFY_GROUP: hold the nodes of a group against the configuration."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from pyganeti.masterd import nodes as calling
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.locks import levels
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops import hooks as hooking
from pyganeti.masterd.ops import operation
from pyganeti.masterd.ops.verifying import (
    certificates,
    files,
    findings,
    images,
    instances,
    nodes,
    questions,
    storing,
    systems,
    volumes,
)
from pyganeti.masterd.ops.verifying.findings import Code, Findings
from pyganeti.model.config import filling, names
from pyganeti.model.config.group import NodeGroup
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.opcodes import cluster
from pyganeti.model.opcodes import table as opcodes

_SPREADING: Final = 15.0
_TRIES: Final = 3
"""How often nodes' files are asked for while the configuration goes on changing."""

Images = dict[str, images.Image]
Answers = Mapping[str, calling.Answer]


class VerifyGroup(operation.Operation[cluster.ClusterVerifyGroup, NodeGroup]):
    """The plan is the group. The job's log tells what is wrong; the result is if nothing is.

    Hooks that fail are findings as well, so they are run as a part of it.
    """

    opcode = cluster.ClusterVerifyGroup

    def locks(self, op: cluster.ClusterVerifyGroup, snapshot: Snapshot) -> levels.Wanted:
        """Share the group, its nodes and their instances."""
        group = snapshot.group(op.group_name)
        own = _instances(snapshot, group)
        uuids = {node.uuid for node in snapshot.nodes_in(group)}
        uuids.update(uuid for one in own for uuid in snapshot.secondaries_of(one))
        return {
            levels.Level.INSTANCE: levels.shared(one.name for one in own),
            levels.Level.NODEGROUP: levels.shared({group.uuid}),
            levels.Level.NODE: levels.shared(uuids),
        }

    async def prepare(self, context: contexts.Context, op: cluster.ClusterVerifyGroup) -> NodeGroup:
        """Check the words, and find the group."""
        findings.check_codes(op.ignore_errors)
        findings.check_skipped(op.skip_checks)
        return context.snapshot.group(op.group_name)

    async def execute(
        self, context: contexts.Context, op: cluster.ClusterVerifyGroup, plan: NodeGroup
    ) -> bool:
        """Ask, judge, tell."""
        found = Findings(
            context.say,
            ignored=op.ignore_errors,
            for_programs=op.error_codes,
            is_simulated=op.debug_simulate_errors,
        )
        context.say(f"* Verifying group '{plan.name}'")
        members = context.snapshot.nodes_in(plan)
        if not members:
            context.say("* Empty node group, skipping verification")
            return True
        verification = _Verification(context, op, plan, found)
        await verification.gather(members)
        await verification.gather_disks()
        verification.judge_files()
        await verification.judge_nodes()
        await verification.judge_instances()
        verification.judge_redundancy()
        verification.tell_notes()
        await _run_hooks(context, op, found, members)
        return not found.is_bad


class _Verification:
    """One verification of one group, in the order of the methods."""

    def __init__(
        self,
        context: contexts.Context,
        op: cluster.ClusterVerifyGroup,
        group: NodeGroup,
        found: Findings,
    ) -> None:
        self.context = context
        self.op = op
        self.group = group
        self.found = found
        self.snapshot = context.snapshot
        self.images: Images = {}

    async def gather(self, members: Sequence[Node]) -> None:
        """Ask the nodes; they all have the newest configuration then, or time enough to get it."""
        context = self.context
        context.say(f"* Gathering data ({len(members)} nodes)")
        await context.config.distributed(timeout=_SPREADING)
        self.snapshot = context.snapshot
        self.members = [self.snapshot.nodes[one.uuid] for one in members]
        store = await asyncio.to_thread(storing.kept_in, context.services.layout)
        self.question = await asyncio.to_thread(
            questions.ask,
            self.snapshot,
            self.group,
            with_clutter=self.op.verify_clutter,
            store=store,
        )
        context.say(f"* Gathering information about nodes ({len(members)} nodes)")
        began = context.services.now()
        self.answers = await self._ask(self.members, self.question)
        self.asked = nodes.Asked(self.snapshot, self.question, began, context.services.now(), store)
        self.images = {node.uuid: images.Image(node) for node in self.members}
        for instance in self._instances:
            for node in self.snapshot.nodes_of(instance):
                self.images.setdefault(node.uuid, images.Image(node))
        self.compared, self.digests, self.is_settled = await self._digests()

    async def gather_disks(self) -> None:
        """Ask nodes for the status of the disks that their instances have there."""
        self.context.say(f"* Gathering disk information ({len(self.members)} nodes)")
        wanted = {node.uuid: await asyncio.to_thread(self._disks_on, node) for node in self.members}
        holders = [node for node in self.members if wanted[node.uuid]]
        answers = await self.context.nodes.each(
            holders,
            "blockdev_getmirrorstatus_multi",
            lambda node: ([described for _, described in wanted[node.uuid]],),
        )
        for node in holders:
            answer = answers[node.uuid]
            disks = [uuid for uuid, _ in wanted[node.uuid]]
            if answer.offline:
                continue
            statuses = _statuses(answer, len(disks))
            self.found.when(
                answer.failed,
                Code.NODE_RPC,
                node.name,
                f"while getting disk information: {answer.error}",
            )
            self.images[node.uuid].disks = dict(zip(disks, statuses, strict=True))

    def judge_files(self) -> None:
        """Tell what is wrong with certificates and other files."""
        self.context.say("* Verifying configuration file consistency")
        said = {
            uuid: answer.payload.get("client-cert")
            for uuid, answer in self.answers.items()
            if not answer.failed and isinstance(answer.payload, dict)
        }
        certificates.judge(self.found, self.snapshot.cluster.candidate_certs, self.members, said)
        if not self.is_settled:
            self.context.warn(
                "the configuration changes all the time; the nodes' copies are not compared"
            )
        files.judge(
            self.found,
            files.wanted(self.snapshot, is_settled=self.is_settled),
            self.compared,
            self.snapshot.cluster.master_node,
            self.digests,
        )

    async def judge_nodes(self) -> None:
        """Tell what is wrong with each node, and with what several have."""
        self.context.say("* Verifying node status")
        for node in self.members:
            self._judge_node(node, self.answers[node.uuid])
            await asyncio.sleep(0)  # others want the loop, too
        own = [self.images[node.uuid] for node in self.members if not node.offline]
        systems.judge(self.found, own)
        volumes.judge_sizes(self.found, self.group.name, own)

    async def judge_instances(self) -> None:
        """Tell what is wrong with each instance, and which volumes are nobody's."""
        self.context.say("* Verifying instance status")
        for instance in self._instances:
            if self.op.verbose:
                self.context.say(f"* Verifying instance {instance.name}")
            instances.judge(self.found, self.snapshot, self.group, instance, self.images)
            await asyncio.sleep(0)
        self.context.say("* Verifying orphan volumes")
        volumes.judge_orphans(
            self.found, self.snapshot, [self.images[node.uuid] for node in self.members]
        )

    def judge_redundancy(self) -> None:
        """Tell which nodes could not take over what they should."""
        if "nplusone_mem" in self.op.skip_checks:
            return
        self.context.say("* Verifying N+1 Memory redundancy")
        for node in self.members:
            if not node.offline and not self.images[node.uuid].is_silent:
                nodes.judge_memory(self.found, self.snapshot, self.images[node.uuid])

    def tell_notes(self) -> None:
        """Tell what is not wrong and still worth knowing."""
        self.context.say("* Other Notes")
        cluster_ = self.snapshot.cluster
        counts = {
            "non-redundant instance(s)": sum(
                not instances.is_redundant(self.snapshot.disks_of(one)) for one in self._instances
            ),
            "non-auto-balanced instance(s)": sum(
                not filling.backend(cluster_, one.beparams)["auto_balance"]
                for one in self._instances
            ),
            "offline instance(s)": sum(one.admin_state == "offline" for one in self._instances),
            "offline node(s)": sum(node.offline for node in self.members),
            "drained node(s)": sum(node.drained for node in self.members),
        }
        for what, count in counts.items():
            if count:
                self.found.notice(f"  - NOTICE: {count} {what} found.")

    @property
    def _instances(self) -> list[Instance]:
        return _instances(self.snapshot, self.group)

    def _judge_node(self, node: Node, answer: calling.Answer) -> None:
        image = self.images[node.uuid]
        if node.offline:
            if self.op.verbose:
                self.context.say(f"* Skipping offline node {node.name}")
            return
        if self.op.verbose:
            self.context.say(f"* Verifying node {node.name} ({self._role(node)})")
        if answer.failed:
            image.is_silent = True
            self.found.add(Code.NODE_RPC, node.name, f"while contacting node: {answer.error}")
            return
        nodes.judge(self.found, self.asked, image, answer.payload)
        if node.vm_capable and not image.is_silent:
            nodes.judge_strangers(self.found, self.snapshot, image)
            nodes.judge_tags(self.found, self.snapshot, node)

    def _role(self, node: Node) -> str:
        if node.uuid == self.snapshot.cluster.master_node:
            return "master"
        if node.master_candidate:
            return "master candidate"
        return "drained" if node.drained else "regular"

    def _disks_on(self, node: Node) -> list[tuple[str, dict[str, Any]]]:
        """Return the disks that a node should have, by uuid, as it is told about them."""
        snapshot = self.snapshot
        return [
            (disk.uuid or "", rpcargs.disk_for_node(snapshot, instance, disk, node))
            for instance in (*snapshot.instances_on(node), *snapshot.secondaries_on(node))
            if not instance.forthcoming
            for disk in snapshot.disks_of(instance)
        ]

    async def _ask(self, whom: Sequence[Node], question: questions.Question) -> Answers:
        cluster_ = self.snapshot.cluster
        return await self.context.nodes.each(
            whom,
            "node_verify",
            (question, cluster_.cluster_name, questions.all_parameters(cluster_)),
        )

    async def _digests(
        self,
    ) -> tuple[list[Node], dict[str, Mapping[str, str] | None], bool]:
        """Return whose files are compared, their digests, and if the configuration stood still.

        Nodes of other groups that are asked too: the master, and one with instances. If the
        configuration has changed since the nodes were asked, they are asked again.
        """
        others = [one for one in self.snapshot.nodes.values() if one.group != self.group.uuid]
        further = [one for one in others if one.uuid == self.snapshot.cluster.master_node]
        further += [
            one for one in others if one.vm_capable and not one.offline and one not in further
        ][:1]
        compared = [*self.members, *further]
        answers: dict[str, calling.Answer] = dict(self.answers)
        missing: Sequence[Node] = further
        serial = self.snapshot.serial_no
        for _ in range(_TRIES):
            if missing:
                question = {"filelist": self.question["filelist"]}
                answers |= await self._ask(missing, question)
            if serial == self.context.snapshot.serial_no:
                return compared, _files_of(answers), True
            await self.context.config.distributed(timeout=_SPREADING)
            serial = self.context.snapshot.serial_no
            missing = [node for node in compared if not answers[node.uuid].failed]
        return compared, _files_of(answers), False


def _instances(snapshot: Snapshot, group: NodeGroup) -> list[Instance]:
    found = [
        instance
        for node in snapshot.nodes_in(group)
        for instance in snapshot.instances_on(node)
        if not instance.forthcoming
    ]
    return sorted(found, key=names.by_name)


def _files_of(answers: Answers) -> dict[str, Mapping[str, str] | None]:
    return {
        uuid: None
        if answer.failed or not isinstance(answer.payload, dict)
        else images.shaped(answer.payload, "filelist", dict[str, str], {"": ""})
        for uuid, answer in answers.items()
    }


def _statuses(answer: calling.Answer, count: int) -> list[tuple[bool, Any]]:
    if answer.failed:
        return [(False, str(answer.error))] * count
    if not isinstance(answer.payload, list) or len(answer.payload) != count:
        return [(False, "Invalid result from the remote node")] * count
    return [
        (one[0] is True, one[1])
        if isinstance(one, list) and len(one) == 2  # noqa: PLR2004 - a pair
        else (False, "Invalid result from the remote node")
        for one in answer.payload
    ]


async def _run_hooks(
    context: contexts.Context,
    op: cluster.ClusterVerifyGroup,
    found: Findings,
    members: Sequence[Node],
) -> None:
    """Have the nodes' own checks run; what fails is a finding."""
    environment: dict[str, object] = {"CLUSTER_TAGS": " ".join(context.snapshot.cluster.tags)}
    environment.update((f"NODE_TAGS_{node.name}", " ".join(node.tags)) for node in members)
    hooks = operation.Hooks(
        path="cluster-verify",
        kind="CLUSTER",
        environment=environment,
        after=[node.uuid for node in members],
    )
    answers = await hooking.answers_after(context, opcodes.name_of(op), hooks)
    context.say("* Hooks Results")
    for node in members:
        answer = answers.get(node.uuid)
        if answer is None or answer.offline:
            continue
        if answer.failed:
            text = f"Communication failure in hooks execution: {answer.error}"
            found.add(Code.NODE_HOOKS, node.name, text)
            continue
        scripts = _scripts(answer.payload)
        if scripts is None:
            found.add(Code.NODE_HOOKS, node.name, "the answer about hooks makes no sense")
        for script, output in scripts or ():
            found.add(Code.NODE_HOOKS, node.name, f"Script {script} failed, output:")
            for line in output.splitlines():
                found.notice(f"      {line}")


def _scripts(payload: object) -> list[tuple[str, str]] | None:
    """Return the scripts that failed, with what they wrote; None if the answer is none."""
    try:
        ran = msgspec.convert(payload, list[tuple[str, int, str]])
    except msgspec.ValidationError:
        return None
    return [(name, output) for name, status, output in ran if status == hooking.FAILED]


OPERATION = VerifyGroup()

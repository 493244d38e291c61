"""A migration's calls to its two nodes, in Ganeti's order; and what puts right an interrupted one.

The configuration has the old node until both nodes have finished: whatever happens before, it says
where the instance can be looked for. If the target does not take it, it stays, both sides undone.
A crash in between leaves a guest on both nodes, one of which waits or has left; `clean_up` finds
out which, and the configuration says it then.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.config import draft, rpcargs
from pyganeti.masterd.ops import context as contexts
from pyganeti.masterd.ops.instance import moving
from pyganeti.model.config import filling
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.disk import Template

_FIRST_LOOK: Final = 0.02
_LAST_LOOK: Final = 1.0
_SLOWER: Final = 1.5
"""Seconds between looks at how it goes: few at first, for a small guest is quick."""

_TELL_EVERY: Final = 10.0
_UNDONE: Final = frozenset({"failed", "cancelled"})
_MAPPED: Final = frozenset({Template.RBD, Template.EXT})
"""Templates whose disks stay mapped on a node until they are let go."""

_HINT: Final = (
    "; if a migration of it was interrupted before, gnt-instance migrate --cleanup puts that right"
)


async def set_primary(context: contexts.Context, uuid: str, node: str) -> Instance:
    """Have the configuration say that a node is an instance's primary one now."""

    def edit(changed: draft.Draft) -> Instance:
        present = changed.snapshot.instance(uuid)
        return changed.put(msgspec.structs.replace(present, primary_node=node))

    return await context.change(edit)


async def close_disks(
    context: contexts.Context, instance: Instance, node: Node, *, spared: bool = False
) -> None:
    """Have a node close an instance's disks; raises Failure unless it is offline, or ``spared``."""
    context.say(f"* closing instance disks on node {node.name}")
    try:
        await context.nodes.call(node, "blockdev_close", *_disks(context, instance, node))
    except errors.Failure as error:
        if not (node.offline or spared):
            raise errors.Failure(
                f"Cannot close instance disks on node {node.name}: {error}"
            ) from error
        context.warn(
            f"Could not close instance disks on node {node.name}, proceeding anyway: {error}"
        )


async def open_disks(
    context: contexts.Context, instance: Instance, node: Node, *, exclusive: bool
) -> None:
    """Have a node open an instance's disks, for itself or beside another; raises Failure."""
    mode = "exclusive" if exclusive else "shared"
    context.say(f"* opening instance disks on node {node.name} in {mode} mode")
    try:
        await context.nodes.call(node, "blockdev_open", *_disks(context, instance, node), exclusive)
    except errors.Failure as error:
        raise errors.Failure(f"Cannot open instance disks on node {node.name}: {error}") from error


class Migration:
    """One migration: its plan, and what its nodes are told."""

    def __init__(self, context: contexts.Context, plan: moving.Plan, target: Node) -> None:
        self._context = context
        self._instance = plan.instance
        self._source = plan.source
        self._target = target
        self._live = plan.live

    async def carry_out(
        self, memory: int, free: int, *, may_shrink: bool, any_version: bool
    ) -> None:
        """Move the guest; raises Failure, everything undone, if it stays where it was.

        ``memory`` is what it has, ``free`` what its target has; if that is less, the guest is told
        to make do with it if it ``may_shrink``. ``any_version``: of qemu, on the two nodes.
        """
        context, source, target = self._context, self._source, self._target
        await self._check_versions(any_version=any_version)
        context.say("* checking disk consistency between source and target")
        if memory > free:
            await self._shrink(memory, free, may_shrink=may_shrink)
        try:
            information = await self._call(source, "migration_info")
        except errors.Failure as error:
            raise errors.Failure(
                f"Failed fetching source migration information from {source.name}: {error}"
            ) from error
        await close_disks(context, self._instance, target)
        if self._has_disks:
            await open_disks(context, self._instance, source, exclusive=False)
            await open_disks(context, self._instance, target, exclusive=False)
        await self._transfer(information)
        await self._finish(information)
        context.say("* done")

    async def _transfer(self, information: Any) -> None:  # noqa: ANN401 - what the node says
        """Have the guest go over; raises Failure, with all undone, if it does not."""
        context, target = self._context, self._target
        name = self._instance.name
        context.say(f"* preparing {target.name} to accept the instance")
        try:
            await self._call(target, "accept_instance", information, target.secondary_ip)
        except errors.Failure as error:
            context.say("Pre-migration failed, aborting")
            await self._undo(information)
            raise errors.Failure(
                f"Could not pre-migrate instance {name}: {error}{_HINT}"
            ) from error
        context.say(f"* migrating instance to {target.name}")
        try:
            await context.nodes.call(
                self._source,
                "instance_migrate",
                context.snapshot.cluster.cluster_name,
                self._told(self._source),
                target.secondary_ip,
                self._live,
            )
            context.say("* starting memory transfer")
            await self._follow()
        except errors.Failure as error:
            context.say("Migration failed, aborting")
            await self._undo(information)
            raise errors.Failure(f"Could not migrate instance {name}: {error}") from error

    async def abort(self, information: Any) -> list[errors.Failure]:  # noqa: ANN401 - see _transfer
        """Have both sides undo what there is of a move; return what went wrong."""
        failures = []
        for node, name, arguments in (
            (self._target, "instance_finalize_migration_dst", (information, False)),
            (self._source, "instance_finalize_migration_src", (False, self._live)),
        ):
            try:
                await self._call(node, name, *arguments)
            except errors.Failure as error:
                failures.append(error)
        return failures

    async def complete(self, information: Any) -> None:  # noqa: ANN401 - see _transfer
        """Have both sides finish a move that came to its end; raises Failure if one does not.

        The target first: the source's qemu, which is all that is left of a guest that did not
        arrive, is not ended before.
        """
        is_done = True
        try:
            await self._call(self._target, "instance_finalize_migration_dst", information, is_done)
        except errors.Failure as error:
            raise errors.Failure(
                f"Could not finalize instance migration: {error}{_HINT}"
            ) from error
        try:
            await self._call(self._source, "instance_finalize_migration_src", is_done, self._live)
        except errors.Failure as error:
            raise errors.Failure(
                f"Could not finalize instance migration: {error}{_HINT}"
            ) from error

    async def _finish(self, information: Any) -> None:  # noqa: ANN401 - see _transfer
        context = self._context
        await self.complete(information)
        self._instance = await set_primary(context, self._instance.uuid, self._target.uuid)
        await close_disks(context, self._instance, self._source)
        if self._has_disks:
            await open_disks(context, self._instance, self._target, exclusive=True)
        await self._unmap(self._source)

    async def _check_versions(self, *, any_version: bool) -> None:
        """Have a look at both nodes' qemus; they may differ, which is told."""
        context, hypervisor = self._context, self._instance.hypervisor
        params = filling.hypervisor_of_os(context.snapshot.cluster, hypervisor, "")
        both = (self._source, self._target)
        answers = await context.nodes.each(both, "node_info", (None, [[hypervisor, params]]))
        versions = []
        for node in both:
            try:
                said = answers[node.uuid].unwrap()[2][0]
            except errors.Failure as error:
                raise errors.Failure(
                    f"Unable to retrieve node information from node '{node.name}': {error}"
                ) from error
            except (LookupError, TypeError) as error:
                raise errors.Damaged(
                    f"node {node.name} says nothing about its hypervisor"
                ) from error
            versions.append(said.get("hv_version"))
        here, there = versions
        if here is not None and there is not None and here != there:
            context.say(
                f"* warning: hypervisor version mismatch between source ({here}) and target"
                f" ({there}) node"
            )
            # The machine type, which is kept, decides; Ganeti lets it through for KVM, too.
            safe = (
                "continuing anyway (told to ignore version mismatch)"
                if any_version
                else (f"migrating from hypervisor version {here} to {there} should be safe")
            )
            context.say(f"  {safe}")

    async def _shrink(self, memory: int, free: int, *, may_shrink: bool) -> None:
        if not may_shrink:
            raise errors.Failure(
                "Memory ballooning not allowed and not enough free memory to fit instance"
                f" {self._instance.name} on target node {self._target.name} (have {free}MB, need"
                f" {memory}MB)"
            )
        self._context.say(f"* setting instance memory to {free}")
        try:
            await self._call(self._source, "instance_balloon_memory", free)
        except errors.Failure as error:
            raise errors.Failure(f"Cannot modify instance runtime memory: {error}") from error

    async def _follow(self) -> None:
        """Wait until the source says that the guest has left; raises Failure if it does not."""
        context = self._context
        loop = asyncio.get_running_loop()
        told, pause, was_switched = loop.time(), _FIRST_LOOK, False
        while True:
            said = await self._call(self._source, "instance_get_migration_status")
            status = said.get("status") if isinstance(said, dict) else None
            if status in _UNDONE:
                raise errors.Failure("hypervisor returned failure")
            if not was_switched and said.get("postcopy_status") == "postcopy-active":
                was_switched = True
                context.say("* memory transfer has switched to postcopy")
            if status == "completed":
                context.say("* memory transfer complete")
                return
            if status != "active":
                raise errors.Damaged(f"{self._source.name} says a migration is {status!r}")
            total = said.get("total_ram")
            if loop.time() - told >= _TELL_EVERY and total:
                told = loop.time()
                part = 100 * float(said.get("transferred_ram") or 0) / float(total)
                context.say(f"* memory transfer progress: {part:.2f} %")
            await asyncio.sleep(pause)
            pause = min(_LAST_LOOK, pause * _SLOWER)

    async def _undo(self, information: Any) -> None:  # noqa: ANN401 - see _transfer
        """Undo both sides as far as can be; what cannot is told, for there is an error already."""
        for failure in await self.abort(information):
            self._context.warn(f"Aborting migration failed: {failure}")
        try:
            await close_disks(self._context, self._instance, self._target)
            await self._unmap(self._target)
            if self._has_disks:
                await open_disks(self._context, self._instance, self._source, exclusive=True)
        except errors.Failure as error:
            self._context.warn(str(error))

    async def _unmap(self, node: Node) -> None:
        """Have a node let go of disks that it would keep mapped."""
        context = self._context
        snapshot = context.snapshot
        disks = [disk for disk in snapshot.disks_of(self._instance) if disk.dev_type in _MAPPED]
        if disks:
            names = ", ".join(disk.iv_name for disk in disks)
            context.say(f"* unmapping instance's disks {names} from {node.name}")
        for disk in disks:
            told = rpcargs.disk_for_node(snapshot, self._instance, disk, node)
            try:
                await context.nodes.call(node, "blockdev_shutdown", told)
            except errors.Failure as error:
                context.warn(
                    f"Couldn't unmap the block device {disk.iv_name} on node {node.name}, you need"
                    f" to do so: {error}"
                )

    @property
    def _has_disks(self) -> bool:
        return bool(self._instance.disks)

    def _told(self, node: Node) -> dict[str, Any]:
        return rpcargs.instance_for_node(self._context.snapshot, self._instance, node)

    async def _call(self, node: Node, name: str, *arguments: object) -> Any:  # noqa: ANN401 - JSON
        return await self._context.nodes.call(node, name, self._told(node), *arguments)


async def clean_up(context: contexts.Context, plan: moving.Plan) -> None:
    """Find out where an instance is after an interrupted move, and have everybody agree.

    Raises Failure if it runs nowhere, or on two nodes that both keep it.
    """
    instance, source = plan.instance, plan.source
    places = await _places(context, instance)
    if source.uuid in places and len(places) > 1:
        target = _other(context, plan, places)
        await _settle(context, plan, target)
        places = await _places(context, instance)
        if len(places) > 1:
            raise errors.Failure(
                "Instance seems to be running on two nodes, or the hypervisor is confused; you will"
                " have to ensure manually that it runs only on one and restart this operation"
            )
    if not places:
        raise errors.Failure(
            "Instance does not seem to be running at all; in this case it's safer to repair by"
            " running 'gnt-instance stop' to ensure disk shutdown, and then restarting it"
        )
    if len(places) > 1:
        names = ", ".join(context.snapshot.nodes[uuid].name for uuid in places)
        raise errors.Failure(f"Instance seems to be running on {names}; end all but one first")
    [place] = places
    demoted = plan.target
    if place == source.uuid:
        context.say(f"* instance confirmed to be running on its primary node ({source.name})")
    else:
        node = context.snapshot.nodes[place]
        context.say(f"* instance running on secondary node ({node.name}), updating config")
        instance = await set_primary(context, instance.uuid, place)
        demoted = source
    if demoted is not None:
        await close_disks(context, instance, demoted, spared=demoted.uuid != source.uuid)
    if instance.disks:
        primary = context.snapshot.nodes[instance.primary_node]
        await open_disks(context, instance, primary, exclusive=True)
    context.say("* done")


async def _settle(context: contexts.Context, plan: moving.Plan, target: Node) -> None:
    """Finish a move that came to its end and was not finished; undo any other."""
    context.say("Trying to cleanup after failed migration")
    migration = Migration(context, plan, target)
    told = rpcargs.instance_for_node(context.snapshot, plan.instance, plan.source)
    try:
        information = await context.nodes.call(plan.source, "migration_info", told)
        said = await context.nodes.call(plan.source, "instance_get_migration_status", told)
    except errors.Failure as error:
        raise errors.Failure(
            f"Failed fetching source migration information from {plan.source.name}: {error}"
        ) from error
    if isinstance(said, dict) and said.get("status") == "completed":
        context.say("* the guest has left its node: finishing its migration")
        await migration.complete(information)
        return
    failures = await migration.abort(information)
    if failures:
        words = ", ".join(str(failure) for failure in failures)
        raise errors.Failure(f"Instance migration cleanup failed: {words}")


def _other(context: contexts.Context, plan: moving.Plan, places: Sequence[str]) -> Node:
    """Return the node, other than the primary, that has the instance too."""
    others = [uuid for uuid in places if uuid != plan.source.uuid]
    if plan.target is not None and plan.target.uuid in others:
        return plan.target
    return context.snapshot.nodes[others[0]]


async def _places(context: contexts.Context, instance: Instance) -> list[str]:
    """Return the nodes, by uuid, that have the instance; raises Failure if one does not say."""
    context.say(
        "* checking where the instance actually runs (if this hangs, the hypervisor might be in a"
        " bad state)"
    )
    snapshot = context.snapshot
    hypervisor = instance.hypervisor
    params = {hypervisor: filling.hypervisor_of_os(snapshot.cluster, hypervisor, "")}
    asked = _able(context.online(snapshot.nodes.values()))
    answers = await context.nodes.each(asked, "instance_list", ([hypervisor], params))
    found = []
    for node in asked:
        try:
            running = answers[node.uuid].unwrap()
        except errors.Failure as error:
            raise errors.Failure(f"Can't contact node {node.name}: {error}") from error
        if instance.name in (running or ()):
            found.append(node.uuid)
    names = ",".join(snapshot.nodes[uuid].name for uuid in found)
    context.say(f"* instance running on: {names}")
    return found


def _able(nodes: Iterable[Node]) -> list[Node]:
    return [node for node in nodes if node.vm_capable]


def _disks(
    context: contexts.Context, instance: Instance, node: Node
) -> tuple[str, list[dict[str, Any]]]:
    snapshot = context.snapshot
    return instance.name, [
        rpcargs.disk_for_node(snapshot, instance, disk, node)
        for disk in snapshot.disks_of(instance)
    ]

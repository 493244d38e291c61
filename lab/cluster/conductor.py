"""What a real master does to nodes, call by call, in its order; for where no master daemon is yet.

One method is one operation. It makes the calls that Ganeti 3.0's master makes for it, in the order
in which that was seen to make them, hooks included; what is not the nodes' business (jobs, locks,
the configuration) is not there. A call that fails ends the operation as it does there: a migration
is undone on both sides first.
"""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from lab.cluster import calls, founding, instances, machines
from pyganeti.base import errors

MIGRATION_PATIENCE: Final = 60.0
"""Seconds that a migration may take: a master waits for ever, which no test does."""

_UNDO_PATIENCE: Final = 1.0
_LOOK: Final = 0.02
_ACTIVE: Final = frozenset(("active",))


class Cluster(Protocol):
    """Whose nodes they are."""

    @property
    def master(self) -> machines.Node:
        """The node that would be told to do all this."""

    def caller(self) -> calls.Caller:
        """Return what calls nodes as the master."""


class NotMigrated(Exception):
    """A migration failed, and was undone."""


class Conductor:
    """Operations on a cluster's instances; each goes to nodes by name, with one certificate."""

    def __init__(self, cluster: Cluster, *, patience: float = MIGRATION_PATIENCE) -> None:
        self._cluster = cluster
        self._caller = cluster.caller()
        self._patience = patience

    def call(
        self,
        node: machines.Node,
        name: str,
        *arguments: object,
        timeout: float = calls.PATIENCE,
    ) -> Any:  # noqa: ANN401 - JSON
        """Have a node carry out a call, as the master that it follows if it follows one."""
        try:
            return self._caller.call(node.address, name, *arguments, timeout=timeout)
        except calls.Outdated as later:
            return self._caller.call(
                node.address, name, *arguments, timeout=timeout, epoch=later.epoch
            )

    def add(self, instance: instances.Instance, primary: machines.Node) -> None:
        """Make an instance: its directory, its disks, and what is on them."""
        described = instance.wire(primary, admin_state="down")
        self.call(primary, "hypervisor_validate_params", "kvm", instance.all_hvparams())
        parameters = described["osparams"]
        self.call(primary, "os_validate", True, described["os"], ["parameters"], parameters, False)
        self._hooks("instance-add", "pre", instance, primary)
        self.call(primary, "file_storage_dir_create", str(instance.directory))
        for disk in described["disks_info"]:
            created = [disk, disk["size"], instance.name, True, "", False]
            self.call(primary, "blockdev_create", *created)
        self.call(primary, "blockdev_getmirrorstatus", described["disks_info"])
        self.call(primary, "os_diagnose")
        self.call(primary, "instance_os_add", described, False, 0)
        self.call(primary, "instance_metadata_modify", described)
        self._hooks("instance-add", "post", instance, primary)

    def start(
        self, instance: instances.Instance, node: machines.Node, *, paused: bool = False
    ) -> None:
        """Start an instance that is down."""
        described = instance.wire(node)
        self.call(node, "instance_info", instance.name, "kvm", instance.all_hvparams())
        self._look_at(instance, node)
        self._hooks("instance-start", "pre", instance, node)
        self.activate_disks(instance, node)
        try:
            self.call(node, "instance_start", described, paused, trail("startup"))
        except errors.Failure:
            self.deactivate_disks(instance, node)
            raise
        self._hooks("instance-start", "post", instance, node)

    def stop(
        self, instance: instances.Instance, node: machines.Node, *, timeout: float = 10
    ) -> None:
        """Stop an instance: ask it, and kill it if it has not ended after so many seconds."""
        described = instance.wire(node, admin_state="down")
        self._hooks("instance-stop", "pre", instance, node)
        self.call(node, "instance_shutdown", described, timeout, trail("shutdown"))
        self.deactivate_disks(instance, node)
        self._hooks("instance-stop", "post", instance, node)

    def reboot(
        self,
        instance: instances.Instance,
        node: machines.Node,
        kind: str = "hard",
        *,
        timeout: float = 10,
    ) -> None:
        """Reboot an instance: soft, hard or full."""
        described = instance.wire(node)
        self._hooks("instance-reboot", "pre", instance, node)
        if kind == "full":
            self.call(node, "instance_shutdown", described, timeout, trail("reboot"))
            self.deactivate_disks(instance, node)
            self.activate_disks(instance, node)
            self.call(node, "instance_start", described, False, trail("reboot"))
        else:
            self.call(node, "instance_info", instance.name, "kvm", instance.all_hvparams())
            self.call(node, "instance_reboot", described, kind, timeout, trail("reboot"))
        self._hooks("instance-reboot", "post", instance, node)

    def remove(self, instance: instances.Instance, node: machines.Node) -> None:
        """Remove an instance, whether it runs or not, with its disks."""
        described = instance.wire(node, admin_state="down")
        self._hooks("instance-remove", "pre", instance, node)
        self.call(node, "instance_shutdown", described, 0, trail("remove"))
        for disk in described["disks_info"]:
            self.call(node, "blockdev_remove", disk)
        self.call(node, "file_storage_dir_remove", str(instance.directory))
        self._hooks("instance-remove", "post", instance, node)

    def activate_disks(self, instance: instances.Instance, node: machines.Node) -> None:
        """Have a node ready to use an instance's disks."""
        described = instance.wire(node)
        for on_primary in (False, True):
            for index, disk in enumerate(described["disks_info"]):
                self.call(node, "blockdev_assemble", disk, described, on_primary, index)

    def deactivate_disks(self, instance: instances.Instance, node: machines.Node) -> None:
        """Have it give them up."""
        for disk in instance.disks_info():
            self.call(node, "blockdev_shutdown", disk)

    def migrate(
        self,
        instance: instances.Instance,
        source: machines.Node,
        target: machines.Node,
        *,
        live: bool = True,
        on_the_way: Callable[[], None] = lambda: None,
    ) -> None:
        """Move a running instance; ``on_the_way`` is called once while it is under way.

        Raises `NotMigrated` if it could not be; it has been undone then, as far as can be.
        """
        described, disks = instance.wire(source), instance.disks_info()
        self.call(source, "instance_migratable", described)
        self.call(source, "instance_info", instance.name, "kvm", instance.all_hvparams())
        self._hooks("instance-migrate", "pre", instance, source, target)
        self._look_at(instance, source, target)
        information = self.call(source, "migration_info", described)
        self.call(target, "blockdev_close", instance.name, disks)
        self.call(source, "blockdev_open", instance.name, disks, False)
        self.call(target, "blockdev_open", instance.name, disks, False)
        try:
            self.call(target, "accept_instance", described, information, target.address)
            self.call(source, "instance_migrate", founding.NAME, described, target.address, live)
            on_the_way()
            self._wait(described, source)
        except (errors.Failure, NotMigrated) as error:
            self._undo(instance, described, source, target, information, live=live)
            raise NotMigrated(f"{instance.name}: {error}") from error
        self.call(source, "instance_finalize_migration_src", described, True, live)
        self.call(target, "instance_finalize_migration_dst", described, information, True)
        self.call(source, "blockdev_close", instance.name, disks)
        self.call(target, "blockdev_open", instance.name, disks, True)
        self._hooks("instance-migrate", "post", instance, target, source)

    def _look_at(self, instance: instances.Instance, *nodes: machines.Node) -> None:
        """Ask nodes what they have, as a master does before it puts something on one."""
        for node in nodes:
            self.call(node, "node_info", [], [["kvm", instance.all_hvparams()]])

    def _wait(self, described: dict[str, Any], source: machines.Node) -> None:
        deadline = time.monotonic() + self._patience
        while (told := self.call(source, "instance_get_migration_status", described))[
            "status"
        ] in _ACTIVE:
            if time.monotonic() > deadline:
                raise NotMigrated(f"still under way after {self._patience:g} s")
            time.sleep(_LOOK)
        if told["status"] != "completed":
            raise NotMigrated(f"the migration {told['status']}")

    def _undo(
        self,
        instance: instances.Instance,
        described: dict[str, Any],
        source: machines.Node,
        target: machines.Node,
        information: str,
        *,
        live: bool,
    ) -> None:
        """Undo a migration; the target may be gone, for which the source must not suffer."""
        disks = instance.disks_info()
        for node, name, arguments in (
            (target, "instance_finalize_migration_dst", (described, information, False)),
            (source, "instance_finalize_migration_src", (described, False, live)),
            (target, "blockdev_close", (instance.name, disks)),
            (source, "blockdev_open", (instance.name, disks, True)),
        ):
            patience = calls.PATIENCE if node is source else _UNDO_PATIENCE
            try:
                self.call(node, name, *arguments, timeout=patience)
            except errors.Unavailable:
                if node is source:
                    raise

    def _hooks(
        self,
        name: str,
        phase: str,
        instance: instances.Instance,
        *nodes: machines.Node,
    ) -> None:
        environment = {
            "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
            "GANETI_HOOKS_VERSION": "2",
            "GANETI_HOOKS_PATH": name,
            "GANETI_HOOKS_PHASE": phase,
            "GANETI_CLUSTER": founding.NAME,
            "GANETI_MASTER": self._cluster.master.name,
            "GANETI_OBJECT_TYPE": "INSTANCE",
            "GANETI_OP_TARGET": instance.name,
            "GANETI_INSTANCE_NAME": instance.name,
            "GANETI_INSTANCE_PRIMARY": nodes[0].name,
        }
        for node in nodes:
            for hook, outcome, said in self.call(node, "hooks_runner", name, phase, environment):
                if outcome == 1 and phase == "pre":
                    raise errors.Failure(f"{hook} on {node.name}: {said}")


def trail(what: str) -> list[list[Any]]:
    """Return a reason trail: who, in which words, when."""
    now = time.time_ns()
    return [
        ["gnt:client:gnt-instance", what, now],
        [f"gnt:opcode:instance_{what}", "job=17;index=0", now],
    ]

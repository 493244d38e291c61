"""What the node RPC can be asked for: a call, the table of all, and the checks before a handler.

A handler is ``async def handler(node, *arguments)``; it returns what goes out as JSON. Its
signature is the check: the number of arguments, and each one's type by its annotation (anything
that msgspec can convert to: ``str``, ``list[str]``, a Struct; ``Any`` takes everything). So a
handler never sees an argument of the wrong shape, and nothing is changed before all are right.

A failure that was foreseen is an `errors.Failure`; its text goes out as it is. A parameter called
``trail`` is the reason trail, and is logged.
"""

import inspect
import typing
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from pyganeti.base import errors

Handler: TypeAlias = Callable[..., Awaitable[Any]]
Serial: TypeAlias = Callable[[Sequence[Any]], str | None]
Trail: TypeAlias = list[tuple[str, str, int]]
"""Why: who, in which words, when (nanoseconds of the epoch), from the first cause to the last."""

KNOWN: Final = frozenset(
    """
    accept_instance all_instances_info bdev_sizes blockdev_addchildren blockdev_assemble
    blockdev_close blockdev_convert blockdev_create blockdev_find blockdev_getdimensions
    blockdev_getmirrorstatus blockdev_getmirrorstatus_multi blockdev_grow blockdev_image
    blockdev_open blockdev_pause_resume_sync blockdev_remove blockdev_removechildren
    blockdev_rename blockdev_setinfo blockdev_shutdown blockdev_snapshot blockdev_wipe
    bridges_exist drbd_attach_net drbd_disconnect_net drbd_helper drbd_needs_activation
    drbd_wait_sync etc_hosts_modify export_info export_list export_remove export_start
    extstorage_diagnose file_storage_dir_create file_storage_dir_remove file_storage_dir_rename
    finalize_export get_file_info get_watcher_pause hooks_runner hotplug_device hotplug_supported
    hypervisor_validate_params iallocator_runner impexp_abort impexp_cleanup impexp_status
    import_start instance_balloon_memory instance_console_info instance_finalize_migration_dst
    instance_finalize_migration_src instance_get_migration_status instance_info instance_list
    instance_metadata_modify instance_migratable instance_migrate instance_os_add
    instance_reboot instance_run_rename instance_shutdown instance_start jobqueue_purge
    jobqueue_rename jobqueue_set_drain_flag jobqueue_update lv_list master_node_name
    migration_info node_activate_master_ip node_change_master_netmask node_configure_ovs
    node_crypto_tokens node_deactivate_master_ip node_demote_from_mc node_ensure_daemon
    node_has_ip_address node_info node_leave_cluster node_powercycle node_ssh_key_add
    node_ssh_key_remove node_ssh_keys_renew node_start_master_daemons node_stop_master
    node_verify node_verify_light node_volumes os_diagnose os_export os_validate resize_disk
    restricted_command run_oob set_watcher_pause storage_execute storage_list storage_modify
    test_delay upload_file upload_file_single version vg_list write_ssconf_files
    x509_cert_create x509_cert_remove
    """.split()  # noqa: SIM905 - names to read, not quotation marks
)
"""Every call that masters of Ganeti 3.0 know."""


def freely(_arguments: Sequence[Any]) -> None:
    """Let a call overlap with every other."""


def by(index: int) -> Serial:
    """Return what keeps two calls on the same thing apart, by the argument that names it.

    The argument is the name itself, or a mapping or object that has a ``name``.
    """

    def key(arguments: Sequence[Any]) -> str | None:
        named = arguments[index]
        if isinstance(named, dict):
            named = named.get("name")
        elif not isinstance(named, str):
            named = getattr(named, "name", None)
        return named if isinstance(named, str) else None

    return key


@dataclass(frozen=True, slots=True)
class Call:
    """One thing that can be asked for."""

    name: str
    handler: Handler
    serial: Serial = freely
    """From the checked arguments, what two calls may not be at once on: an instance's name, say."""

    ends_with_client: bool = False
    """Whether it is given up when its client leaves: only for calls that change nothing."""

    is_quiet: bool = False
    """Whether it is worth no line in the log when all goes well: masters ask it all the time."""


class Bound:
    """A call with what its handler's signature says about arguments."""

    __slots__ = ("_parameters", "_trail", "call", "least")

    def __init__(self, call: Call) -> None:
        self.call = call
        hints = typing.get_type_hints(call.handler)
        taken = list(inspect.signature(call.handler).parameters.values())[1:]
        if any(p.kind is not p.POSITIONAL_OR_KEYWORD for p in taken):
            raise TypeError(f"the handler of {call.name} has other than positional parameters")
        self._parameters = [(p.name, hints.get(p.name, Any)) for p in taken]
        self.least = sum(p.default is p.empty for p in taken)
        """How many arguments there have to be."""
        names = [p.name for p in taken]
        self._trail = names.index("trail") if "trail" in names else None

    @property
    def kinds(self) -> list[Any]:
        """The type of each argument, in their order."""
        return [kind for _, kind in self._parameters]

    def check(self, arguments: Sequence[Any]) -> list[Any]:
        """Return the arguments as the handler wants them; raises BadInput if they are not right."""
        most = len(self._parameters)
        if not self.least <= len(arguments) <= most:
            wanted = str(most) if self.least == most else f"{self.least} to {most}"
            plural = "" if wanted == "1" else "s"
            raise errors.BadInput(
                f"{self.call.name} takes {wanted} argument{plural}, not {len(arguments)}"
            )
        checked = []
        for value, (name, kind) in zip(arguments, self._parameters, strict=False):
            try:
                checked.append(value if kind is Any else msgspec.convert(value, kind))
            except msgspec.ValidationError as error:
                raise errors.BadInput(
                    f"{self.call.name}: the argument {name} is wrong: {error}"
                ) from error
        return checked

    def trail(self, checked: Sequence[Any]) -> Trail:
        """Return the reason trail that came with the call, empty if none did."""
        if self._trail is None or self._trail >= len(checked):
            return []
        return list(checked[self._trail])


class Table:
    """The calls that this daemon has."""

    def __init__(self, families: Iterable[Iterable[Call]]) -> None:
        self._calls: dict[str, Bound] = {}
        for family in families:
            for call in family:
                if call.name in self._calls:
                    raise ValueError(f"there are two calls named {call.name}")
                self._calls[call.name] = Bound(call)

    @property
    def names(self) -> frozenset[str]:
        """The names of the calls that are there."""
        return frozenset(self._calls)

    @property
    def missing(self) -> frozenset[str]:
        """The names of Ganeti's calls that are not there yet."""
        return KNOWN - self.names

    def find(self, name: str) -> Bound | None:
        """Return a call, None if there is nothing of that name in the protocol.

        Raises Unavailable if it is one of Ganeti's that this daemon does not have yet.
        """
        found = self._calls.get(name)
        if found is None and name in KNOWN:
            raise errors.Unavailable(f"{name} is not implemented by this node daemon yet")
        return found

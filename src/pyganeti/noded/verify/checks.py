"""Carries out a verification: which checks there are, with what each wants to be told.

A master sends a mapping from checks to what they are about, and hears a mapping from checks to
what they found. All that is sent is held against its type first, so that nothing is asked of
anybody if something makes no sense; then all checks are made at once. A check that this table does
not have is one of a later Ganeti's: it is left out of the answer, as theirs would.

A node that is told to be without instances (``nonvmnodes``) makes none of the checks that are
about them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from pyganeti.base import apart, errors, log
from pyganeti.noded import certificatework
from pyganeti.noded import node as nodes
from pyganeti.noded.verify import (
    disks,
    filesystem,
    hypervisors,
    itself,
    reaching,
    sshkeys,
)

_LOG = log.get(__name__)
_PATIENCE: Final = 60.0
_WITHOUT_INSTANCES: Final = "nonvmnodes"
_SSH_CLUTTER: Final = "ssh-clutter"
_SSH_SETUP: Final = "ssh-setup"
_EXCLUSIVE: Final = "exclusive-pvs"
_PHYSICAL: Final = "pvlist"

Check: TypeAlias = Callable[["Asked", Any], Awaitable[Any]]
HvParams: TypeAlias = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What every check may look at: the node, and what came with the call."""

    node: nodes.Node
    cluster: str
    hvparams: HvParams
    what: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: Any
    """The type of what the check is told."""

    check: Check
    for_instances: bool = False
    """Whether only nodes that have instances make it."""

    quiet: bool = False
    """Whether an answer of None is left out."""


async def verify(asked: Asked) -> dict[str, Any]:
    """Return what the checks found, by their names; raises BadInput if one is asked wrongly."""
    away = _converted(_WITHOUT_INSTANCES, asked.what.get(_WITHOUT_INSTANCES, []), list[str])
    wanted: dict[str, tuple[_Entry, Any]] = {}
    for name, about in asked.what.items():
        entry = _CHECKS.get(name)
        if entry is None:
            if name != _WITHOUT_INSTANCES:
                _LOG.debug("a check is not known here", check=name)
            continue
        told = _converted(name, about, entry.kind)
        if not (entry.for_instances and asked.node.name in away):
            wanted[name] = (entry, told)
    async with asyncio.TaskGroup() as group:
        tasks = {
            name: group.create_task(_checked(name, entry.check, asked, told))
            for name, (entry, told) in wanted.items()
        }
    found = {name: task.result() for name, task in tasks.items()}
    return {
        name: answer
        for name, answer in found.items()
        if answer is not None or not wanted[name][0].quiet
    }


async def _checked(name: str, check: Check, asked: Asked, told: object) -> Any:  # noqa: ANN401 - JSON
    """Make one check; what keeps it from an answer is its answer."""
    try:
        return await check(asked, told)
    except (errors.Failure, OSError) as error:
        _LOG.warning("a check came to nothing", check=name, why=str(error))
        return str(error)


def _converted(name: str, about: object, kind: Any) -> Any:  # noqa: ANN401 - a type
    try:
        return about if kind is Any else msgspec.convert(about, kind)
    except msgspec.ValidationError as error:
        raise errors.BadInput(f"node_verify: {name} is asked wrongly: {error}") from error


# The checks, in the order of Ganeti's table: each unpacks what its module needs.


async def _hypervisors(asked: Asked, kinds: list[str]) -> dict[str, str | None]:
    return {
        kind: await hypervisors.problem(asked.node.hypervisor, kind, asked.hvparams.get(kind))
        for kind in kinds
    }


async def _parameters(
    asked: Asked, sources: list[tuple[str, str, dict[str, Any]]]
) -> list[tuple[str, str, str]]:
    return await hypervisors.wrong_parameters(asked.node.hypervisor, sources)


async def _instances(asked: Asked, kinds: list[str]) -> list[str]:
    return await hypervisors.instances(asked.node.hypervisor, kinds)


async def _facts(asked: Asked, kind: str) -> dict[str, Any]:
    return await hypervisors.facts(asked.node.hypervisor, kind, asked.hvparams.get(kind))


async def _file_list(asked: Asked, names: list[str]) -> dict[str, str]:
    return await asyncio.to_thread(filesystem.digests, asked.node.paths, names)


async def _user_scripts(asked: Asked, names: list[str]) -> list[str]:
    return await asyncio.to_thread(filesystem.not_runnable, asked.node.paths, names)


async def _out_of_band(_asked: Asked, names: list[str]) -> list[str | None]:
    return await asyncio.to_thread(filesystem.helpers, names)


async def _client_certificate(asked: Asked, _told: object) -> tuple[str | None, str]:
    layout = asked.node.paths
    return await apart.call(
        certificatework.state,
        str(layout.client_certificate),
        str(layout.server_certificate),
        timeout=_PATIENCE,
    )


async def _ssh_setup(asked: Asked, told: tuple[list[sshkeys.NodeStatus] | None, str]) -> list[str]:
    status, kind = told
    return await asyncio.to_thread(
        sshkeys.setup, sshkeys.Places.of(asked.node.paths), asked.node.name, status, kind
    )


async def _ssh_clutter(asked: Asked, _told: object) -> list[str] | None:
    about = asked.what.get(_SSH_SETUP)
    if about is None:
        return None
    status, _ = _converted(_SSH_SETUP, about, _CHECKS[_SSH_SETUP].kind)
    return await asyncio.to_thread(
        sshkeys.clutter, sshkeys.Places.of(asked.node.paths), asked.node.name, status
    )


async def _node_list(
    asked: Asked, told: tuple[list[str], dict[str, list[str]], list[str]]
) -> dict[str, str]:
    everywhere, by_node, candidates = told
    if asked.node.name not in candidates:
        return {}
    wanted = [*everywhere, *by_node.get(asked.node.name, [])]
    return await reaching.by_ssh(asked.node.paths, asked.cluster, wanted)


async def _net_test(
    asked: Asked, told: tuple[list[reaching.Addresses], list[str]]
) -> dict[str, str]:
    addresses, candidates = told
    if asked.node.name not in candidates:
        return {}
    return await reaching.by_tcp(asked.node.name, addresses, asked.node.port)


async def _master_ip(asked: Asked, told: tuple[str, str, list[str]]) -> bool | None:
    master, address, candidates = told
    if asked.node.name not in candidates:
        return None
    return await reaching.master(address, asked.node.port, own=master == asked.node.name)


async def _store(asked: Asked, told: tuple[list[str], list[str]]) -> dict[str, object] | None:
    endpoints, candidates = told
    if asked.node.name not in candidates:
        return None
    return await reaching.store(asked.node.paths, endpoints)


async def _volumes(asked: Asked, _told: object) -> dict[str, tuple[str, bool, bool]]:
    return await asked.node.storage.units.volumes(list(await asked.node.storage.units.groups()))


async def _groups(asked: Asked, _told: object) -> dict[str, int]:
    return await asked.node.storage.units.groups()


async def _physical(asked: Asked, groups: list[str]) -> list[dict[str, Any]] | None:
    return await disks.physical(asked.node.storage.units, groups)


async def _shared_physical(asked: Asked, _told: object) -> list[tuple[str, list[str]]] | None:
    groups = _converted(_PHYSICAL, asked.what.get(_PHYSICAL, []), list[str])
    return await disks.shared_physical(asked.node.storage.units, groups)


async def _wrong_paths(asked: Asked, of: str) -> list[str] | None:
    if of != asked.node.name:
        return None
    return await asyncio.to_thread(asked.node.storage.allowed.wrong)


async def _storage_path(asked: Asked, path: str | None) -> str | None:
    if not path:
        return None
    return await asyncio.to_thread(asked.node.storage.allowed.problem, path)


async def _bridges(asked: Asked, names: list[str]) -> list[str]:
    return await asked.node.network.missing_bridges(names)


async def _systems(asked: Asked, _told: object) -> list[Any]:
    return await asyncio.to_thread(itself.operating_systems, asked.node.paths)


async def _version(_asked: Asked, _told: object) -> tuple[int, str]:
    return itself.version()


async def _node_setup(_asked: Asked, _told: object) -> list[str]:
    return await asyncio.to_thread(itself.kernel_files)


async def _time(_asked: Asked, _told: object) -> tuple[int, int]:
    return itself.now()


async def _drbd_helper(_asked: Asked, _told: object) -> tuple[bool, str]:
    return False, disks.NO_DRBD


async def _drbd(_asked: Asked, _told: object) -> str:
    return disks.NO_DRBD


_CHECKS: Final[dict[str, _Entry]] = {
    "hypervisor": _Entry(list[str], _hypervisors, for_instances=True),
    "hvparms": _Entry(list[tuple[str, str, dict[str, Any]]], _parameters, for_instances=True),
    "filelist": _Entry(list[str], _file_list),
    "client-cert": _Entry(Any, _client_certificate),
    _SSH_SETUP: _Entry(tuple[list[sshkeys.NodeStatus] | None, str], _ssh_setup),
    _SSH_CLUTTER: _Entry(Any, _ssh_clutter, quiet=True),
    "nodelist": _Entry(tuple[list[str], dict[str, list[str]], list[str]], _node_list),
    "node-net-test": _Entry(tuple[list[reaching.Addresses], list[str]], _net_test),
    "master-ip": _Entry(tuple[str, str, list[str]], _master_ip),
    "store": _Entry(tuple[list[str], list[str]], _store),
    "user-scripts": _Entry(list[str], _user_scripts),
    "oob-paths": _Entry(list[str], _out_of_band),
    "lvlist": _Entry(Any, _volumes, for_instances=True),
    "instancelist": _Entry(list[str], _instances, for_instances=True),
    "vglist": _Entry(Any, _groups, for_instances=True),
    _PHYSICAL: _Entry(list[str], _physical, for_instances=True),
    _EXCLUSIVE: _Entry(Any, _shared_physical, for_instances=True),
    "version": _Entry(Any, _version),
    "hvinfo": _Entry(str, _facts, for_instances=True),
    "drbd-version": _Entry(Any, _drbd, for_instances=True),
    "drbd-list": _Entry(Any, _drbd, for_instances=True),
    "drbd-helper": _Entry(Any, _drbd_helper, for_instances=True),
    "nodesetup": _Entry(Any, _node_setup),
    "time": _Entry(Any, _time),
    "oslist": _Entry(Any, _systems, for_instances=True),
    "bridges": _Entry(list[str], _bridges, for_instances=True),
    "allowed-file-storage-paths": _Entry(str | None, _wrong_paths, quiet=True),
    "file-storage-path": _Entry(str | None, _storage_path, quiet=True),
    "shared-file-storage-path": _Entry(str | None, _storage_path, quiet=True),
    "gluster-storage-path": _Entry(str | None, _storage_path, quiet=True),
}

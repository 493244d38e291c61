"""Calls on the node itself that need none of its instances, disks or networks."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pyganeti.base import daemons, errors, ssconf, tls, watcherpause
from pyganeti.noded import calls, demotion, hostsfile, leaving, powercycle, tokens
from pyganeti.noded import node as nodes
from pyganeti.wire import noderpc

_STARTABLE: Final = "ganeti-kvmd"
_STOPPED_ON_LEAVING: Final = ("ganeti-confd", "ganeti-mond", "ganeti-kvmd")
_HOSTS: Final = "/etc/hosts"
_CONFIG: Final = "/var/lib/ganeti/config.data"
_MIGHT_NEVER_END: Final = 24 * 3600.0


async def version(_node: nodes.Node) -> int:
    """Return the protocol's version."""
    return noderpc.PROTOCOL


async def master_node_name(node: nodes.Node) -> str:
    """Return who this node believes to be the master; what masters are voted by."""
    name = (await asyncio.to_thread(ssconf.read, node.paths, "master_node") or "").strip()
    if not name:
        raise errors.Unavailable("Cluster configuration incomplete: no master node is known here")
    return name


async def delay(_node: nodes.Node, duration: float) -> None:
    """Answer after so many seconds."""
    if not 0 <= duration <= _MIGHT_NEVER_END:
        raise errors.BadInput("Invalid sleep duration")
    await asyncio.sleep(duration)


async def get_file_info(node: nodes.Node, path: str) -> tuple[bool, dict[str, int]]:
    """Return whether a file is there, and its size."""
    return await asyncio.to_thread(_file_info, node.paths.localize(path))


async def get_watcher_pause(node: nodes.Node) -> int | None:
    """Return until when the watcher pauses, None if it does not."""
    place = watcherpause.place_of(node.paths)
    return await asyncio.to_thread(watcherpause.read, place, time.time())


async def set_watcher_pause(node: nodes.Node, until: float | None) -> None:
    """Have the watcher pause until a time, or go on."""
    await asyncio.to_thread(watcherpause.write, watcherpause.place_of(node.paths), until)


async def node_ensure_daemon(node: nodes.Node, daemon: str, run: bool) -> bool:  # noqa: FBT001 - the wire's order
    """Have a daemon run or not; return whether that is so now."""
    if daemon != _STARTABLE:
        return False
    if run:
        return await daemons.start(node.paths, daemon)
    return await daemons.stop(node.paths, daemon)


async def node_crypto_tokens(
    node: nodes.Node, requests: list[tokens.Request]
) -> list[tuple[str, str]]:
    """Return, for each request, its kind and the digest of a certificate, made anew if asked."""
    places = [tokens.place_of(node.paths, action, options) for _, action, options in requests]
    told: list[tuple[str, str]] = []
    for (kind, action, _), path in zip(requests, places, strict=True):
        if action == "create":
            digest = await tokens.create(node.paths, path, node.name)
        else:
            digest = await asyncio.to_thread(tls.file_digest, path)
        told.append((kind, digest))
    return told


async def node_server_certificate(node: nodes.Node, content: str) -> None:
    """Put another key and certificate of the cluster's in place: a call of ours, not Ganeti's."""
    await tokens.replace_server(node.paths, content)


async def node_demote_from_mc(node: nodes.Node) -> None:
    """Set the copy of the cluster's configuration aside: this node is no candidate any more.

    A master daemon that stands by here ends; one that leads does not.
    """
    await demotion.end_standby(node.paths)
    await asyncio.to_thread(demotion.demote, node.paths, node.name, time.time())


async def etc_hosts_modify(
    node: nodes.Node, mode: Literal["add", "remove"], host: str, address: str | None
) -> bool:
    """Have a host's name mean an address on this node, or nothing."""
    path = node.paths.localize(_HOSTS)
    if mode == "add":
        if not address:
            raise errors.BadInput("Mode 'add' needs 'ip' parameter, but parameter not present")
        await asyncio.to_thread(hostsfile.add, path, host, address)
    else:
        if address:
            raise errors.BadInput("Mode 'remove' does not allow 'ip' parameter")
        await asyncio.to_thread(hostsfile.remove, path, host)
    return True


async def node_powercycle(node: nodes.Node, hypervisor: str, hvparams: Any = None) -> str:  # noqa: ANN401 - nothing is read from it
    """Reboot the node's machine at once, its instances with it."""
    del hvparams
    if hypervisor != "kvm":
        raise errors.BadInput(f"there is no hypervisor {hypervisor} here")
    node.power.schedule()
    return f"Reboot scheduled in {powercycle.DELAY:.0f} seconds"


async def node_leave_cluster(node: nodes.Node, modify_ssh_setup: bool) -> str:  # noqa: FBT001 - the wire's order
    """Remove the cluster from this node, and end; a master daemon that stands by ends first."""
    await demotion.end_standby(node.paths)
    await asyncio.to_thread(leaving.remove_secrets, node.paths)
    if modify_ssh_setup:
        await asyncio.to_thread(leaving.remove_ssh_keys, node.paths.root / "root/.ssh")
    for daemon in _STOPPED_ON_LEAVING:
        await daemons.stop(node.paths, daemon)
    node.leave()
    return "Shutdown scheduled"


def _file_info(path: Path) -> tuple[bool, dict[str, int]]:
    try:
        return True, {"size": path.stat().st_size}
    except OSError:
        return False, {}


def _by_daemon(arguments: Sequence[Any]) -> str:
    return f"the daemon {arguments[0]}"


def _certificates(_arguments: Sequence[Any]) -> str:
    return "the node's certificates"


def _config(_arguments: Sequence[Any]) -> str:
    return f"the file {_CONFIG}"  # which is uploaded


def _hosts(_arguments: Sequence[Any]) -> str:
    return f"the file {_HOSTS}"  # which may be uploaded, too


def _leaving(_arguments: Sequence[Any]) -> str:
    return "the node's cluster"


CALLS: Final = (
    calls.Call("version", version, is_quiet=True),
    calls.Call("master_node_name", master_node_name),
    calls.Call("test_delay", delay),
    calls.Call("get_file_info", get_file_info),
    calls.Call("get_watcher_pause", get_watcher_pause),
    calls.Call("set_watcher_pause", set_watcher_pause),
    calls.Call("node_crypto_tokens", node_crypto_tokens, _certificates),
    calls.Call("node_server_certificate", node_server_certificate, _certificates),
    calls.Call("node_demote_from_mc", node_demote_from_mc, _config),
    calls.Call("etc_hosts_modify", etc_hosts_modify, _hosts),
    calls.Call("node_ensure_daemon", node_ensure_daemon, _by_daemon),
    calls.Call("node_powercycle", node_powercycle),
    calls.Call("node_leave_cluster", node_leave_cluster, _leaving),
)

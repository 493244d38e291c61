"""The calls by which masters learn what a node has, and what is wrong with it."""

import asyncio
from typing import Any, Final

from pyganeti.base import errors, processes
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.verify import checks, hypervisors

_LVM: Final = ("lvm-vg", "lvm-pv")


async def node_info(
    node: nodes.Node,
    storage_units: list[tuple[str, str, list[Any]]] | None,
    hv_specs: list[tuple[str, dict[str, Any]]] | None,
) -> tuple[str, list[dict[str, Any]] | None, list[dict[str, Any]] | None]:
    """Return the boot's id, the room of storage units, and what hypervisors have.

    Of what is not asked for (null) nothing is said.
    """
    units = None
    if storage_units is not None:
        wanted = [(kind, key, _exclusive(kind, given)) for kind, key, given in storage_units]
        units = [
            await node.storage.space.of(kind, key, exclusive=exclusive)
            for kind, key, exclusive in wanted
        ]
    machines = None
    if hv_specs is not None:
        machines = [
            await hypervisors.facts(node.hypervisor, kind, hvparams) for kind, hvparams in hv_specs
        ]
    return await asyncio.to_thread(processes.boot_id), units, machines


async def node_verify(
    node: nodes.Node,
    what: dict[str, Any],
    cluster_name: str,
    all_hvparams: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Return what the asked checks found."""
    return await checks.verify(checks.Asked(node, cluster_name, all_hvparams, what))


def _exclusive(kind: str, given: list[Any]) -> bool:
    """Return whether spindles are counted: what LVM's units, and they alone, come with."""
    match given:
        case [bool(exclusive)] if kind in _LVM:
            return exclusive
        case [] if kind not in _LVM:
            return False
    raise errors.BadInput(f"node_info: the parameters of {kind} storage are wrong: {given!r:.80}")


CALLS: Final = (
    calls.Call("node_info", node_info),
    calls.Call("node_verify", node_verify),
    # Asked of a node that is about to join; the checks are the same.
    calls.Call("node_verify_light", node_verify),
)

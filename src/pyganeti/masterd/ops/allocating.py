"""Having nodes chosen: what nodes have is gathered, and an allocator decides.

Which one: the one that is named, else the cluster's default, else the built-in one. External ones
are programs on the master, by Ganeti's iallocator protocol.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.allocation import answer as answers
from pyganeti.masterd.allocation import builtin, description
from pyganeti.masterd.config import rpcargs
from pyganeti.masterd.ops import context as contexts
from pyganeti.model.disk import Template

DEFAULT: Final = "."
"""What stands for the cluster's default allocator where one can be named."""

_PATIENCE: Final = 30.0
"""Seconds that a node has to say what it has."""


def name_of(context: contexts.Context, named: str | None) -> str:
    """Return which allocator is meant."""
    if named in {None, "", DEFAULT}:
        return context.snapshot.cluster.default_iallocator or builtin.NAME
    return str(named)


async def described(
    context: contexts.Context, hypervisor: str, template: Template, *, name: str = ""
) -> dict[str, Any]:
    """Ask the nodes what they have; return the cluster as the allocator ``name`` is told of it."""
    snapshot = context.snapshot
    cluster = snapshot.cluster
    asked = [node for node in snapshot.nodes.values() if node.vm_capable and not node.offline]
    unit = description.storage_unit(snapshot, template)
    units = [unit] if unit else []
    told = [[hypervisor, dict(cluster.hvparams.get(hypervisor, {}))]]
    parameters = {name: dict(params) for name, params in cluster.hvparams.items()}
    async with asyncio.TaskGroup() as both:
        telling = both.create_task(
            context.nodes.each(
                asked,
                "node_info",
                lambda node: (rpcargs.storage_units(snapshot, node, units), told),
                timeout=_PATIENCE,
            )
        )
        listing = both.create_task(
            context.nodes.each(
                asked,
                "all_instances_info",
                (list(cluster.enabled_hypervisors), parameters),
                timeout=_PATIENCE,
            )
        )
    info, running = telling.result(), listing.result()
    said = {}
    for node in asked:
        error = info[node.uuid].error or running[node.uuid].error
        payload = running[node.uuid].payload
        said[node.uuid] = description.Said(
            info=info[node.uuid].payload,
            instances=payload if isinstance(payload, dict) else {},
            error=str(error) if error else None,
        )
    return description.of_cluster(snapshot, said, template, brief=name == builtin.NAME)


async def run(
    context: contexts.Context, name: str, state: Mapping[str, Any], request: Mapping[str, Any]
) -> str:
    """Have an external allocator run on the master; return all that it says."""
    description.complete(state)
    text = msgspec.json.encode({**state, "request": request}).decode()
    snapshot = context.snapshot
    try:
        return str(
            await context.nodes.call(
                snapshot.master,
                "iallocator_runner",
                name,
                text,
                dict(snapshot.cluster.default_iallocator_params),
            )
        )
    except errors.Failure as error:
        raise errors.Failure(f"Failure while running the iallocator script: {error}") from error


async def solve(
    context: contexts.Context, name: str, state: Mapping[str, Any], request: Mapping[str, Any]
) -> answers.Answer:
    """Have an external allocator decide; raises BadInput, with its words, if it finds nothing."""
    found = answers.read(await run(context, name, state, request))
    if not found.success:
        raise errors.BadInput(
            f"Can't compute nodes using iallocator '{name}': {found.info}",
            "insufficient_resources",
        )
    return found

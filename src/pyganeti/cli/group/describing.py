"""What people say of a node group: the options that ``add`` and ``modify`` share."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from pyganeti.cli import params, policies
from pyganeti.model.config import defaults

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option(
        "--alloc-policy",
        type=click.Choice(["preferred", "last_resort", "unallocable"]),
        help="Whether new instances are placed here, or only elsewhere if that can be.",
    ),
    click.option(
        "--node-parameters", "ndparams", type=params.SETTINGS, help="For all nodes of the group."
    ),
    click.option(
        "-D",
        "--disk-parameters",
        "diskparams",
        type=params.IDENTIFIED,
        multiple=True,
        help="For all disks of a template here, such as rbd:pool=vms.",
    ),
    click.option(
        "--hypervisor-state",
        "hv_state",
        type=params.IDENTIFIED,
        multiple=True,
        help="What machines have, unless a node differs: kvm:mem_total=….",
    ),
    policies.options,
)


def options(function: F) -> F:
    """Give a sub-command the options; `understood` makes an opcode's parameters of them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def understood(given: dict[str, Any]) -> dict[str, Any]:
    """Return what was said as opcodes have it, and nothing else; raises BadInput."""
    found: dict[str, Any] = {"ipolicy": policies.taken(given) or None}
    found["alloc_policy"] = given["alloc_policy"]
    if given["ndparams"]:
        found["ndparams"] = params.typed(given["ndparams"], defaults.NODE, "node parameters")
    if given["diskparams"]:
        found["diskparams"] = params.by_name(given["diskparams"], defaults.DISKS, "disk template")
    if given["hv_state"]:
        known = dict.fromkeys(defaults.HYPERVISORS, defaults.HYPERVISOR_STATE)
        found["hv_state"] = params.by_name(given["hv_state"], known, "hypervisor")
    return {name: value for name, value in found.items() if value is not None}

"""Parameters that an opcode brings: brought into form, and checked on the nodes they are for."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.ops import context as contexts
from pyganeti.model import hvparams
from pyganeti.model.config import defaults
from pyganeti.model.config.node import Node
from pyganeti.model.config.record import Params

_DEFAULT: Final = "default"
_DEFAULTS: Final = (_DEFAULT, "auto")
"""Values that stand for: as it is when nobody says otherwise."""


def backend(given: Params) -> dict[str, Any]:
    """Return backend parameters in their present form: ``memory`` is the least and the most.

    Raises BadInput for one that there is not, or of the wrong type.
    """
    found = {name: value for name, value in given.items() if value not in _DEFAULTS}
    if "memory" in found:
        memory = found.pop("memory")
        found.setdefault("maxmem", memory)
        found.setdefault("minmem", memory)
    return checked(found, defaults.BACKEND, "backend parameter")


def hypervisor(given: Params) -> dict[str, Any]:
    """Return hypervisor parameters of an instance's own, without those that are back to default.

    Raises BadInput for one that there is not, of the wrong type, or that is the cluster's alone.
    """
    own = {name: value for name, value in given.items() if value != _DEFAULT}
    if cluster_wide := sorted(own.keys() & defaults.HYPERVISOR_GLOBALS):
        raise errors.BadInput(
            "The following hypervisor parameters are global and cannot be customized at instance"
            f" level, please modify them at cluster level: {', '.join(cluster_wide)}"
        )
    filled = hvparams.HvParams()
    known = {name: getattr(filled, name) for name in hvparams.KNOWN}
    return checked(own, known, "hypervisor parameter")


def checked(given: Params, known: Params, what: str) -> dict[str, Any]:
    """Return parameters if all are known and of the type that their defaults have.

    Raises BadInput by name otherwise. A whole number may stand for a fraction.
    """
    for name, value in given.items():
        if name not in known:
            raise errors.BadInput(f"Unknown {what} '{name}'")
        default = known[name]
        wanted: tuple[type, ...] = (float, int) if isinstance(default, float) else (type(default),)
        is_number = isinstance(value, bool) and not isinstance(default, bool)
        if default is not None and (is_number or not isinstance(value, wanted)):
            raise errors.BadInput(
                f"{what} '{name}' has the value {value!r}, which is not of the type"
                f" {type(default).__name__}"
            )
    return dict(given)


async def check_on_nodes(
    context: contexts.Context,
    hypervisor: str,
    filled: Mapping[str, Any],
    nodes: Iterable[Node],
) -> None:
    """Have nodes check an instance's filled hypervisor parameters; raises BadInput if one objects.

    Nodes that are offline are not asked.
    """
    asked = [node for node in nodes if not node.offline and node.vm_capable]
    answers = await context.nodes.each(
        asked, "hypervisor_validate_params", (hypervisor, dict(filled))
    )
    for node in asked:
        if (error := answers[node.uuid].error) is not None:
            raise errors.BadInput(
                f"Hypervisor parameter validation failed on node {node.name}: {error}"
            ) from error


async def check_os(
    context: contexts.Context,
    os: str,
    filled: Mapping[str, Any],
    nodes: Iterable[Node],
    *,
    force_variant: bool = False,
) -> None:
    """Have nodes check an OS and its filled parameters; raises BadInput if one objects."""
    asked = [node for node in nodes if not node.offline and node.vm_capable]
    answers = await context.nodes.each(
        asked, "os_validate", (True, os, ["parameters"], dict(filled), force_variant)
    )
    for node in asked:
        if (error := answers[node.uuid].error) is not None:
            raise errors.BadInput(
                f"OS Parameters validation failed on node {node.name}: {error}"
            ) from error

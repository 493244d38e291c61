"""A node's recorded resources, as somebody sets them: of a hypervisor, and of storage."""

from collections.abc import Mapping
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.ops import parameters
from pyganeti.model.config import defaults
from pyganeti.model.opcodes import base

_STORAGE: Final = ("disk_overhead", "disk_reserved", "disk_total")
_STORAGE_KINDS: Final = ("plain",)


def hypervisors(given: base.Params, present: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is recorded of hypervisors with what is given; raises BadInput."""
    _refuse("hypervisors", given, defaults.HYPERVISORS)
    return _merged("hypervisor state", given, present, tuple(defaults.HYPERVISOR_STATE))


def storage(given: base.Params, present: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is recorded of storage, by its kind and name; raises BadInput."""
    _refuse("kinds of storage", given, _STORAGE_KINDS)
    found = dict(present)
    for kind, units in given.items():
        if not isinstance(units, Mapping):
            raise errors.BadInput(f"the disk state of {kind} is no mapping of names")
        found[kind] = _merged("disk state", units, found.get(kind, {}), _STORAGE)
    return found


def _merged(
    what: str, given: Mapping[str, Any], present: Mapping[str, Any], known: tuple[str, ...]
) -> dict[str, Any]:
    found = dict(present)
    for name, values in given.items():
        if not isinstance(values, Mapping):
            raise errors.BadInput(f"the {what} of {name} is no mapping")
        own = parameters.typed(values, dict.fromkeys(known, 0), what)
        found[name] = {**found.get(name, {}), **own}
    return found


def _refuse(what: str, given: Mapping[str, Any], known: Any) -> None:  # noqa: ANN401 - any container
    unknown = sorted(name for name in given if name not in known)
    if unknown:
        raise errors.BadInput(f"these are no {what}: {', '.join(unknown)}")

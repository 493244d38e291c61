"""All opcodes: from JSON, to JSON, and in a few words for people."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model.opcodes import (
    backup,
    base,
    cluster,
    group,
    instance,
    network,
    node,
    query,
    tags,
    testing,
)

_FAMILIES: Final = (backup, cluster, group, instance, network, node, query, tags, testing)


def _kinds() -> Iterator[type[base.Opcode]]:
    for family in _FAMILIES:
        for kind in vars(family).values():
            if isinstance(kind, type) and kind.__module__ == family.__name__:
                yield kind


BY_ID: Final[Mapping[str, type[base.Opcode]]] = {
    str(kind.__struct_config__.tag): kind for kind in _kinds()
}
"""Every opcode's class by its wire name, such as OP_INSTANCE_STARTUP."""


def parse(described: object) -> base.Opcode:
    """Return the opcode that a JSON object describes.

    Raises BadInput, saying which parameter of which opcode is wrong; an opcode without a reason
    trail is refused, as Ganeti refuses it.
    """
    if not isinstance(described, Mapping):
        raise errors.BadInput(f"an opcode is an object, not {type(described).__name__}")
    name = described.get("OP_ID")
    if not isinstance(name, str):
        raise errors.BadInput("an opcode without OP_ID")
    kind = BY_ID.get(name)
    if kind is None:
        raise errors.BadInput(f"there is no opcode {name[:100]}")
    if "reason" not in described:
        raise errors.BadInput(f"{name}: the reason trail is missing")
    try:
        return msgspec.convert(described, kind)
    except msgspec.ValidationError as error:
        raise errors.BadInput(f"{name}: {error}") from error


def to_wire(opcode: base.Opcode) -> dict[str, Any]:
    """Return the JSON object that describes an opcode, defaults included."""
    described: dict[str, Any] = msgspec.to_builtins(opcode)
    return described


def name_of(opcode: base.Opcode) -> str:
    """Return an opcode's wire name."""
    return str(opcode.__struct_config__.tag)


def summary(opcode: base.Opcode) -> str:
    """Return what people read of an opcode: ``INSTANCE_STARTUP(web1)``."""
    words = name_of(opcode).removeprefix("OP_")
    said = getattr(opcode, opcode.said, None) if opcode.said else None
    if said is None:
        return words
    if isinstance(said, list):
        said = ",".join(str(item) for item in said)
    return f"{words}({said})"

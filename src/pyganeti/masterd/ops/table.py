"""Finds the opcodes' modules: every module in the family folders here that has an ``OPERATION``."""

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, Final

from pyganeti.masterd import ops
from pyganeti.masterd.ops import operation
from pyganeti.model.opcodes import base

Operations = Mapping[type[base.Opcode], operation.Operation[Any, Any]]

_OURS: Final = f"{ops.__name__}."


@functools.cache
def operations() -> Operations:
    """Return every operation that is there, by its opcode's class."""
    found: dict[type[base.Opcode], operation.Operation[Any, Any]] = {}
    for module in pkgutil.walk_packages(ops.__path__, _OURS):
        if module.ispkg or module.name.count(".") == _OURS.count("."):
            continue
        provided = getattr(importlib.import_module(module.name), "OPERATION", None)
        if provided is None:
            continue
        if provided.opcode in found:
            raise ValueError(f"two modules carry out {provided.opcode.__name__}")
        found[provided.opcode] = provided
    return found

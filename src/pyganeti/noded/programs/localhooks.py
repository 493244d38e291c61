"""Hooks that a node runs by itself, around what it does with the master's address.

The environment is made here, as a master makes it for others; one that fails beforehand keeps the
thing from being done, as with a master's.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Final

from pyganeti.base import errors, log, paths, siteprograms, ssconf
from pyganeti.noded.programs import hooks

_VERSION: Final = "2"
_LOG: Final = log.get(__name__)


@contextlib.asynccontextmanager
async def around(
    layout: paths.Paths, name: str, opcode: str, about: Mapping[str, str]
) -> AsyncIterator[None]:
    """Run the hooks before and after what is done inside; raises Unavailable if one before fails.

    ``about`` is what they are told besides who and where they are, without the prefix.
    """
    before = {f"GANETI_{key}": value for key, value in about.items()}
    failed = hooks.failed(
        await hooks.run(layout, name, "pre", _common(layout, name, opcode, "pre") | before)
    )
    if failed:
        raise errors.Unavailable(
            "hooks forbid it: " + "; ".join(f"{hook}: {said}" for hook, _, said in failed)
        )
    yield
    after = before | {f"GANETI_POST_{key}": value for key, value in about.items()}
    for hook, _, said in hooks.failed(
        await hooks.run(layout, name, "post", _common(layout, name, opcode, "post") | after)
    ):
        _LOG.warning("a hook failed", hook=hook, output=said[:400])


def _common(layout: paths.Paths, name: str, opcode: str, phase: str) -> dict[str, str]:
    said = {
        "PATH": siteprograms.PATH,
        "GANETI_HOOKS_VERSION": _VERSION,
        "GANETI_OP_CODE": opcode,
        "GANETI_DATA_DIR": str(layout.state_dir),
        "GANETI_HOOKS_PHASE": phase,
        "GANETI_HOOKS_PATH": name,
    }
    for key, value in (("GANETI_CLUSTER", "cluster_name"), ("GANETI_MASTER", "master_node")):
        known = ssconf.read(layout, value)
        if known is not None:
            said[key] = known.strip()
    return said

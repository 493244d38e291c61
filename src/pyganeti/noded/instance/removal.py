"""What outlives an instance's runs on a node, and when it goes: UEFI variables, TPM, words.

No call says that an instance was removed. Its nodes hear of it by the hooks that a master has run
on all of them afterwards, and forget it then. After a rename all goes by the new name. Other nodes
keep what a migration left with them: an instance that fails over to one finds its old state there,
which beats none.

Announcements of acts stay after an end, for whoever judges it; those that nobody can want any more
are removed by `tidy`.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pyganeti.base import errors, log, processes
from pyganeti.model import instance as instances
from pyganeti.noded.instance import hypervisor, leftovers
from pyganeti.noded.qemu import credentials, places, process, tpm
from pyganeti.wire import intentfile

_LOG = log.get(__name__)
_REMOVED: Final = "instance-remove"
_AFTER: Final = "post"
_NAME: Final = "GANETI_INSTANCE_NAME"
_KEPT: Final = 24 * 3600.0
"""Seconds that an announcement is kept after it ceased to count: a watcher may have been away."""


def of_hooks(path: str, phase: str, environment: Mapping[str, str]) -> str:
    """Return the name of the instance that was removed before such hooks are run, or nothing."""
    if (path, phase) != (_REMOVED, _AFTER):
        return ""
    return environment.get(_NAME, "")


async def forget(host: hypervisor.Hypervisor, name: str) -> None:
    """Remove all that is left of an instance that is no more; nothing happens while it runs."""
    try:
        instances.check_name(name)
        await leftovers.clean(host, name)
        await tpm.forget(name, host.where)
        await asyncio.to_thread(_forget_words, host.where, name)
    except (errors.Failure, OSError) as error:
        _LOG.warning("a removed instance leaves something", name=name, error=str(error))
    else:
        _LOG.info("a removed instance was forgotten", name=name)


async def rename(host: hypervisor.Hypervisor, old: str, new: str) -> None:
    """Have an instance find what it had under its old name; raises Failure."""
    instances.check_name(old)
    instances.check_name(new)
    if old == new:
        return
    for name in (old, new):
        if await asyncio.to_thread(process.find, host.where, name) is not None:
            raise errors.BadInput(f"{name} runs and cannot be renamed")
    try:
        await asyncio.to_thread(tpm.rename, old, new, host.where)
        await asyncio.to_thread(_forget_words, host.where, old)
    except OSError as error:
        raise errors.Unavailable(f"what {old} has cannot be moved to {new}: {error}") from error


def tidy(where: places.Places, now: float | None = None) -> None:
    """Remove announcements that count for nothing any more, and forgotten keys. Blocks shortly."""
    clock = time.time() if now is None else now
    credentials.tidy(where, clock)
    with contextlib.suppress(OSError):
        for path in where.control.glob(f"*{places.INTENT}"):
            with contextlib.suppress(OSError):
                if _is_past(path, clock):
                    path.unlink(missing_ok=True)


def _is_past(path: Path, now: float) -> bool:
    """Tell whether an announcement is long over, and the qemu that it was for is as well."""
    try:
        announced = intentfile.decode(path.read_bytes())
    except errors.BadInput:
        return path.stat().st_mtime + _KEPT < now
    if announced.deadline + _KEPT >= now:
        return False
    name = path.name.removesuffix(places.INTENT)
    line = processes.command_line(announced.pid)
    return name.encode() not in line


def _forget_words(where: places.Places, name: str) -> None:
    for path in (where.control / (name + places.INTENT), where.reasons / name):
        path.unlink(missing_ok=True)

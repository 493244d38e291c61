"""Has disks assembled that ought to be: after a node was rebooted, and where a look finds some.

All of it by jobs, which say in their reason that it was the watcher. A job that fails is logged and
keeps nothing else from being done.
"""

import time
from collections.abc import Iterable
from typing import Final

from pyganeti.base import errors, log
from pyganeti.clients import luxi
from pyganeti.model.opcodes import base, group, instance, table
from pyganeti.watcher import grouplook
from pyganeti.wire import luxierrors, reasontrail

_LOW: Final = 10
"""The priority of looking at disks, as a job: others come first."""

_PENDING: Final = ("queued", "waiting", "running")
_LOG: Final = log.get(__name__)


def after_reboots(client: luxi.Client, of: grouplook.Group, rebooted: Iterable[str]) -> None:
    """Have disks assembled of which a part lies on nodes that were rebooted. Blocks.

    (Twice does no harm: an instance that was started since has had its disks assembled.)
    """
    for one in of.secondaries_on(rebooted):
        if one.disks_active:
            _activate(client, [one.name])


def verify(client: luxi.Client, of: grouplook.Group, *, is_strict: bool) -> None:
    """Look at a group's disks, and have those assembled that are not. Blocks.

    Unless ``is_strict`` nobody's job is waited for: the look is left out if one has a node or an
    instance of the group for itself.
    """
    if of.is_verified_elsewhere:
        return
    if not is_strict and of.busy:
        _LOG.info("disks are not looked at: jobs are at work", locks=" ".join(sorted(of.busy)))
        return
    if pending := _pending(client, of.uuid):
        _LOG.info("disks are looked at already", jobs=pending)
        return
    why = f"Verifying disks of group {of.uuid}"
    look = group.GroupVerifyDisks(group_name=of.uuid, priority=_LOW, reason=_trail(why))
    number = client.submit([table.to_wire(look)])
    [[_, to_assemble, _]] = client.wait(number)
    _archive(client, number)
    names = [name for name in to_assemble if _can_be_helped(of, name)]
    if names:
        _activate(client, names)


def _can_be_helped(of: grouplook.Group, name: str) -> bool:
    one = of.instances.get(name)
    if one is None or of.is_helpless(one):
        _LOG.info("disks are not activated: a node is away, or it is nobody's", instance=name)
        return False
    return True


def _activate(client: luxi.Client, names: list[str]) -> None:
    """Have instances' disks assembled, by one job, and wait for it."""
    _LOG.info("activating disks", instances=" ".join(names))
    opcodes = [
        instance.InstanceActivateDisks(
            instance_name=name, reason=_trail(f"Activating disks for instance {name}")
        )
        for name in names
    ]
    try:
        client.submit_and_wait([table.to_wire(opcode) for opcode in opcodes])
    except (luxierrors.QueueDrained, luxierrors.QueueFull):
        raise
    except errors.Failure as error:
        _LOG.error("disks were not activated", instances=" ".join(names), why=str(error))


def _pending(client: luxi.Client, uuid: str) -> list[int]:
    """Return the jobs that look at the group's disks now, or are going to."""
    condition = ["|", *(["=", "status", state] for state in _PENDING)]
    answer = client.query("job", ["id", "summary"], condition)
    wanted = [f"GROUP_VERIFY_DISKS({uuid})"]
    return [number for (_, number), (_, summary) in answer["data"] if summary == wanted]


def _archive(client: luxi.Client, number: int) -> None:
    try:
        client.archive(number)
    except errors.Failure as error:
        _LOG.warning("a job of ours was not archived", job=number, why=str(error))


def _trail(text: str) -> base.Trail:
    return [(reasontrail.WATCHER, text, time.time_ns())]

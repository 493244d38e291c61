"""One pass over a node group, on the master: statuses in files, disks after reboots, all disks.

It works on the group alone, under the lock of its state file, which is written only when the part
before looking at all disks was finished: a pass that is cut off leaves nodes that were rebooted to
the next one.
"""

import asyncio
import re
import time
from typing import Final

from pyganeti.base import errors, lockedfile, log, paths, ssconf
from pyganeti.clients import luxi, luxichannel
from pyganeti.watcher import disks, failing, gate, grouplook, groupstate, instancestatus, settings

_LOG: Final = log.get(__name__)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def known_groups(layout: paths.Paths) -> dict[str, str]:
    """Return the cluster's node groups as this node was told: names by uuid."""
    lines = (ssconf.read(layout, "nodegroups") or "").splitlines()
    pairs = [line.split(None, 1) for line in lines if line.strip()]
    return {pair[0]: pair[-1].strip() for pair in pairs if _UUID.fullmatch(pair[0])}


def uuid_of(layout: paths.Paths, said: str) -> str:
    """Return the uuid of a group by uuid or name; raises BadInput if there is none such."""
    known = known_groups(layout)
    if said.lower() in known:
        return said.lower()
    found = [uuid for uuid, name in known.items() if name == said]
    if len(found) != 1:
        raise errors.BadInput(f"no node group {said} is known here", "unknown_entity")
    return found[0]


async def make(chosen: settings.Settings, group: str) -> int:
    """Make a pass over a group, by uuid or name; return the exit code."""
    door = gate.Gate(chosen.layout, ignores_pause=chosen.rounds.ignores_pause)
    with door.opened() as may:
        if not may:
            return 1 if door.is_in_trouble else 0
        return await _work_on(chosen, group)


async def _work_on(chosen: settings.Settings, group: str) -> int:
    layout = chosen.layout
    try:
        uuid = uuid_of(layout, group)
        with log.bind(group=uuid):
            _LOG.debug("a pass over a node group begins")
            place = layout.state_dir / f"watcher.{uuid}.data"
            with lockedfile.LockedFile(place) as held, luxi.Client(layout) as client:
                await _make(chosen, uuid, held, client)
    except errors.AlreadyRunning as error:
        _LOG.error("another pass works on the node group", group=group, why=str(error))
        return 1
    except errors.Failure as error:
        return failing.code_of(error)
    return 0


async def _make(
    chosen: settings.Settings, uuid: str, held: lockedfile.LockedFile, client: luxi.Client
) -> None:
    layout = chosen.layout
    await asyncio.to_thread(check_master, client, layout)
    of = await asyncio.to_thread(grouplook.look, client, uuid)
    statuses = {name: one.status for name, one in of.instances.items()}
    await instancestatus.write(layout, uuid, known_groups(layout), statuses)
    state = _read(held)
    before = state.encode()
    boot_ids = {node.name: node.boot_id for node in of.nodes.values()}
    rebooted = state.rebooted(boot_ids)
    await asyncio.to_thread(disks.after_reboots, client, of, rebooted)
    for node in rebooted:
        state.remember(node, boot_ids[node] or "")
    state.forget(of.nodes, of.instances, time.time())
    after = state.encode()
    if after == before:
        held.touch()
    else:
        await asyncio.to_thread(held.replace, after)
    if chosen.rounds.verify_disks:
        await asyncio.to_thread(disks.verify, client, of, is_strict=chosen.rounds.is_strict)


def check_master(client: luxi.Client, layout: paths.Paths) -> None:
    """Raise NotMaster unless the master daemon here says that this node is the master. Blocks."""
    [master] = client.query_config_values(["master_node"])
    if master != layout.hostname:
        raise luxichannel.NotMaster(f"the master daemon here says that {master} is the master")


def _read(held: lockedfile.LockedFile) -> groupstate.GroupState:
    """Read what earlier passes left; what is not legible is said, and as good as nothing."""
    try:
        return groupstate.GroupState.decode(held.read(groupstate.LIMIT))
    except errors.Damaged as error:
        _LOG.warning("what earlier passes left is lost", file=str(held.path), why=str(error))
        return groupstate.GroupState.decode(b"")

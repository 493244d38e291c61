"""One pass, as cron or a timer has it made: daemons, hooks, and on the master everything else.

Whoever else makes a pass at the same time keeps this one away; so does a pause. Where the watcher's
daemon runs, keeping daemons and recovering instances are its business, and the pass does the rest.
Node groups each have a pass of their own, in a process of its own, so that one that waits for a
node holds up no other.
"""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Final

from pyganeti.base import daemons, errors, log, paths, pidfile, runner, watchers
from pyganeti.clients import luxi, luxichannel
from pyganeti.watcher import (
    failing,
    gate,
    grouppass,
    hooks,
    rapi,
    recovering,
    settings,
    starting,
    surveying,
    wanted,
)
from pyganeti.watcher.telling import telling

_LOG: Final = log.get(__name__)
_BETWEEN: Final = 1.0
"""Seconds between the starts of two groups' passes."""

_GROUP_PATIENCE: Final = 3600.0
_ANSWERING: Final = luxichannel.Patience(answer=60.0)


async def make(chosen: settings.Settings) -> int:
    """Make a pass; return the exit code."""
    layout = chosen.layout
    door = gate.Gate(layout, ignores_pause=chosen.rounds.ignores_pause)
    held = pidfile.PidFile(chosen.pass_file)
    with door.opened() as may:
        if not may:
            return 1 if door.is_in_trouble else 0
        try:
            held.acquire()
            name = await asyncio.to_thread(lambda: layout.hostname)
            return await _make(chosen, name, door)
        except errors.AlreadyRunning as error:
            _LOG.info("another pass is being made", why=str(error))
            return 0
        except errors.Failure as error:
            return failing.code_of(error)
        finally:
            held.release()


async def _make(chosen: settings.Settings, name: str, door: gate.Gate) -> int:
    layout = chosen.layout
    standing = await asyncio.to_thread(surveying.standing, layout, name)
    if not standing.is_member:
        _LOG.debug("this machine is in no cluster")
        return 0
    installed = await asyncio.to_thread(surveying.installed, layout)
    is_kept = daemons.running(layout, watchers.PROGRAM) is not None
    if not is_kept:
        await start_all(layout, wanted.daemons(standing, installed))
    await hooks.run(layout)
    if not standing.is_master:
        return 0
    with luxi.Client(layout, _ANSWERING) as client:
        await see_answering(client, layout, installed)
        if wanted.RAPI in installed:
            await _check_rapi(chosen)
        archived, left = await asyncio.to_thread(client.auto_archive, chosen.rounds.job_age)
        _LOG.debug("old jobs were archived", archived=archived, left=left)
        code = 0 if is_kept else await _recover(layout, door)
        groups = await asyncio.to_thread(client.query_groups, [], ["uuid"])
    await _over_groups(chosen, [str(uuid) for [uuid] in groups])
    return code


async def _recover(layout: paths.Paths, door: gate.Gate) -> int:
    """Put right what fell; a failure keeps nothing else from being done, but is the exit code."""
    try:
        async with telling.Telling(layout, is_pass=True) as told:
            await recovering.once(layout, door, told)
    except errors.Failure as error:
        return failing.code_of(error)
    return 0


async def start_all(layout: paths.Paths, wanted_here: tuple[str, ...]) -> None:
    """Start all daemons that should run and do not; what goes wrong is logged."""
    async with asyncio.TaskGroup() as group:
        for daemon in wanted_here:
            group.create_task(starting.start(layout, daemon))


async def see_answering(
    client: luxi.Client, layout: paths.Paths, installed: frozenset[str]
) -> None:
    """See that the master daemon answers; one that does not is started anew, once."""
    try:
        await asyncio.to_thread(grouppass.check_master, client, layout)
    except luxichannel.Silent as error:
        leader = wanted.MASTERD if wanted.MASTERD in installed else wanted.LUXID
        _LOG.error("the master daemon does not answer; starting it anew", why=str(error))
        await starting.restart(layout, leader)
        await asyncio.to_thread(grouppass.check_master, client, layout)


async def _check_rapi(chosen: settings.Settings) -> None:
    """See that the REST interface answers; if it does not, start its daemon anew, once."""
    layout, address = chosen.layout, chosen.rounds.rapi_address
    if await asyncio.to_thread(rapi.answers, address, rapi.port()):
        return
    _LOG.warning("the REST interface's daemon is started anew")
    await starting.restart(layout, wanted.RAPI)
    if not await asyncio.to_thread(rapi.answers, address, rapi.port()):
        _LOG.error("the REST interface does not answer")


async def _over_groups(chosen: settings.Settings, uuids: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        for number, uuid in enumerate(uuids):
            if number:
                await asyncio.sleep(_BETWEEN)
            group.create_task(_over_group(chosen, uuid))


async def _over_group(chosen: settings.Settings, uuid: str) -> None:
    line = [*command(), *flags(chosen), "--nodegroup", uuid]
    if not chosen.rounds.waits:
        line.append("--detach")
    try:
        ended = await runner.run(line, environment=os.environ, timeout=_GROUP_PATIENCE)
    except (OSError, errors.Exhausted) as error:
        _LOG.error("a node group's pass cannot be started", group=uuid, why=str(error))
        return
    if chosen.debug:
        with contextlib.suppress(OSError):
            sys.stderr.buffer.write(ended.output)
            sys.stderr.flush()
    if ended.status != 0:
        _LOG.error("a node group's pass failed", group=uuid, said=daemons.words(ended))


def command() -> list[str]:
    """Return the words that run this very command again, whatever else of its name is installed."""
    ours = Path(sys.argv[0])
    if ours.name == watchers.PROGRAM and os.access(ours, os.X_OK):
        return [str(ours)]
    return [sys.executable, "-m", "pyganeti.watcher.command"]


def flags(chosen: settings.Settings) -> list[str]:
    """Return the flags by which a further process works as this one does."""
    rounds = chosen.rounds
    said = [f"--job-age={rounds.job_age}", f"--rapi-ip={rounds.rapi_address}"]
    said += ["--debug"] if chosen.debug else []
    said += ["--ignore-pause"] if rounds.ignores_pause else []
    said += [] if rounds.verify_disks else ["--no-verify-disks"]
    said += [] if rounds.is_strict else ["--no-strict"]
    said += [] if rounds.waits else ["--no-wait-children"]
    return said if chosen.syslog == "no" else [*said, f"--syslog={chosen.syslog}"]

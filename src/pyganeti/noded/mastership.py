"""The daemons that make a node the master: started and stopped together.

Ours is ganeti-masterd, which answers LUXI, keeps the configuration and runs the jobs; it is started
by its systemd unit where there is one. Beside it goes ganeti-rapi, where it is installed. On a node
that has Ganeti's own master daemons instead (ganeti-wconfd and ganeti-luxid share that work) they
are started, by the site's ``daemon-util``, which knows users, order and systemd. Where
both are, the path decides: our command beside this one alone is part of the same package, and one
on the path is meant. Stopping ends whichever of them run, the one that takes commands first.
"""

import shutil
from pathlib import Path
from typing import Final

from pyganeti.base import daemons, errors, log, paths, runner, units

_LOG = log.get(__name__)

_OURS: Final = "ganeti-masterd"
_RAPI: Final = "ganeti-rapi"
_THEIRS: Final = ("ganeti-wconfd", "ganeti-luxid")
_STOPPED: Final = (_OURS, "ganeti-luxid", _RAPI, "ganeti-wconfd")
DAEMON_UTIL: Final = Path("/usr/lib/ganeti/daemon-util")
_UNASKED: Final = ("--no-voting", "--yes-do-it")
_PATIENCE: Final = 150.0
"""Seconds that a start may take: a master asks a minute and more for votes before it gives up."""


async def begin(layout: paths.Paths, *, no_voting: bool, util: Path = DAEMON_UTIL) -> None:
    """Start the master's daemons; those that run stay as they are.

    ``no_voting``: the others' votes are not asked for. Raises Unavailable, in the daemon's own
    words, if they do not start.
    """
    has_theirs = all(shutil.which(daemon) is not None for daemon in _THEIRS)
    if shutil.which(_OURS) is None and has_theirs:
        await _begin_theirs(util, no_voting=no_voting)
    elif daemons.installed(_OURS) is not None:
        await _begin_ours(layout, no_voting=no_voting)
    else:
        raise errors.Unavailable(f"Can't start Ganeti master: {_OURS} is not installed")


async def end(layout: paths.Paths) -> None:
    """Stop the master's daemons, all that can be; raises Unavailable with those that go on."""
    left = [daemon for daemon in _STOPPED if not await daemons.stop(layout, daemon)]
    if left:
        raise errors.Unavailable(f"Could not stop Ganeti master: {', '.join(left)} goes on")


async def _begin_ours(layout: paths.Paths, *, no_voting: bool) -> None:
    if daemons.running(layout, _OURS) is None:
        flags = _UNASKED if no_voting else ()
        if await units.has(layout, _OURS):
            once = units.once_file(layout, _OURS)
            ended = await units.start(_OURS, flags, once, patience=_PATIENCE)
        else:
            ended = await daemons.launch(_OURS, flags, _PATIENCE)
        if ended.status != 0 or daemons.running(layout, _OURS) is None:
            raise errors.Unavailable(f"Can't start Ganeti master: {daemons.words(ended)}")
    if daemons.installed(_RAPI) is None:
        return
    try:
        if not await daemons.start(layout, _RAPI):
            _LOG.warning("the master runs without its RAPI")
    except errors.Failure as error:
        _LOG.warning("the master runs without its RAPI", why=str(error))


async def _begin_theirs(util: Path, *, no_voting: bool) -> None:
    flags = " ".join(_UNASKED) if no_voting else ""
    environment = daemons.environment() | {"EXTRA_LUXID_ARGS": flags, "EXTRA_WCONFD_ARGS": flags}
    try:
        ended = await runner.run([util, "start-master"], environment=environment, timeout=_PATIENCE)
    except OSError as error:
        raise errors.Unavailable(f"Can't start Ganeti master: {util}: {error.strerror}") from error
    if ended.status != 0:
        raise errors.Unavailable(f"Can't start Ganeti master: {daemons.words(ended)}")

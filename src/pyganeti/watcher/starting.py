"""Starts one daemon of this node, in the way that is right here, and tells how that went.

Ours detach by themselves, with the administrator's flags; Ganeti's own are started by the site's
``daemon-util``, which knows users and capabilities. What systemd looks after is left to it, as
Ganeti's watcher does: its own units say whether and how they are restarted.
"""

import enum
from pathlib import Path
from typing import Final

from pyganeti.base import daemons, defaults, errors, log, paths, runner, units
from pyganeti.watcher import wanted

DAEMON_UTIL: Final = Path("/usr/lib/ganeti/daemon-util")
_PATIENCE: Final = 160.0
"""Seconds that a start may take: a master asks two minutes for votes before it gives up."""

_LOG: Final = log.get(__name__)


class Outcome(enum.Enum):
    """What came of a start."""

    RUNS = "runs"
    NOT_NEEDED = "not needed"
    LEFT_TO_SYSTEMD = "left to systemd"
    FAILED = "failed"
    NOT_NOW = "not now"
    """Nothing was tried: the watcher may not act."""


async def start(layout: paths.Paths, daemon: str, util: Path = DAEMON_UTIL) -> Outcome:
    """Start a daemon unless it runs; what goes wrong is logged."""
    if daemons.running(layout, daemon) is not None:
        return Outcome.RUNS
    try:
        if await units.has(layout, daemon):
            _LOG.info("a daemon that systemd looks after does not run", daemon=daemon)
            return Outcome.LEFT_TO_SYSTEMD
        _LOG.info("starting a daemon", daemon=daemon)
        if daemon in wanted.OURS or daemon == wanted.RAPI:
            ended = await daemons.launch(daemon, defaults.flags(layout, daemon), _PATIENCE)
        else:
            ended = await _by(util, daemon)
    except errors.Failure as error:
        _LOG.error("a daemon cannot be started", daemon=daemon, why=str(error))
        return Outcome.FAILED
    if daemons.running(layout, daemon) is not None:
        return Outcome.RUNS
    if ended.status == 0 and not layout.pid_file(daemon).exists():  # else it fell at once
        _LOG.info("a daemon is not needed", daemon=daemon, said=daemons.words(ended))
        return Outcome.NOT_NEEDED
    _LOG.error("a daemon did not start", daemon=daemon, said=daemons.words(ended))
    return Outcome.FAILED


async def restart(layout: paths.Paths, daemon: str) -> None:
    """Have a daemon end and start it anew, by its unit where it has one; failures are logged."""
    try:
        if await units.has(layout, daemon):
            ended = await units.restart(daemon, patience=_PATIENCE)
            if ended.status != 0:
                _LOG.error(
                    "a daemon was not started anew", daemon=daemon, said=daemons.words(ended)
                )
            return
    except errors.Failure as error:
        _LOG.error("a daemon cannot be started anew", daemon=daemon, why=str(error))
        return
    if await daemons.stop(layout, daemon):
        await start(layout, daemon)


async def _by(util: Path, daemon: str) -> runner.Finished:
    try:
        return await runner.run(
            [util, "check-and-start", daemon],
            environment=daemons.environment(),
            timeout=_PATIENCE,
        )
    except OSError as error:
        raise errors.Unavailable(f"{util}: {error.strerror}") from error

"""What one run of the watcher is to do, and where; made from flags, environment and defaults."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import log, paths
from pyganeti.metrics import address as addresses

PROGRAM: Final = "ganeti-watcher"
JOB_AGE: Final = 6 * 3600
RAPI_ADDRESS: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """What a pass is to do."""

    job_age: int = JOB_AGE
    """Seconds after which jobs that have ended are archived."""

    rapi_address: str = RAPI_ADDRESS
    verify_disks: bool = True
    is_strict: bool = True
    """Whether looking at disks waits for nodes that jobs work on."""

    ignores_pause: bool = False
    waits: bool = True
    """Whether a pass ends only when those over the groups have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where and how the watcher runs."""

    layout: paths.Paths
    rounds: Rounds = Rounds()
    metrics: addresses.Address | None = None
    """Where the daemon serves its figures; None: nowhere."""

    foreground: bool = False
    debug: bool = False
    syslog: log.Syslog = "no"

    @property
    def pid_file(self) -> Path:
        """The file that keeps a second daemon away."""
        return self.layout.pid_file(PROGRAM)

    @property
    def log_file(self) -> Path:
        """The log, of passes as well."""
        return self.layout.log_file(PROGRAM)

    @property
    def pass_file(self) -> Path:
        """The file that keeps a second pass away."""
        return self.layout.pid_file(f"{PROGRAM}-pass")

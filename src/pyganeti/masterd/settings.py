"""What one run of the daemon is to do, and where; made from flags, environment and defaults."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import log, paths
from pyganeti.metrics import address as addresses

PROGRAM: Final = "ganeti-masterd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where and how the daemon serves."""

    layout: paths.Paths
    foreground: bool = False
    debug: bool = False
    syslog: log.Syslog = "no"
    voting: bool = True
    """Whether the other nodes are asked who the master is before anything else."""

    metrics: addresses.Address | None = None
    """Where figures are served; None: nowhere."""

    @property
    def pid_file(self) -> Path:
        """The file that keeps a second daemon away."""
        return self.layout.pid_file(PROGRAM)

    @property
    def log_file(self) -> Path:
        """The daemon's log."""
        return self.layout.log_file(PROGRAM)

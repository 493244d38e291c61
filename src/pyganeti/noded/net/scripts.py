"""The site's own scripts that attach taps and clean up after them, in place of what we do.

``kvm-vif-bridge`` in the configuration folder (Ganeti 3.0's name for it), if it is executable,
attaches every tap; ``kvm-ifup-os`` the taps between a guest and its host; ``kvm-ifdown-custom`` is
told of every tap that has gone. Each gets the tap's name as its argument, and `nic.environment`.
One that fails or takes too long is a failure with what it said; what it started is killed then.
"""

import os
from pathlib import Path
from typing import Final

from pyganeti.base import errors, runner
from pyganeti.noded.net import nic as nics

TIMEOUT: Final = 60.0
"""Seconds one script may take."""

UP: Final = "kvm-vif-bridge"
COMMUNICATION: Final = "kvm-ifup-os"
DOWN: Final = "kvm-ifdown-custom"

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WORDS: Final = {"up": "configure", "down": "clean up after"}
_SHOWN: Final = 2000


class Scripts:
    """The scripts of one configuration folder; each may come and go at any time."""

    def __init__(self, folder: Path, *, timeout: float = TIMEOUT) -> None:
        self._folder = folder
        self._timeout = timeout

    def has(self, name: str) -> bool:
        """Tell whether there is such a script, and it may be run."""
        path = self._folder / name
        return path.is_file() and os.access(path, os.X_OK)

    async def run(self, name: str, nic: nics.Nic, tap: str) -> bool:
        """Run a script for a NIC and its tap if it is there; return whether it was.

        Raises Unavailable, with its words, if it fails.
        """
        if not self.has(name):
            return False
        path = self._folder / name
        action: nics.Action = "down" if name == DOWN else "up"
        try:
            finished = await runner.run(
                [path, tap],
                environment={"PATH": _PATH, "LC_ALL": "C"} | nics.environment(nic, tap, action),
                timeout=self._timeout,
            )
        except (OSError, ValueError) as error:  # ValueError: a null byte in the environment
            raise errors.Unavailable(f"Failed to run {path} for {tap}: {error}") from error
        if finished.timed_out or finished.status != 0:
            why = f"took more than {self._timeout:g} s" if finished.timed_out else None
            said = finished.output[-_SHOWN:].decode(errors="replace").strip()
            raise errors.Unavailable(
                f"Failed to {_WORDS[action]} interface {tap}: {path}"
                f" {why or f'exited with {finished.status}'}; output: {said}"
            )
        return True

"""Debian's Ganeti wants users and groups of its own: here it gets them, and nobody else sees them.

    subprocess.Popen([*debianusers.prefix(directory), "/usr/…/ganeti-luxid", "-f"])

They are root's by other names, in a mount namespace over copies of /etc/passwd and /etc/group.
"""

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

_USERS: Final = ("gnt-masterd", "gnt-confd", "gnt-rapi", "gnt-metad", "gnt-luxid")
_GROUPS: Final = (*_USERS, "gnt-daemons", "gnt-admin")
_SCRIPT: Final = (
    'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/group && shift 2 && exec "$@"'
)


@functools.cache
def missing() -> str:
    """Return what it would need and is not there; nothing if all is."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "needs root and unshare"
    tried = subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True)
    return "needs to be allowed a mount namespace" if tried.returncode else ""


def prefix(directory: Path) -> list[str]:
    """Return what to put before a command; files for it are made in a directory."""
    users = "".join(f"{name}:x:0:0::/:/bin/sh\n" for name in _USERS)
    groups = "".join(f"{name}:x:0:\n" for name in _GROUPS)
    files = []
    for real, added in ((Path("/etc/passwd"), users), (Path("/etc/group"), groups)):
        file = directory / real.name
        file.write_text(real.read_text() + added)
        files.append(str(file))
    return ["unshare", "-m", "sh", "-c", _SCRIPT, "sh", *files]

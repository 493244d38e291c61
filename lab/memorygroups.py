"""Control groups with a memory limit, for guests that are to be killed when memory runs out.

Version 2 where it has the memory controller, else version 1. Needs root and a writable tree.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

_V2: Final = Path("/sys/fs/cgroup")
_V1: Final = Path("/sys/fs/cgroup/memory")


def why_not() -> str:
    """Return why no group can be made here, in words for a skipped test, or nothing."""
    parent = _parent()
    if parent is None:
        return "no memory controller is mounted"
    if not os.access(parent, os.W_OK) or os.geteuid() != 0:
        return f"{parent} is not writable: needs root, and the host's own control groups"
    try:
        remove(create(64))
    except OSError as error:
        return f"no memory group can be made: {error}"
    return ""


def create(mebibytes: int) -> Path:
    """Make a group whose processes may use so much memory, without swap; return its directory."""
    parent = _parent()
    if parent is None:
        raise FileNotFoundError("no memory controller is mounted")
    group = Path(tempfile.mkdtemp(prefix="lab-", dir=parent))
    try:
        limit = str(mebibytes << 20)
        for name, value in (
            ("memory.max", limit),
            ("memory.swap.max", "0"),
            ("memory.limit_in_bytes", limit),
            ("memory.memsw.limit_in_bytes", limit),
        ):
            if (group / name).exists():
                (group / name).write_text(value)
    except OSError:
        remove(group)
        raise
    return group


def entered(group: Path, program: str, script: Path) -> Path:
    """Write a script that is a program which begins in a group; return the script."""
    script.write_text(f'#!/bin/sh\nset -e\necho 0 >{group}/cgroup.procs\nexec {program} "$@"\n')
    script.chmod(0o755)
    return script


def remove(group: Path) -> None:
    """Remove a group, which must have no process any more."""
    group.rmdir()


def oom_kills(group: Path) -> int:
    """Return how many processes of the group the kernel has killed for want of memory."""
    for name in ("memory.events", "memory.oom_control"):
        if (group / name).exists():
            for line in (group / name).read_text().splitlines():
                key, _, number = line.partition(" ")
                if key == "oom_kill":
                    return int(number)
    return 0


def _parent() -> Path | None:
    controllers = _V2 / "cgroup.controllers"
    if controllers.exists() and "memory" in controllers.read_text().split():
        return _V2
    return _V1 if (_V1 / "memory.limit_in_bytes").exists() else None

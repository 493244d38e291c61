"""Who holds a lock made by flock(2): asked of the kernel, for messages to people."""

import os
from pathlib import Path


def of(descriptor: int) -> tuple[str, int | None]:
    """Return the command name and pid of a process that has locked the file, as far as visible.

    The pid is None if nobody is found, or if the holder is in another pid namespace.
    """
    found = os.fstat(descriptor)
    wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return "another process", None
    for line in lines:
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == wanted:  # noqa: PLR2004
            return _named(int(fields[4]))
    return "another process", None


def _named(pid: int) -> tuple[str, int | None]:
    if pid <= 0:
        return "a process of another container", None
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a process that has just ended", pid
    scripts = (os.fsdecode(os.path.basename(part)) for part in command[:3])  # noqa: PTH119
    return next((s for s in scripts if s.startswith("ganeti-")), name), pid

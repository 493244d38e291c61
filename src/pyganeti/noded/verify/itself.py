"""What this node says about itself: its version, its clock, its kernel's files, its systems."""

import time
from pathlib import Path

import pyganeti
from pyganeti.base import paths
from pyganeti.noded.oses import definition
from pyganeti.wire import noderpc


def version() -> tuple[int, str]:
    """Return the protocol's version and the software's."""
    return noderpc.PROTOCOL, pyganeti.__version__


def now() -> tuple[int, int]:
    """Return the clock's seconds and microseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return seconds, nanoseconds // 1000


def kernel_files(root: Path = Path("/")) -> list[str]:
    """Return what is missing of what the kernel shows in files. Blocks."""
    missing = []
    if not all((root / place).is_dir() for place in ("sys/block", "sys/class/net")):
        missing.append("sysfs is not mounted under /sys: no /sys/block or no /sys/class/net")
    if not (root / "proc/sys").is_dir() or not (root / "proc/sysrq-trigger").is_file():
        missing.append("procfs is not mounted under /proc: no /proc/sys or no /proc/sysrq-trigger")
    return missing


def operating_systems(layout: paths.Paths) -> list[definition.Diagnosis]:
    """Return the OS definitions that are here, and what is wrong with each. Blocks."""
    return definition.diagnose(definition.places(layout))

"""Describes the machine that the figures belong to: no names, no paths."""

import os
import platform
import re
import sqlite3
import subprocess
from pathlib import Path

from lab import qemus


def describe() -> dict[str, str]:
    """Return what of the machine bears on the figures, in words; call it before measuring."""
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{_memory():.0f} GiB",
        "kernel": f"Linux {platform.release()}",
        "system": _system(),
        "Python": f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        "QEMU": _qemu(),
        "load": _load(),
    }


def _load() -> str:
    words = f"{os.getloadavg()[0]:.1f} processes wanted to run in the minute before"
    nice = os.nice(0)
    return f"{words}; measured at niceness {nice}, all daemons alike" if nice else words


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown"


def _qemu() -> str:
    if qemus.why_not():
        return "not installed"
    done = subprocess.run([qemus.PROGRAM, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\S+)", done.stdout)
    return found[1] if found else "unknown"

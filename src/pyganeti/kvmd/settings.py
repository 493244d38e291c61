"""What one run of the daemon is to do, and where; made from flags, environment and defaults."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import dirlock, log, paths
from pyganeti.kvmd.judging import cause

PROGRAM: Final = "ganeti-kvmd"
SUFFIX: Final = ".kvmd"
KEEP_DAYS: Final = 90
KEEP_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the daemon works; ``is_default_place`` says whether that is the node's own place."""

    layout: paths.Paths
    ctrl_dir: Path
    is_default_place: bool
    journal: Path
    pid_file: Path
    log_file: Path
    pid_dir: Path | None
    suffixes: tuple[str, ...] = (SUFFIX,)
    powerdown_window: float = cause.POWERDOWN_WINDOW
    hooks_dir: Path | None = None
    metrics_file: Path | None = None
    keep_days: int = KEEP_DAYS
    keep_rows: int = KEEP_ROWS
    foreground: bool = False
    debug: bool = False
    syslog: log.Syslog = "no"


def locate(layout: paths.Paths, ctrl_dir: Path | None, journal: Path | None) -> Settings:
    """Return the settings for a directory, with everything else at its default.

    Without a directory it is the node's own. Any other gets a pid file, a log and a journal of its
    own beside the node's, told apart by a short digest of the directory's path, so that several
    daemons can run on one machine.
    """
    wanted = layout.ctrl_dir if ctrl_dir is None else Path(os.path.abspath(ctrl_dir))  # noqa: PTH100
    is_default = wanted == layout.ctrl_dir
    name = PROGRAM if is_default else f"{PROGRAM}-{_digest(wanted)}"
    default_journal = layout.kvmd_journal
    if not is_default:
        default_journal = default_journal.with_name(f"journal-{_digest(wanted)}.sqlite")
    return Settings(
        layout=layout,
        ctrl_dir=wanted,
        is_default_place=is_default,
        journal=default_journal if journal is None else Path(os.path.abspath(journal)),  # noqa: PTH100
        pid_file=layout.pid_file(name),
        log_file=layout.log_file(name),
        pid_dir=layout.kvm_pid_dir if is_default else _pid_dir_beside(wanted),
        hooks_dir=layout.stop_hooks_dir if is_default else None,
    )


def lock_of(journal: Path) -> Path:
    """Return the file that a daemon keeps locked while it writes that journal."""
    return journal.with_name(f"{journal.name}.lock")


def is_held(lock: Path) -> bool:
    """Tell whether a daemon holds that lock now."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return dirlock.holder(descriptor) is not None
    finally:
        os.close(descriptor)


def _digest(path: Path) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=4).hexdigest()


def _pid_dir_beside(ctrl_dir: Path) -> Path | None:
    """Ganeti's layout has the pid files in a sibling of the directory of sockets."""
    return ctrl_dir.parent / "pid" if ctrl_dir.name == "ctrl" else None

"""Earlier states of the configuration, kept for a while so that one can go back to them.

A generation is the very file that was config.data: a second name for it, made before another takes
its place, costs no copying. Which are kept is decided by age alone, so that there are many of the
last minutes and some of the last weeks, and never more than a hundred or so.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import files, log

_LOG = log.get(__name__)
_NAME: Final = re.compile(r"config\.data-(\d{8}T\d{6})-(\d{1,19})")
_MODE: Final = 0o700

NEWEST: Final = 20
"""As many as this are kept whatever their age."""

_MINUTE: Final = 60.0
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR

STEPS: Final = (
    (3 * _HOUR, 10 * _MINUTE),
    (2 * _DAY, _HOUR),
    (31 * _DAY, _DAY),
)
"""Up to which age one is kept for each so many seconds; older ones are not."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One earlier state: the configuration's serial number, and when it was written."""

    path: Path
    serial_no: int
    written: float


def kept(generations: Iterable[Generation], now: float) -> set[Generation]:
    """Return those to keep: the newest, and of each step of time its last."""
    ordered = sorted(generations, key=_age)
    keeping = set(ordered[:NEWEST])
    slots: set[tuple[float, int]] = set()
    for generation in ordered:
        age = now - generation.written
        step = next((every for until, every in STEPS if age <= until), None)
        if step is None:
            continue
        slot = (step, int(generation.written // step))
        if slot not in slots:
            slots.add(slot)
            keeping.add(generation)
    return keeping


def found(directory: Path) -> list[Generation]:
    """Return the generations in a directory, the newest first; none if there is no directory.

    Raises OSError.
    """
    generations = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if not (match := _NAME.fullmatch(entry.name)):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    generations.append(Generation(Path(entry.path), int(match[2]), status.st_mtime))
    except FileNotFoundError:
        return []
    return sorted(generations, key=_age)


def keep(directory: Path, current: Path, serial_no: int, now: float) -> None:
    """Keep what is in ``current``, under a second name; remove those whose time is over. Blocks.

    What cannot be kept is said in the log and no error: a change must not fail for want of an
    older state.
    """
    try:
        files.make_directories(directory, _MODE)
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(current.stat().st_mtime))
        os.link(current, directory / f"config.data-{stamp}-{serial_no}")
    except FileExistsError:  # kept by a run that ended just then
        pass
    except FileNotFoundError:  # nothing there to keep
        pass
    except OSError as error:
        _LOG.warning("the configuration's last state is not kept", error=str(error))
    try:
        generations = found(directory)
        if len(generations) > NEWEST:
            for generation in set(generations) - kept(generations, now):
                generation.path.unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("old states of the configuration cannot be removed", error=str(error))


def describe(generation: Generation) -> str:
    """Return words that say which it is."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(generation.written))
    return f"{generation.path} (serial number {generation.serial_no}, of {stamp})"


def _age(generation: Generation) -> tuple[float, int]:
    """Return what sorts generations, the newest first."""
    return (-generation.written, -generation.serial_no)

"""What may go, place by place: by what name, of what kind, and at what age.

Clocks are arguments. Nobody is asked; a daemon that works in one of these places is not disturbed,
for what it uses is younger, locked, or has another name.
"""

import datetime as dt
import re
from typing import Final

from pyganeti.base import certificates, errors, livelocks, log, paths
from pyganeti.cleaner import broom

DAY: Final = 86400.0
KEPT: Final = 21 * DAY
"""How long archived jobs and files of passes are kept: as long as by Ganeti's cleaner."""

_HALF_WRITTEN: Final = re.compile(r"\.new-[0-9a-f]{16}")
_KEPT_LIVELOCKS: Final = 3600.0
"""Seconds after which a file that is to be locked should have been."""

_PASS: Final = re.compile(r"watcher\.[^/]*-[^/]*-[^/]*-[^/]*\.(data|instance-status)")
_JOB: Final = re.compile(r"job-[0-9]+")
_ARCHIVE: Final = "archive"
_SHELF: Final = re.compile(r"[0-9]+")
_HALVES: Final = ("key", "cert")  # the key first: without it the certificate is only a name
_LIMIT: Final = 1024 * 1024
_LOG: Final = log.get(__name__)


def keys(layout: paths.Paths, count: broom.Count, now: float) -> None:
    """Remove keys of transfers between clusters whose certificates have expired."""
    at = dt.datetime.fromtimestamp(now, dt.UTC)
    with broom.opened(count, layout.run_dir, layout.crypto_dir.name) as place:
        if place is None:
            return
        for name in place.directories():
            with place.inside(name) as folder:
                if folder is None or not _is_expired(folder, at):
                    continue
                there = {found.name for found in folder.files()}
                gone = [
                    folder.remove(half, "its certificate has expired")
                    for half in _HALVES
                    if half in there
                ]
            if all(gone):
                place.remove_directory(name)


def passes(layout: paths.Paths, count: broom.Count, now: float) -> None:
    """Remove what passes over node groups left that are no longer made."""
    with broom.opened(count, layout.state_dir) as place:
        _remove(place, _PASS, now - KEPT, "no pass has written it for 21 days")


def half_written(layout: paths.Paths, count: broom.Count, now: float) -> None:
    """Remove what writers left that were killed while they wrote."""
    state, run = layout.state_dir, layout.run_dir
    for base, *parts in (
        (state,),
        (state, layout.queue_dir.name),
        (state, layout.config_generations.name),
        (state, layout.kvmd_journal.parent.name),
        (run,),
        (run, "kvm-hypervisor", "ctrl"),
        (run, "kvm-hypervisor", "conf"),
    ):
        with broom.opened(count, base, *parts) as place:
            _remove(place, _HALF_WRITTEN, now - DAY, "who wrote it was killed")


def signs_of_life(layout: paths.Paths, count: broom.Count, now: float) -> None:
    """Remove the files of processes that carried jobs out and are dead."""
    with broom.opened(count, layout.run_dir, layout.livelock_dir.name) as place:
        if place is None:
            return
        for found in place.files():
            path = layout.livelock_dir / found.name
            if found.changed < now - _KEPT_LIVELOCKS and not livelocks.is_alive(str(path)):
                place.remove(found.name, "its process is dead")


def archive(layout: paths.Paths, count: broom.Count, now: float) -> None:
    """Remove archived jobs whose files are old: a job that was archived is not written any more."""
    with broom.opened(count, layout.state_dir, layout.queue_dir.name, _ARCHIVE) as place:
        if place is None:
            return
        for name in place.directories():
            if _SHELF.fullmatch(name):
                with place.inside(name) as folder:
                    _remove(folder, _JOB, now - KEPT, "its file is older than 21 days")


def _remove(place: broom.Place | None, name: re.Pattern[str], before: float, why: str) -> None:
    """Remove the files of such a name that were changed last before a time."""
    if place is None:
        return
    for found in place.files():
        if name.fullmatch(found.name) and found.changed < before:
            place.remove(found.name, why)


def _is_expired(folder: broom.Place, at: dt.datetime) -> bool:
    content = folder.read("cert", _LIMIT)
    if content is None:
        return False
    try:
        _, ends = certificates.validity_of(content)
    except errors.BadInput as error:
        _LOG.warning("a key is left alone", folder=str(folder.path), why=str(error))
        return False
    return ends < at

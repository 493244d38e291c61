"""Makes a verdict last, in an order that no crash can spoil: journal, then marker, then quit.

The journal's row is the record; ``NAME.shutdown`` is derived from it, and what was not derived
before a crash is made up for afterwards (`settle`). A marker is made only while no newer qemu has
the name, nor has had it since. If the journal cannot be written, the marker and the quit do not
wait for it.
"""

import asyncio
import functools
import os
import time
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from pyganeti.base import errors, log
from pyganeti.kvmd import guest as guests
from pyganeti.kvmd import identity
from pyganeti.kvmd import place as places
from pyganeti.kvmd.journal import journal
from pyganeti.kvmd.judging import cause
from pyganeti.kvmd.recording import hooks, marker, metrics
from pyganeti.model import evidence as evidences
from pyganeti.model import stop as stops

_LOG = log.get(__name__)
_AT_ONCE: Final = 32
"""Owed markers made in one turn of the loop: about a millisecond's worth."""

_MOST_OWED: Final = 20_000
"""Markers that wait for the directory to come back; more would be more guests than a host has."""


class Recorded(Protocol):
    """Who is told that a guest's stop is on record, so that a held qemu may be let go."""

    def __call__(self, guest: guests.Guest) -> None:
        """Act on the guest, which is in phase RECORDED."""


class Recorder:
    """Writes stops to the journal and what follows from them to the control directory."""

    def __init__(
        self,
        *,
        kept: journal.Journal,
        told: hooks.Hooks | None,
        counted: metrics.Metrics,
        place: places.Place,
    ) -> None:
        self._journal = kept
        self._hooks = told
        self._metrics = counted
        self._place = place
        self._owed: dict[str, stops.Stop] = {}
        self._settling: list[stops.Stop] = []
        self._said_owed = False
        self._due: dict[str, set[str]] = {}  # by name, the stops under way that may be marked yet
        self.under_way = 0
        """How many stops are being written, and so are not followed up yet."""

    def record(
        self,
        guest: guests.Guest,
        verdict: cause.Verdict,
        evidence: evidences.Evidence,
        recorded: Recorded,
    ) -> None:
        """Record the stop of a judged guest; ``recorded`` is told when it is, from the loop."""
        seen = time.monotonic()
        shutdown = next((e for e in evidence.events if e.name == "SHUTDOWN"), None)
        stop = stops.Stop(
            name=guest.name,
            key=guest.key,
            boot_id=guest.boot_id,
            socket=guest.socket,
            pid=guest.pid,
            started=guest.started,
            stopped=shutdown.at if shutdown else evidence.ended_at,
            recorded=time.time(),
            cause=verdict.cause,
            why=verdict.why,
            evidence=_with_missing(evidence, verdict.missing),
            qemu=guest.qemu,
        )
        self.under_way += 1
        self._due.setdefault(stop.name, set()).add(stop.key)
        self._journal.record(stop, functools.partial(self._on_stored, guest, seen, recorded))

    def settle(self, found: Iterable[stops.Stop] = ()) -> None:
        """Make the markers that are owed: by an earlier run, or since the directory went away.

        To be called now and then: a full or read-only directory makes them owed too.
        """
        for stop in found:
            self._owe(stop)
        if self._owed and self._place.dirfd is not None and not self._settling:
            self._settling = list(self._owed.values())
            self._settle_some()

    def unmark(self, name: str) -> None:
        """Remove a ``NAME.shutdown`` that an earlier qemu left: a new one runs under the name."""
        for key in [k for k, stop in self._owed.items() if stop.name == name]:
            self._journal.marker_dropped(key)
            del self._owed[key]
        self._due.pop(name, None)
        dirfd = self._place.dirfd
        if dirfd is None:
            return
        try:
            if marker.remove(dirfd, name):
                _LOG.info("a stale shutdown marker was removed", name=name)
        except (OSError, errors.Failure) as error:
            _LOG.error("a stale shutdown marker cannot be removed", name=name, error=str(error))

    def _on_stored(
        self,
        guest: guests.Guest,
        seen: float,
        recorded: Recorded,
        stop: stops.Stop,
        outcome: journal.Outcome,
    ) -> None:
        self.under_way -= 1
        is_newest = self._is_still_due(guest)
        if stop.cause.leaves_marker:
            if is_newest:
                self._mark(stop)
            else:
                self._drop_marker(stop)
        guest.phase = guests.Phase.RECORDED
        self._metrics.verdict_seconds.observe(time.monotonic() - seen)
        if outcome is journal.Outcome.KNOWN:
            _LOG.info("a recorded stop was found again", name=stop.name, cause=str(stop.cause))
        else:
            self._metrics.stopped(stop.cause)
            _LOG.info(
                "a guest stopped",
                name=stop.name,
                pid=stop.pid,
                cause=str(stop.cause),
                why=stop.why,
                journaled=outcome is journal.Outcome.STORED,
            )
            if self._hooks is not None:
                self._hooks.submit(stop)
        recorded(guest)

    def _is_still_due(self, guest: guests.Guest) -> bool:
        """Tell whether no newer qemu was seen while the stop was being written, and forget it."""
        due = self._due.get(guest.name, set())
        if guest.key not in due:
            return False
        due.remove(guest.key)
        if not due:
            del self._due[guest.name]
        return True

    def _settle_some(self) -> None:
        """Make some of the markers that are owed, and the others in the turns to come."""
        for stop in self._settling[-_AT_ONCE:]:
            if self._owed.pop(stop.key, None) is not None:
                self._mark(stop)
        del self._settling[-_AT_ONCE:]
        if self._settling:
            asyncio.get_running_loop().call_soon(self._settle_some)
        elif not self._owed:
            self._said_owed = False

    def _mark(self, stop: stops.Stop) -> None:
        dirfd = self._place.dirfd
        if dirfd is None:
            self._owe(stop)
            return
        if _has_newer_socket(dirfd, stop):
            self._drop_marker(stop)
            return
        try:
            marker.make(dirfd, stop.name)
        except (OSError, errors.Unavailable) as error:
            self._owe(stop)
            if not self._said_owed:
                self._said_owed = True
                _LOG.error("shutdown markers are owed", name=stop.name, error=str(error))
        except errors.Failure as error:
            self._journal.marker_dropped(stop.key)
            _LOG.error("the shutdown marker cannot be made", name=stop.name, error=str(error))
        else:
            self._journal.marker_made(stop.key)

    def _drop_marker(self, stop: stops.Stop) -> None:
        self._journal.marker_dropped(stop.key)
        _LOG.info("a newer qemu has the name, so no shutdown marker", name=stop.name)

    def _owe(self, stop: stops.Stop) -> None:
        if len(self._owed) >= _MOST_OWED:
            del self._owed[next(iter(self._owed))]
        self._owed[stop.key] = stop


def _with_missing(evidence: evidences.Evidence, missing: tuple[str, ...]) -> evidences.Evidence:
    return msgspec.structs.replace(evidence, missing=missing) if missing else evidence


def _has_newer_socket(dirfd: int, stop: stops.Stop) -> bool:
    try:
        found = os.stat(stop.socket, dir_fd=dirfd, follow_symlinks=False)
    except OSError:
        return False
    return not identity.is_of_socket(stop.key, found.st_ino, found.st_mtime_ns)

"""One measurement: a daemon on ground of its own, with simulated guests that are stopped and seen.

What all benchmarks share; each of them is a function over a `Run` in a module of its own.
"""

import contextlib
import itertools
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import simulation
from lab.bench import contestants, figures, ground, markers

SUFFIX: Final = ".kvmd"
_AT_ONCE: Final = 500
_STANDSTILL: Final = 3.0
_STEADY: Final = 0.005


class Lost(Exception):
    """A stop was not seen, although it was waited for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run; ``disk`` is where journals are written."""

    disk: Path
    runs: int = 3
    stops: int = 300
    """Single stops for one latency figure."""
    qemus: int = 60
    idle: float = 20.0
    sizes: Sequence[int] = figures.SIZES
    calls: int = 3000
    """Calls of a node daemon for one latency figure."""

    many: int = 10_000
    """Calls of a node daemon over which it must not grow."""

    starts: int = 20
    """Starts of instances, one at a time."""


class Run:
    """A running daemon, its guests, and what is found out about it."""

    def __init__(
        self,
        place: ground.Ground,
        daemon: contestants.Contestant,
        simulated: simulation.Simulation,
        seen: markers.Markers,
        results: figures.Results,
    ) -> None:
        self.place = place
        self.daemon = daemon
        self.simulated = simulated
        self.seen = seen
        self.living: list[str] = []
        self.missed = 0
        self.sent = 0
        """When the first of the last stops was sent, CLOCK_MONOTONIC in nanoseconds."""
        self._results = results
        self._numbers = itertools.count()
        self._stopped = 0

    def add(self, key: str, value: float) -> None:
        """Note a figure of this daemon."""
        self._results.add(self.daemon.title, key, value)

    def remark(self, key: str, words: str) -> None:
        """Note why there is no figure."""
        self._results.remark(self.daemon.title, key, words)

    def names(self, number: int) -> list[str]:
        """Return so many file names that were not used before."""
        return [f"guest{next(self._numbers):06}{SUFFIX}" for _ in range(number)]

    def fill(self, size: int, *, tries: int = 5) -> int:
        """Have so many guests; return how many of them the daemon is attached to in the end.

        Creating is part of the wait: the daemon sees them while they appear. Those that it
        misses are counted, and others put in their place.
        """
        attached = 0
        for _ in range(tries):
            wanted = self.names(size - len(self.living))
            for start in range(0, len(wanted), _AT_ONCE):
                self.simulated.create(wanted[start : start + _AT_ONCE], release=True)
            self.living += wanted
            attached = self._wait_attached(size)
            if attached >= size or not self.daemon.alive:
                break
            told = self.simulated.emit("RTC_CHANGE", {"offset": 0})
            missed = [name for name, at in told.items() if not at]
            self.simulated.end(missed)
            self.missed += len(missed)
            gone = set(missed)
            self.living = [name for name in self.living if name not in gone]
        return attached

    def _wait_attached(self, size: int) -> int:
        """Wait until all are attached, the daemon has ended, or for some time none is added."""
        attached, moved = -1, time.monotonic()
        while True:
            before, attached = attached, self.simulated.report()["attached"]
            if attached != before:
                moved = time.monotonic()
            if attached >= size or time.monotonic() - moved > _STANDSTILL or not self.daemon.alive:
                return attached
            time.sleep(_STEADY)

    def stop(self, chosen: Sequence[str], *, within: float = 30.0) -> dict[str, float]:
        """Power guests off; return how long each one's marker took, in seconds.

        A guest that nobody is attached to is missed, and not among them. Raises `Lost` if the
        marker of another does not come in time.
        """
        sent = self.simulated.power_off(chosen)
        guests = {name.removesuffix(SUFFIX): at for name, at in sent.items() if at}
        self.sent = min(guests.values(), default=0)
        # Nothing else before this: the thread that sees the marker needs the interpreter.
        found = self.seen.wait(guests, within=within)
        gone = set(chosen)
        self.living = [name for name in self.living if name not in gone]
        self.missed += len(sent) - len(guests)
        if len(found) < len(guests):
            raise Lost(f"{len(guests) - len(found)} of {len(guests)} stops were not seen")
        self._stopped += len(guests)
        return {name: (at - guests[name]) / 1e9 for name, at in found.items()}

    def sync(self) -> None:
        """Have the disk take what is in the journal by now; nothing is left to do if it has."""
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(f"{self.daemon.journal}{suffix}", os.O_RDONLY)
                try:
                    os.fdatasync(descriptor)
                finally:
                    os.close(descriptor)

    def count_watched(self) -> int:
        """Return how many guests the journal knows as watched."""
        return self._count("watched")

    def count_stops(self) -> int:
        """Return how many stops the journal has."""
        return self._count("stops")

    @property
    def stopped(self) -> int:
        """How many stops it must have."""
        return self._stopped

    def _count(self, table: str) -> int:
        with contextlib.closing(
            sqlite3.connect(f"file:{self.daemon.journal}?mode=ro", uri=True, timeout=10)
        ) as journal:
            return int(journal.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


@contextlib.contextmanager
def prepared(
    kind: type[contestants.Contestant], plan: Plan, results: figures.Results
) -> Iterator[Run]:
    """Start a daemon on fresh ground, and a simulator that has no guests yet."""
    with (
        ground.Ground(plan.disk) as place,
        kind(place) as daemon,
        simulation.Simulation(place.ctrl_dir) as simulated,
        markers.Markers(place.ctrl_dir) as seen,
    ):
        yield Run(place, daemon, simulated, seen, results)

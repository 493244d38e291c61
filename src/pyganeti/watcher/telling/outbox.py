"""What is owed to one receiver: a file each in a directory of its own, oldest first.

Every event is on the disk before anybody is told of it, and its file goes when it has been taken or
given up: who is killed in between tells it again. Names begin with the time, so that two processes
may put events in at once.

In failure: an event that the disk does not take is owed all the same for as long as this process
lives. There are bounds: of what is too much the oldest is dropped. What lies there and is no event
of ours is left alone, and said. All of this blocks.
"""

import collections
import contextlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pyganeti.base import errors, files, log
from pyganeti.watcher import events

_LOG: Final = log.get(__name__)

MOST: Final = 5000
"""Events that are owed to one receiver."""

_NAME: Final = re.compile(r"([0-9]{20})-([0-9a-f]{32})\.json")
_LIMIT: Final = 64 * 1024
_NANO: Final = 1e9
_WRITING: Final = 3600.0
"""Seconds after which nobody writes any more to what is half written."""


@dataclass(frozen=True, slots=True)
class Owed:
    """One event for one receiver, ``since`` a time of `time.monotonic`.

    ``name`` is that of its file, "" if the disk did not take it.
    """

    id: str
    kind: str
    since: float
    body: bytes
    name: str = ""


class _Body(msgspec.Struct):
    id: str
    event: events.Kind


class Outbox:
    """The queue of one receiver, in memory and on the disk. For one thread at a time."""

    def __init__(self, directory: Path, most: int = MOST) -> None:
        self._directory = directory
        self._most = most
        self._queue: collections.deque[Owed] = collections.deque()
        self._ids: set[str] = set()
        self._is_failing = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def first(self) -> Owed | None:
        """What has been owed longest."""
        return self._queue[0] if self._queue else None

    def load(self) -> None:
        """Take up what an earlier run has left."""
        try:
            names = sorted(path.name for path in self._directory.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            _LOG.error("what is owed cannot be read", where=str(self._directory), why=str(error))
            return
        self._drop_leftovers()
        strange = 0
        for name in names:
            found = self._read(name)
            strange += found is None and not name.startswith(".")
            if found is not None and found.id not in self._ids:
                self._add(found)
        if strange:
            _LOG.warning("files that are no events", where=str(self._directory), count=strange)

    def put(self, id_: str, kind: str, body: bytes) -> bool:
        """Owe an event from now on; return whether it is not owed already."""
        if id_ in self._ids:
            return False
        name = f"{max(0, time.time_ns()):020d}-{id_}.json"
        try:
            files.make_directories(self._directory, 0o700)
            files.write_durably(self._directory / name, body)
            self._is_failing = False
        except OSError as error:
            name = ""
            if not self._is_failing:
                _LOG.error(
                    "events are owed in memory alone", where=str(self._directory), why=str(error)
                )
            self._is_failing = True
        self._add(Owed(id_, kind, time.monotonic(), body, name))
        return True

    def remove(self, owed: Owed) -> None:
        """Owe an event no more."""
        with contextlib.suppress(ValueError):
            self._queue.remove(owed)
        self._ids.discard(owed.id)
        if owed.name:
            try:
                (self._directory / owed.name).unlink(missing_ok=True)
            except OSError as error:
                _LOG.warning("an event stays on the disk", name=owed.name, why=str(error))

    def clear(self) -> None:
        """Owe nothing any more."""
        for owed in list(self._queue):
            self.remove(owed)
        with contextlib.suppress(OSError):
            self._directory.rmdir()

    def _add(self, owed: Owed) -> None:
        while len(self._queue) >= self._most:
            self.dropped += 1
            self.remove(self._queue[0])
        self._queue.append(owed)
        self._ids.add(owed.id)

    def _read(self, name: str) -> Owed | None:
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        try:
            descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                body = files.read_small(descriptor, name, _LIMIT)
            finally:
                os.close(descriptor)
            said = None if body is None else msgspec.json.decode(body, type=_Body)
        except (OSError, errors.Failure, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if body is None or said is None or said.id != found[2]:
            return None
        # By the wall clock only what an earlier run has left is told the age of.
        age = max(0.0, time.time() - int(found[1]) / _NANO)
        return Owed(said.id, said.event.value, time.monotonic() - age, body, name)

    def _drop_leftovers(self) -> None:
        """Remove what those have left who were killed while they wrote."""
        for path in files.leftovers(self._directory):
            with contextlib.suppress(OSError):
                if time.time() - path.lstat().st_mtime > _WRITING:
                    path.unlink()

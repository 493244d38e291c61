"""What the watcher must not forget, in one file: what was read, what was tried, what was left.

``watcher.recovery.data`` is JSON (version 1), times are seconds since 1970. It belongs to this node
alone; where it is missing, as on a new master, what was tried is told by the queue's jobs.

Failure: a file that is none is said and begun anew. A disk that is full is said once and written
again later: what is forgotten then is seen again, since nothing is decided by the file alone.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from pyganeti.base import errors, files, log
from pyganeti.model import cause as causes
from pyganeti.watcher.recovery import backoff, mentions, moments

_LOG = log.get(__name__)

VERSION: Final = 1
_LIMIT: Final = 64 * 1024 * 1024
_KEPT_FOR: Final = 31 * 86400.0
"""Seconds after which a restart counts for nobody: the longest time that a limit may have."""


class _Place(msgspec.Struct):
    """How far a node's journal was read; ``recorded`` is when its last stop was recorded."""

    mark: str
    recorded: float = 0.0


class _File(msgspec.Struct):
    version: int = VERSION
    nodes: dict[str, _Place] = {}
    attempts: dict[str, list[mentions.Attempt]] = {}
    left: dict[str, str] = {}
    given_up: dict[str, float] = {}
    healthy: dict[str, float] = {}


class Tried(msgspec.Struct, frozen=True):
    """A restart that was tried: the job, when by the steady clock, after which stop."""

    job: int
    moment: float
    cause: causes.Cause


class Memory:
    """What is remembered; `save` writes it down if it has changed."""

    def __init__(self, path: Path, clock: moments.Clock) -> None:
        self.path = path
        self.clock = clock
        self._places: dict[str, _Place] = {}
        self._tried: dict[str, dict[int, Tried]] = {}
        self._left: dict[str, str] = {}
        self._given_up: dict[str, float] = {}
        self._healthy: dict[str, float] = {}
        self._is_said = False
        self.is_changed = False

    def load(self) -> None:
        """Read the file, if there is one. Blocks."""
        try:
            with self.path.open("rb") as opened:
                data = opened.read(_LIMIT)
            found = _decoded(data)
        except FileNotFoundError:
            return
        except (OSError, errors.Damaged) as error:
            _LOG.warning(
                "what was remembered cannot be read", file=str(self.path), error=str(error)
            )
            return
        self._places = found.nodes
        self.add(found.attempts)
        self._left = found.left
        self._given_up = {name: self.clock.from_wall(at) for name, at in found.given_up.items()}
        self._healthy = {name: self.clock.from_wall(at) for name, at in found.healthy.items()}
        self.is_changed = False

    def content(self) -> bytes:
        """Return what is to be written, and take it as written."""
        self.is_changed = False
        wall = self.clock.to_wall
        return msgspec.json.encode(
            _File(
                nodes=self._places,
                attempts={
                    name: [mentions.Attempt(one.job, wall(one.moment), one.cause) for one in tried]
                    for name in sorted(self._tried)
                    if (tried := self._of(name))
                },
                left=self._left,
                given_up={name: wall(moment) for name, moment in self._given_up.items()},
                healthy={name: wall(moment) for name, moment in self._healthy.items()},
            )
        )

    def write(self, content: bytes) -> None:
        """Write the file, durably. Blocks; a failure is logged."""
        try:
            files.make_directories(self.path.parent)
            files.write_durably(self.path, content)
        except OSError as error:
            self.is_changed = True
            if not self._is_said:
                _LOG.error(
                    "what has to be remembered cannot be written",
                    file=str(self.path),
                    error=str(error),
                )
            self._is_said = True
        else:
            self._is_said = False

    # How far nodes were read.

    def mark(self, node: str) -> str | None:
        """Return where to go on reading, None if it was never read."""
        place = self._places.get(node)
        return None if place is None else place.mark

    def recorded(self, node: str) -> float:
        """Return when the last stop that was read there had been recorded, by its clock."""
        place = self._places.get(node)
        return 0.0 if place is None else place.recorded

    def advance(self, node: str, mark: str, recorded: float) -> None:
        """Note how far a node was read."""
        place = _Place(mark, recorded)
        if self._places.get(node) != place:
            self._places[node] = place
            self.is_changed = True

    # What was tried.

    def past(self, name: str) -> list[backoff.Past]:
        """Return what was tried with an instance."""
        now = self.clock.steady()
        return [backoff.Past(max(0.0, now - one.moment), one.cause) for one in self._of(name)]

    def add(self, attempts: dict[str, list[mentions.Attempt]]) -> None:
        """Note attempts that are on record elsewhere; those known already count once."""
        for name, several in attempts.items():
            known = self._tried.setdefault(name, {})
            for one in several:
                moment = self.clock.from_wall(one.at)
                known.setdefault(one.job, Tried(one.job, moment, one.cause))
        self.is_changed = True

    def forget(self, forgiven: Mapping[str, int]) -> None:
        """Forget what was tried before the jobs, by name, by which it was forgiven."""
        for name, job in forgiven.items():
            known = self._tried.get(name, {})
            for earlier in [number for number in known if number < job]:
                del known[earlier]
                self.is_changed = True

    def tried(self, name: str, job: int, cause: causes.Cause) -> None:
        """Note that a job starts an instance, now."""
        known = self._tried.setdefault(name, {})
        known[job] = Tried(job, self.clock.steady(), cause)
        self.is_changed = True

    def untried(self, name: str, job: int) -> None:
        """Note that a job found nothing to do."""
        if self._tried.get(name, {}).pop(job, None) is not None:
            self.is_changed = True

    def give_up(self, name: str) -> None:
        """Note that an instance is started no more; nothing if that is known."""
        if name not in self._given_up:
            self._given_up[name] = self.clock.steady()
            self.is_changed = True

    def given_up(self, name: str) -> float | None:
        """Return the moment when we gave it up, if nobody has forgiven it since."""
        return self._given_up.get(name)

    def forgive(self, name: str) -> None:
        """Forget what was tried with an instance."""
        self._tried.pop(name, None)
        self._given_up.pop(name, None)
        self._healthy.pop(name, None)
        self.is_changed = True

    def healthy_for(self, name: str, *, runs: bool) -> float:
        """Note whether an instance runs; return for how many seconds it was always seen to."""
        now = self.clock.steady()
        if not runs:
            if self._healthy.pop(name, None) is not None:
                self.is_changed = True
            return 0.0
        if name not in self._healthy:
            self._healthy[name] = now
            self.is_changed = True
        return now - self._healthy[name]

    def last_tried(self, name: str) -> float | None:
        """Return when an instance was started last by us, in seconds since 1970."""
        moments_of = [one.moment for one in self._of(name)]
        return self.clock.to_wall(max(moments_of)) if moments_of else None

    # What was left.

    def leave(self, name: str, key: str) -> bool:
        """Note that nothing is done about a stop; tell whether that is news.

        It is none if the stop was found first, without a key, and is on record by now.
        """
        before = self._left.get(name)
        if before == key:
            return False
        self._left[name] = key
        self.is_changed = True
        return before != ""

    def runs(self, name: str) -> None:
        """Note that an instance runs again: its next stop is another one."""
        if self._left.pop(name, None) is not None:
            self.is_changed = True

    def keep_only(self, names: Iterable[str]) -> None:
        """Forget instances that there are not any more."""
        there = set(names)
        for kept in (self._tried, self._left, self._given_up, self._healthy):
            for gone in kept.keys() - there:
                del kept[gone]
                self.is_changed = True

    def _of(self, name: str) -> list[Tried]:
        known = self._tried.get(name, {})
        oldest = self.clock.steady() - _KEPT_FOR
        for job in [job for job, one in known.items() if one.moment < oldest]:
            del known[job]
        return list(known.values())


def _decoded(data: bytes) -> _File:
    try:
        found = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.Damaged(str(error)) from error
    if found.version != VERSION:
        raise errors.Damaged(f"its version is {found.version}")
    return found

"""Asking the master daemon for stops, as the journals of the cluster's nodes have them.

What is wrong with a node's record is no failure: it is told beside what the others have.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.cli import filters, session, tables
from pyganeti.model import stop as stops
from pyganeti.model.cause import Cause
from pyganeti.wire import stopjobs, stoprow

_KEYS: Final = (
    "name", "node", "instance", "cause", "why", "stopped", "started", "recorded", "pid", "qemu",
    "key", "number", "boot_id", "socket", "evidence",
)  # fmt: skip
_TROUBLE: Final = "trouble"
_JOBS: Final = "jobs"


@dataclass(frozen=True, slots=True)
class Told:
    """A stop, the node that has it, the instance that it was, if there still is one."""

    stop: stops.Stop
    node: str
    instance: str | None
    jobs: Sequence[stopjobs.Job] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Stops, oldest first, and by node what is wrong with what it has on record."""

    stops: Sequence[Told]
    troubles: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which stops are wanted; all if not said. ``newest`` is how many of each node's."""

    names: Sequence[str] = ()
    nodes: Sequence[str] = ()
    causes: Sequence[Cause] = ()
    since: float | None = None
    until: float | None = None
    newest: int | None = None

    def condition(self) -> filters.Filter | None:
        """Return the same as a filter."""
        parts: list[Any] = [
            ["|", *(["==", field, str(value)] for value in values)]
            for field, values in (
                ("name", self.names),
                ("node", self.nodes),
                ("cause", self.causes),
            )
            if values
        ]
        if self.since is not None:
            parts.append([">=", "stopped", math.floor(self.since)])
        if self.until is not None:
            parts.append(["<=", "stopped", math.ceil(self.until)])
        if self.newest is not None:
            parts.append(["<", "recent", self.newest])
        return ["&", *parts] if parts else None

    def has(self, stopped: float) -> bool:
        """Tell whether a time of stopping is within; conditions have whole seconds only."""
        return (self.since is None or stopped >= self.since) and (
            self.until is None or stopped <= self.until
        )


def ask(current: session.Session, wanted: Wanted, *, with_jobs: bool = False) -> Answer:
    """Return the stops that are wanted; with the jobs that bear on them, of the newest few.

    Raises Unavailable if this master daemon knows nothing of stops, as Ganeti's.
    """
    fields = [*_KEYS, _TROUBLE, *([_JOBS] if with_jobs else [])]
    try:
        answer = current.client.query("stop", fields, wanted.condition())
    except errors.Failure as error:
        if not _knows_stops(current):
            raise errors.Unavailable(
                "this master daemon keeps no record of stops, as Ganeti's does not; on a node with"
                " ganeti-kvmd of pyganeti's ask that: ganeti-kvmd stops"
            ) from error
        raise
    found: list[Told] = []
    troubles: list[tuple[str, str]] = []
    for cells in answer["data"]:
        row: dict[str, Any] = {
            field: value if status == tables.NORMAL else None
            for field, (status, value) in zip(fields, cells, strict=True)
        }
        if row[_TROUBLE]:
            troubles.append((row["node"], row[_TROUBLE]))
        elif wanted.has(row["stopped"]):
            found.append(_told(row))
    return Answer(found, troubles)


def _knows_stops(current: session.Session) -> bool:
    """Tell whether the master daemon is ours; Ganeti's breaks off when it is asked for stops."""
    current.client.close()  # a new connection: the one that was asked may be about to be closed
    try:
        [field] = current.client.query_fields("instance", ["stop_cause"])["fields"]
    except errors.Failure:
        return True
    return bool(field["kind"] != "unknown")


def _told(row: Mapping[str, Any]) -> Told:
    known = {key: value for key, value in row.items() if value is not None}
    return Told(
        stop=stoprow.stop_from(known),
        node=row["node"],
        instance=row["instance"],
        jobs=stopjobs.jobs_from(row.get(_JOBS) or []),
    )


def as_dict(told: Told) -> dict[str, Any]:
    """Return a stop as the object for programs: that of `wire.stoprow`, with node and instance."""
    return {**stoprow.as_dict(told.stop), "node": told.node, "instance": told.instance}


def by_trouble(troubles: Sequence[tuple[str, str]]) -> list[str]:
    """Return a line for each thing that is wrong, with all nodes for which it holds."""
    nodes: dict[str, list[str]] = {}
    for node, words in troubles:
        nodes.setdefault(words, []).append(node)
    return [f"{', '.join(names)}: {words}" for words, names in nodes.items()]

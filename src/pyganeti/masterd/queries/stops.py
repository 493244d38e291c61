"""The resource "stop": why guests stopped, from the journals of all nodes, put together by time.

It is ours; Ganeti knows none of it. The nodes are told of the condition what they can use
(`stopfilter`), and send the newest stops they have, a bounded number. History is the guests', not
the instances': one that was removed since has its stops, too.

A node that does not answer, or whose record has gaps, costs nothing else: it has a row that says so
in ``trouble``, and in which everything about a stop is missing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.masterd import nodes as calling
from pyganeti.masterd.queries import asking, cells, fields, jobs, language, stopfilter, stopjobs
from pyganeti.masterd.queries.cells import Cell, Compared, Kind
from pyganeti.masterd.queries.language import Value
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.stop import Stop
from pyganeti.wire import names, stopanswers, stoprow

_JOBS: Final = "jobs"
_AT_ONCE: Final = 20
"""Stops that are made out before others have their turn."""

_MOST_ALTOGETHER: Final = 10_000
_FEWEST: Final = 50
_MOST_WITH_JOBS: Final = 8
"""Stops of one answer, the newest, for which jobs are looked for."""

_GRACE: Final = 60.0
"""Seconds by which the clocks of a node and of the master may differ."""


@dataclass(frozen=True, slots=True)
class Row:
    """A stop on a node; or, without one, what is wrong with what a node says."""

    node: str
    stop: Stop | None = None
    recent: int = 0
    instance: Instance | None = None
    jobs: Cell = cells.NO_DATA
    trouble: str = ""
    missing: Cell = cells.NO_DATA


class Stops(fields.Static):
    """Answers about stops."""

    name_field = "name"

    def __init__(self, nodes: asking.Nodes, queue: jobs.Queue) -> None:
        self._nodes = nodes
        self._queue = queue
        self.fields = FIELDS

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[Row]:
        """Ask all nodes, about guests of these names or all."""
        return await self.rows_where(snapshot, language.named(self.name_field, wanted), asked)

    async def rows_where(
        self, snapshot: Snapshot, condition: language.Condition, asked: frozenset[str]
    ) -> Sequence[Row]:
        """Ask the nodes that may have something for which a condition holds; oldest first."""
        narrow = stopfilter.narrowed(condition)
        wanted = [
            node
            for node in fields.by_name(snapshot.nodes.values())
            if node.vm_capable and stopfilter.is_among(node.name, narrow.nodes)
        ]
        most = _most(narrow.most, len(wanted))
        if not most:
            return []
        told = stopanswers.Filter(
            hosts=tuple(narrow.hosts or ()),
            since=narrow.since,
            until=narrow.until,
            causes=tuple(narrow.causes or ()),
            newest=True,
        )
        arguments = [None, 0, most, msgspec.to_builtins(told)]
        answers = await self._nodes.each(
            wanted, "instance_stops", arguments, timeout=asking.PATIENCE
        )
        by_name = {instance.name: instance for instance in snapshot.instances.values()}
        rows: list[Row] = []
        troubles: list[Row] = []
        for node in wanted:
            found, wrong = await _made_out(
                node, answers[node.uuid], by_name, is_bounded=narrow.most is not None
            )
            rows += found
            troubles += wrong
        rows.sort(key=_in_time)
        if _JOBS in asked:
            await self._find_jobs(rows)
        return [*rows, *troubles]

    async def _find_jobs(self, rows: list[Row]) -> None:
        """Put into the newest rows the jobs that bear on them."""
        next_of: dict[str, float] = {}
        first = max(0, len(rows) - _MOST_WITH_JOBS)
        for place in range(len(rows) - 1, first - 1, -1):
            row = rows[place]
            if row.stop is None:
                continue
            found = await stopjobs.bearing_on(self._queue, row.stop, next_of.get(row.stop.name))
            next_of[row.stop.name] = row.stop.stopped
            rows[place] = Row(
                node=row.node,
                stop=row.stop,
                recent=row.recent,
                instance=row.instance,
                jobs=(cells.NORMAL, [msgspec.to_builtins(job) for job in found]),
            )


def _most(asked: int | None, count: int) -> int:
    """Return how many stops a node may send."""
    if asked is not None:
        return max(0, min(asked, stopanswers.MOST_ROWS))
    fair = _MOST_ALTOGETHER // max(1, count)
    return max(_FEWEST, min(stopanswers.MOST_ROWS, fair))


def _in_time(row: Row) -> tuple[float, str, int]:
    assert row.stop is not None  # noqa: S101 - only stops are sorted
    return row.stop.stopped, row.node, row.stop.number


async def _made_out(
    node: Node,
    answer: calling.Answer,
    by_name: Mapping[str, Instance],
    *,
    is_bounded: bool,
) -> tuple[list[Row], list[Row]]:
    """Return the stops in a node's answer, and what is wrong with it."""

    def trouble(words: str, missing: Cell = cells.NO_DATA) -> Row:
        return Row(node.name, trouble=words, missing=missing)

    if answer.offline:
        return [], [trouble("it is marked offline", cells.OFFLINE)]
    if answer.error is not None:
        return [], [trouble(_words(answer.error))]
    try:
        said = msgspec.convert(answer.payload, stopanswers.Stops)
    except msgspec.ValidationError as error:
        return [], [trouble(f"it answers nonsense about stops: {error}")]
    found: list[Row] = []
    illegible = said.illegible
    for place, told in enumerate(said.rows):
        try:
            stop = stoprow.stop_from(told)
        except errors.Damaged:
            illegible += 1
            continue
        instance = had_it(by_name.get(stop.name), stop.stopped)
        found.append(Row(node.name, stop, len(said.rows) - place - 1, instance))
        if not place % _AT_ONCE:
            await asyncio.sleep(0)
    wrong = [trouble(words) for words in _gaps(said, illegible, is_bounded=is_bounded)]
    return found, wrong


def had_it(instance: Instance | None, moment: float) -> Instance | None:
    """Return an instance if it was there at a moment; an earlier one's name may have been reused.

    ``moment`` is in seconds since 1970, by a node's clock.
    """
    if instance is None or (instance.ctime or 0.0) > moment + _GRACE:
        return None
    return instance


def _words(error: errors.Failure) -> str:
    if isinstance(error, errors.BadInput):
        return "its node daemon keeps no record of stops, as Ganeti's"
    return str(error)


def _gaps(said: stopanswers.Stops, illegible: int, *, is_bounded: bool) -> list[str]:
    """Return what is to be known of a node's record besides its stops."""
    found = []
    if said.journal == "unreadable":
        found.append(f"its record of stops cannot be read: {said.trouble}")
    elif not said.kvmd and said.journal == "none":
        found.append("ganeti-kvmd does not run there, and nothing is on record")
    elif not said.kvmd:
        found.append("ganeti-kvmd does not run there: no further stop is recorded")
    if said.more and not is_bounded:
        found.append(f"only its newest {len(said.rows)} are shown")
    if illegible:
        found.append(f"{illegible} rows of its record are not legible")
    return found


# Fields


def _field(
    name: str,
    title: str,
    kind: Kind,
    doc: str,
    value: Callable[[Stop], Any],
    *,
    compared: Compared = Compared.AS_IT_IS,
) -> fields.Field[Row, Any]:
    """Return a field of the stop."""

    def getter(row: Row) -> Cell:
        if row.stop is None:
            return row.missing
        return cells.value_or(value(row.stop), cells.UNAVAILABLE)

    return fields.Field(name, title, kind, doc, lambda _: getter, compared=compared)


def _of_instance(
    name: str, title: str, doc: str, value: Callable[[Instance], Any]
) -> fields.Field[Row, Any]:
    def getter(row: Row) -> Cell:
        if row.stop is None:
            return row.missing
        if row.instance is None:
            return cells.UNAVAILABLE
        return cells.NORMAL, value(row.instance)

    return fields.Field(name, title, Kind.TEXT, doc, lambda _: getter)


def _text(value: Callable[[Stop], str]) -> Callable[[Stop], str]:
    return lambda stop: names.readable(value(stop))


def _ran(stop: Stop) -> float | None:
    return None if stop.started is None else stop.stopped - stop.started


def _of_intent(attribute: str) -> Callable[[Stop], Any]:
    def value(stop: Stop) -> Any:  # noqa: ANN401 - any of an intent's
        intent = stop.evidence.intent
        found = None if intent is None else getattr(intent, attribute)
        return names.readable(str(found)) if isinstance(found, str) else found

    return value


def _evidence(stop: Stop) -> Any:  # noqa: ANN401 - JSON
    return names.all_readable(msgspec.to_builtins(stop.evidence))


FIELDS: Final[dict[str, fields.Field[Row, Any]]] = fields.table(
    [
        _field(
            "name",
            "Name",
            Kind.TEXT,
            "The name that the guest had",
            _text(lambda stop: stop.name),
            compared=Compared.AS_HOST,
        ),
        fields.plain(
            "node",
            "Node",
            Kind.TEXT,
            "The node on which it stopped",
            lambda row: row.node,
            compared=Compared.AS_HOST,
        ),
        _of_instance(
            "instance",
            "Instance",
            "The instance whose guest it was, if there still is one",
            lambda instance: instance.name,
        ),
        _of_instance("uuid", "UUID", "That instance's UUID", lambda instance: instance.uuid),
        _field("cause", "Cause", Kind.TEXT, "Why it stopped", lambda stop: stop.cause.value),
        _field(
            "meaning", "Meaning", Kind.TEXT, "The cause in words", lambda stop: stop.cause.meaning
        ),
        _field("why", "Why", Kind.TEXT, "The evidence that decided", _text(lambda stop: stop.why)),
        _field("stopped", "Stopped", Kind.TIMESTAMP, "When it stopped", lambda stop: stop.stopped),
        _field(
            "started", "Started", Kind.TIMESTAMP, "When its qemu began", lambda stop: stop.started
        ),
        _field(
            "recorded",
            "Recorded",
            Kind.TIMESTAMP,
            "When the stop was put on record",
            lambda stop: stop.recorded,
        ),
        _field("ran", "Ran", Kind.FLOAT, "For how many seconds its qemu ran", _ran),
        _field("pid", "PID", Kind.NUMBER, "Its qemu's process number", lambda stop: stop.pid),
        _field("qemu", "QEMU", Kind.TEXT, "QEMU's version", _text(lambda stop: stop.qemu)),
        _field("key", "Key", Kind.TEXT, "Tells this stop from all others", lambda stop: stop.key),
        _field("number", "Number", Kind.NUMBER, "Its number on its node", lambda stop: stop.number),
        _field("boot_id", "BootID", Kind.TEXT, "The node's boot", lambda stop: stop.boot_id),
        _field(
            "socket",
            "Socket",
            Kind.TEXT,
            "The socket on which it was watched",
            _text(lambda stop: stop.socket),
        ),
        _field(
            "marker",
            "Marker",
            Kind.BOOL,
            "Whether its user ended it from inside",
            lambda stop: stop.cause.leaves_marker,
        ),
        _field("evidence", "Evidence", Kind.OTHER, "All that the verdict rests on", _evidence),
        _field(
            "announced",
            "Announced",
            Kind.TEXT,
            "What an administrator had announced to do to it",
            _of_intent("kind"),
        ),
        _field("job", "Job", Kind.NUMBER, "The job that had announced it", _of_intent("job")),
        _field("reason", "Reason", Kind.TEXT, "The reason that it had given", _of_intent("reason")),
        fields.Field(
            "recent",
            "Recent",
            Kind.NUMBER,
            "How many stops that were asked for are newer, on its node",
            lambda _: lambda row: row.missing if row.stop is None else (cells.NORMAL, row.recent),
        ),
        fields.Field(
            _JOBS,
            "Jobs",
            Kind.OTHER,
            f"The jobs that bear on it; of the newest {_MOST_WITH_JOBS} stops of an answer",
            lambda _: lambda row: row.missing if row.stop is None else row.jobs,
        ),
        fields.Field(
            "trouble",
            "Trouble",
            Kind.TEXT,
            "What is wrong with what the node has on record; such a row is no stop",
            lambda _: lambda row: (cells.NORMAL, row.trouble) if row.trouble else cells.UNAVAILABLE,
        ),
    ]
)

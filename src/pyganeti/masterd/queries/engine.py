"""Answers questions about every resource, in whichever form they are asked.

A question takes the configuration as it is at that moment and stays with it. What the configuration
can rule out is ruled out first; then, and only if a field needs it, the nodes are asked, all at
once. A long answer is made in pieces, and between them everybody else has a turn.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from pyganeti.base import errors
from pyganeti.masterd.queries import (
    asking,
    cells,
    cluster,
    exports,
    fields,
    filters,
    groups,
    instances,
    jobs,
    language,
    locks,
    networks,
    nodes,
    oses,
    predicates,
    stops,
)
from pyganeti.model.config import names
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import names as unicode

_TURN: Final = 0.002
"""Seconds after which others get their turn."""

_NUMBERED: Final = "id"
_ROWS: Final = 64
_CELLS: Final = 2000
_ENCODER: Final = msgspec.json.Encoder()


class Config(Protocol):
    """Where the configuration is."""

    @property
    def current(self) -> Snapshot:
        """The configuration as it is now."""


class Engine:
    """Answers questions; any number at once."""

    def __init__(
        self,
        *,
        config: Config,
        nodes: asking.Nodes,
        queue: jobs.Queue,
        locks: locks.Described,
        surroundings: cluster.Surroundings,
    ) -> None:
        self._config = config
        self._surroundings = surroundings
        self._resources = _resources(nodes, queue, locks, surroundings)

    @property
    def resources(self) -> frozenset[str]:
        """The names of all resources."""
        return frozenset(self._resources)

    async def query(
        self, what: str, asked: Sequence[str], condition: object = None
    ) -> dict[str, Any]:
        """Return ``{"fields": definitions, "data": rows of (status, value)}``.

        ``condition`` is a filter as JSON has it. Raises luxi.Unreadable if it is none,
        WrongParameter if it does not fit its fields, BadInput for a name that there is not, or for
        a resource that there is not.
        """
        question = self._question(what, asked, language.parse(condition))
        rows = [row async for piece in question.pieces() for row in piece]
        return {"fields": question.definitions, "data": rows}

    async def query_encoded(
        self, what: str, asked: Sequence[str], condition: object = None
    ) -> msgspec.Raw:
        """Return the same as JSON, made piece by piece."""
        question = self._question(what, asked, language.parse(condition))
        head = _encoded({"fields": question.definitions})
        rows = [data async for data in question.encoded_pieces()]
        return msgspec.Raw(head[:-1] + b',"data":[' + b",".join(rows) + b"]}")

    def query_fields(self, what: str, asked: Sequence[str] | None = None) -> dict[str, Any]:
        """Return ``{"fields": definitions}``: of those asked for, or of all there are."""
        known = self._resource(what).fields
        if asked:
            chosen = [known.get(name) or fields.unknown(name) for name in asked]
        else:
            chosen = [known[name] for name in sorted(known, key=names.sort_key)]
        return {"fields": [field.described() for field in chosen]}

    async def query_old(
        self, what: str, wanted: Sequence[language.Value], asked: Sequence[str]
    ) -> list[list[Any]]:
        """Return rows of plain values, None where there is none; all rows if no names are given.

        Names that there are not give no row, but for jobs and nodes' exports. Raises BadInput for
        fields that there are not.
        """
        question = self._old_question(what, wanted, asked)
        return [_plain(row) async for piece in question.pieces() for row in piece]

    async def query_old_encoded(
        self, what: str, wanted: Sequence[language.Value], asked: Sequence[str]
    ) -> msgspec.Raw:
        """Return the same as JSON, made piece by piece."""
        question = self._old_question(what, wanted, asked)
        rows = [
            _encoded([_plain(row) for row in piece])[1:-1]
            async for piece in question.pieces()
            if piece
        ]
        return msgspec.Raw(b"[" + b",".join(rows) + b"]")

    def _old_question(
        self, what: str, wanted: Sequence[language.Value], asked: Sequence[str]
    ) -> "_Question":
        resource = self._resource(what)
        if strange := [name for name in asked if name not in resource.fields]:
            raise errors.BadInput("Unknown output fields selected: " + ", ".join(strange))
        by = [resource.name_field, *(["uuid"] if "uuid" in resource.fields else [])]
        parts = [language.named(name, wanted) for name in dict.fromkeys(by)]
        return self._question(what, asked, language.Either(tuple(parts)))

    def tags(self, kind: str, name: str) -> list[str]:
        """Return the tags of something; raises BadInput if there is no such thing."""
        return cluster.tags(self._config.current, kind, name)

    def config_values(self, asked: Sequence[str]) -> list[Any]:
        """Return simple settings; None for one that there is not."""
        return cluster.config_values(self._config.current, self._surroundings, asked)

    def cluster_info(self) -> dict[str, Any]:
        """Return what there is to say about the cluster as a whole."""
        told = cluster.info(self._config.current)
        # Ganeti's has no such thing: whoever does not know it passes it over.
        led = self._surroundings.leadership()
        return told | {"leadership": led} if led else told

    def _resource(self, what: str) -> fields.Resource[Any, Any]:
        try:
            return self._resources[what]
        except KeyError as error:
            raise errors.BadInput(f"Unknown query resource '{what}'") from error

    def _question(
        self, what: str, asked: Sequence[str], condition: language.Condition
    ) -> "_Question":
        return _Question(self._resource(what), self._config.current, tuple(asked), condition)


def _resources(
    asked: asking.Nodes,
    queue: jobs.Queue,
    held: locks.Described,
    surroundings: cluster.Surroundings,
) -> Mapping[str, fields.Resource[Any, Any]]:
    return {
        "cluster": cluster.Clusters(surroundings),
        "export": exports.Exports(asked),
        "extstorage": oses.Providers(asked),
        "filter": filters.Filters(),
        "group": groups.Groups(),
        "instance": instances.Instances(asked),
        "job": jobs.Jobs(queue),
        "lock": locks.Locks(held),
        "network": networks.Networks(),
        "node": nodes.Nodes(asked, surroundings.leadership),
        "os": oses.Oses(asked),
        "stop": stops.Stops(asked, queue),
    }


@dataclass(frozen=True, slots=True)
class _Question:
    """One question, on its way to an answer."""

    resource: fields.Resource[Any, Any]
    snapshot: Snapshot
    asked: tuple[str, ...]
    condition: language.Condition

    @property
    def definitions(self) -> list[dict[str, str]]:
        """What each column is."""
        return [field.described() for field in self._chosen()]

    async def pieces(self) -> AsyncIterator[list[list[cells.Cell]]]:
        """Yield rows, some at a time."""
        turn = _Turn()
        width = max(len(self.asked), 1)
        some = max(1, min(_ROWS, _CELLS // width))
        async for getters, rows in self._known():
            for begin in range(0, len(rows), some):
                yield [[getter(row) for getter in getters] for row in rows[begin : begin + some]]
                await turn.over()

    async def encoded_pieces(self) -> AsyncIterator[bytes]:
        """Yield rows as JSON, some at a time, with commas between them."""
        async for piece in self.pieces():
            if piece:
                yield _encoded(piece)[1:-1]

    async def _known(self) -> AsyncIterator[tuple[list[fields.Getter[Any]], Sequence[Any]]]:
        """Yield rows for which the condition holds, with what gets their cells."""
        spoken_of = frozenset({*self.asked, *language.fields_of(self.condition)})
        known = self.resource.fields
        is_live = any(known[name].is_live for name in spoken_of if name in known)
        view = fields.View(self.snapshot, None)
        holds = predicates.compiled(self.condition, self._source(view, with_live=False))
        wanted = language.requested(self.condition, self.resource.name_field) or ()
        if self.resource.name_field != _NUMBERED:
            # A number is nothing's name: every row is looked at, and shows that.
            wanted = [name for name in wanted if isinstance(name, str)]
        if isinstance(self.resource, fields.Narrowing):
            rows = await self.resource.rows_where(self.snapshot, self.condition, spoken_of)
        else:
            rows = await self.resource.rows(self.snapshot, wanted, spoken_of)
        rows = [row async for row in _kept(rows, holds)]
        if not is_live:
            yield self._getters(view), rows
            return
        for some in _batches(rows, self.resource.batch):
            live = await self.resource.look(self.snapshot, some, spoken_of)
            seen = fields.View(self.snapshot, live)
            holds = predicates.compiled(self.condition, self._source(seen, with_live=True))
            yield self._getters(seen), [row async for row in _kept(some, holds)]

    def _chosen(self) -> list[fields.Field[Any, Any]]:
        known = self.resource.fields
        return [known.get(name) or fields.unknown(name) for name in self.asked]

    def _getters(self, view: fields.View[Any]) -> list[fields.Getter[Any]]:
        return [field.bind(view) for field in self._chosen()]

    def _source(
        self, view: fields.View[Any], *, with_live: bool
    ) -> Callable[[str], predicates.Source | None]:
        def source(name: str) -> predicates.Source | None:
            field = self.resource.fields.get(name)
            if field is None:
                return None
            is_open = field.is_live and not with_live
            return predicates.Source(None if is_open else field.bind(view), field.compared)

        return source


async def _kept(rows: Sequence[Any], holds: Callable[[Any], bool | None]) -> AsyncIterator[Any]:
    """Yield the rows for which a condition holds, or may hold."""
    turn = _Turn()
    for place, row in enumerate(rows):
        if holds(row) is not False:
            yield row
        if not place % _ROWS:
            await turn.over()


def _batches(rows: Sequence[Any], size: int | None) -> Iterator[Sequence[Any]]:
    if size is None:
        if rows:
            yield rows
        return
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


class _Turn:
    """Lets others have their turn when ours has lasted long enough."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = time.monotonic() + _TURN

    async def over(self) -> None:
        """Give way, if it is time to."""
        if time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + _TURN


def _plain(row: list[cells.Cell]) -> list[Any]:
    return [value for _, value in row]


def _encoded(value: object) -> bytes:
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:
        return _ENCODER.encode(unicode.all_readable(value))

"""What a field is, and how a resource says what its fields are.

A field is bound once a query to what is known in it, and gives then a cell for each row. Live
fields are bound to nothing before the nodes have been asked: whether a row has to be kept for them
is then open.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from pyganeti.masterd.queries import cells
from pyganeti.masterd.queries.cells import Cell, Compared, Kind
from pyganeti.masterd.queries.language import Condition, Value
from pyganeti.model.config import names
from pyganeti.model.config.snapshot import Snapshot

T = TypeVar("T")
L = TypeVar("L")
T_contra = TypeVar("T_contra", contravariant=True)

Getter: TypeAlias = Callable[[T], Cell]


@dataclass(frozen=True, slots=True)
class View(Generic[L]):
    """What is known in a query: the configuration, and once nodes were asked, their answers."""

    snapshot: Snapshot
    live: L


@dataclass(frozen=True, slots=True)
class Field(Generic[T, L]):
    """One field of a resource.

    ``bind`` is called once a query. A field that is not live is bound to a view without answers.
    """

    name: str
    title: str
    kind: Kind
    doc: str
    bind: Callable[[View[L]], Getter[T]]
    is_live: bool = False
    compared: Compared = Compared.AS_IT_IS

    def described(self) -> dict[str, str]:
        """Return the field as answers describe it."""
        return {"name": self.name, "title": self.title, "kind": self.kind.value, "doc": self.doc}

    def also_as(self, name: str) -> "Field[T, L]":
        """Return the same field under another name."""
        return replace(self, name=name)


Fields: TypeAlias = Mapping[str, Field[T, L]]


class Resource(Protocol[T, L]):
    """Something that is asked about."""

    @property
    def name_field(self) -> str:
        """What its rows are asked for by, when they are asked for by name."""

    @property
    def fields(self) -> Mapping[str, Field[T, L]]:
        """All its fields, by name."""

    @property
    def batch(self) -> int | None:
        """How many rows nodes, or files, are asked about at a time; None: about all at once."""

    async def rows(
        self, snapshot: Snapshot, wanted: Sequence[Value], asked: frozenset[str]
    ) -> Sequence[T]:
        """Return the rows with those names, in that order; all, in their order, if none is given.

        ``asked`` are the fields that the question speaks of. Raises BadInput for a name that there
        is not, if that is a mistake and not an empty answer.
        """

    async def look(self, snapshot: Snapshot, rows: Sequence[T], asked: frozenset[str]) -> L:
        """Ask the nodes what has to be known for live fields of these rows."""


@runtime_checkable
class Narrowing(Protocol):
    """A resource that looks for no more rows than a condition lets through."""

    async def rows_where(
        self, snapshot: Snapshot, condition: Condition, asked: frozenset[str]
    ) -> Sequence[Any]:
        """Return, in their order, at least all rows for which a condition holds."""


class Static:
    """A resource without live fields."""

    batch: int | None = None

    async def look(self, snapshot: Snapshot, rows: Sequence[Any], asked: frozenset[str]) -> None:
        """Ask nobody."""


def unknown(name: str) -> Field[Any, Any]:
    """Return what stands in an answer for a field that there is not."""
    return Field(
        name, name, Kind.UNKNOWN, f"Unknown field '{name}'", lambda _: lambda _: cells.UNKNOWN
    )


def table(*groups: Iterable[Field[T, L]]) -> dict[str, Field[T, L]]:
    """Return fields by name."""
    return {field.name: field for group in groups for field in group}


def plain(
    name: str,
    title: str,
    kind: Kind,
    doc: str,
    get: Callable[[T], Any],
    *,
    compared: Compared = Compared.AS_IT_IS,
) -> Field[T, Any]:
    """Return a field whose value every row has."""

    def getter(row: T) -> Cell:
        return cells.NORMAL, get(row)

    return Field(name, title, kind, doc, lambda _: getter, compared=compared)


def attribute(
    name: str, title: str, kind: Kind, doc: str, *, of: str = "", otherwise: Cell | None = None
) -> Field[Any, Any]:
    """Return a field that is an attribute of a row; ``otherwise`` stands for None."""
    get = operator.attrgetter(of or name)
    if otherwise is None:
        return plain(name, title, kind, doc, get)
    instead = otherwise

    def getter(row: object) -> Cell:
        return cells.value_or(get(row), instead)

    return Field(name, title, kind, doc, lambda _: getter)


def bound(
    name: str,
    title: str,
    kind: Kind,
    doc: str,
    bind: Callable[[Snapshot], Getter[T]],
    *,
    compared: Compared = Compared.AS_IT_IS,
) -> Field[T, Any]:
    """Return a field for which the configuration is looked at."""
    return Field(name, title, kind, doc, lambda view: bind(view.snapshot), compared=compared)


def live(
    name: str, title: str, kind: Kind, doc: str, bind: Callable[[View[L]], Getter[T]]
) -> Field[T, L]:
    """Return a field for which nodes are asked."""
    return Field(name, title, kind, doc, bind, is_live=True)


class _Tagged(Protocol):
    @property
    def tags(self) -> Sequence[str]: ...


def _sorted_tags(row: _Tagged) -> list[str]:
    return sorted(row.tags)


def common(what: str) -> list[Field[Any, Any]]:
    """Return the fields that every object of the configuration has."""
    return [
        attribute("ctime", "CTime", Kind.TIMESTAMP, f"When the {what} was created"),
        attribute("mtime", "MTime", Kind.TIMESTAMP, f"When the {what} was last changed"),
        attribute("uuid", "UUID", Kind.TEXT, f"The {what}'s UUID"),
        attribute(
            "serial_no",
            "SerialNo",
            Kind.NUMBER,
            f"Counts the changes of the {what} in the configuration",
        ),
        plain("tags", "Tags", Kind.OTHER, f"The {what}'s tags", _sorted_tags),
    ]


class _Object(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Object)

_KEYS: Final[dict[str, Any]] = {}
_MOST_KEYS: Final = 100_000


def by_name(objects: Iterable[N]) -> list[N]:
    """Return things in the order in which people read names; what sorts a name is remembered."""
    if len(_KEYS) > _MOST_KEYS:
        _KEYS.clear()
    return sorted(objects, key=_key)


def _key(row: _Object) -> Any:  # noqa: ANN401 - compared only
    name = row.name
    key = _KEYS.get(name)
    if key is None:
        key = _KEYS[name] = names.sort_key(name)
    return key

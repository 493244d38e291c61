"""All objects of one kind, by uuid, with indexes that are made when first asked for.

A table never changes. The next one is derived from it by what was put and removed, and carries on
every index that had been made, touching only the changed objects' entries; a table that nothing
changed in is the very same object in the next snapshot, indexes and all. So a change costs a few
copies of dicts, whatever was indexed.
"""

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Generic, TypeVar

T = TypeVar("T")

Keys = Callable[[T], Iterable[str]]
Index = Mapping[str, tuple[str, ...]]


class Table(Mapping[str, T], Generic[T]):
    """An immutable mapping from uuid to object."""

    __slots__ = ("_indexes", "_objects")

    def __init__(self, objects: Mapping[str, T] | None = None) -> None:
        self._objects: dict[str, T] = dict(objects or {})
        self._indexes: dict[Keys[T], dict[str, tuple[str, ...]]] = {}

    def __getitem__(self, uuid: str) -> T:
        return self._objects[uuid]

    def __iter__(self) -> Iterator[str]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._objects

    # The dict's own are several times as fast as what Mapping makes of the methods above.

    def keys(self) -> KeysView[str]:
        """Return the uuids."""
        return self._objects.keys()

    def values(self) -> ValuesView[T]:
        """Return the objects."""
        return self._objects.values()

    def items(self) -> ItemsView[str, T]:
        """Return the objects by uuid."""
        return self._objects.items()

    def index(self, keys: Keys[T]) -> Index:
        """Return the uuids of the objects that have each key; ``keys`` says an object's.

        ``keys`` is a function of a module, pure: the index is kept by it.
        """
        found = self._indexes.get(keys)
        if found is None:
            gathered: dict[str, list[str]] = {}
            for uuid, held in self._objects.items():
                for key in keys(held):
                    gathered.setdefault(key, []).append(uuid)
            found = {key: tuple(uuids) for key, uuids in gathered.items()}
            self._indexes[keys] = found
        return found

    def changed(self, changes: Mapping[str, T | None]) -> "Table[T]":
        """Return the table with objects put in, or taken out where the value is None."""
        if not changes:
            return self
        derived: Table[T] = Table(self._objects)
        for uuid, held in changes.items():
            if held is None:
                derived._objects.pop(uuid, None)
            else:
                derived._objects[uuid] = held
        for keys, index in self._indexes.items():
            derived._indexes[keys] = self._reindexed(keys, index, changes)
        return derived

    def _reindexed(
        self, keys: Keys[T], index: dict[str, tuple[str, ...]], changes: Mapping[str, T | None]
    ) -> dict[str, tuple[str, ...]]:
        moves = []
        for uuid, held in changes.items():
            before = self._objects.get(uuid)
            old = () if before is None else tuple(keys(before))
            new = () if held is None else tuple(keys(held))
            if old != new:
                moves.append((uuid, old, new))
        if not moves:
            return index
        changed = dict(index)
        for uuid, old, _ in moves:
            for key in dict.fromkeys(old):
                if left := tuple(other for other in changed[key] if other != uuid):
                    changed[key] = left
                else:
                    del changed[key]
        for uuid, _, new in moves:
            _enter(changed, new, uuid)
        return changed


def _enter(index: dict[str, tuple[str, ...]], keys: Iterable[str], uuid: str) -> None:
    """Enter an object under each of its keys, twice where it has a key twice."""
    for key in keys:
        index[key] = (*index.get(key, ()), uuid)

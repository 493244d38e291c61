"""The simulated etcd: keys with revisions, transactions, leases and watches, as etcd has them.

It is one thing that is there or not: what its members agree on among themselves is etcd's business.
When it comes back after it was away its leases begin anew, as with a new leader among the members.
All that was ever written is in `Etcd.history`, with who wrote it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from lab.takeover import world
from pyganeti.base import errors
from pyganeti.clients.etcd import failures, messages

NAME: Final = "etcd"
_SWEEP: Final = 0.5
"""Seconds after which etcd looks for leases that are over."""


@dataclass(frozen=True, slots=True)
class Written:
    """One key's change: when, at which revision, by whom; ``value`` None is a deletion."""

    at: float
    revision: int
    by: str
    key: bytes
    value: bytes | None


@dataclass(slots=True)
class _Lease:
    seconds: int
    until: float
    by: str


@dataclass(slots=True)
class Watcher:
    """Who watches a range; ``tell`` gets the news, None at a break."""

    key: bytes
    end: bytes
    tell: Callable[[messages.News | None], None]
    next_revision: int = 0


@dataclass(slots=True)
class _State:
    items: dict[bytes, messages.Item] = field(default_factory=dict)
    leases: dict[int, _Lease] = field(default_factory=dict)


class Etcd:
    """It."""

    def __init__(self, around: world.World) -> None:
        self.world = around
        self.revision = 1
        self.compacted = 0
        self.is_there = True
        self.is_full = False
        self.history: list[Written] = []
        self._state = _State()
        self._events: list[messages.Event] = []
        self._watchers: list[Watcher] = []
        around.at(_SWEEP, self._sweep)

    # What happens to it.

    def go(self) -> None:
        """Answer nobody any more."""
        self.is_there = False
        for watcher in self._watchers:
            watcher.tell(None)
        self._watchers.clear()

    def come(self) -> None:
        """Answer again."""
        if not self.is_there:
            self.is_there = True
            for lease in self._state.leases.values():
                lease.until = self.world.now + lease.seconds

    def break_watches(self) -> None:
        """Lose all who watch."""
        for watcher in self._watchers:
            watcher.tell(None)
        self._watchers.clear()

    # What it is asked.

    def transact(self, asked: messages.Transaction, by: str) -> messages.Outcome:
        """Carry a transaction out."""
        self._check()
        held = all(self._holds(condition) for condition in asked.conditions)
        operations = asked.then if held else asked.otherwise
        if self.is_full and any(isinstance(op, messages.Put) for op in operations):
            raise errors.Exhausted("etcd has no room left: mvcc: database space exceeded")
        if (
            len(asked.then) > messages.MOST_OPERATIONS
            or len(asked.otherwise) > messages.MOST_OPERATIONS
        ):
            raise errors.BadInput("etcd: too many operations in txn request")
        changes = any(not isinstance(op, messages.Get) for op in operations)
        events: list[messages.Event] = []
        found: list[tuple[messages.Item, ...]] = []
        revision = self.revision + 1 if changes else self.revision
        for operation in operations:
            match operation:
                case messages.Get(key, end, bare):
                    found.append(self._range(key, end, bare=bare))
                case messages.Put():
                    found.append(())
                    events.append(self._put(operation, revision, by))
                case messages.Delete(key, end):
                    found.append(())
                    gone = self._range(key, end)
                    events += [self._delete(item.key, revision, by) for item in gone]
        if events:
            self.revision = revision
            self._tell(events)
        return messages.Outcome(held, self.revision, tuple(found))

    def range(self, key: bytes, end: bytes, *, bare: bool = False) -> messages.Range:
        """Return what is there."""
        self._check()
        return messages.Range(self._range(key, end, bare=bare), self.revision)

    def grant(self, number: int, seconds: int, by: str) -> None:
        """Have there be a lease."""
        self._check()
        if number not in self._state.leases:
            self._state.leases[number] = _Lease(seconds, self.world.now + seconds, by)

    def renew(self, number: int) -> float:
        """Have a lease begin anew."""
        self._check()
        lease = self._state.leases.get(number)
        if lease is None:
            raise failures.Gone("the lease is over")
        lease.until = self.world.now + lease.seconds
        return float(lease.seconds)

    def revoke(self, number: int) -> None:
        """End a lease."""
        self._check()
        if self._state.leases.pop(number, None) is not None:
            self._end_of(number)

    def remaining(self, number: int) -> float:
        """Return how long a lease lasts."""
        self._check()
        lease = self._state.leases.get(number)
        return 0.0 if lease is None else max(0.0, lease.until - self.world.now)

    def compact(self, revision: int) -> None:
        """Forget what was before a revision."""
        self._check()
        self.compacted = max(self.compacted, min(revision, self.revision))

    def watch(self, watcher: Watcher, since: int) -> None:
        """Tell somebody what happens from a revision on."""
        self._check()
        if since <= self.compacted:
            raise failures.Compacted("required revision has been compacted")
        self._watchers.append(watcher)
        watcher.tell(messages.News((), self.revision))
        late = [event for event in self._events if event.item.modified >= since]
        if late:
            self._tell_one(watcher, late)

    def forget(self, watcher: Watcher) -> None:
        """Tell him no more."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def item(self, key: bytes) -> messages.Item | None:
        """Return a key as it is; for whoever looks on."""
        return self._state.items.get(key)

    def items(self) -> list[messages.Item]:
        """Return all keys as they are; for whoever looks on."""
        return list(self._state.items.values())

    def holder(self, key: bytes) -> str | None:
        """Return whose lease a key goes with, None if it is not there."""
        item = self._state.items.get(key)
        lease = None if item is None else self._state.leases.get(item.lease)
        return None if lease is None else lease.by

    # How.

    def _check(self) -> None:
        if not self.is_there:
            raise failures.Unanswered("etcd is away")

    def _holds(self, condition: messages.Condition) -> bool:
        item = self._state.items.get(condition.key)
        match condition:
            case messages.Created(_, revision, relation):
                created = 0 if item is None else item.created
                if relation is messages.Relation.GREATER:
                    return created > revision
                return created == revision
            case messages.Modified(_, revision):
                return (0 if item is None else item.modified) == revision

    def _range(self, key: bytes, end: bytes, *, bare: bool = False) -> tuple[messages.Item, ...]:
        items = self._state.items
        if not end:
            found = [items[key]] if key in items else []
        else:
            last = None if end == b"\0" else end
            found = [
                items[name]
                for name in sorted(items)
                if name >= key and (last is None or name < last)
            ]
        if not bare:
            return tuple(found)
        return tuple(messages.Item(i.key, b"", i.created, i.modified, i.lease) for i in found)

    def _put(self, put: messages.Put, revision: int, by: str) -> messages.Event:
        if put.lease and put.lease not in self._state.leases:
            raise failures.Gone("requested lease not found")
        before = self._state.items.get(put.key)
        created = revision if before is None else before.created
        item = messages.Item(put.key, put.value, created, revision, put.lease)
        self._state.items[put.key] = item
        self.history.append(Written(self.world.now, revision, by, put.key, put.value))
        return messages.Event(item, is_deletion=False)

    def _delete(self, key: bytes, revision: int, by: str) -> messages.Event:
        before = self._state.items.pop(key)
        self.history.append(Written(self.world.now, revision, by, key, None))
        gone = messages.Item(key, b"", before.created, revision)
        return messages.Event(gone, is_deletion=True)

    def _end_of(self, number: int) -> None:
        going = [key for key, item in self._state.items.items() if item.lease == number]
        if going:
            self.revision += 1
            self._tell([self._delete(key, self.revision, NAME) for key in going])

    def _sweep(self) -> None:
        if self.is_there:
            for number, lease in list(self._state.leases.items()):
                if lease.until < self.world.now:
                    del self._state.leases[number]
                    self._end_of(number)
        self.world.at(_SWEEP, self._sweep)

    def _tell(self, events: list[messages.Event]) -> None:
        self._events += events
        del self._events[:-200]
        for watcher in list(self._watchers):
            self._tell_one(watcher, events)

    def _tell_one(self, watcher: Watcher, events: list[messages.Event]) -> None:
        seen = [
            event
            for event in events
            if event.item.key == watcher.key
            or (watcher.end and watcher.key <= event.item.key < watcher.end)
        ]
        if seen:
            watcher.tell(messages.News(tuple(seen), self.revision))

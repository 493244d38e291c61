"""What is known of the jobs in etcd: which there are, and the values of as many as room allows.

Only the leader writes them, so what he remembers is what is there; but for what somebody takes away
by hand, of which he is told. No I/O.
"""

import collections
from collections.abc import Set as AbstractSet
from typing import Final

ROOM: Final = 48 << 20
"""Bytes of values that are kept."""


class Remembered:
    """Jobs by number."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._values: collections.OrderedDict[int, bytes] = collections.OrderedDict()
        self._size = 0
        self._there: set[int] = set()
        self._revisions: dict[int, int] = {}
        """At which each was written last."""

    @property
    def there(self) -> AbstractSet[int]:
        """The numbers of those that are there."""
        return self._there

    def value(self, number: int) -> bytes | None:
        """Return a job's value; None if there was no room for it, or there is no such job."""
        return self._values.get(number)

    def put(self, number: int, value: bytes, revision: int) -> None:
        """Take note that a job was written; what was written longest ago may have to make room."""
        self._there.add(number)
        self._revisions[number] = revision
        self._size += len(value) - len(self._values.pop(number, b""))
        self._values[number] = value
        while self._size > self._room and len(self._values) > 1:
            _, oldest = self._values.popitem(last=False)
            self._size -= len(oldest)

    def forget(self, number: int) -> None:
        """Take note that a job is gone."""
        self._there.discard(number)
        self._revisions.pop(number, None)
        self._size -= len(self._values.pop(number, b""))

    def hide(self, numbers: AbstractSet[int]) -> set[int]:
        """Say of jobs that they are not there, until they are shown or forgotten; return which."""
        hidden = self._there & numbers
        self._there -= hidden
        return hidden

    def show(self, numbers: AbstractSet[int]) -> None:
        """Say of them that they are."""
        self._there |= numbers

    def count(self, found: AbstractSet[int], revision: int) -> None:
        """Take note of which were there at a revision; what was written since is there, too."""
        since = {number for number in self._there if self._revisions.get(number, 0) > revision}
        for number in self._there - found - since:
            self.forget(number)
        self._there = set(found) | since

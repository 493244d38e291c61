"""Changes that no one waits for, on their way from the loop to the writer's thread.

Of one thing only the last change counts, so what a hostile guest can bring about is one note a
thing, however often it changes. Any thread may call anything here.
"""

import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from pyganeti.kvmd.journal import rows

_MOST: Final = 50_000

_Key: TypeAlias = tuple[rows.Subject, str]


class Notes:
    """The changes that were not written yet, oldest first; ``wake`` is called for the first."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._notes: dict[_Key, rows.Note] = {}

    def __len__(self) -> int:
        return len(self._notes)

    def put(self, note: rows.Note) -> bool:
        """Keep a change, in place of an earlier one of the same thing; False if too many are."""
        key = note.subject, note.key
        with self._lock:
            is_first = not self._notes
            if len(self._notes) >= _MOST and key not in self._notes:
                return False
            self._notes[key] = note
        if is_first:
            self._wake()
        return True

    def drop(self, subject: rows.Subject, key: str) -> None:
        """Take back a change that was not taken yet."""
        with self._lock:
            self._notes.pop((subject, key), None)

    def take(self, most: int) -> list[rows.Note]:
        """Take the oldest changes out, to write them."""
        with self._lock:
            taken = list(itertools.islice(self._notes.items(), most))
            for key, _ in taken:
                del self._notes[key]
        return [note for _, note in taken]

    def give_back(self, notes: Iterable[rows.Note]) -> None:
        """Keep changes that could not be written, unless newer ones of the same came meanwhile."""
        with self._lock:
            for note in notes:
                self._notes.setdefault((note.subject, note.key), note)

"""What WaitForJobChange asks, and when there is an answer. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.masterd.jobs import fields

NO_CHANGE: Final = "nochange"
LONGEST: Final = 89.0
"""Seconds that anybody may wait at a time: Ganeti's clients give up soon after."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which fields, what the asker saw of them last, and the last log entry that he has."""

    names: Sequence[str]
    previous: Any
    last_log: int | None

    def news(self, found: fields.Found) -> list[Any] | None:
        """Return the answer if there is something the asker has not seen, else None."""
        answer = self.answer(found)
        return answer if answer[1] or answer[0] != self.previous else None

    def answer(self, found: fields.Found) -> list[Any]:
        """Return the fields' values (None for one that does not exist) and the log since."""
        values = [
            fields.FIELDS[name](found) if name in fields.FIELDS else None for name in self.names
        ]
        after = -1 if self.last_log is None else self.last_log
        entries = [
            [number, list(at), kind, text]
            for op in found.job.ops
            for number, at, kind, text in op.log
            if number > after
        ]
        return [values, entries]

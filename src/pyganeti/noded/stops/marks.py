"""How far somebody has read a journal, and where that lets him go on. Pure.

A mark is a journal's id and a number in it. Numbers only rise, so it holds over pruning, over
restarts and over a node's reboot; it does not hold in another journal, which kvmd begins when one
is damaged or somebody removes it.
"""

import re
from dataclasses import dataclass
from typing import Final

from pyganeti.base import errors
from pyganeti.wire import stopanswers

_FORM: Final = re.compile(r"([0-9a-f]{0,64}):(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a journal: behind the stop of that number."""

    journal: str
    number: int

    def __str__(self) -> str:
        return f"{self.journal}:{self.number}"


def parse(text: str | None) -> Mark | None:
    """Return the mark that a text is; None for none and for `stopanswers.END`.

    Raises BadInput if it is none that was ever given out.
    """
    if text is None or text == stopanswers.END:
        return None
    found = _FORM.fullmatch(text)
    if found is None:
        raise errors.BadInput(f"{text[:80]!r} is no mark that a node gave out")
    return Mark(found[1], int(found[2]))


def begin(
    asked: str | None, journal: str, *, first: int | None, last: int
) -> tuple[int, stopanswers.Anew]:
    """Return the number to go on behind, and why that does not follow on the mark, "" if it does.

    ``first`` is the number of the oldest stop that the journal still has, ``last`` the highest it
    ever gave.
    """
    mark = parse(asked)
    if mark is None:
        return (last if asked == stopanswers.END else 0), ""
    if mark.journal != journal or mark.number > last:
        return 0, "another journal"
    oldest = last + 1 if first is None else first
    return mark.number, "pruned" if oldest > mark.number + 1 else ""

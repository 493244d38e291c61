"""``why NAME``: the last stop of a guest, told in plain words, and its timeline.

As JSON one object: that of `wire.stoprow`, and in it ``timeline``, a list of objects with ``at``
(seconds since the epoch, or null), ``source`` and ``what``, oldest first.
"""

import dataclasses
from typing import Any, Final, TextIO

from pyganeti.clients import stopjournal
from pyganeti.model import stop as stops
from pyganeti.wire import names, stoprow
from pyganeti.words import moments, pages, stopstory

_COLUMNS: Final = 88


def show(
    reader: stopjournal.Reader, out: TextIO, name: str, *, now: float, as_json: bool = False
) -> bool:
    """Write why the guest last stopped; tell whether any stop of it is on record.

    Raises as the reader.
    """
    stop = reader.last(name)
    if as_json:
        if stop is not None:
            pages.write_json(out, _as_dict(stop))
        return stop is not None
    again = next((guest for guest in reader.watched() if guest.name == name), None)
    told = (
        f"No stop of {pages.shown(name)} is on record."
        if stop is None
        else stopstory.story(stop, now)
    )
    if again is not None:
        told += (
            f" A guest of that name is under watch since {moments.day_and_time(again.since)}"
            f" ({moments.ago(again.since, now)})."
        )
    pages.write_paragraph(out, told, _COLUMNS)
    if stop is not None:
        pages.write_line(out)
        rows = [
            (moments.to_the_millisecond(one.at), one.source, one.what)
            for one in stopstory.timeline(stop)
        ]
        pages.write_table(out, ("WHEN", "FROM", "WHAT"), rows)
    return stop is not None


def _as_dict(stop: stops.Stop) -> dict[str, Any]:
    told = names.all_readable([dataclasses.asdict(one) for one in stopstory.timeline(stop)])
    return {**stoprow.as_dict(stop), "timeline": told}

"""``stops`` and ``follow``: the stops on record, and each new one as it is recorded.

As JSON lines both write the object that `wire.stoprow` describes. Lines are flushed one by one when
following, so that a pipe gets each at once.
"""

from collections.abc import Sequence
from typing import TextIO

from pyganeti.clients import stopjournal
from pyganeti.model import cause as causes
from pyganeti.model import stop as stops
from pyganeti.wire import stoprow
from pyganeti.words import moments, pages


def show(
    reader: stopjournal.Reader,
    out: TextIO,
    *,
    name: str | None = None,
    since: float | None = None,
    wanted: Sequence[causes.Cause] = (),
    limit: int | None = None,
    as_json: bool = False,
) -> int:
    """Write the stops that match all that is given, oldest first; return how many.

    ``since`` is in seconds since the epoch (see `moments.since`), ``wanted`` the causes, all if
    empty. Raises as the reader.
    """
    found = reader.stops(name=name, since=since, causes=wanted, limit=limit)
    if as_json:
        count = 0
        for stop in found:
            pages.write_json(out, stoprow.as_dict(stop))
            count += 1
        return count
    rows = [_row(stop) for stop in found]
    if rows:
        pages.write_table(out, ("STOPPED", "NAME", "PID", "RAN", "CAUSE", "WHY"), rows)
    else:
        pages.write_line(out, "No such stop is on record.")
    if reader.illegible:
        pages.write_line(out, f"{reader.illegible} rows of the journal are not legible.")
    return len(rows)


def follow(
    reader: stopjournal.Reader,
    out: TextIO,
    *,
    after: int | None = None,
    as_json: bool = False,
    ended: stopjournal.Ended | None = None,
) -> None:
    """Write each stop as it is recorded, until ``ended`` says so.

    Begins after number ``after``, by default with the next stop. Raises what the reader raises to
    begin with, and OSError once ``out`` is closed; later trouble with the journal is waited out.
    """
    begin = reader.last_number() if after is None else after
    for stop in reader.follow(begin, ended=ended):
        if as_json:
            pages.write_json(out, stoprow.as_dict(stop))
        else:
            pages.write_line(out, _line(stop))
        out.flush()


def _row(stop: stops.Stop) -> tuple[str, ...]:
    ran = None if stop.started is None else stop.stopped - stop.started
    return (
        moments.day_and_time(stop.stopped),
        stop.name,
        moments.UNKNOWN if stop.pid is None else str(stop.pid),
        moments.duration(ran),
        stop.cause.value,
        stop.why,
    )


def _line(stop: stops.Stop) -> str:
    at, name, why = moments.to_the_millisecond(stop.stopped), stop.name, stop.why
    return f"{at}  {pages.shown(name):<24}  {stop.cause.value:<14}  {pages.shown(why)}"

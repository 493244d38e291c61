"""One qemu under watch as programs see it: a JSON object (version 1).

Keys are stable, and new ones may be added: ``version``, ``name``, ``key``, ``boot_id``, ``socket``,
``pid``, ``start_ticks``, ``started``, ``since`` (seconds since the epoch), ``attached`` (whether
its socket is connected), ``whole`` (whether it was from the beginning), ``incoming`` (whether it
waits for a migration), ``reset_ends_qemu``, ``status`` (the last run state that bears on its end,
or ""), ``qemu`` (its version) and ``events`` (the evidence so far).
"""

from typing import Any, Final

import msgspec

from pyganeti.base import errors
from pyganeti.model import stop as stops
from pyganeti.wire import names

VERSION: Final = 1


def as_dict(watched: stops.Watched) -> dict[str, Any]:
    """Return the object; text that is not Unicode is written out."""
    found = {"version": VERSION, **msgspec.structs.asdict(watched)}
    found["events"] = msgspec.to_builtins(watched.events)
    readable = names.all_readable(found)
    assert isinstance(readable, dict)  # noqa: S101 - an object stays one
    return readable


def watched_from(row: object) -> stops.Watched:
    """Return the qemu that such an object tells of; raises `errors.Damaged` if it is none."""
    try:
        return msgspec.convert(row, stops.Watched)
    except msgspec.ValidationError as error:
        raise errors.Damaged(f"this is no watched qemu: {error}") from error

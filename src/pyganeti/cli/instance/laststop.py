"""The last stop of instances in a line each, for who looks at one with other things in mind."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pyganeti.cli import session, tables
from pyganeti.words import moments

_FIELDS: Final = ("name", "stop_cause", "stop_time", "stop_node", "stop_why")
_NOT_THERE: Final = {
    tables.NO_DATA: "not known",
    tables.OFFLINE: "not known: its node is marked offline",
}


def ask(current: session.Session, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return by name what the last stops are, each field as (status, value).

    Nothing is known where the master daemon is Ganeti's, which has no such fields. Raises Failure.
    """
    wanted = ["|", *(["==", "name", name] for name in names)]
    rows = current.client.query("instance", _FIELDS, wanted)["data"] if names else []
    known = [dict(zip(_FIELDS, cells, strict=True)) for cells in rows]
    return {row["name"][1]: row for row in known if row["stop_cause"][0] != tables.UNKNOWN}


def told(row: Mapping[str, Any], now: float) -> str:
    """Return it for people."""
    status, cause = row["stop_cause"]
    if status == tables.NORMAL and not cause:
        return "none on record"
    if status != tables.NORMAL:
        return _NOT_THERE.get(status, "not known")
    at = row["stop_time"][1]
    when = f"{moments.day_and_time(at)} ({moments.ago(at, now)})"
    return f"{cause}, {when}, on {row['stop_node'][1]}: {row['stop_why'][1]}"


def plain(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return it for programs, None if there is none or it is not known."""
    if row["stop_cause"][0] != tables.NORMAL or not row["stop_cause"][1]:
        return None
    return {
        "cause": row["stop_cause"][1],
        "stopped": row["stop_time"][1],
        "node": row["stop_node"][1],
        "why": row["stop_why"][1],
    }

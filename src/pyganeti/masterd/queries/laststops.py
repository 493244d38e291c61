"""Why an instance last stopped, and since when it runs: fields of instances that their nodes know.

Every node is asked once, however many instances there are: an instance that was moved has stopped
where it was before. The stop that was last counts, wherever it was; one from before the instance
was created is of another that had its name. What its own node does not say is not known, whatever
others say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyganeti.masterd.queries import asking, cells, fields, stops
from pyganeti.masterd.queries.cells import Cell, Kind
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.wire import stopanswers

NAMES: Final = frozenset({"stop_cause", "stop_time", "stop_why", "stop_node", "run_since"})


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one instance; the cell stands for what is not."""

    last: stopanswers.Last | None = None
    node: str = ""
    since: Cell = cells.UNAVAILABLE
    missing: Cell = cells.UNAVAILABLE


Live = Mapping[str, Known]
"""By the instances' uuids."""

_NOBODY: Final = Known(since=cells.NO_DATA, missing=cells.NO_DATA)


async def look(
    nodes: asking.Nodes, snapshot: Snapshot, rows: Sequence[Instance]
) -> dict[str, Known]:
    """Ask the nodes about instances."""
    primaries = {row.primary_node for row in rows}
    asked = [node for node in snapshot.nodes.values() if node.vm_capable or node.uuid in primaries]
    wanted = sorted({row.name for row in rows if row.name})
    said: dict[str, asking.Said[stopanswers.LastStops]] = {}
    for begin in range(0, len(wanted), stopanswers.MOST_LAST) or [0]:
        some = wanted[begin : begin + stopanswers.MOST_LAST]
        more = await asking.each(nodes, asked, "instance_last_stops", [some], stopanswers.LastStops)
        said = {uuid: _joined(said.get(uuid), answer) for uuid, answer in more.items()}
    where = {uuid: node.name for uuid, node in snapshot.nodes.items()}
    newest = _newest(said, where)
    return {row.uuid: _known(row, said.get(row.primary_node), newest) for row in rows}


def _joined(
    before: asking.Said[stopanswers.LastStops] | None,
    answer: asking.Said[stopanswers.LastStops],
) -> asking.Said[stopanswers.LastStops]:
    """Return what a node said in two answers."""
    if before is None or before.what is None or answer.what is None:
        return answer if before is None or before.what is not None else before
    before.what.stops.update(answer.what.stops)
    before.what.running.update(answer.what.running)
    return before


def _newest(
    said: Mapping[str, asking.Said[stopanswers.LastStops]], where: Mapping[str, str]
) -> dict[str, tuple[stopanswers.Last, str]]:
    """Return the last stop of each name, and the node's name."""
    found: dict[str, tuple[stopanswers.Last, str]] = {}
    for uuid, answer in said.items():
        for name, last in (answer.what.stops if answer.what else {}).items():
            if name not in found or found[name][0].stopped < last.stopped:
                found[name] = (last, where[uuid])
    return found


def _known(
    row: Instance,
    primary: asking.Said[stopanswers.LastStops] | None,
    newest: Mapping[str, tuple[stopanswers.Last, str]],
) -> Known:
    if primary is None or primary.what is None:
        missing = cells.NO_DATA if primary is None else primary.missing
        return Known(since=missing, missing=missing)
    said = primary.what
    is_kept = said.journal == "there" or (said.journal == "none" and said.kvmd)
    nothing = cells.UNAVAILABLE if is_kept else cells.NO_DATA
    since = nothing
    if not said.kvmd:
        since = cells.NO_DATA  # what it knew when it last ran may have ended since
    elif row.name in said.running:
        since = cells.value_or(said.running[row.name], cells.NO_DATA)
    last, node = newest.get(row.name, (None, ""))
    if last is None or stops.had_it(row, last.stopped) is None:
        return Known(since=since, missing=nothing)
    return Known(last, node, since)


def _cause(view: fields.View[Any]) -> fields.Getter[Instance]:
    """Return what has a cause; where there is none it is "", so that conditions tell both."""
    known: Live = view.live.last

    def getter(row: Instance) -> Cell:
        held = known.get(row.uuid, _NOBODY)
        if held.last is not None:
            return cells.NORMAL, held.last.cause
        return (cells.NORMAL, "") if held.missing == cells.UNAVAILABLE else held.missing

    return getter


def _field(
    name: str, title: str, kind: Kind, doc: str, attribute: str
) -> fields.Field[Instance, Any]:
    def bind(view: fields.View[Any]) -> fields.Getter[Instance]:
        known: Live = view.live.last

        def getter(row: Instance) -> Cell:
            held = known.get(row.uuid, _NOBODY)
            if held.last is None:
                return held.missing
            return cells.NORMAL, getattr(held.last, attribute)

        return getter

    return fields.live(name, title, kind, doc, bind)


def _node(view: fields.View[Any]) -> fields.Getter[Instance]:
    known: Live = view.live.last

    def getter(row: Instance) -> Cell:
        held = known.get(row.uuid, _NOBODY)
        return held.missing if held.last is None else (cells.NORMAL, held.node)

    return getter


def _since(view: fields.View[Any]) -> fields.Getter[Instance]:
    known: Live = view.live.last
    return lambda row: known.get(row.uuid, _NOBODY).since


FIELDS: Final[list[fields.Field[Instance, Any]]] = [
    fields.live(
        "stop_cause",
        "StopCause",
        Kind.TEXT,
        "Why it last stopped, whether it runs again or not, empty if no stop is on record; see"
        " gnt-instance why",
        _cause,
    ),
    _field("stop_time", "StopTime", Kind.TIMESTAMP, "When it last stopped", "stopped"),
    _field("stop_why", "StopWhy", Kind.TEXT, "The evidence for why it last stopped", "why"),
    fields.live("stop_node", "StopNode", Kind.TEXT, "The node on which it last stopped", _node),
    fields.live(
        "run_since",
        "RunSince",
        Kind.TIMESTAMP,
        "Since when its qemu runs, as ganeti-kvmd on its node has it",
        _since,
    ),
]

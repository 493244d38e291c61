"""The calls about stops, which are ours: what is on record, what comes, and why a guest stopped.

A call that waits holds a client's place, of which there are ``--max-clients``; so no more than a
quarter of them may wait, and a client that leaves ends its call at once. `wire.stopanswers` has the
answers.
"""

from typing import Final

from pyganeti.base import errors
from pyganeti.noded import calls
from pyganeti.noded import node as nodes
from pyganeti.noded.stops import reading
from pyganeti.wire import stopanswers

_ROWS: Final = 100


async def instance_stops(
    node: nodes.Node,
    mark: str | None = None,
    patience: float = 0.0,
    limit: int = _ROWS,
    wanted: stopanswers.Filter | None = None,
) -> stopanswers.Stops:
    """Return the stops behind a mark, oldest first; wait for one if there is none."""
    if not 0 <= patience <= stopanswers.LONGEST_WAIT:
        raise errors.BadInput(f"stops are waited for 0 to {stopanswers.LONGEST_WAIT:g} seconds")
    if not 1 <= limit <= stopanswers.MOST_ROWS:
        raise errors.BadInput(f"1 to {stopanswers.MOST_ROWS} stops can be asked for")
    asked = reading.Asked(mark, limit, wanted or stopanswers.Filter())
    return await node.stops.stops(asked, patience)


async def instance_why(node: nodes.Node, name: str) -> stopanswers.Why:
    """Return a guest's last stop, and its qemu that is under watch now."""
    return await node.stops.why(name)


async def instance_last_stops(node: nodes.Node, names: list[str]) -> stopanswers.LastStops:
    """Return the last stop of each of some guests, and since when those run that do."""
    if len(names) > stopanswers.MOST_LAST:
        raise errors.BadInput(f"the last stops of {stopanswers.MOST_LAST} guests can be asked for")
    return await node.stops.last_stops(names)


CALLS: Final = (
    calls.Call("instance_stops", instance_stops, ends_with_client=True),
    calls.Call("instance_why", instance_why, ends_with_client=True),
    calls.Call("instance_last_stops", instance_last_stops, ends_with_client=True),
)

"""Finds what no news told of: instances that are wanted to run and do not.

So nobody is forgotten: not while kvmd was down, not when a journal was lost, not by a master that
has just become one, not on a node whose daemon tells nothing. What was found is a case, with the
last stop that its node has on record if that can be the one.

Failure: a node that does not say which stops it has on record leaves the cause open, no more.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pyganeti.base import errors, log
from pyganeti.clients import node as nodeclient
from pyganeti.clients import nodestops
from pyganeti.model import cause as causes
from pyganeti.model import instancestatus
from pyganeti.watcher.recovery import cases, looking, memory, mentions
from pyganeti.wire import stopanswers

_LOG = log.get(__name__)

_FALLEN: Final = frozenset({instancestatus.ERROR_DOWN, instancestatus.USER_DOWN})
_PATIENCE: Final = 5.0
_EARLIER: Final = 1.0
"""Seconds by which the clocks of two nodes may differ when it is asked what came first."""


def fallen(view: looking.View) -> list[looking.Instance]:
    """Return the instances that are wanted to run and do not."""
    return [
        one
        for one in view.instances.values()
        if one.seen.admin_state == "up" and one.seen.status in _FALLEN
    ]


@dataclass(frozen=True, slots=True)
class Recorded:
    """The stops that are on record, by the instance's name.

    ``telling`` are the nodes that have a journal. A stop that is not in it may be in a moment: the
    node may be booting, and whoever writes the journal not be that far yet.
    """

    stops: Mapping[str, cases.Stop]
    telling: frozenset[str]


async def recorded(
    caller: nodeclient.Caller,
    nodes: Mapping[str, looking.Node],
    found: Sequence[looking.Instance],
) -> Recorded:
    """Return what is on record where these instances should run."""
    telling: set[str] = set()
    by_node: dict[str, list[str]] = {}
    for one in found:
        by_node.setdefault(one.node, []).append(one.name)

    async def ask(node: str, names: list[str]) -> dict[str, cases.Stop]:
        host = nodes.get(node)
        if host is None or host.offline:
            return {}
        try:
            async with asyncio.timeout(_PATIENCE):
                told = await nodestops.last_stops(caller, host.address, names)
        except (errors.Failure, TimeoutError) as failure:
            _LOG.debug("a node does not tell the last stops", node=node, why=str(failure))
            return {}
        if told.journal == "there":
            telling.add(node)
        return _usable(node, told)

    answers = await asyncio.gather(*(ask(node, names) for node, names in by_node.items()))
    stops = {name: stop for answer in answers for name, stop in answer.items()}
    return Recorded(stops, frozenset(telling))


async def astray(
    caller: nodeclient.Caller,
    nodes: Mapping[str, looking.Node],
    found: Sequence[looking.Instance],
) -> dict[str, str]:
    """Return by name on which other node instances run that seem to be down.

    A migration that was broken off may have left one where nobody looks for it; started a second
    time it would ruin its disks. A node that does not say what it runs counts as running nothing.
    """
    wanted = {one.name: one.node for one in found}
    places = {host.address: name for name, host in nodes.items() if not host.offline}
    if not wanted:
        return {}
    answers = await caller.call_each(places, "instance_list", [["kvm"], {}], timeout=_PATIENCE)
    strays = {}
    for address, answer in answers.items():
        node = places[address]
        for name in answer if isinstance(answer, list) else ():
            if isinstance(name, str) and wanted.get(name, node) != node:
                strays[name] = node
    return strays


def without_older(known: Recorded, begun: mentions.Begun, remembered: memory.Memory) -> Recorded:
    """Leave out stops after which the instance was to be started, or moved: they were others.

    So one is not left for why it was down long ago. ``begun`` is what the queue's jobs tell.
    """
    found = {}
    for name, stop in known.stops.items():
        last = max(begun.last(name), remembered.last_tried(name) or 0.0)
        if (stop.stopped or 0.0) + _EARLIER >= last:
            found[name] = stop
    return Recorded(found, known.telling)


def _usable(node: str, told: stopanswers.LastStops) -> dict[str, cases.Stop]:
    """Return the stops, if whoever records them is there: else the last one may be missing."""
    found = {}
    for name, last in told.stops.items() if told.kvmd else ():
        try:
            cause = causes.Cause(last.cause)
        except ValueError:
            cause = causes.Cause.UNKNOWN
        found[name] = cases.Stop(cause, last.key, last.stopped, node)
    return found

"""Whether another node may be made the master, and whose copies it begins with. Pure.

The copy of the configuration that was written by the latest master counts, and of one master's the
last. The copies of the queue that count are those that the newest list of good ones names: they
have all that anybody was told.
"""

import collections
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyganeti.base import errors
from pyganeti.wire import standings


@dataclass(frozen=True, slots=True)
class Votes:
    """Who says which node is the master; None for who did not say."""

    said: Mapping[str, str | None]
    counted: collections.Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        votes = collections.Counter(name for name in self.said.values() if name)
        object.__setattr__(self, "counted", votes)

    @property
    def silent(self) -> list[str]:
        """The nodes that did not say."""
        return sorted(name for name, vote in self.said.items() if not vote)

    def check(self, old: str, new: str) -> None:
        """Raise BadInput unless most nodes answer, and name the old master.

        Those that name the new one were told when this was done before and cut off.
        """
        if 2 * self.counted.total() <= len(self.said):
            raise errors.BadInput(
                f"only {self.counted.total()} of {len(self.said)} nodes answer, so that a new"
                f" master would not be confirmed: no answer from {', '.join(self.silent)}; if you"
                " are sure that no other master runs, say --no-voting",
                "environment_error",
            )
        others = {name: count for name, count in self.counted.items() if name not in {old, new}}
        if others and max(others.values()) >= sum(self.counted[name] for name in {old, new}):
            named = max(others, key=lambda name: others[name])
            raise errors.BadInput(
                f"this node believes that the master is {old}, and the others name {named}: its"
                " copy of the configuration is an old one",
                "wrong_state",
            )


def newest_config(own: str, found: Mapping[str, standings.Standing]) -> str:
    """Return whose copy of the configuration is the newest, by uuids; the own one if it is."""

    def rank(uuid: str) -> tuple[int, int, bool]:
        standing = found.get(uuid)
        config = None if standing is None else standing.config
        if config is None:
            return (-1, -1, uuid == own)
        return (config.epoch, config.serial, uuid == own)

    return max({own, *found}, key=rank)


def good_queue(own: str, found: Mapping[str, standings.Standing]) -> str:
    """Return whose copy of the queue has all that anybody was told; the own one if it has.

    Where there is no list of good ones (Ganeti's master keeps none) it is the own one, unless it
    has none at all.
    """
    queues = {uuid: s.queue for uuid, s in found.items() if s.queue is not None}
    lists = [queue.good for queue in queues.values() if queue.good is not None]
    if not lists:
        if own in queues or not queues:
            return own
        return max(queues, key=lambda uuid: queues[uuid].serial)
    newest = max(lists, key=lambda good: good.rank)
    # A copy without a list is being filled, whatever others said of it before.
    there = {
        uuid
        for uuid in (newest.master, *newest.names)
        if uuid in queues and queues[uuid].good is not None
    }
    if own in there or not there:
        return own
    return max(there, key=lambda uuid: (queues[uuid].serial, uuid))


def newest_list(found: Mapping[str, standings.Standing]) -> standings.Good | None:
    """Return the newest list of good copies that anybody has."""
    queues = [s.queue for s in found.values() if s.queue is not None]
    lists = [queue.good for queue in queues if queue.good is not None]
    return max(lists, key=lambda good: good.rank, default=None)

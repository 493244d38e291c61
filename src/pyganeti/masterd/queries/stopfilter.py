"""What of a condition about stops the nodes can be told, so that they read and send no more. Pure.

What is told leaves nothing out for which the condition holds; what it leaves in, the condition
itself sorts out afterwards. ``recent`` is the exception that bounds an answer: it counts, on each
node, from the newest of the stops that were asked for, so it holds by being told.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from pyganeti.masterd.queries.language import (
    Both,
    Comparison,
    Condition,
    Either,
)
from pyganeti.model.cause import Cause

V = TypeVar("V")

_MOST_NAMES: Final = 500


@dataclass(frozen=True, slots=True)
class Narrow:
    """Which stops are enough; None is no restriction.

    ``hosts`` and ``nodes`` are names, or the first parts of such. ``most`` is how many of each
    node's, the newest.
    """

    hosts: frozenset[str] | None = None
    nodes: frozenset[str] | None = None
    causes: frozenset[Cause] | None = None
    since: float | None = None
    until: float | None = None
    most: int | None = None


def narrowed(condition: Condition) -> Narrow:
    """Return what is enough to find all for which a condition holds."""
    match condition:
        case Comparison("==", "name", str(name)):
            return Narrow(hosts=frozenset({name}))
        case Comparison("==", "node", str(name)):
            return Narrow(nodes=frozenset({name}))
        case Comparison("==", "cause", str(word)) if word in set(Cause):
            return Narrow(causes=frozenset({Cause(word)}))
        case Comparison(">" | ">=", "stopped", int(moment)):
            return Narrow(since=float(moment))
        case Comparison("<" | "<=", "stopped", int(moment)):
            return Narrow(until=float(moment))
        case Comparison("<" | "<=" as operator, "recent", int(count)):
            return Narrow(most=count if operator == "<" else count + 1)
        case Both(parts):
            return _folded([narrowed(part) for part in parts], _both)
        case Either(parts) if parts:
            return _folded([narrowed(part) for part in parts], _either)
    return Narrow()


def _folded(found: list[Narrow], join: Callable[[Narrow, Narrow], Narrow]) -> Narrow:
    folded = Narrow()
    for place, narrow in enumerate(found):
        folded = narrow if not place else join(folded, narrow)
    return _bounded(folded)


def _both(one: Narrow, other: Narrow) -> Narrow:
    return Narrow(
        # Of two lists of first parts either is enough; what both have in common need not be.
        hosts=one.hosts if one.hosts is not None else other.hosts,
        nodes=one.nodes if one.nodes is not None else other.nodes,
        causes=one.causes if one.causes is not None else other.causes,
        since=_least(one.since, other.since, max),
        until=_least(one.until, other.until, min),
        most=_least(one.most, other.most, min),
    )


def _either(one: Narrow, other: Narrow) -> Narrow:
    return Narrow(
        hosts=_joined(one.hosts, other.hosts),
        nodes=_joined(one.nodes, other.nodes),
        causes=_joined(one.causes, other.causes),
        since=None if one.since is None or other.since is None else min(one.since, other.since),
        until=None if one.until is None or other.until is None else max(one.until, other.until),
        most=None if one.most is None or other.most is None else max(one.most, other.most),
    )


def _joined(one: frozenset[V] | None, other: frozenset[V] | None) -> frozenset[V] | None:
    return None if one is None or other is None else one | other


N = TypeVar("N", int, float)


def _least(one: N | None, other: N | None, better: Callable[[N, N], N]) -> N | None:
    if one is None or other is None:
        return one if other is None else other
    return better(one, other)


def _bounded(narrow: Narrow) -> Narrow:
    """Ask for all guests where they are too many to name."""
    if narrow.hosts is None or len(narrow.hosts) <= _MOST_NAMES:
        return narrow
    return dataclasses.replace(narrow, hosts=None)


def is_among(name: str, hosts: frozenset[str] | None) -> bool:
    """Tell whether a host's name, or one of its first parts, is on a list; None has all."""
    if hosts is None or name in hosts:
        return True
    return any(name.startswith(f"{host}.") for host in hosts)

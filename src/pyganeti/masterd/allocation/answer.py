"""What an external allocator answered: believed only if it is what was asked for; pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import msgspec

from pyganeti.base import errors


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether it found a solution, its words, and the solution."""

    success: bool
    info: str
    result: Any


class _Shape(msgspec.Struct, frozen=True):
    success: bool
    info: str
    result: Any = msgspec.UNSET
    nodes: Any = msgspec.UNSET


def read(text: str) -> Answer:
    """Return what an allocator's output says; raises Failure if it is no answer."""
    try:
        found = msgspec.json.decode(text, type=_Shape)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise errors.Failure(f"Can't parse iallocator results: {error}") from error
    result = found.nodes if found.result is msgspec.UNSET else found.result
    if result is msgspec.UNSET:
        raise errors.Failure("Can't parse iallocator results: missing key 'result'")
    return Answer(found.success, found.info, result)


def one_node(answer: Answer, known: Collection[str]) -> str:
    """Return the one node that an answer names; raises Failure if it does not name one."""
    result = answer.result
    if not isinstance(result, list) or len(result) != 1:
        count = len(result) if isinstance(result, list) else result
        raise errors.Failure(f"iallocator returned invalid number of nodes ({count}), required 1")
    return _known(result[0], known)


def many(
    answer: Answer, names: Collection[str], known: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Return the node of each instance that got one, and the instances that did not."""
    try:
        placed, failed = msgspec.convert(
            answer.result, tuple[list[tuple[str, list[str]]], list[str]]
        )
    except msgspec.ValidationError as error:
        raise errors.Failure(f"iallocator returned invalid result: {error}") from error
    found = {}
    for name, nodes in placed:
        if name not in names or len(nodes) != 1:
            raise errors.Failure(f"iallocator returned invalid result for {name!r}: {nodes!r}")
        found[name] = _known(nodes[0], known)
    if missing := set(names) - found.keys() - set(failed):
        raise errors.Failure(f"iallocator returned nothing for {', '.join(sorted(missing))}")
    return found, [name for name in failed if name in names]


def _known(name: object, known: Collection[str]) -> str:
    if not isinstance(name, str) or name not in known:
        raise errors.Failure(f"iallocator returned {name!r}, which is none of the cluster's nodes")
    return name

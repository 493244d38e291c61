"""Which role a node has, and which it gets from what is asked; pure.

A node is a master candidate, drained, offline, or none of these: never two at once.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyganeti.model.config import candidates
from pyganeti.model.config.node import Node
from pyganeti.model.config.snapshot import Snapshot

_FLAGS: Final = ("master_candidate", "drained", "offline")


class Role(enum.Enum):
    """What a node is. The value is the flag that says so."""

    CANDIDATE = "master_candidate"
    DRAINED = "drained"
    OFFLINE = "offline"
    REGULAR = ""

    @property
    def flags(self) -> dict[str, bool]:
        """The flags of a node in this role."""
        return {name: name == self.value for name in _FLAGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What flags are to be; None: whatever they are."""

    master_candidate: bool | None = None
    drained: bool | None = None
    offline: bool | None = None
    master_capable: bool | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The role that a node gets, and what to tell people about how it came to that."""

    role: Role
    notes: Sequence[str] = ()


def of(node: Node) -> Role:
    """Return a node's role; of contradicting flags, the one that keeps others away from it."""
    if node.offline:
        return Role.OFFLINE
    if node.drained:
        return Role.DRAINED
    return Role.CANDIDATE if node.master_candidate else Role.REGULAR


def decide(snapshot: Snapshot, node: Node, asked: Asked) -> Decision:
    """Return the role that a node gets.

    One that comes back becomes a candidate if there are too few; one that cannot be master any
    more is none any more.
    """
    notes: list[str] = []
    wanted = {name: getattr(asked, name) for name in _FLAGS}
    for name in _FLAGS:
        if wanted[name] is False and not getattr(node, name):
            notes.append(f"Ignoring request to unset flag {name}, already unset")
            wanted[name] = None
    comes_back = wanted["drained"] is False or wanted["offline"] is False
    is_new = bool(asked.master_capable) and not node.master_capable
    can_be = node.master_capable if asked.master_capable is None else asked.master_capable
    stays_away = wanted["drained"] or wanted["offline"]
    if (comes_back or is_new) and can_be and not stays_away and _is_missing(snapshot):
        wanted["master_candidate"] = True
        notes.append("Auto-promoting node to master candidate")
    if asked.master_capable is False and node.master_candidate:
        wanted["master_candidate"] = False
        notes.append("Demoting from master candidate")
    for role in (Role.CANDIDATE, Role.DRAINED, Role.OFFLINE):
        if wanted[role.value]:
            return Decision(role, notes)
    if False in wanted.values():
        return Decision(Role.REGULAR, notes)
    return Decision(of(node), notes)


def _is_missing(snapshot: Snapshot) -> bool:
    """Tell whether there is a place for one more candidate."""
    counted = candidates.count(snapshot)
    return counted.present < min(counted.wanted + 1, snapshot.cluster.candidate_pool_size)

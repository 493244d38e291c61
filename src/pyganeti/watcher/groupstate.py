"""What a node group's passes know of earlier ones, in the form of Ganeti's state file: JSON.

Under "node" is the boot id that each node had in the last pass, by which one that was rebooted is
known. Under "instance" Ganeti's watcher counts what it tried; ours counts elsewhere, and keeps
those numbers for as long as Ganeti's would, for the day that one takes over. Pure.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final, Self

import msgspec

from pyganeti.base import errors

LIMIT: Final = 64 * 1024 * 1024
"""Bytes of such a file at most."""

_INSTANCE: Final = "instance"
_NODE: Final = "node"
_BOOT_ID: Final = "bootid"
_TRIED: Final = "restart_when"
_EXPIRY: Final = 8 * 3600.0
"""Seconds for which Ganeti's watcher remembers what it tried."""

Entries = dict[str, dict[str, Any]]


class GroupState:
    """What is known; `encode` gives the file's content."""

    def __init__(self, nodes: Entries, instances: Entries, other: Mapping[str, Any]) -> None:
        self._nodes = nodes
        self._instances = instances
        self._other = dict(other)

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Return what a file's content says; an empty one says nothing.

        What is not as it should be below the top is left out. Raises Damaged if it is not JSON of
        that form at all.
        """
        if not content.strip():
            return cls({}, {}, {})
        try:
            data = msgspec.json.decode(content, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise errors.Damaged(f"the state of earlier passes is not legible: {error}") from error
        other = {key: value for key, value in data.items() if key not in {_NODE, _INSTANCE}}
        return cls(_entries(data.get(_NODE)), _entries(data.get(_INSTANCE)), other)

    def encode(self) -> bytes:
        """Return the file's content."""
        known = {**self._other, _INSTANCE: self._instances, _NODE: self._nodes}
        return msgspec.json.encode(known) + b"\n"

    def boot_id(self, node: str) -> str | None:
        """Return the boot id that a node had, None if that is not known."""
        found = self._nodes.get(node, {}).get(_BOOT_ID)
        return found if isinstance(found, str) else None

    def rebooted(self, boot_ids: Mapping[str, str | None]) -> list[str]:
        """Return the nodes that have another boot id than before; one that tells none has not."""
        return [
            node for node, boot_id in boot_ids.items() if boot_id and boot_id != self.boot_id(node)
        ]

    def remember(self, node: str, boot_id: str) -> None:
        """Take note of a node's boot id."""
        self._nodes.setdefault(node, {})[_BOOT_ID] = boot_id

    def forget(self, nodes: Collection[str], instances: Collection[str], now: float) -> None:
        """Drop what is not there any more, and what Ganeti's watcher would drop."""
        self._nodes = {node: known for node, known in self._nodes.items() if node in nodes}
        self._instances = {
            name: known
            for name, known in self._instances.items()
            if name in instances and _number(known.get(_TRIED)) >= now - _EXPIRY
        }


def _entries(said: object) -> Entries:
    if not isinstance(said, dict):
        return {}
    return {str(name): dict(known) for name, known in said.items() if isinstance(known, dict)}


def _number(said: object) -> float:
    return float(said) if isinstance(said, int | float) else 0.0

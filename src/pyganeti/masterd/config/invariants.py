"""What must hold between the objects of a configuration, and who looks when.

A change is checked by what it touched and what leans on that; only what it made worse is held
against it, so that a configuration which has something wrong already can still be changed,
elsewhere and for the better. `verify` looks at everything, for the start and for who asks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.config import findings
from pyganeti.masterd.config.findings import Finding
from pyganeti.model.config import keys
from pyganeti.model.config.snapshot import Snapshot

_SHOWN: Final = 3
"""Findings in an error's words."""

_SECTIONS: Final[Mapping[str, Callable[[Snapshot, Any], Iterator[Finding]]]] = {
    "nodes": findings.of_node,
    "groups": findings.of_group,
    "instances": findings.of_instance,
    "networks": findings.of_network,
    "disks": findings.of_disk,
    "filters": findings.of_filter,
}
"""How the objects of each table are looked at."""


def verify(snapshot: Snapshot) -> list[Finding]:
    """Return everything that is wrong with a configuration."""
    return [
        *findings.of_cluster(snapshot, snapshot.cluster),
        *findings.of_candidates(snapshot),
        *findings.of_highest_port(snapshot),
        *_misplaced(snapshot),
        *_same_uuids(snapshot),
        *_of(snapshot, {section: tuple(getattr(snapshot, section)) for section in _SECTIONS}),
    ]


def check(before: Snapshot, after: Snapshot, touched: Mapping[str, Iterable[str]]) -> None:
    """Raise BadInput if a change breaks an invariant; ``touched`` are uuids by table.

    The error's code is that of the first thing broken.
    """
    looked_at = _with_dependents(before, after, touched)
    broken = [finding for finding in _of(after, looked_at) if finding.is_hard]
    is_cluster_touched = after.cluster is not before.cluster or bool(looked_at["nodes"])
    if is_cluster_touched:
        broken += findings.of_cluster(after, after.cluster)
    broken += _uuids_taken(before, after, touched)
    if broken:  # seldom: only now is it worth looking what was so before
        earlier = (*_of(before, looked_at), *findings.of_cluster(before, before.cluster))
        known = {finding.key for finding in earlier}
        broken = [finding for finding in broken if finding.key not in known]
    if broken:
        more = f" (and {len(broken) - _SHOWN} more)" if len(broken) > _SHOWN else ""
        raise errors.BadInput("; ".join(map(str, broken[:_SHOWN])) + more, broken[0].code)


def _of(snapshot: Snapshot, looked_at: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    for section, uuids in looked_at.items():
        table, look = getattr(snapshot, section), _SECTIONS[section]
        for uuid in uuids:
            if (held := table.get(uuid)) is not None:
                yield from look(snapshot, held)


def _with_dependents(
    before: Snapshot, after: Snapshot, touched: Mapping[str, Iterable[str]]
) -> dict[str, tuple[str, ...]]:
    """Return what is touched, and what has lost something that it leans on."""
    found = {section: dict.fromkeys(touched.get(section, ())) for section in _SECTIONS}
    for uuid in touched.get("nodes", ()):
        if uuid not in after.nodes:
            found["instances"].update(
                dict.fromkeys(after.instances.index(keys.primary_nodes).get(uuid, ()))
            )
            found["disks"].update(dict.fromkeys(after.disks.index(keys.disk_nodes).get(uuid, ())))
    for uuid in touched.get("groups", ()):
        if uuid not in after.groups:
            found["nodes"].update(dict.fromkeys(after.nodes.index(keys.groups).get(uuid, ())))
    for uuid in touched.get("networks", ()):
        if uuid not in after.networks:
            found["instances"].update(
                dict.fromkeys(after.instances.index(keys.networks).get(uuid, ()))
            )
            found["groups"].update(
                (group.uuid, None) for group in after.groups.values() if uuid in group.networks
            )
    for uuid in touched.get("disks", ()):
        if uuid not in after.disks or uuid in before.disks:
            found["instances"].update(
                dict.fromkeys(after.instances.index(keys.disks).get(uuid, ()))
            )
    return {section: tuple(uuids) for section, uuids in found.items()}


def _uuids_taken(
    before: Snapshot, after: Snapshot, touched: Mapping[str, Iterable[str]]
) -> Iterator[Finding]:
    """Yield new objects whose uuid something of another kind has."""
    for section, uuids in touched.items():
        for uuid in uuids:
            if uuid in getattr(before, section):
                continue
            others = [other for other in _SECTIONS if other != section]
            if uuid == after.cluster.uuid or any(uuid in getattr(after, name) for name in others):
                yield _finding(section, uuid, "something else has its uuid")


def _misplaced(snapshot: Snapshot) -> Iterator[Finding]:
    for section in _SECTIONS:
        for uuid, held in getattr(snapshot, section).items():
            if held.uuid != uuid:
                yield _finding(section, uuid, f"it says that its uuid is {held.uuid}")


def _same_uuids(snapshot: Snapshot) -> Iterator[Finding]:
    seen = {snapshot.cluster.uuid}
    for section in _SECTIONS:
        for uuid in getattr(snapshot, section):
            if uuid in seen:
                yield _finding(section, uuid, "something else has its uuid")
            seen.add(uuid)


def _finding(section: str, uuid: str, text: str) -> Finding:
    return Finding(
        kind=section.rstrip("s"), uuid=uuid, name="", text=text, code="resource_not_unique"
    )

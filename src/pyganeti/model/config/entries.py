"""A configuration as a store holds it: one piece of JSON an object, under a key of its own.

The keys are ``config`` (version, serial number, times, and what else a newer version has at the
top), ``cluster``, and ``nodes/UUID``, ``nodegroups/UUID``, ``instances/UUID`` and so on, by
Ganeti's names of the sections. A piece is encoded once, when its object changes.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from pyganeti.base import errors
from pyganeti.model.config import codec
from pyganeti.model.config.cluster import Cluster
from pyganeti.model.config.record import Record, written
from pyganeti.model.config.snapshot import VERSION, Snapshot
from pyganeti.model.config.table import Table

Entries = Mapping[str, bytes]
Changes = Mapping[str, bytes | None]
"""What to put, by key; None takes the entry away."""

HEAD: Final = "config"
CLUSTER: Final = "cluster"

SECTIONS: Final = {
    "nodes": "nodes",
    "nodegroups": "groups",
    "instances": "instances",
    "networks": "networks",
    "disks": "disks",
    "filters": "filters",
}
"""Which attribute of a snapshot has a section's objects."""

R = TypeVar("R", bound=Record)


class Head(Record, frozen=True, kw_only=True):
    """What the configuration says of itself."""

    version: int
    ctime: float = written(0.0)
    mtime: float = written(0.0)
    serial_no: int = written(1)


def key(section: str, uuid: str) -> str:
    """Return the key of an object."""
    return f"{section}/{uuid}"


def head_of(snapshot: Snapshot) -> bytes:
    """Return the piece under HEAD."""
    return codec.encode(
        Head(
            version=snapshot.version,
            ctime=snapshot.ctime,
            mtime=snapshot.mtime,
            serial_no=snapshot.serial_no,
            rest=snapshot.rest,
        )
    )


def from_snapshot(snapshot: Snapshot) -> dict[str, bytes]:
    """Return all entries of a configuration."""
    found = {HEAD: head_of(snapshot), CLUSTER: codec.encode(snapshot.cluster)}
    for section, attribute in SECTIONS.items():
        table: Mapping[str, Record] = getattr(snapshot, attribute)
        found |= {key(section, uuid): codec.encode(held) for uuid, held in table.items()}
    return found


def to_snapshot(entries: Entries) -> Snapshot:
    """Return the configuration that entries hold.

    Raises Denied if it is of a version that is not ours, Damaged with the key of the entry that
    cannot be understood or is missing.
    """
    head = _decoded(entries, HEAD, Head)
    check_version(head.version)
    tables: dict[str, dict[str, Any]] = {section: {} for section in codec.CONTAINERS}
    for where in entries:
        section, slash, uuid = where.partition("/")
        if not slash:
            continue
        if section not in tables:
            raise errors.Damaged(f"the configuration has an entry that is none: {where[:100]}")
        tables[section][uuid] = _decoded(entries, where, codec.CONTAINERS[section])
    return Snapshot(
        cluster=_decoded(entries, CLUSTER, Cluster),
        nodes=Table(tables["nodes"]),
        groups=Table(tables["nodegroups"]),
        instances=Table(tables["instances"]),
        networks=Table(tables["networks"]),
        disks=Table(tables["disks"]),
        filters=Table(tables["filters"]),
        version=head.version,
        serial_no=head.serial_no,
        ctime=head.ctime,
        mtime=head.mtime,
        rest=head.rest,
    )


def with_serial(snapshot: Snapshot, serial_no: int) -> Snapshot:
    """Return the configuration with another serial number."""
    return msgspec.structs.replace(snapshot, serial_no=serial_no)


def check_version(version: int) -> None:
    """Raise Denied, with what to do, unless the version is the one whose meaning we know."""
    if version == VERSION:
        return
    major, minor = divmod(version // 10_000, 100)
    said = f"the configuration is of Ganeti {major}.{minor} (version {version}), not of 3.0"
    if version > VERSION:
        raise errors.Denied(
            f"{said}: with that Ganeti's own tools, 'cfgupgrade --downgrade' makes one of 3.0 of it"
        )
    raise errors.Denied(f"{said}: Ganeti 3.0's 'cfgupgrade' makes one of 3.0 of it")


def _decoded(entries: Entries, where: str, kind: type[R]) -> R:
    try:
        return codec.decode(entries[where], kind)
    except KeyError as error:
        raise errors.Damaged(f"the configuration has no {where}") from error
    except errors.Damaged as error:
        raise errors.Damaged(f"{where} in the configuration is damaged: {error}") from error

"""A disk of an instance, as Ganeti's configuration and its node calls describe it.

A description that comes in is checked as far as anybody here relies on it; what we do not know is
kept in ``rest`` and goes out again, so that a newer master's fields survive us.

A disk of type drbd has a secret in its logical id: messages use `describe`, never the id itself.
"""

import enum
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pyganeti.base import errors


class Template(enum.StrEnum):
    """How a disk is stored."""

    DISKLESS = "diskless"
    FILE = "file"
    SHARED_FILE = "sharedfile"
    BLOCK = "blockdev"
    PLAIN = "plain"
    RBD = "rbd"
    EXT = "ext"
    GLUSTER = "gluster"
    DRBD = "drbd"


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """One disk. ``size`` is in MiB; ``logical_id`` means what the template's driver says it means.

    ``params`` are the template's parameters, filled in by the master. ``spindles`` is the number
    of physical disks it is to have to itself, where the cluster cares. ``pci`` and ``hvinfo``
    belong to the hypervisor.
    """

    dev_type: Template
    logical_id: tuple[Any, ...]
    size: int = 0
    mode: str = "rw"
    params: dict[str, Any] = {}
    children: tuple["Disk", ...] = ()
    nodes: tuple[str, ...] = ()
    iv_name: str | None = None
    name: str | None = None
    uuid: str | None = None
    spindles: int | None = None
    pci: Any = None
    hvinfo: Any = None
    dynamic_params: dict[str, Any] = {}
    forthcoming: bool | None = None
    serial_no: int | None = None
    ctime: float | None = None
    mtime: float | None = None
    rest: dict[str, Any] = {}

    @property
    def is_userspace(self) -> bool:
        """Whether qemu is to reach the storage by itself, without a device of the kernel's."""
        return self.params.get("access") == "userspace"

    @property
    def assembles_on_secondary(self) -> bool:
        """Whether nodes that do not run the instance need its device too."""
        return self.dev_type in {Template.PLAIN, Template.DRBD}

    def describe(self) -> str:
        """Return words for messages that tell this disk from others and no secrets."""
        words = [f"{self.dev_type} disk"]
        if self.iv_name:
            words.append(self.iv_name)
        if self.dev_type is not Template.DRBD:
            words.append("/".join(str(part) for part in self.logical_id))
        elif self.uuid:
            words.append(self.uuid)
        return " ".join(words)


_KNOWN: Final = frozenset(Disk.__struct_fields__) - {"rest"}
LARGEST: Final = (1 << 43) - 1
"""MiB that a disk can have: more bytes than that no kernel's offsets can count."""

_DEPTH: Final = 4
"""No template has children of children of children."""


def from_wire(described: Mapping[str, Any]) -> Disk:
    """Return the disk that a dict of Ganeti's describes; raises BadInput if it makes no sense."""
    return _from_wire(described, 0)


def to_wire(disk: Disk) -> dict[str, Any]:
    """Return the dict that describes the disk; what was never said is left out."""
    described = {key: value for key in _KNOWN if (value := getattr(disk, key)) is not None}
    described["dev_type"] = disk.dev_type.value
    described["logical_id"] = list(disk.logical_id)
    described["nodes"] = list(disk.nodes)
    described["children"] = [to_wire(child) for child in disk.children]
    return {**disk.rest, **described}


def _from_wire(described: object, depth: int) -> Disk:
    if not isinstance(described, Mapping):
        raise errors.BadInput(f"a disk is an object, not {type(described).__name__}")
    if depth > _DEPTH:
        raise errors.BadInput("a disk has children too deep to be one")
    # A null stands for "never said" everywhere in Ganeti's objects.
    known = {key: value for key, value in described.items() if key in _KNOWN and value is not None}
    children = known.pop("children", ())
    if not isinstance(children, (list, tuple)):
        raise errors.BadInput("a disk's children are not a list")
    try:
        disk = msgspec.convert(known, Disk)
    except msgspec.ValidationError as error:
        raise errors.BadInput(f"this is no disk: {error}") from error
    if not 0 <= disk.size <= LARGEST:
        raise errors.BadInput(f"a disk cannot have a size of {disk.size} MiB")
    return msgspec.structs.replace(
        disk,
        children=tuple(_from_wire(child, depth + 1) for child in children),
        rest={key: value for key, value in described.items() if key not in _KNOWN},
    )

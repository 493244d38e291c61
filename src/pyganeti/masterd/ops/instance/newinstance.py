"""From what is asked for to an instance in the configuration, with its cards and disks.

It is done twice: first in a draft that is thrown away, so that whoever asks hears what is wrong and
the hooks are told what will be; then for good. Names and uuids drawn the first time are taken again
the second, as are addresses unless somebody else has taken them meanwhile.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pyganeti.base import errors
from pyganeti.masterd.config import draft
from pyganeti.masterd.ops.instance import newdisks, newnics
from pyganeti.model.config.disk import Disk
from pyganeti.model.config.instance import Instance
from pyganeti.model.config.snapshot import Snapshot
from pyganeti.model.disk import Template

_PATHS: Final = frozenset({Template.FILE, Template.SHARED_FILE, Template.BLOCK})
"""Templates whose disks have paths on their nodes, in the second place of their logical ids."""

NewUuid = Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked for, checked as far as one can without looking at other instances.

    ``node`` is the uuid of the primary one. ``drawn`` are names to take, in their order.
    """

    name: str
    node: str
    template: Template
    disks: Sequence[Mapping[str, Any]]
    nics: Sequence[Mapping[str, Any]]
    hypervisor: str
    hvparams: Mapping[str, Any] = field(default_factory=dict)
    beparams: Mapping[str, Any] = field(default_factory=dict)
    os: str = ""
    osparams: Mapping[str, Any] = field(default_factory=dict)
    osparams_private: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()
    directory: str | None = None
    driver: str | None = None
    address: str | None = None
    conflicts: bool = True
    drawn: Sequence[str] = ()

    @property
    def adopts(self) -> bool:
        """Whether its disks are there already."""
        return any("adopt" in disk for disk in self.disks)


def record(changed: draft.Draft, asked: Request, new_uuid: NewUuid) -> Instance:
    """Put a new instance with its cards and disks into a draft, wanted down; return it.

    Raises BadInput for what cannot be had.
    """
    taken = _Names(asked.drawn, new_uuid)
    snapshot = changed.snapshot
    group = snapshot.group_of(snapshot.nodes[asked.node])
    uuid = taken()
    disks = newdisks.make(
        snapshot, asked.template, asked.disks,
        instance=asked.name, node=asked.node, new_uuid=taken,
        directory=asked.directory, driver=asked.driver,
    )  # fmt: skip
    if asked.adopts:
        _check_unused(snapshot, disks)
    nics = newnics.make(
        changed, group, asked.nics,
        new_uuid=taken, own_ip=asked.address, conflicts=asked.conflicts,
    )  # fmt: skip
    instance = changed.put(
        Instance(
            name=asked.name,
            uuid=uuid,
            primary_node=asked.node,
            os=asked.os,
            hypervisor=asked.hypervisor,
            hvparams=dict(asked.hvparams),
            beparams=dict(asked.beparams),
            osparams=dict(asked.osparams),
            osparams_private=dict(asked.osparams_private),
            nics=tuple(nics),
            network_port=changed.allocate_port(),
            tags=tuple(sorted(set(asked.tags))),
        )
    )
    for disk in disks:
        instance = changed.attach_disk(instance, disk)
    return instance


def _check_unused(snapshot: Snapshot, adopted: Sequence[Disk]) -> None:
    """Check that disks that are adopted are not disks of another instance. Raises BadInput."""
    places = {_place(disk) for disk in adopted}
    if len(places) < len(adopted):
        raise errors.BadInput("one disk cannot be adopted twice")
    for disk in snapshot.disks.values():
        if (place := _place(disk)) in places:
            name = "/".join(map(str, place))
            raise errors.BadInput(f"{name} is a disk of another instance", "resource_not_unique")


def _place(disk: Disk) -> tuple[Any, ...]:
    """Return where a disk is, however it is reached: a volume in its group, else a path."""
    if disk.dev_type is Template.PLAIN:
        return disk.logical_id[:2]
    return disk.logical_id[1:2] if disk.dev_type in _PATHS else (disk.uuid,)


def rehearse(changed: draft.Draft, asked: Request, new_uuid: NewUuid) -> tuple[Instance, Request]:
    """Record an instance in a draft to be thrown away; return it, and what to ask for in earnest.

    That has the names that were drawn, and the MAC addresses.
    """
    drawn: list[str] = []

    def draw() -> str:
        drawn.append(new_uuid())
        return drawn[-1]

    instance = record(changed, asked, draw)
    nics = [{**one, "mac": card.mac} for one, card in zip(asked.nics, instance.nics, strict=True)]
    return instance, dataclasses.replace(asked, nics=nics, drawn=tuple(drawn))


class _Names:
    """Those that were drawn before, then new ones."""

    def __init__(self, drawn: Sequence[str], new_uuid: NewUuid) -> None:
        self._drawn: Iterator[str] = iter(drawn)
        self._new = new_uuid

    def __call__(self) -> str:
        return next(self._drawn, None) or self._new()

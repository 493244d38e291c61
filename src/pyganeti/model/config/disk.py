"""A disk as the configuration keeps it; what a node is told about it is `model.disk`.

A disk of type drbd has its secret in the last place of its logical id: messages name a disk by its
uuid.
"""

from collections.abc import Iterator
from typing import Any

from pyganeti.model import disk as disks
from pyganeti.model.config import record
from pyganeti.model.config.record import Params, written


class Disk(record.Record, frozen=True, kw_only=True):
    """One disk. ``size`` is in MiB; ``logical_id`` means what its template says it means.

    ``nodes`` are the uuids of the nodes that hold it, where the template ties it to nodes.
    ``params`` are an external provider's; everything else's come from the group.
    ``forthcoming``: a place is kept for it, and it does not exist yet.
    """

    forthcoming: bool = False
    logical_id: tuple[Any, ...] = written(())
    dev_type: disks.Template
    children: tuple["Disk", ...] = written(())
    nodes: tuple[str, ...] = written(())
    iv_name: str = written("")
    size: int = written(0)
    mode: str = written("rw")
    name: str | None = None
    spindles: int | None = None
    params: Params = written({})
    uuid: str | None = None
    serial_no: int = written(1)
    ctime: float = written(0.0)
    mtime: float = written(0.0)

    @property
    def is_mirrored(self) -> bool:
        """Whether two nodes hold it, each its own copy."""
        return self.dev_type is disks.Template.DRBD

    def with_children(self) -> Iterator["Disk"]:
        """Yield the disk, then what it is made from, all the way down."""
        yield self
        for child in self.children:
            yield from child.with_children()

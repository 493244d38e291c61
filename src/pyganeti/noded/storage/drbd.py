"""DRBD: not there yet. Every request says so, by name, and changes nothing.

Nothing is answered as done, not even a removal: a master must not forget a disk that exists.
"""

import contextlib
from collections.abc import Sequence
from typing import Any, ClassVar

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.storage import driver


class Drbd(driver.Base):
    """The driver that says "not yet"."""

    template: ClassVar = disks.Template.DRBD

    async def create(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Refuse."""
        raise not_yet(disk)

    async def find(self, disk: disks.Disk) -> driver.Device | None:
        """Refuse."""
        raise not_yet(disk)

    async def assemble(self, disk: disks.Disk) -> driver.Device:
        """Refuse."""
        raise not_yet(disk)

    async def open(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Refuse."""
        raise not_yet(disk)

    async def close(self, disk: disks.Disk) -> None:
        """Refuse."""
        raise not_yet(disk)

    async def shutdown(self, disk: disks.Disk) -> None:
        """Refuse."""
        raise not_yet(disk)

    async def remove(self, disk: disks.Disk) -> None:
        """Refuse."""
        raise not_yet(disk)

    async def rename(self, disk: disks.Disk, logical_id: Sequence[Any]) -> None:
        """Refuse."""
        raise not_yet(disk)

    async def grow(self, disk: disks.Disk, amount: int, *, dry_run: bool, exclusive: bool) -> None:
        """Refuse."""
        raise not_yet(disk)

    async def dimensions(self, disk: disks.Disk) -> driver.Dimensions | None:
        """Refuse."""
        raise not_yet(disk)

    async def snapshot(self, disk: disks.Disk, name: str | None, size: int | None) -> list[Any]:
        """Refuse."""
        raise not_yet(disk)

    async def set_info(self, disk: disks.Disk, text: str) -> None:
        """Refuse."""
        raise not_yet(disk)

    def reach(
        self, disk: disks.Disk, *, writable: bool
    ) -> contextlib.AbstractAsyncContextManager[driver.Reached]:
        """Refuse."""
        raise not_yet(disk)


def not_yet(disk: disks.Disk) -> errors.Failure:
    """Return the refusal."""
    return errors.Unavailable(f"{disk.describe()}: this node daemon does not do DRBD yet")

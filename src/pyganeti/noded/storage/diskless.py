"""No storage: an instance of this template has no disks, so whoever names one is mistaken.

What is to be taken away is gone already; everything else is refused.
"""

import contextlib
from typing import ClassVar

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.storage import driver


class Diskless(driver.Base):
    """The driver of instances without disks."""

    template: ClassVar = disks.Template.DISKLESS

    async def create(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Refuse."""
        raise _refusal()

    async def find(self, disk: disks.Disk) -> driver.Device | None:
        """Find nothing."""
        return None

    async def assemble(self, disk: disks.Disk) -> driver.Device:
        """Refuse."""
        raise _refusal()

    async def remove(self, disk: disks.Disk) -> None:
        """Do nothing: it is not there."""

    async def dimensions(self, disk: disks.Disk) -> driver.Dimensions | None:
        """Find nothing."""
        return None

    def reach(
        self, disk: disks.Disk, *, writable: bool
    ) -> contextlib.AbstractAsyncContextManager[driver.Reached]:
        """Refuse."""
        raise _refusal()


def _refusal() -> errors.Failure:
    return errors.BadInput("an instance without disks has no disk to work on")

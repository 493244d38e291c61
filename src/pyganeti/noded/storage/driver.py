"""What every kind of storage does for a disk: the interface, and what most do about the rest.

A driver finds out for itself, each time, how things are: nothing about a disk is remembered
between calls, so a daemon that was killed and came back knows as much as before. Every method may
be called again after it was cut short, and finishes or undoes what lies there.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from pyganeti.base import errors
from pyganeti.model import disk as disks

Format: TypeAlias = Literal["raw", "qcow2"]


@dataclass(frozen=True, slots=True)
class Device:
    """How a disk can be reached on this node.

    ``path`` is None if only qemu can reach it, by a URI: ``uris`` by hypervisor. ``format`` is
    what qemu must be told about the content. ``degraded`` says that reads will fail.
    """

    path: str | None
    major: int | None = None
    minor: int | None = None
    format: Format = "raw"
    uris: dict[str, str] = field(default_factory=dict)
    degraded: bool = False


@dataclass(frozen=True, slots=True)
class Reached:
    """A disk's content as a tool can open it: by ``name``, with ``descriptors`` handed down."""

    name: str
    format: Format = "raw"
    descriptors: tuple[int, ...] = ()
    is_direct: bool = True
    """Whether it can be written past the page cache."""


class Dimensions(NamedTuple):
    """A disk's size in bytes and its number of spindles, None where that is not known."""

    size: int
    spindles: int | None


class Driver(Protocol):
    """One kind of storage. Failures are `errors.Failure`, or OSError where the system says it."""

    async def create(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Make the disk, whole or not at all; ``exclusive`` is Ganeti's exclusive storage."""

    async def find(self, disk: disks.Disk) -> Device | None:
        """Return how it is reached, None if it is not there or not active."""

    async def assemble(self, disk: disks.Disk) -> Device:
        """Make it active, which it may be already."""

    async def open(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Prepare for input and output, by this node alone or by others too."""

    async def close(self, disk: disks.Disk) -> None:
        """Expect no more input and output."""

    async def shutdown(self, disk: disks.Disk) -> None:
        """Make it inactive, which it may be already."""

    async def remove(self, disk: disks.Disk) -> None:
        """Remove it and what an interrupted call left of it; it may be gone already."""

    async def rename(self, disk: disks.Disk, logical_id: Sequence[Any]) -> None:
        """Give it another logical id."""

    async def grow(self, disk: disks.Disk, amount: int, *, dry_run: bool, exclusive: bool) -> None:
        """Add ``amount`` MiB, which is not negative, or see whether that would do."""

    async def dimensions(self, disk: disks.Disk) -> Dimensions | None:
        """Return its real size, None if it is not there."""

    async def snapshot(self, disk: disks.Disk, name: str | None, size: int | None) -> list[Any]:
        """Take a snapshot; return its logical id."""

    async def set_info(self, disk: disks.Disk, text: str) -> None:
        """Attach words for people to it, where the storage can hold them."""

    def reach(
        self, disk: disks.Disk, *, writable: bool
    ) -> contextlib.AbstractAsyncContextManager[Reached]:
        """Make its content accessible to a tool for a while."""

    def uri(self, disk: disks.Disk, device: Device, hypervisor: str) -> str:
        """Return the URI by which a hypervisor reaches it without this node's kernel."""


class Base:
    """What storage does that knows no better: nothing to open, and refusals with a reason."""

    template: ClassVar[disks.Template]

    async def open(self, disk: disks.Disk, *, exclusive: bool) -> None:
        """Do nothing: it is ready when it is there."""

    async def close(self, disk: disks.Disk) -> None:
        """Do nothing: it holds nothing."""

    async def shutdown(self, disk: disks.Disk) -> None:
        """Do nothing: it costs nothing to stay active."""

    async def set_info(self, disk: disks.Disk, text: str) -> None:
        """Do nothing: there is no place for it."""

    async def rename(self, disk: disks.Disk, logical_id: Sequence[Any]) -> None:
        """Refuse."""
        raise errors.BadInput(f"{self.template} disks cannot be renamed")

    async def snapshot(self, disk: disks.Disk, name: str | None, size: int | None) -> list[Any]:
        """Refuse."""
        raise errors.BadInput(f"{disk.describe()}: {self.template} disks have no snapshots")

    async def grow(self, disk: disks.Disk, amount: int, *, dry_run: bool, exclusive: bool) -> None:
        """Refuse."""
        raise errors.BadInput(f"{self.template} disks cannot grow")

    def uri(self, disk: disks.Disk, device: Device, hypervisor: str) -> str:
        """Refuse."""
        raise errors.BadInput(f"{self.template} disks cannot be used without this node's kernel")

    def refuse_exclusive(self, *, exclusive: bool) -> None:
        """Refuse exclusive storage, which only volumes know."""
        if exclusive:
            raise errors.BadInput(f"there is no exclusive storage for {self.template} disks")


def pair(disk: disks.Disk, meaning: str) -> tuple[str, str]:
    """Return the two words that a logical id is made of; raises BadInput if it is not."""
    return words(disk.logical_id, meaning, disk.describe())


def words(logical_id: Sequence[Any], meaning: str, whose: str) -> tuple[str, str]:
    """Return the two words of any logical id."""
    match tuple(logical_id):
        case (str(first), str(second)) if second and "\0" not in first + second:
            return first, second
    raise errors.BadInput(f"{whose}: the logical id is not {meaning}")


@contextlib.asynccontextmanager
async def reach_device(
    driver: Driver, disk: disks.Disk, *, writable: bool
) -> AsyncIterator[Reached]:
    """Reach a disk that is a device of the kernel's, or else by its URI for qemu."""
    del writable
    device = await driver.find(disk)
    if device is None:
        raise errors.Unavailable(f"{disk.describe()} is not there or not active")
    yield Reached(device.path or driver.uri(disk, device, "kvm"))

"""What keeps a configuration: entries by key, with a version, one writer at a time.

The interface is small enough for a directory of files and for etcd alike. Whoever holds the lease
is the one who writes; everybody else's writing is noticed, never overwritten: `Store.swap` raises
Conflict if the stored version is not the expected one. What it has returned for survives a power
failure.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar, Protocol

from pyganeti.base import errors


class Conflict(errors.Failure):
    """Somebody else wrote the configuration meanwhile; what was to be written is not."""

    wire_code: ClassVar[str] = "ConfigurationError"


@dataclass(frozen=True, slots=True)
class Copy:
    """The configuration as a file for other candidates; ``mode`` has the file's type too."""

    data: bytes
    mode: int
    user: str
    group: str
    mtime: float


class Lease(Protocol):
    """The right to write, from when the context is entered until it is left or it is lost."""

    async def lost(self) -> None:
        """Return when the right is gone; with a lock that only its holder can give up, never."""


class Store(Protocol):
    """Entries by key."""

    async def read(self) -> tuple[dict[str, bytes], int]:
        """Return all entries and their version.

        Raises Unavailable if there is no configuration or it cannot be read, Damaged if it cannot
        be understood, Denied if it may not be.
        """

    async def swap(self, expected: int, changes: Mapping[str, bytes | None]) -> int:
        """Put and remove entries, all of them or none, durably; return the new version.

        Raises Conflict if the stored version is not ``expected``, Exhausted if there is no room,
        Unavailable if it cannot be written. Then the stored entries are as they were.
        """

    def watch(self) -> AsyncIterator[int]:
        """Yield the version each time somebody else has written."""

    def lease(self) -> AbstractAsyncContextManager[Lease]:
        """Hold the right to write; raises AlreadyRunning if somebody else holds it."""

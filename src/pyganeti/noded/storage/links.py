"""Links to the disks of instances: ``instance-disks/NAME:N``, by which a hypervisor knows them.

A link is replaced in one step, so a reader sees the old or the new one. Whatever else has its name
is replaced as well: nothing but links belongs there.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files
from pyganeti.model import instance as instances

SEPARATOR: Final = ":"
_LONGEST: Final = 200


class Links:
    """The links of this node. Its methods take microseconds: the directory is in memory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, instance: str, index: int) -> Path:
        """Return where the link to an instance's disk is; raises BadInput for strange names."""
        instances.check_name(instance)
        if len(instance) > _LONGEST:
            raise errors.BadInput(f"{instance!r} is too long for the name of a link")
        if index < 0:
            raise errors.BadInput(f"{index} is not the number of a disk")
        return self._directory / f"{instance}{SEPARATOR}{index}"

    def make(self, instance: str, index: int, device: str) -> Path:
        """Link a disk to its device or file; return the link's path."""
        link = self.path(instance, index)
        try:
            if os.readlink(link) == device:  # noqa: PTH115 - compared as text
                return link
        except OSError:  # not there, or no link
            pass
        files.make_directories(self._directory, 0o755)
        new = link.with_name(f".new-{link.name}")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        new.symlink_to(device)
        new.rename(link)
        return link

    def indexes(self, instance: str) -> list[int]:
        """Return which of an instance's disks have links."""
        own = self.path(instance, 0).name.removesuffix("0")
        try:
            names = [entry.name for entry in self._directory.iterdir()]
        except FileNotFoundError:
            return []
        ends = (name.removeprefix(own) for name in names if name.startswith(own))
        return sorted(int(end) for end in ends if end.isascii() and end.isdigit())

    def remove(self, instance: str, indexes: Iterable[int]) -> None:
        """Remove links of an instance, as far as they are there and are links."""
        for index in indexes:
            link = self.path(instance, index)
            if link.is_symlink():
                link.unlink(missing_ok=True)

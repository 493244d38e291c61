"""The archive of a queue that is in etcd: files of this node, as without it. Blocks; for threads.

The directory is locked as the queue of a master daemon that keeps everything in files, so that none
of those begins beside.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyganeti.base import files as durable
from pyganeti.masterd.jobs import files

_MODE: Final = 0o640


class Archive:
    """Archived jobs below the queue's directory; `open` it first, `close` it in the end."""

    def __init__(self, directory: Path) -> None:
        self.directory: Final = files.Directory(directory)

    def open(self) -> None:
        """Lock it; raises AlreadyRunning if another master daemon has it, OSError."""
        self.directory.open()

    def close(self) -> None:
        """Let go of it; twice does no harm."""
        self.directory.close()

    def keep(self, jobs: Sequence[tuple[int, bytes]]) -> None:
        """Write jobs into the archive, durably; over what is there of them. Raises OSError."""
        owner = self.directory.owner
        for number, data in jobs:
            path = self.directory.path / files.archive_name(number)
            self.directory.make_directories(path.parent)
            durable.write_durably(path, data, _MODE, owner)

    def content(self, number: int) -> bytes | None:
        """Return an archived job's file as it is, None if it is not there or cannot be read."""
        with contextlib.suppress(OSError):
            return (self.directory.path / files.archive_name(number)).read_bytes()
        return None

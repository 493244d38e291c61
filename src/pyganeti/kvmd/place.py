"""Where the guests' files are now: the control directory as an open descriptor, or missing."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class Place:
    """The directory of sockets, markers and intents, and the one of pid files.

    ``dirfd`` is None while the control directory is missing; `watch` keeps it up to date.
    ``pid_dir`` is None where nobody keeps pid files.
    """

    dirfd: int | None = None
    pid_dir: Path | None = None
    suffixes: tuple[str, ...] = (".kvmd",)

    def guest_of(self, file_name: str) -> str | None:
        """Return the guest's name if the file is a socket to watch, by its name."""
        for suffix in self.suffixes:
            if file_name.endswith(suffix) and len(file_name) > len(suffix):
                return file_name[: -len(suffix)]
        return None

    def sockets_of(self, guest: str) -> list[str]:
        """Return the file names a guest's socket may have, the preferred one first."""
        return [guest + suffix for suffix in self.suffixes]

    def stat(self, file_name: str) -> os.stat_result | None:
        """Look at a file of the control directory itself, None if that cannot be done."""
        if self.dirfd is None:
            return None
        try:
            return os.stat(file_name, dir_fd=self.dirfd, follow_symlinks=False)
        except OSError:
            return None

"""Which files may hold disks, and how they are reached without being led astray.

The administrator lists the directories in ``file-storage-paths``. He is trusted with those paths
as they stand, symlinks in them included; nothing below them is. There every component is opened
by itself, from its parent's descriptor, and never through a symlink: a symlink is read, and the
way begins anew where it points, which must be allowed as well. So the directory that is handed
out is one that an allowed path led to, whatever others rename or link meanwhile, and what is done
by its descriptor is done there. A disk's own file is never a symlink.

Some directories hold no disks even where they are listed: those of the system itself.

Everything here blocks for as long as the file system does; it is called from threads.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pyganeti.base import errors, files

_FORBIDDEN: Final = tuple(
    (PurePosixPath(path), f"{path}/")
    for path in (
        *("/boot", "/dev", "/etc", "/home", "/proc", "/root", "/sys"),
        *(
            f"{prefix}/{name}"
            for prefix in ("", "/usr", "/usr/local")
            for name in ("bin", "lib", "lib32", "lib64", "sbin")
        ),
    )
)
"""Each with what the paths inside begin with."""

_LIMIT: Final = 64 * 1024
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_MOST_LINKS: Final = 40


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is or is to be: its directory, open, and its name in there."""

    dirfd: int
    name: str
    path: str
    """As it was asked for; for messages."""


class FilePaths:
    """The rules of this node, from its ``file-storage-paths``; read anew each time."""

    def __init__(self, listing: Path) -> None:
        self._listing = listing

    def allowed(self) -> list[PurePosixPath]:
        """Return the directories that may hold disks; raises Denied if there are none."""
        try:
            directory = os.open(self._listing.parent, _DIRECTORY)
            try:
                text = files.read_small(directory, self._listing.name, _LIMIT)
            finally:
                os.close(directory)
        except OSError as error:
            raise errors.Denied(f"{self._listing}: {error.strerror}") from error
        lines = [
            line.strip() for line in (text or b"").decode(errors="surrogateescape").split("\n")
        ]
        found = [
            PurePosixPath(os.path.normpath(line))
            for line in lines
            if line.startswith("/") and "\0" not in line
        ]
        if not found:
            raise errors.Denied(f"file storage is not allowed here: {self._listing} lists no paths")
        return found

    def wrong(self) -> list[str]:
        """Return which of the listed directories should hold no disks; none if none are listed."""
        try:
            listed = self.allowed()
        except errors.Failure:
            return []
        return sorted(str(path) for path in listed if _system_directory(path) is not None)

    def problem(self, path: str) -> str | None:
        """Return what keeps a cluster's directory for disks from being used, None if nothing."""
        try:
            wanted = _checked(path)
            if wanted not in self.allowed():
                self._root(wanted, self.allowed(), path)
            elif (bad := _system_directory(wanted)) is not None:
                return f"Path '{path}' is in {bad}, where no disks are kept"
        except errors.Failure as error:
            return str(error)
        if not Path(wanted).is_dir():
            return f"Path '{path}' is not existing or not a directory"
        return None if os.access(wanted, os.W_OK) else f"Path '{path}' is not writable"

    @contextlib.contextmanager
    def parent(self, path: str, *, make: bool = False) -> Iterator[Place]:
        """Open the directory of a file below an allowed path; ``make`` it if it is missing.

        Raises Denied or BadInput if the file may not be there, OSError (FileNotFoundError among
        them) if the directory cannot be opened.
        """
        dirfd, name = self._open(path, make=make)
        try:
            yield Place(dirfd, name, path)
        finally:
            os.close(dirfd)

    def is_root(self, path: str) -> bool:
        """Tell whether this is one of the listed directories itself."""
        return _checked(path) in self.allowed()

    def open_root(self, path: str) -> int:
        """Open one of the listed directories itself; it is made if it is missing."""
        wanted = _checked(path)
        if wanted not in self.allowed():
            raise errors.Denied(f"{path} is not listed in {self._listing}")
        files.make_directories(Path(wanted))
        return os.open(wanted, _DIRECTORY)

    def _open(self, path: str, *, make: bool) -> tuple[int, str]:
        wanted = _checked(path)
        allowed = self.allowed()
        for _ in range(_MOST_LINKS):
            root = self._root(wanted, allowed, path)
            try:
                fd = os.open(root, _DIRECTORY)
            except FileNotFoundError:
                if not make:
                    raise
                files.make_directories(Path(root))
                fd = os.open(root, _DIRECTORY)
            led = _walk(fd, root, wanted.relative_to(root).parts, make=make)
            if isinstance(led, int):
                return led, wanted.name
            wanted = led
        raise errors.Denied(f"{path}: too many symlinks")

    def _root(
        self, wanted: PurePosixPath, allowed: list[PurePosixPath], asked: str
    ) -> PurePosixPath:
        """Return the innermost of the listed directories that the path is below."""
        bad = _system_directory(wanted)
        if bad is not None:
            raise errors.Denied(f"{asked} is not acceptable for file storage: it is in {bad}")
        roots = [root for root in allowed if root in wanted.parents]
        if not roots:
            where = "" if str(wanted) == os.path.normpath(asked) else f" (it leads to {wanted})"
            raise errors.Denied(
                f"{asked} is not acceptable for file storage{where}: it is not below any path"
                f" listed in {self._listing}"
            )
        return max(roots, key=lambda root: len(root.parts))


def _system_directory(wanted: PurePosixPath) -> PurePosixPath | None:
    """Return which of the system's own directories a path is in, None if in none."""
    inside = f"{wanted}/"
    return next((path for path, begins in _FORBIDDEN if inside.startswith(begins)), None)


def _walk(
    fd: int, root: PurePosixPath, parts: tuple[str, ...], *, make: bool
) -> int | PurePosixPath:
    """Go down from ``fd``, which is taken over, to the last part's directory.

    Return its descriptor, or the path on which to begin anew because there was a symlink.
    """
    at = root
    try:
        for index, part in enumerate(parts[:-1]):
            try:
                below = _step(fd, part, make=make)
            except OSError as error:
                if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                    raise
                target = _target(fd, part)
                if target is None:  # a file, where a directory should be
                    raise
                os.close(fd)
                fd = -1
                return PurePosixPath(
                    os.path.normpath(PurePosixPath(at, target, *parts[index + 1 :]))
                )
            os.close(fd)
            fd = below
            at /= part
    except BaseException:
        if fd >= 0:
            os.close(fd)
        raise
    return fd


def _target(fd: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=fd)
    except OSError:
        return None


def _step(fd: int, part: str, *, make: bool) -> int:
    try:
        return os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
    except FileNotFoundError:
        if not make:
            raise
    with contextlib.suppress(FileExistsError):
        os.mkdir(part, 0o750, dir_fd=fd)
    return os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)


def _checked(path: str) -> PurePosixPath:
    """Return an absolute path without surprises; raises BadInput for any other."""
    if not path.startswith("/"):
        raise errors.BadInput(f"a file storage path is absolute, not {path!r}")
    if "\0" in path or ".." in path.split("/"):
        raise errors.BadInput(f"{path!r} has .. or a zero byte in it")
    return PurePosixPath("/" + path.lstrip("/"))

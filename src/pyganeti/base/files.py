"""Files that must be right after a crash, and small files in directories that others write to.

A file written here is there whole, old or new, never half: a temporary one beside it takes the
data and then its name. A full disk costs the new content, never the old. What a kill -9 in between
can leave is a file named ``.new-…``, never read by anyone.

Functions that take a directory descriptor act inside that very directory, whatever happens to its
path meanwhile, and never follow a symlink in the last place. Names come from the file system: str
with surrogate escapes for bytes that are not UTF-8.

Failures of the system (ENOSPC, EACCES, EMFILE, …) are raised as OSError; a Failure means that what
lies there is not what it should be.
"""

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import Final

from pyganeti.base import errors

Owner = tuple[int, int]
"""The user's and the group's number."""

_TEMPORARY: Final = ".new-"
_ATTEMPTS: Final = 5
_LONGEST_NAME: Final = 255  # NAME_MAX of linux/limits.h
_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def write_durably(path: Path, data: bytes, mode: int = 0o600, owner: Owner | None = None) -> None:
    """Replace a file's content; when this returns, it survives a power failure.

    The file gets exactly ``mode``, whatever the umask. A symlink at ``path`` is replaced, not
    followed. Blocks for as long as the disk takes. Raises OSError, and then the old file is as it
    was, unless only the very last step failed: then the new one is there, but may not last.
    """
    _replace(path, data, mode, owner, durable=True)


def write_atomically(
    path: Path, data: bytes, mode: int = 0o600, owner: Owner | None = None
) -> None:
    """Replace a file's content for readers, old or new; a power failure may lose either.

    For what is written anew every few seconds anyway. Otherwise like `write_durably`.
    """
    _replace(path, data, mode, owner, durable=False)


def write_locked(path: Path, data: bytes, mode: int = 0o600) -> int:
    """Replace a file's content as `write_durably` does, by one that is locked before it is there.

    Returns the open file with the lock (flock), which is the caller's. Raises OSError.
    """
    return _replace(path, data, mode, None, durable=True, locked=True)


def leftovers(directory: Path) -> list[Path]:
    """Return the files that writers who were killed have left; one that writes now has one, too."""
    return sorted(directory.glob(f"{_TEMPORARY}*"))


def make_directories(path: Path, mode: int = 0o750) -> None:
    """Make a directory and its missing parents, each with exactly ``mode``; old ones stay as is.

    Raises OSError, NotADirectoryError among them.
    """
    missing = []
    while not path.is_dir():
        missing.append(path)
        if path.parent == path:
            break
        path = path.parent
    for directory in reversed(missing):
        try:
            directory.mkdir(mode)
        except FileExistsError:
            if not directory.is_dir():
                raise NotADirectoryError(
                    errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory)
                ) from None
        else:
            directory.chmod(mode)


def sync_directory(path: Path) -> None:
    """Have names that were made, changed or removed in a directory survive a power failure.

    Blocks for as long as the disk takes; raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def create_marker(dirfd: int, name: str) -> bool:
    """Make an empty file, readable for its owner only; return whether it was made.

    A regular file of that name stays untouched, whatever is in it (False). Raises Denied if
    something else has the name (a symlink, also one to a regular file, is something else), BadInput
    for a name that is none, OSError otherwise.
    """
    _check_name(name)
    for _ in range(_ATTEMPTS):
        try:
            os.close(os.open(name, _NEW, 0o600, dir_fd=dirfd))
        except FileExistsError:
            pass
        else:
            return True
        try:
            found = os.stat(name, dir_fd=dirfd, follow_symlinks=False)
        except FileNotFoundError:  # somebody removed it between the two looks
            continue
        if stat.S_ISREG(found.st_mode):
            return False
        raise errors.Denied(f"{name} is {_kind(found.st_mode)}, not a regular file")
    raise errors.Unavailable(f"{name} comes and goes")


def remove(dirfd: int, name: str) -> bool:
    """Remove a file, or a symlink itself; return whether there was one.

    Raises Denied for a directory, BadInput for a name that is none, OSError otherwise.
    """
    _check_name(name)
    try:
        os.unlink(name, dir_fd=dirfd)
    except FileNotFoundError:
        return False
    except IsADirectoryError as error:
        raise errors.Denied(f"{name} is a directory, not a regular file") from error
    return True


def read_small(dirfd: int, name: str, limit: int) -> bytes | None:
    """Return a regular file's content of at most ``limit`` bytes, None if there is no such file.

    Never waits, whatever lies there. Raises Denied if it is no regular file, Damaged if it is
    longer, BadInput for a name that is none, OSError otherwise.
    """
    _check_name(name)
    try:
        fd = os.open(name, _READ, dir_fd=dirfd)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise errors.Denied(f"{name} is a symlink, not a regular file") from error
        if error.errno in {errno.ENXIO, errno.ENODEV}:
            raise errors.Denied(f"{name} is a socket or a device, not a regular file") from error
        raise
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise errors.Denied(f"{name} is {_kind(mode)}, not a regular file")
        pieces: list[bytes] = []
        left = limit + 1
        while left > 0 and (piece := os.read(fd, left)):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(fd)
    if left <= 0:
        raise errors.Damaged(f"{name} has more than {limit} bytes")
    return b"".join(pieces)


def _replace(
    path: Path,
    data: bytes,
    mode: int,
    owner: Owner | None,
    *,
    durable: bool,
    locked: bool = False,
) -> int:
    """Replace a file; return the open file if it is to be ``locked``, else -1."""
    dirfd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        temporary = _TEMPORARY + os.urandom(8).hex()
        fd = os.open(temporary, _NEW, 0o600, dir_fd=dirfd)
        try:
            _fill(fd, data, mode, owner, durable=durable)
            if locked:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(temporary, path.name, src_dir_fd=dirfd, dst_dir_fd=dirfd)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=dirfd)
            raise
        if not locked:
            os.close(fd)
            fd = -1
        if durable:
            try:
                os.fsync(dirfd)
            except OSError:
                if fd >= 0:
                    os.close(fd)
                raise
        return fd
    finally:
        os.close(dirfd)


def _fill(fd: int, data: bytes, mode: int, owner: Owner | None, *, durable: bool) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
    if owner is not None:
        os.fchown(fd, *owner)
    os.fchmod(fd, mode)  # after the owner, who would lose set-id bits
    if durable:
        os.fsync(fd)


def _check_name(name: str) -> None:
    is_too_long = len(os.fsencode(name)) > _LONGEST_NAME
    if is_too_long or name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise errors.BadInput(f"{name!r} is not the name of a file in a directory")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symlink",
        stat.S_IFDIR: "a directory",
        stat.S_IFSOCK: "a socket",
        stat.S_IFIFO: "a pipe",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")

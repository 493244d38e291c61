"""The directories of instances whose disks are files: made, removed when empty, renamed.

They are below the allowed paths, like the files in them; an allowed path itself may be made, but
is never removed or renamed. Each can be repeated after it was cut short.
"""

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from pyganeti.base import errors
from pyganeti.noded.storage import filepaths, imagefiles


class Directories:
    """The directories of this node that hold disks."""

    def __init__(self, allowed: filepaths.FilePaths) -> None:
        self._allowed = allowed

    async def create(self, path: str) -> None:
        """Make a directory and its missing parents; it may be there already."""
        with _in_words(path):
            await asyncio.to_thread(self._create, path)

    async def remove(self, path: str) -> None:
        """Remove a directory if it is there; raises Denied if something is in it."""
        with _in_words(path):
            await asyncio.to_thread(self._remove, path)

    async def rename(self, old: str, new: str) -> None:
        """Rename a directory; if only the new one is there, that has been done already."""
        with _in_words(old):
            await asyncio.to_thread(self._rename, old, new)

    def _create(self, path: str) -> None:
        if self._allowed.is_root(path):
            os.close(self._allowed.open_root(path))
            return
        with self._allowed.parent(path, make=True) as place:
            try:
                os.mkdir(place.name, 0o750, dir_fd=place.dirfd)
            except FileExistsError:
                if not _is_directory(place):
                    raise errors.Denied(f"{path} is not a directory") from None
            os.fsync(place.dirfd)

    def _remove(self, path: str) -> None:
        if self._allowed.is_root(path):
            raise errors.Denied(f"{path} is listed as a place for disks: it is not removed")
        try:
            with self._allowed.parent(path) as place:
                if not _is_directory(place):
                    if _exists(place):
                        raise errors.Denied(f"{path} is not a directory")
                    return
                _sweep(place)
                os.rmdir(place.name, dir_fd=place.dirfd)
                os.fsync(place.dirfd)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                raise errors.Denied(f"{path} is not empty") from error
            raise

    def _rename(self, old: str, new: str) -> None:
        for path in (old, new):
            if self._allowed.is_root(path):
                raise errors.Denied(f"{path} is listed as a place for disks: it is not renamed")
        with self._allowed.parent(old) as before, self._allowed.parent(new) as after:
            if _exists(after):
                if _exists(before):
                    raise errors.BadInput(f"{old} cannot become {new}: both exist")
                return
            if not _is_directory(before):
                raise errors.Unavailable(f"{old} is not a directory")
            os.rename(before.name, after.name, src_dir_fd=before.dirfd, dst_dir_fd=after.dirfd)
            os.fsync(after.dirfd)
            os.fsync(before.dirfd)


@contextlib.contextmanager
def _in_words(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EMLINK}
        kind: type[errors.Failure] = errors.Exhausted if full else errors.Denied
        if error.errno in {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE}:
            kind = errors.Unavailable
        raise kind(f"{path}: {error.strerror or error}") from error


def _sweep(place: filepaths.Place) -> None:
    """Remove what interrupted creates left in a directory."""
    fd = os.open(
        place.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
        dir_fd=place.dirfd,
    )  # fmt: skip
    try:
        for name in os.listdir(fd):  # noqa: PTH208 - by descriptor
            if name.startswith(imagefiles.UNFINISHED):
                os.unlink(name, dir_fd=fd)
    finally:
        os.close(fd)


def _exists(place: filepaths.Place) -> bool:
    return _mode(place) is not None


def _is_directory(place: filepaths.Place) -> bool:
    mode = _mode(place)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(place: filepaths.Place) -> int | None:
    try:
        return os.stat(place.name, dir_fd=place.dirfd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return None

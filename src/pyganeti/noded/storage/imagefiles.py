"""Disks that are files: made, grown, renamed and removed below the allowed paths.

A new file gets its name when it is whole: until then it is ``.new-NAME`` beside its place, which
the next create, remove or directory removal sweeps away if we died. A full disk leaves nothing.
Nothing that exists is ever overwritten.

Tools work on descriptors that we opened, never on a path that may have become another's.
"""

import asyncio
import contextlib
import dataclasses
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

import msgspec

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.storage import driver, filepaths, opening, programs

T = TypeVar("T")

MIB: Final = 1024 * 1024
UNFINISHED: Final = ".new-"
"""What the name of a file begins with that is not whole yet."""

_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_RDWR | os.O_CLOEXEC
_PREALLOCATIONS: Final = {
    "raw": ("off", "falloc", "full"),
    "qcow2": ("off", "metadata", "falloc", "full"),
}
_HOURS: Final = 3600.0


class Shape(msgspec.Struct, frozen=True):
    """How a file holds a disk. ``preallocation`` is in qemu's words; off means sparse."""

    format: driver.Format = "raw"
    preallocation: str = "off"

    @property
    def is_sparse(self) -> bool:
        """Whether room on the file system is taken only as it is written to."""
        return self.preallocation in {"off", "metadata"}


def shape(disk: disks.Disk) -> Shape:
    """Return what the disk's parameters ask for; raises BadInput if that does not exist."""
    asked: dict[str, Any] = {
        key: value
        for key in ("format", "preallocation")
        if (value := disk.params.get(key)) is not None and value != ""
    }
    try:
        found = msgspec.convert(asked, Shape)
    except msgspec.ValidationError as error:
        raise errors.BadInput(f"{disk.describe()}: {error}") from error
    if found.preallocation not in _PREALLOCATIONS[found.format]:
        known = ", ".join(_PREALLOCATIONS[found.format])
        raise errors.BadInput(
            f"{disk.describe()}: preallocation of {found.format} is one of {known},"
            f" not {found.preallocation}"
        )
    return found


class ImageFiles:
    """The files of this node that hold disks."""

    def __init__(self, paths: filepaths.FilePaths, tools: programs.Programs) -> None:
        self._paths = paths
        self._tools = tools

    async def create(self, path: str, size: int, wanted: Shape, *, make: bool = False) -> None:
        """Make a file for ``size`` MiB; ``make`` its directories too. Raises if it exists."""
        async with self._directory(path, make=make) as place:
            await _at(place, _refuse_existing)
            await _at(place, sweep)
            async with opening.opened(
                lambda dirfd: os.open(UNFINISHED + place.name, _NEW, 0o600, dir_fd=dirfd),
                [place.dirfd],
                discard=lambda dirfd: sweep(_with(place, dirfd)),
            ) as fd:
                try:
                    await self._fill(fd, size, wanted, path)
                    await opening.on(
                        [fd, place.dirfd], lambda fd, dirfd: _give_name(fd, _with(place, dirfd))
                    )
                finally:
                    await _at(place, sweep)

    async def exists(self, path: str) -> bool:
        """Tell whether there is such a file; raises Denied if it is something else."""

        def look() -> bool:
            try:
                with self._paths.parent(path) as place:
                    _refuse_unfinished(place)
                    return _look(place) is not None
            except FileNotFoundError:
                return False

        return await asyncio.to_thread(look)

    @contextlib.asynccontextmanager
    async def reach(
        self, path: str, fmt: driver.Format, *, writable: bool
    ) -> AsyncIterator[driver.Reached]:
        """Open the file for tools."""
        async with self._opened(path, writable=writable) as fd:
            direct = await opening.on([fd], _is_direct)
            yield driver.Reached(f"/proc/self/fd/{fd}", fmt, (fd,), direct)

    async def size(self, path: str, fmt: driver.Format) -> int | None:
        """Return the size in bytes of the disk in the file, None if there is no such file."""
        try:
            async with self._opened(path, writable=False) as fd:
                if fmt == "raw":
                    return (await opening.on([fd], os.fstat)).st_size
                said = await self._tools.run(
                    ["qemu-img", "info", "--output=json", "--force-share", "-f", fmt,
                     f"/proc/self/fd/{fd}"],
                    descriptors=[fd],
                )  # fmt: skip
        except FileNotFoundError:
            return None
        return msgspec.json.decode(said, type=_Info).virtual_size

    async def grow(self, path: str, amount: int, shape: Shape, *, dry_run: bool) -> None:
        """Add ``amount`` MiB at the end; on failure the file is as it was."""
        async with self._opened(path, writable=True) as fd:
            if not shape.is_sparse:
                await opening.on([fd], lambda fd: _refuse_full(fd, amount * MIB, path))
            if dry_run or amount == 0:
                return
            name = f"/proc/self/fd/{fd}"
            if shape.format != "raw":
                await self._tools.run(
                    ["qemu-img", "resize", "-q", "-f", shape.format,
                     f"--preallocation={shape.preallocation}", name, f"+{amount}M"],
                    descriptors=[fd], timeout=_HOURS, tied=True,
                )  # fmt: skip
                return
            before = (await opening.on([fd], os.fstat)).st_size
            if shape.is_sparse:
                await opening.on([fd], lambda fd: os.ftruncate(fd, before + amount * MIB))
                return
            try:
                await self._tools.run(
                    ["fallocate", "--offset", str(before), "--length", str(amount * MIB), name],
                    descriptors=[fd], timeout=_HOURS, tied=True,
                )  # fmt: skip
            except BaseException:
                await opening.on([fd], lambda fd: os.ftruncate(fd, before))
                raise

    async def remove(self, path: str) -> bool:
        """Remove the file, and what an interrupted create left; return whether it was there."""
        try:
            async with self._directory(path) as place:
                return await _at(place, _remove)
        except FileNotFoundError:
            return False

    async def rename(self, path: str, new: str) -> None:
        """Give the file another path on the same file system; nothing is overwritten."""
        async with self._directory(path) as old, self._directory(new) as place:
            await opening.on(
                [old.dirfd, place.dirfd],
                lambda from_, to: _rename(_with(old, from_), _with(place, to)),
            )

    @contextlib.asynccontextmanager
    async def scratch(self, path: str) -> AsyncIterator[driver.Reached]:
        """Lend a raw file beside ``path`` that nobody sees and that is gone afterwards."""
        async with (
            self._directory(path) as place,
            opening.opened(lambda dirfd: _nameless(_with(place, dirfd)), [place.dirfd]) as fd,
        ):
            direct = await opening.on([fd], _is_direct)
            yield driver.Reached(f"/proc/self/fd/{fd}", "raw", (fd,), direct)

    @contextlib.asynccontextmanager
    async def _directory(self, path: str, *, make: bool = False) -> AsyncIterator[filepaths.Place]:
        name = ""

        def open_it() -> int:
            nonlocal name
            with self._paths.parent(path, make=make) as place:
                name = place.name
                return os.dup(place.dirfd)

        async with opening.opened(open_it) as dirfd:
            place = filepaths.Place(dirfd, name, path)
            _refuse_unfinished(place)
            yield place

    @contextlib.asynccontextmanager
    async def _opened(self, path: str, *, writable: bool) -> AsyncIterator[int]:
        async with (
            self._directory(path) as place,
            opening.opened(
                lambda dirfd: _open(_with(place, dirfd), writable=writable), [place.dirfd]
            ) as fd,
        ):
            yield fd

    async def _fill(self, fd: int, size: int, wanted: Shape, path: str) -> None:
        if wanted == Shape():
            await opening.on([fd], lambda fd: os.ftruncate(fd, size * MIB))
            return
        if not wanted.is_sparse:
            await opening.on([fd], lambda fd: _refuse_full(fd, size * MIB, path))
        await self._tools.run(
            ["qemu-img", "create", "-q", "-f", wanted.format,
             "-o", f"preallocation={wanted.preallocation}", f"/proc/self/fd/{fd}", f"{size}M"],
            descriptors=[fd], timeout=_HOURS, tied=True,
        )  # fmt: skip


class _Info(msgspec.Struct, rename="kebab"):
    virtual_size: int


async def _at(place: filepaths.Place, function: Callable[[filepaths.Place], T]) -> T:
    """Return what the function returns at a place, called in a thread."""
    return await opening.on([place.dirfd], lambda dirfd: function(_with(place, dirfd)))


def _with(place: filepaths.Place, dirfd: int) -> filepaths.Place:
    return dataclasses.replace(place, dirfd=dirfd)


def sweep(place: filepaths.Place) -> None:
    """Remove what an interrupted create left of this file."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(UNFINISHED + place.name, dir_fd=place.dirfd)


def _refuse_unfinished(place: filepaths.Place) -> None:
    if place.name.startswith(UNFINISHED):
        raise errors.BadInput(f"{place.path}: a disk's name does not begin with {UNFINISHED}")


def _look(place: filepaths.Place) -> os.stat_result | None:
    try:
        found = os.stat(place.name, dir_fd=place.dirfd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        what = "a symlink" if stat.S_ISLNK(found.st_mode) else "something else"
        raise errors.Denied(f"{place.path} is {what}, not a regular file")
    return found


def _refuse_existing(place: filepaths.Place) -> None:
    if _look(place) is not None:
        raise errors.BadInput(f"{place.path} exists already")


def _open(place: filepaths.Place, *, writable: bool) -> int:
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(place.name, flags, dir_fd=place.dirfd)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
            raise errors.Denied(f"{place.path} is not a regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise errors.Denied(f"{place.path} is not a regular file")
    return fd


def _give_name(fd: int, place: filepaths.Place) -> None:
    """Make a file that is whole appear under its name, if nobody has that."""
    os.fsync(fd)
    try:
        os.link(f"/proc/self/fd/{fd}", place.name, dst_dir_fd=place.dirfd, follow_symlinks=True)
    except FileExistsError:
        raise errors.BadInput(f"{place.path} exists already") from None
    os.fsync(place.dirfd)


def _remove(place: filepaths.Place) -> bool:
    sweep(place)
    found = _look(place) is not None
    if found:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place.name, dir_fd=place.dirfd)
    os.fsync(place.dirfd)
    return found


def _rename(old: filepaths.Place, new: filepaths.Place) -> None:
    before = _look(old)
    if before is None:
        raise errors.Unavailable(f"{old.path} does not exist")
    there = _look(new)
    if there is None:
        os.link(old.name, new.name, src_dir_fd=old.dirfd, dst_dir_fd=new.dirfd)
        os.fsync(new.dirfd)
    elif not os.path.samestat(before, there):
        raise errors.BadInput(f"{new.path} exists already")
    elif (old.name, os.fstat(old.dirfd).st_ino) == (new.name, os.fstat(new.dirfd).st_ino):
        return
    # One file with both names is a rename of ours that was cut short.
    os.unlink(old.name, dir_fd=old.dirfd)
    os.fsync(old.dirfd)


def _nameless(place: filepaths.Place) -> int:
    sweep(place)
    fd = os.open(UNFINISHED + place.name, _NEW, 0o600, dir_fd=place.dirfd)
    sweep(place)
    return fd


def _is_direct(fd: int) -> bool:
    try:
        os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _refuse_full(fd: int, wanted: int, path: str) -> None:
    found = os.fstatvfs(fd)
    free = found.f_bavail * found.f_frsize
    if free < wanted:
        raise errors.Exhausted(
            f"no room for {path}: {wanted // MIB} MiB wanted, {free // MIB} MiB free"
        )

"""Where a transfer's data comes from and goes to on this node: a file, a disk, a script.

A source is read to its end, then `Source.finish` says whether that was really all. A target is
written, then `Target.finish` makes it safe. Neither is finished when the transfer fails: a script
that reads is killed then, and never takes a half for the whole.

Nothing is written beyond a disk's end. Zeros where zeros are already are not written, so that what
was sparse stays so.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from pyganeti.base import errors
from pyganeti.noded.transfers import crew, jobs, nbd

CHUNK: Final = 1024 * 1024

_ZEROS: Final = bytes(CHUNK)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PATIENCE: Final = 20.0


class Source(Protocol):
    """What is sent."""

    def read_into(self, buffer: memoryview) -> int:
        """Return how many bytes were read, 0 at the end."""

    def finish(self) -> None:
        """Raise a Failure unless the end was the right one."""


class Target(Protocol):
    """What is received into."""

    def write(self, data: memoryview) -> None:
        """Take all of it; raises a Failure."""

    def finish(self) -> None:
        """Return when all is safe; raises a Failure."""


class FileSource:
    """A file, or a disk that is one or a device; read past the page cache where that works."""

    def __init__(self, fd: int, limit: int | None = None) -> None:
        self._fd = fd
        self._left = limit

    def read_into(self, buffer: memoryview) -> int:
        """Read up to the limit."""
        if self._left is not None:
            buffer = buffer[: self._left]
        if not buffer:
            return 0
        try:
            count = self._read(buffer)
        except OSError as error:
            raise errors.Unavailable(f"cannot be read: {error.strerror}") from error
        if self._left is not None:
            self._left -= count
        return count

    def finish(self) -> None:
        """Do nothing: whatever was there was sent."""

    def _read(self, buffer: memoryview) -> int:
        try:
            return os.readv(self._fd, [buffer])
        except OSError as error:
            flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
            if error.errno != errno.EINVAL or not flags & os.O_DIRECT:
                raise
            # The last sector of a file, say: read it like everybody else.
            fcntl.fcntl(self._fd, fcntl.F_SETFL, flags & ~os.O_DIRECT)
            return os.readv(self._fd, [buffer])


class FileTarget:
    """A file that grows, or a disk that does not; ``limit`` is its size in bytes then."""

    def __init__(self, fd: int, limit: int | None = None) -> None:
        self._fd = fd
        self._limit = limit
        self._at = 0
        self._is_regular = stat.S_ISREG(os.fstat(fd).st_mode)

    def write(self, data: memoryview) -> None:
        """Write at the next place, unless it is zeros where zeros are."""
        _check_room(self._at, len(data), self._limit)
        try:
            if self._is_regular and is_zero(data) and self._is_zero_there(len(data)):
                self._at += len(data)
                return
            while data:
                count = os.pwrite(self._fd, data, self._at)
                self._at += count
                data = data[count:]
        except OSError as error:
            raise _in_words(error) from error

    def finish(self) -> None:
        """Have it on disk, at its full length."""
        try:
            if self._limit is None:
                os.ftruncate(self._fd, self._at)
            os.fsync(self._fd)
        except OSError as error:
            raise _in_words(error) from error

    def _is_zero_there(self, count: int) -> bool:
        there = os.pread(self._fd, count, self._at)
        return there == _ZEROS[: len(there)]


class NbdSource:
    """A disk behind qemu-nbd."""

    def __init__(self, client: nbd.Client, program: crew.Program) -> None:
        self._client = client
        self._program = program

    def read_into(self, buffer: memoryview) -> int:
        """Read on."""
        return self._client.read_into(buffer)

    def finish(self) -> None:
        """Have qemu-nbd end."""
        self._client.close()
        self._program.check()


class NbdTarget:
    """A disk behind qemu-nbd, to be written."""

    def __init__(self, client: nbd.Client, program: crew.Program) -> None:
        self._client = client
        self._program = program
        self._at = 0

    def write(self, data: memoryview) -> None:
        """Write at the next place."""
        _check_room(self._at, len(data), self._client.size)
        if not (is_zero(data) and self._client.write_zeroes(len(data))):
            self._client.write(data)
        self._at += len(data)

    def finish(self) -> None:
        """Have it on disk, and qemu-nbd end."""
        self._client.flush()
        self._client.close()
        self._program.check()


class ProgramSource:
    """What a program writes to its stdout."""

    def __init__(self, fd: int, program: crew.Program) -> None:
        self._fd = fd
        self.program = program

    def read_into(self, buffer: memoryview) -> int:
        """Read what is there."""
        return os.readv(self._fd, [buffer])

    def finish(self) -> None:
        """Raise Unavailable if the program failed."""
        os.close(self._fd)
        self.program.check()


class ProgramTarget:
    """What a program reads from its stdin; ``holder`` keeps that open besides us."""

    def __init__(self, fd: int, program: crew.Program, holder: crew.Program | None = None) -> None:
        self._fd = fd
        self.program = program
        self._holder = holder

    def write(self, data: memoryview) -> None:
        """Have it read; raises Unavailable, with its status, if it has ended."""
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except BrokenPipeError as error:
            self.program.check()
            raise errors.Unavailable(f"{self.program.name} has not read everything") from error

    def finish(self) -> None:
        """Tell it that this was all, and wait for it to be done."""
        if self._holder is not None:
            self._holder.kill()
            self._holder.process.wait()
        os.close(self._fd)
        self.program.check()


def program_source(
    hands: crew.Crew,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    directory: str = "/",
    descriptors: Sequence[int] = (),
) -> ProgramSource:
    """Start a program that is to write."""
    reading, writing = _pipe()
    with _lent(writing):
        program = hands.start(
            arguments, environment=environment, directory=directory, stdout=writing,
            descriptors=descriptors,
        )  # fmt: skip
    return ProgramSource(reading, program)


def program_target(
    hands: crew.Crew,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    directory: str = "/",
    descriptors: Sequence[int] = (),
) -> ProgramTarget:
    """Start a program that is to read; if we are killed, it is too before its input ends.

    The kernel closes what we have open before it kills who is tied to us: the program would see an
    end, and have a moment to take it for the right one. So somebody else has its input open as
    well, who is started after it, and thus killed after it.
    """
    reading, writing = _pipe()
    with _lent(reading):
        program = hands.start(
            arguments, environment=environment, directory=directory, stdin=reading,
            descriptors=descriptors,
        )  # fmt: skip
    holder = hands.start(
        ["sleep", "infinity"], environment=hands.environment, descriptors=[writing]
    )
    return ProgramTarget(writing, program, holder)


def program_between(
    hands: crew.Crew, arguments: Sequence[str], environment: Mapping[str, str]
) -> tuple[ProgramTarget, ProgramSource]:
    """Start a program that makes of what it reads what it writes."""
    its_input, ours = _pipe()
    back, its_output = _pipe()
    with _lent(its_input), _lent(its_output):
        program = hands.start(
            arguments, environment=environment, stdin=its_input, stdout=its_output
        )
    return ProgramTarget(ours, program), ProgramSource(back, program)


def open_disk_source(disk: jobs.Disk, hands: crew.Crew, folder: Path) -> FileSource | NbdSource:
    """Open a disk's content for reading, as much of it as its configuration says."""
    if _is_plain(disk):
        flags = os.O_RDONLY | os.O_CLOEXEC
        try:
            fd = os.open(disk.name, flags | (os.O_DIRECT if disk.is_direct else 0))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise errors.Unavailable(f"{disk.name}: {error.strerror}") from error
            fd = os.open(disk.name, flags)
        return FileSource(fd, disk.size * jobs.MIB)
    return NbdSource(*_serve(disk, hands, folder, is_writable=False))


def open_disk_target(disk: jobs.Disk, hands: crew.Crew, folder: Path) -> FileTarget | NbdTarget:
    """Open a disk for writing; it keeps its size."""
    if _is_plain(disk):
        try:
            fd = os.open(disk.name, os.O_RDWR | os.O_CLOEXEC)
            return FileTarget(fd, os.lseek(fd, 0, os.SEEK_END))
        except OSError as error:
            raise errors.Unavailable(f"{disk.name}: {error.strerror}") from error
    return NbdTarget(*_serve(disk, hands, folder, is_writable=True))


def _is_plain(disk: jobs.Disk) -> bool:
    return disk.format == "raw" and disk.name.startswith("/")


def _serve(
    disk: jobs.Disk, hands: crew.Crew, folder: Path, *, is_writable: bool
) -> tuple[nbd.Client, crew.Program]:
    """Have qemu-nbd show a disk to us, and to nobody else."""
    program = shutil.which("qemu-nbd")
    if program is None:
        raise errors.Unavailable("qemu-nbd, which reads such disks, is not installed on this node")
    # A folder's path may be longer than a socket's may be: this one never is.
    dirfd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    path = f"/proc/{os.getpid()}/fd/{dirfd}/nbd"
    line = [program, f"--socket={path}", f"--format={disk.format}", "--cache=writeback"]
    line += [] if is_writable else ["--read-only"]
    started = hands.start(
        [*line, disk.name],
        environment=hands.environment,
        descriptors=disk.descriptors,
    )
    connection = _connect(path, started)
    with contextlib.suppress(OSError):
        os.unlink("nbd", dir_fd=dirfd)
    os.close(dirfd)
    return nbd.Client(connection), started


def _connect(path: str, started: crew.Program) -> socket.socket:
    deadline = time.monotonic() + _PATIENCE
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
        except OSError as error:
            connection.close()
            if started.process.poll() is not None:
                started.check()
            if time.monotonic() >= deadline:
                raise errors.Interrupted(f"qemu-nbd does not answer: {error.strerror}") from error
            time.sleep(0.02)
        else:
            return connection


def is_zero(data: memoryview) -> bool:
    """Tell whether there is nothing but zeros in at most a chunk."""
    # As bytes, for that is compared at the speed of memory; a view is, byte by byte.
    return data[0] == 0 and bytes(data) == _ZEROS[: len(data)]


def _check_room(at: int, count: int, limit: int | None) -> None:
    if limit is not None and at + count > limit:
        raise errors.Exhausted(
            f"there is more data than the disk has room for ({limit // jobs.MIB} MiB)"
        )


def _in_words(error: OSError) -> errors.Failure:
    if error.errno in _FULL:
        return errors.Exhausted(f"cannot be written: {error.strerror}")
    return errors.Unavailable(f"cannot be written: {error.strerror}")


@contextlib.contextmanager
def _lent(fd: int) -> Iterator[None]:
    """Close our copy of what a program was given."""
    try:
        yield
    finally:
        os.close(fd)


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # a user's share may be used up
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, CHUNK)
    return reading, writing

"""The configuration in one file, config.data, as Ganeti keeps it: the store of a plain cluster.

Invariants: one master daemon writes, the one that holds the lock on the directory of the kept
generations. The file is there whole, old or new, whenever the power fails or we are killed. What is
in memory here is what is in the file.

In failure: a full disk refuses the change and leaves both as they were; the next one goes on when
there is room. If anybody else wrote the file (an operator's editor, another master's upload) we
notice by its inode, size and time, and write no more: to put ours over it would undo what somebody
wanted, to merge would guess. The daemon has to be started anew, and then takes up what is there. A
file that is gone is made anew, since it undoes nothing. If the very last step of a write fails, so
that nobody knows whether it will last, we write no more either.
"""

import asyncio
import contextlib
import errno
import grp
import os
import pwd
import stat
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Final

from pyganeti.base import dirlock, errors, files, filewatch, log, paths
from pyganeti.clients import configlabel
from pyganeti.masterd.config import generations
from pyganeti.masterd.config.store import Conflict, Copy
from pyganeti.model.config import datafile, entries
from pyganeti.wire import standings

_LOG = log.get(__name__)
_MODE: Final = 0o640
_GENERATIONS_MODE: Final = 0o700
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_LEFTOVER_AGE: Final = 3600.0


class Held:
    """The lock that keeps a second master daemon from writing; it goes with the process only."""

    async def lost(self) -> None:
        """Wait for ever: nobody can take the lock away."""
        await asyncio.get_running_loop().create_future()


class FileStore:
    """config.data of one node."""

    is_own_file = True

    def __init__(
        self,
        layout: paths.Paths,
        *,
        epoch: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make one; ``epoch`` gives the number of the one by which it is written, 0 for none."""
        self._layout = layout
        self._epoch = epoch
        self._labelled = 0
        self.path = layout.config_data
        self.generations = layout.config_generations
        self._clock = clock
        self._version = 0
        self._identity: filewatch.Identity | None = None
        self._pieces = datafile.Pieces({})
        self._serial_no = 0
        self._broken = ""
        self._turn = asyncio.Lock()

    async def read(self) -> tuple[dict[str, bytes], int]:
        """Return what is in the file, and take it for what we may replace.

        Raises Unavailable if there is none or it cannot be read; Damaged if it is no configuration,
        with the newest good generation to go back to.
        """
        async with self._turn:
            identity, held = await asyncio.to_thread(self._load)
            self._identity, self._broken = identity, ""
            self._pieces = datafile.Pieces(held)
            self._serial_no = datafile.serial_of(held[entries.HEAD])
            self._version += 1
            return held, self._version

    async def swap(self, expected: int, changes: Mapping[str, bytes | None]) -> int:
        """Write the file anew with some entries changed; see `store.Store`."""
        async with self._turn:
            if expected != self._version:
                raise Conflict(f"{self.path} has changed since it was read")
            pieces = self._pieces.copy()
            pieces.change(changes)
            head = changes.get(entries.HEAD)
            serial_no = self._serial_no if head is None else datafile.serial_of(head)
            writing = asyncio.ensure_future(asyncio.to_thread(self._write, pieces))
            try:
                await asyncio.wait({writing})
            finally:  # whoever gives up waiting does not stop the disk
                while not writing.done():
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.wait({writing})
                if writing.exception() is None:
                    self._identity = writing.result()
                    self._pieces, self._serial_no = pieces, serial_no
                    self._version += 1
            writing.result()
            return self._version

    async def copy(self) -> Copy:
        """Return the file as it is now, for the other candidates."""
        pieces = self._pieces

        def made() -> Copy:
            mode, owner = _mode_and_owner(self.path)
            user, group = _names_of(owner)
            return Copy(pieces.render(), stat.S_IFREG | mode, user, group, self._clock())

        return await asyncio.to_thread(made)

    async def watch(self) -> AsyncIterator[int]:
        """Yield each time somebody else has written the file, or taken it away."""
        seen = self._identity
        async for _ in filewatch.changes(self.path):
            async with self._turn:  # not in the middle of a write of our own
                found = filewatch.identity_of(self.path)
                if found in {self._identity, seen}:
                    seen = found
                    continue
                seen = found
            yield self._version

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[Held]:
        """Lock out other master daemons; raises AlreadyRunning if one is there.

        Raises Unavailable if the directory cannot be made or locked.
        """
        try:
            files.make_directories(self.generations, _GENERATIONS_MODE)
            fd = os.open(self.generations, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise errors.Unavailable(f"{self.generations}: {error.strerror}") from error
        try:
            dirlock.lock(fd)
            await asyncio.to_thread(_remove_leftovers, self.path.parent, self._clock())
            yield Held()
        finally:
            dirlock.unlock(fd)
            os.close(fd)

    def _load(self) -> tuple[filewatch.Identity, dict[str, bytes]]:
        try:
            with self.path.open("rb") as file:
                identity = filewatch.identity(os.fstat(file.fileno()))
                data = file.read()
        except FileNotFoundError as error:
            raise errors.Unavailable(
                f"there is no configuration: {self.path} does not exist{self._instead()}"
            ) from error
        except OSError as error:
            raise errors.Unavailable(f"{self.path} cannot be read: {error.strerror}") from error
        try:
            return identity, datafile.parse(data)
        except errors.Damaged as error:
            raise errors.Damaged(f"{self.path} is damaged: {error}{self._instead()}") from error

    def _instead(self) -> str:
        """Return words about which generation to go back to, empty if there is none."""
        with contextlib.suppress(OSError):
            for generation in generations.found(self.generations):
                if is_good(generation.path):
                    return (
                        "; the newest good state before it is "
                        f"{generations.describe(generation)}: copy it there to go back to it"
                    )
        return ""

    def _label(self) -> None:
        """Say of which epoch the file is from now on: what is there is what we began with."""
        epoch = self._epoch()
        if epoch == self._labelled:
            return
        try:
            configlabel.write(self._layout, standings.Label(epoch))
        except OSError as error:
            kind = errors.Exhausted if error.errno in _FULL else errors.Unavailable
            raise kind(
                f"of which epoch the configuration is cannot be written: {error.strerror}"
            ) from error
        self._labelled = epoch

    def _write(self, pieces: datafile.Pieces) -> filewatch.Identity:
        """Replace the file; return what it is then."""
        if self._broken:
            raise errors.Unavailable(self._broken)
        found = filewatch.identity_of(self.path)
        if found is None:
            _LOG.warning("the configuration was gone and is written anew", path=str(self.path))
        elif found != self._identity:
            raise Conflict(
                f"somebody else wrote {self.path}, so it is left alone: restart the master daemon "
                "to take up what is there"
            )
        data = pieces.render()
        self._label()
        if found is not None:
            generations.keep(self.generations, self.path, self._serial_no, self._clock())
        try:
            files.write_durably(self.path, data, *_mode_and_owner(self.path))
        except OSError as error:
            if filewatch.identity_of(self.path) != found:
                self._broken = (
                    f"the last write of {self.path} may not last ({error.strerror}): see to the "
                    "disk, then restart the master daemon"
                )
                raise errors.Unavailable(self._broken) from error
            if error.errno in _FULL:
                raise errors.Exhausted(
                    f"no room for the configuration in {self.path.parent}: {error.strerror}"
                ) from error
            raise errors.Unavailable(f"{self.path} cannot be written: {error.strerror}") from error
        written = filewatch.identity_of(self.path)
        if written is None:
            raise errors.Unavailable(f"{self.path} is gone as soon as it was written")
        return written


def create(layout: paths.Paths, held: entries.Entries) -> None:
    """Write the configuration of a new cluster. Blocks.

    Raises BadInput if there is one already, Exhausted or Unavailable if it cannot be written.
    """
    path = layout.config_data
    if path.exists():
        raise errors.BadInput(
            f"there is a cluster here already: {path} exists", code="already_exists"
        )
    try:
        files.make_directories(path.parent)
        files.write_durably(path, datafile.Pieces(held).render(), _MODE)
    except OSError as error:
        kind = errors.Exhausted if error.errno in _FULL else errors.Unavailable
        raise kind(f"{path} cannot be written: {error.strerror}") from error


def replace(layout: paths.Paths, data: bytes) -> None:
    """Put another configuration in the place of the present one, which is kept. Blocks.

    For when no master daemon runs: raises AlreadyRunning if one does, OSError if it cannot be
    written.
    """
    path = layout.config_data
    files.make_directories(layout.config_generations, _GENERATIONS_MODE)
    fd = os.open(layout.config_generations, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        dirlock.lock(fd)
        generations.keep(layout.config_generations, path, _present_serial(path), time.time())
        files.write_durably(path, data, *_mode_and_owner(path))
    finally:
        os.close(fd)


def is_good(path: Path) -> bool:
    """Return whether a file is a configuration that could be taken up."""
    try:
        entries.to_snapshot(datafile.parse(path.read_bytes()))
    except (OSError, errors.Failure):
        return False
    return True


def go_back(layout: paths.Paths, generation: generations.Generation) -> None:
    """Make an earlier state the configuration again; the present one is kept. Blocks.

    Its serial number becomes higher than the present one's, so that nobody takes it for old. For
    when no master daemon runs: raises AlreadyRunning if one does, Damaged if the generation is no
    configuration, OSError if it cannot be written.
    """
    files.make_directories(layout.config_generations, _GENERATIONS_MODE)
    fd = os.open(layout.config_generations, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        dirlock.lock(fd)
        held = datafile.parse(generation.path.read_bytes())
        snapshot = entries.to_snapshot(held)
        present = _present_serial(layout.config_data)
        raised = entries.with_serial(snapshot, max(present, snapshot.serial_no) + 1)
        held[entries.HEAD] = entries.head_of(raised)
        generations.keep(layout.config_generations, layout.config_data, present, time.time())
        files.write_durably(
            layout.config_data,
            datafile.Pieces(held).render(),
            *_mode_and_owner(layout.config_data),
        )
    finally:
        os.close(fd)


def _present_serial(path: Path) -> int:
    try:
        return datafile.serial_of(datafile.parse(path.read_bytes())[entries.HEAD])
    except (OSError, errors.Damaged):
        return 0


def _mode_and_owner(path: Path) -> tuple[int, files.Owner | None]:
    """Return what the file has, so that Ganeti's own programs can still read it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return _MODE, None
    owner = (status.st_uid, status.st_gid) if os.geteuid() == 0 else None
    return status.st_mode & 0o777, owner


def _names_of(owner: files.Owner | None) -> tuple[str, str]:
    """Return what nodes call the owner; root's where he has no name."""
    user = group = "root"
    if owner is not None:
        with contextlib.suppress(KeyError):
            user = pwd.getpwuid(owner[0]).pw_name
        with contextlib.suppress(KeyError):
            group = grp.getgrgid(owner[1]).gr_name
    return user, group


def _remove_leftovers(directory: Path, now: float) -> None:
    """Remove what writers that were killed left behind, long ago."""
    with contextlib.suppress(OSError):
        for path in directory.glob(".new-*"):
            if path.is_file() and now - path.stat().st_mtime > _LEFTOVER_AGE:
                path.unlink()

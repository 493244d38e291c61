"""What this node has promised: the latest master that it follows, in a file.

The node daemon keeps it, and gives promises to whoever asks for them over the network. A master
daemon, or the command that makes one, can give its own node's promise while no node daemon runs
there. A promise is on the disk before it is told.

In failure: a disk that does not take it gives no promise, and what was promised holds. A file that
says nothing legible says that something was promised, and nobody knows to whom: no new promise is
given until a master has called (which is written over it), or somebody has removed the file. A node
without the file has promised nothing, so removing it makes a node follow anybody again.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Final, NamedTuple

from pyganeti.base import errors, filelock, files, paths
from pyganeti.wire import epochs

_LOCK: Final = "var/lock/ganeti-epoch.lock"
_MODE: Final = 0o644


class Memory(NamedTuple):
    """What the file says; ``damage`` is why it says nothing."""

    known: epochs.Epoch | None = None
    damage: str = ""


class Outranked(errors.Failure):
    """A later master is followed already, ``known``."""

    def __init__(self, message: str, known: epochs.Epoch) -> None:
        super().__init__(message)
        self.known = known


def outranked(known: epochs.Epoch) -> Outranked:
    """Return what to raise for a master that is none any more."""
    return Outranked(
        f"the master is {known.master}, by its epoch {known.number}, and no other is followed here",
        known,
    )


def read(path: Path) -> Memory:
    """Return what a file says; raises OSError if it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(epochs.LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return Memory()
    try:
        return Memory(epochs.decode(content))
    except errors.Damaged as error:
        return Memory(damage=f"{path} is damaged: {error}")


async def give(layout: paths.Paths, wanted: epochs.Epoch) -> None:
    """Promise to follow a master, and none of an earlier epoch any more.

    To promise the same once more is no failure. Raises Outranked if a later one is followed,
    Damaged if that is not known, Unavailable if it cannot be remembered.
    """
    async with _alone(layout):
        memory = await asyncio.to_thread(_read, layout)
        if memory.damage:
            raise errors.Damaged(
                f"{memory.damage}; nothing is promised before a master has called, or that file is"
                " removed"
            )
        if memory.known is not None and wanted < memory.known:
            raise outranked(memory.known)
        if memory.known != wanted:
            await asyncio.to_thread(_write, layout, wanted)


async def learn(layout: paths.Paths, heard: epochs.Epoch) -> None:
    """Remember a master that calls as such: most nodes have promised to follow it.

    One that is not later than what is remembered is nothing new. Raises Unavailable if it cannot be
    remembered.
    """
    async with _alone(layout):
        known = (await asyncio.to_thread(_read, layout)).known
        if known is None or known < heard:
            await asyncio.to_thread(_write, layout, heard)


def _alone(layout: paths.Paths) -> contextlib.AbstractAsyncContextManager[None]:
    return filelock.exclusive(layout.root / _LOCK)


def _read(layout: paths.Paths) -> Memory:
    try:
        return read(layout.epoch_file)
    except OSError as error:
        raise errors.Unavailable(f"{layout.epoch_file} cannot be read: {error.strerror}") from error


def _write(layout: paths.Paths, epoch: epochs.Epoch) -> None:
    try:
        files.write_durably(layout.epoch_file, epochs.encode(epoch), _MODE)
    except OSError as error:
        raise errors.Unavailable(
            f"{layout.epoch_file} cannot be written, so nothing is promised: {error.strerror}"
        ) from error

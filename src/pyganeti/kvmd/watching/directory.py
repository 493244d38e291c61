"""Follows one directory by its path, through everything that can happen to it.

The directory of the sockets may not be there yet, be deleted and made anew, be renamed away with
any of its parents, be mounted over, or hide behind a symbolic link that is set elsewhere. The
listener is told which directory the path leads to now, and by `contents` which names are in it.

How: inotify on every step of the way (`base.route`), in a queue of its own, so that a flood in a
parent cannot make that of the names overflow; the mount table; and once a second one stat of the
path, in case all of that failed.

Invariants: a directory once open is told as lost only when the path is known to lead elsewhere or
nowhere. However fast the parents change, there is no more than one walk in `_WALK_PAUSE` seconds;
the last change is always followed by one.

In failure: inotify limits spent means one warning, and looking once a second until they are not.
Descriptors spent means trying again as often; it says nothing about the directory, so the listener
hears nothing of it.

While this holds the directory open, a file system mounted there can only be unmounted lazily.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from pyganeti.base import inotify, log, mounttable, route
from pyganeti.kvmd.watching import contents

Listener: TypeAlias = contents.Listener

_TICK: Final = 1.0
_WALK_PAUSE: Final = 0.005

_TROUBLE: Final = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "not a directory",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.ELOOP: "too many links",
}

_log = log.get(__name__)


class Directory:
    """What one path leads to, and the names in it."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        listener: Listener,
        *,
        loop: asyncio.AbstractEventLoop,
        suffixes: tuple[str, ...] = ("",),
        tick: float = _TICK,
    ) -> None:
        """Do nothing yet. Only names that end in one of ``suffixes`` are told.

        ``tick`` is the seconds between two looks that no event has asked for.
        """
        # Not abspath: it would take "link/.." for nothing.
        self.path = os.path.join(os.getcwd(), os.fspath(path))  # noqa: PTH109, PTH118
        self.trouble = ""
        """Why the directory cannot be had, in a word or two; "" if nothing is known against it."""
        self.walks = 0
        self._loop = loop
        self._tick = tick
        self._contents = contents.Contents(
            listener, loop=loop, suffixes=suffixes, on_doubt=self._walk_soon
        )
        self._queue: inotify.Inotify | None = None
        self._mounts: mounttable.MountTable | None = None
        self._route = route.Route(self.path, None)
        self._walk_handle: asyncio.Handle | None = None
        self._tick_handle: asyncio.Handle | None = None
        self._walked_at = 0.0
        self._polling_said = False
        self._closed = False

    @property
    def fd(self) -> int:
        """The directory's descriptor, -1 while the path leads to none."""
        return self._contents.fd

    @property
    def is_open(self) -> bool:
        """Whether the path leads to a directory."""
        return self._contents.fd >= 0

    @property
    def names(self) -> AbstractSet[str]:
        """The names that the listener has been told of; live."""
        return self._contents.names

    @property
    def rescans(self) -> int:
        """How many scans have been completed."""
        return self._contents.rescans

    @property
    def overflows(self) -> int:
        """How often the kernel's queue has overflowed."""
        return self._contents.overflows

    @property
    def is_polling(self) -> bool:
        """Whether the kernel's events are not to be had, wholly or in part."""
        return self._route.unwatched is not None or (self.is_open and not self._contents.is_watched)

    def start(self) -> None:
        """Begin. The listener may be called before this returns."""
        self._tick_handle = self._loop.call_later(self._tick, self._ticked)
        self._walk()

    def close(self) -> None:
        """Stop, without a last word to the listener; twice does no harm."""
        self._closed = True
        for handle in (self._walk_handle, self._tick_handle):
            if handle is not None:
                handle.cancel()
        self._contents.close()
        if self._queue is not None:
            self._loop.remove_reader(self._queue.fd)
            self._queue.close()
            self._queue = self._route.queue = None
        if self._mounts is not None:
            self._mounts.close()
            self._mounts = None

    def rescan(self) -> None:
        """Scan the directory, in the turns to come."""
        self._contents.rescan()

    def _readable(self) -> None:
        if self._queue is not None and any(map(self._route.is_concerned, self._queue.read())):
            self._walk_soon()

    def _walk_soon(self) -> None:
        if self._walk_handle is None and not self._closed:
            self._walk_handle = self._loop.call_at(self._walked_at + _WALK_PAUSE, self._walk)

    def _walk(self) -> None:
        if self._walk_handle is not None:
            self._walk_handle.cancel()
            self._walk_handle = None
        self._equip()
        self._walked_at = self._loop.time()
        self.walks += 1
        try:
            there = self._route.walk()
            try:
                self._arrived(there)
            finally:
                os.close(there)
        except OSError as error:
            self._obstructed(error)
        if not self._closed:
            self._say_whether_polling()

    def _arrived(self, there: int) -> None:
        if self.is_open and os.path.samestat(os.fstat(there), os.fstat(self.fd)):
            self._contents.watch()
        else:
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=there)
            self._contents.leave()
            if self._closed:
                os.close(fd)
                return
            _log.info("directory found", path=self.path)
            self._contents.enter(fd)
        self.trouble = ""

    def _obstructed(self, error: OSError) -> None:
        trouble = _TROUBLE.get(error.errno or 0) or error.strerror or "unknown"
        is_news = trouble != self.trouble
        if not inotify.is_spent(error):
            is_news = is_news or self.is_open
            self._contents.leave()
        self.trouble = trouble
        if is_news:
            _log.warning("directory cannot be had", path=self.path, why=trouble)

    def _ticked(self) -> None:
        self._tick_handle = self._loop.call_later(self._tick, self._ticked)
        if self.is_polling or self._mounts is None or self._leads_elsewhere():
            self._walk()
        self._contents.look()

    def _leads_elsewhere(self) -> bool:
        try:
            there = os.stat(self.path)  # noqa: PTH116 - once a second for ever: lean
        except OSError as error:
            return self.is_open and not inotify.is_spent(error)
        return not self.is_open or not os.path.samestat(there, os.fstat(self.fd))

    def _equip(self) -> None:
        # What cannot be had now is asked for again by the next walk; ticks see to that.
        if self._queue is None:
            with contextlib.suppress(OSError):
                self._queue = self._route.queue = inotify.Inotify()
                self._loop.add_reader(self._queue.fd, self._readable)
        if self._mounts is None:
            with contextlib.suppress(OSError):
                self._mounts = mounttable.MountTable(self._loop, self._walk_soon)

    def _say_whether_polling(self) -> None:
        if self.is_polling:
            if self._polling_said:
                return
            self._polling_said = True
            _log.warning(
                "inotify is not to be had, looking at the directory by the clock",
                path=self.path,
                seconds=self._tick,
                error=str(self._route.unwatched or self._contents.unwatched),
            )
        elif self._polling_said and self.is_open:
            self._polling_said = False
            _log.info("inotify is to be had again", path=self.path)

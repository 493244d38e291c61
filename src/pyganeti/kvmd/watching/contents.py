"""The names in one open directory, told as they come and go.

`listing` decides what is news; this gives it its two witnesses. Names are watched first and scanned
then, so none falls in between. A scan also follows an overflow of the kernel's queue (16,384
events), and whatever `Contents.look` finds changed without an event.

Invariants: the listener is called in slices of `_SLICE` seconds a turn of the loop, however many
names come at once. Between ``on_opened`` and ``on_lost`` the names told are exactly ``names``.

In failure: without inotify (a limit is spent) every `look` that finds the directory's change time
moved scans it. Without descriptors a scan waits for the next `look`, and nothing is concluded from
half a scan. A listener's exception is logged and the next call made.
"""

import asyncio
import collections
import os
import time
from collections.abc import Callable, Generator
from collections.abc import Set as AbstractSet
from typing import Final, Protocol

from pyganeti.base import inotify, log
from pyganeti.kvmd.watching import listing

_SLICE: Final = 0.002
_SCAN_PAUSE: Final = 30.0
"""Seconds after which a directory that has changed is scanned although no event was lost."""

_BLIND_SCANS: Final = 10
"""Every so many of these pauses it is scanned although nothing has changed, to be sure."""

_SETTLED_NS: Final = 2_000_000_000
"""A change time older than this at a scan: no later change can bear it too, however coarse."""

_COME: Final = inotify.CREATE | inotify.MOVED_TO
_GONE: Final = inotify.DELETE | inotify.MOVED_FROM
_DEAD: Final = inotify.UNMOUNT | inotify.IGNORED | inotify.DELETE_SELF | inotify.MOVE_SELF
_MASK: Final = _COME | _GONE | inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.ONLYDIR

_log = log.get(__name__)


class Listener(Protocol):
    """Who wants to know. Called on the loop; each call should stay well below a millisecond."""

    def on_opened(self, dirfd: int) -> None:
        """Hear that the path leads to a directory, another one than before.

        ``dirfd`` can be read, locked and connected through; it is closed after `on_lost`, not by
        the listener.
        """

    def on_lost(self) -> None:
        """Hear that the path leads there no more. The single names are not told."""

    def on_appeared(self, name: str) -> None:
        """Hear of a name; of a known one again if it may have been put in another's place."""

    def on_vanished(self, name: str) -> None:
        """Hear that a name is no more."""

    def on_rescan(self, names: AbstractSet[str]) -> None:
        """Hear that a scan is complete, and all names.

        The set is live. Whatever the scan found has been told already.
        """


class Contents:
    """What is in the directory that is open now, if any."""

    def __init__(
        self,
        listener: Listener,
        *,
        loop: asyncio.AbstractEventLoop,
        suffixes: tuple[str, ...],
        on_doubt: Callable[[], None],
    ) -> None:
        """Do nothing yet. ``on_doubt`` hears that the directory itself may have been moved."""
        self.fd = -1
        self.unwatched: OSError | None = None
        """Why the kernel did not want to tell of the names when it was last asked to."""
        self.rescans = 0
        self.overflows = 0
        self._listener = listener
        self._loop = loop
        self._suffixes = suffixes
        self._on_doubt = on_doubt
        self._listing = listing.Listing()
        self._queue: inotify.Inotify | None = None
        self._wd = -1
        self._pending: collections.deque[inotify.Event] = collections.deque()
        self._scan: Generator[str, None, None] | None = None
        self._scan_wanted = False
        self._scan_failed = False
        self._looked_at = 0.0
        self._blind = 0
        self._stamp = -1
        self._pump_handle: asyncio.Handle | None = None

    @property
    def names(self) -> AbstractSet[str]:
        """The names that the listener has been told of; live."""
        return self._listing.names

    @property
    def is_watched(self) -> bool:
        """Whether the kernel tells of the names' coming and going."""
        return self._wd >= 0

    def enter(self, fd: int) -> None:
        """Take over a descriptor of a directory: tell of it, and of its names in later turns."""
        self.fd = fd
        self._looked_at = self._loop.time()
        self._tell(self._listener.on_opened, fd)
        if self.fd == fd:
            self.watch()
            self.rescan()

    def leave(self) -> None:
        """Tell that the directory is lost, and close it; without one do nothing."""
        if self.fd >= 0:
            self._tell(self._listener.on_lost)
            self._drop()

    def close(self) -> None:
        """Give everything back without a word; twice does no harm."""
        self._drop()
        if self._queue is not None:
            self._loop.remove_reader(self._queue.fd)
            self._queue.close()
            self._queue = None

    def watch(self) -> None:
        """Ask the kernel to tell of the names, unless it does; what came before is scanned."""
        if self._wd >= 0 or self.fd < 0:
            return
        try:
            if self._queue is None:
                self._queue = inotify.Inotify()
                self._loop.add_reader(self._queue.fd, self._readable)
            self._wd = self._queue.add(f"/proc/self/fd/{self.fd}", _MASK)
        except OSError as error:
            self.unwatched = error
            return
        self.unwatched = None
        self.rescan()

    def rescan(self) -> None:
        """Scan the directory, in the turns to come."""
        if self.fd >= 0:
            self._scan_wanted = True
            self._pump_soon()

    def look(self) -> None:
        """Scan if something may have been missed. To be called about once a second."""
        if self.fd < 0 or self._scan is not None:
            return
        now = self._loop.time()
        changed = os.fstat(self.fd).st_ctime_ns != self._stamp
        if self._scan_failed or (changed and self._wd < 0):
            self.rescan()
        elif now - self._looked_at >= _SCAN_PAUSE:
            self._looked_at = now
            self._blind += 1
            if changed or self._blind >= _BLIND_SCANS:
                self._blind = 0
                self.rescan()

    def _drop(self) -> None:
        if self._pump_handle is not None:
            self._pump_handle.cancel()
            self._pump_handle = None
        if self._queue is not None and self._wd >= 0:
            self._queue.remove(self._wd)
        self._wd = -1
        self._pending.clear()
        self._end_scan()
        self._scan_wanted = self._scan_failed = False
        self._listing = listing.Listing()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _readable(self) -> None:
        if self._queue is not None and not self._pending:
            self._pending.extend(self._queue.read())
            if self._pump_handle is None:
                self._pump()

    def _pump_soon(self) -> None:
        if self._pump_handle is None:
            self._pump_handle = self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_handle = None
        ends = time.perf_counter() + _SLICE
        while self._step():
            if time.perf_counter() > ends:
                self._pump_soon()
                return

    def _step(self) -> bool:
        """Do the next small thing; return whether there may be more."""
        if self._pending:
            self._take(self._pending.popleft())
            return True
        if self._scan is None:
            return self._scan_wanted and self._begin_scan()
        try:
            name = next(self._scan, None)
        except OSError as error:
            self._scan_broke_off(error)
            return False
        if name is not None:
            if name.endswith(self._suffixes) and self._listing.saw(name):
                self._tell(self._listener.on_appeared, name)
        elif (missed := self._listing.missed()) is not None:
            self._tell(self._listener.on_vanished, missed)
        else:
            self._scan = None
            self._scan_failed = False
            self.rescans += 1
            self._tell(self._listener.on_rescan, self._listing.names)
        return True

    def _take(self, event: inotify.Event) -> None:
        wd, mask, name = event
        if mask & inotify.OVERFLOW:
            self.overflows += 1
            self._scan_wanted = True
            _log.warning("events were lost, the directory is scanned", overflows=self.overflows)
        elif wd != self._wd:
            return
        elif mask & _DEAD:
            if mask & inotify.IGNORED:
                self._wd = -1
            self._on_doubt()
        elif not name.endswith(self._suffixes):
            return
        elif mask & _COME:
            self._listing.come(name)
            self._tell(self._listener.on_appeared, name)
        elif self._listing.gone(name):
            self._tell(self._listener.on_vanished, name)

    def _begin_scan(self) -> bool:
        self._scan_wanted = False
        changed = os.fstat(self.fd).st_ctime_ns
        self._stamp = changed if time.time_ns() - changed > _SETTLED_NS else -1
        self._looked_at = self._loop.time()
        self._scan = _names_in(self.fd)
        self._listing.begin()
        return True

    def _end_scan(self) -> None:
        if self._scan is not None:
            self._scan.close()
            self._scan = None
        self._listing.abandon()

    def _scan_broke_off(self, error: OSError) -> None:
        self._end_scan()
        if not self._scan_failed:
            _log.error("cannot scan the directory, trying again", error=error.strerror or "")
        self._scan_failed = True

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        try:
            call(*arguments)
        except Exception as error:  # noqa: BLE001 - the top frame of the listener's callbacks
            _log.exception("listener failed", error=repr(error))


def _names_in(fd: int) -> Generator[str, None, None]:
    # A descriptor of its own: one that is shared has one position for all who read it.
    own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        entries = os.scandir(own)
    finally:
        os.close(own)
    with entries:
        for entry in entries:
            yield entry.name

"""The way a path takes through the file system, watched at every step.

A watch on a directory says nothing about the path that led there: a parent that is renamed, a
symbolic link that is set elsewhere, a component that comes into being. `Route` goes the way one
component at a time, as the kernel would, and puts a watch on every directory in which it looks a
name up, before it looks. So whatever changes the answer after the walk raises an event that
`Route.is_concerned` recognises; the caller then walks again.

Invariants: a walk costs some ten microseconds a component and holds no descriptor when it ends but
the one it returns. Only directories on the present way are watched, so their number is bounded.
Mounts raise no event: see `mounttable`.

In failure: a step that cannot be watched (limit spent, directory not readable, no /proc) does not
stop the walk; it is kept in ``unwatched``, and the caller has to look now and then by itself.
"""

import errno
import os
import stat
from typing import Final

from pyganeti.base import inotify

_MOST_LINKS: Final = 40
"""As the kernel's MAXSYMLINKS."""

_SELF: Final = inotify.MOVE_SELF | inotify.DELETE_SELF
_GONE: Final = inotify.UNMOUNT | inotify.IGNORED
_MASK: Final = (
    inotify.CREATE
    | inotify.DELETE
    | inotify.MOVED_FROM
    | inotify.MOVED_TO
    | inotify.ATTRIB
    | _SELF
    | inotify.ONLYDIR
)
_STEP: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Route:
    """One absolute path, and watches on the directories it leads through."""

    def __init__(self, path: str, queue: inotify.Inotify | None) -> None:
        """Take no step yet. Without a queue nothing is watched."""
        self.path = path
        self.queue = queue
        self.unwatched: OSError | None = None
        """Why not every step of the last walk is watched; None when all are."""
        self._names: dict[int, set[str]] = {}

    def walk(self) -> int:
        """Return an O_PATH descriptor of the directory the path leads to; the caller closes it.

        Raises OSError where the way ends: ENOENT, ENOTDIR, EACCES, ELOOP as open(2) would; an
        error for which `inotify.is_spent` holds tells nothing about the path.
        """
        names: dict[int, set[str]] = {}
        self.unwatched = None
        try:
            return self._follow(names)
        except OSError as error:
            if inotify.is_spent(error):
                names = {**self._names, **names}
            raise
        finally:
            if self.queue is not None:
                for wd in self._names.keys() - names.keys():
                    self.queue.remove(wd)
            self._names = names

    def is_concerned(self, event: inotify.Event) -> bool:
        """Tell whether an event of the queue may have changed where the path leads."""
        wd, mask, name = event
        if mask & inotify.OVERFLOW:
            return True
        names = self._names.get(wd)
        if names is None:
            return False
        return bool(mask & _GONE) or not name or name in names

    def _follow(self, names: dict[int, set[str]]) -> int:
        here = os.open("/", _STEP)
        left = self.path.split("/")[::-1]
        links = 0
        try:
            while left:
                name = left.pop()
                if name in {"", "."}:
                    continue
                self._watch(here, name, names)
                there = os.open(name, _STEP, dir_fd=here)
                mode = os.fstat(there).st_mode
                if stat.S_ISDIR(mode):
                    os.close(here)
                    here = there
                    continue
                links += 1
                try:
                    target = _target(there, mode, name, links)
                finally:
                    os.close(there)
                if target.startswith("/"):
                    there = os.open("/", _STEP)
                    os.close(here)
                    here = there
                left.extend(target.split("/")[::-1])
        except BaseException:
            os.close(here)
            raise
        return here

    def _watch(self, here: int, name: str, names: dict[int, set[str]]) -> None:
        if self.queue is None:
            self.unwatched = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return
        try:
            wd = self.queue.add(f"/proc/self/fd/{here}", _MASK)
        except OSError as error:
            self.unwatched = error
            return
        names.setdefault(wd, set()).add(name)


def _target(link: int, mode: int, name: str, links: int) -> str:
    if not stat.S_ISLNK(mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
    if links > _MOST_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    return os.readlink("", dir_fd=link)

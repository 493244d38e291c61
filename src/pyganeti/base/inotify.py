"""The kernel's inotify, bare: descriptors, watches and events, no loop and no paths kept.

The package asyncinotify would do, but importing it costs 1.7 MiB of a daemon that has 25 for a
thousand guests, and it makes objects of every event (docs/decisions/0007-inotify-bare.md).

Invariants: a read never blocks and takes a bounded number of events. An overflow of the kernel's
queue is an event like any other (``wd`` -1, mask ``OVERFLOW``): what it means is the caller's.

In failure: `Inotify` and `Inotify.add` raise OSError. EMFILE (instances or descriptors spent),
ENOSPC (watches spent) and ENOMEM pass with time, and `is_spent` tells them from the rest.
"""

import ctypes
import errno
import os
import struct
from typing import Final, TypeAlias

MODIFY: Final = 0x00000002
ATTRIB: Final = 0x00000004
CLOSE_WRITE: Final = 0x00000008
MOVED_FROM: Final = 0x00000040
MOVED_TO: Final = 0x00000080
CREATE: Final = 0x00000100
DELETE: Final = 0x00000200
DELETE_SELF: Final = 0x00000400
MOVE_SELF: Final = 0x00000800
UNMOUNT: Final = 0x00002000
OVERFLOW: Final = 0x00004000
IGNORED: Final = 0x00008000
ONLYDIR: Final = 0x01000000
EXCL_UNLINK: Final = 0x04000000

Event: TypeAlias = tuple[int, int, str]
"""Watch descriptor, mask, and the name within the watched directory ("" for itself)."""

_HEADER: Final = struct.Struct("iIII")
_READ: Final = 16384
"""Bytes a read: some 500 events with short names, well below a millisecond of parsing."""

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_libc.inotify_rm_watch.argtypes = (ctypes.c_int, ctypes.c_int)


def is_spent(error: OSError) -> bool:
    """Tell whether a limit is spent (descriptors, instances, watches, memory): try again later."""
    return error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOMEM}


class Inotify:
    """One queue of events, and the watches that feed it."""

    def __init__(self) -> None:
        """Open a queue; raises OSError (EMFILE when the user's instances are spent)."""
        self.fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def add(self, path: str, mask: int) -> int:
        """Watch what ``path`` leads to, and return the watch descriptor.

        Watching what is watched already returns the same descriptor, with the new mask.
        """
        return _checked(_libc.inotify_add_watch(self.fd, os.fsencode(path), mask), path)

    def remove(self, wd: int) -> None:
        """Watch no longer; a watch that is gone already does no harm."""
        _libc.inotify_rm_watch(self.fd, wd)

    def read(self) -> list[Event]:
        """Return the events that wait, as many as fit the buffer; none waiting is an empty list."""
        try:
            data = os.read(self.fd, _READ)
        except BlockingIOError:
            return []
        events: list[Event] = []
        position = 0
        while position < len(data):
            wd, mask, _, length = _HEADER.unpack_from(data, position)
            position += _HEADER.size
            name = data[position : position + length].rstrip(b"\0")
            position += length
            events.append((wd, mask, os.fsdecode(name)))
        return events

    def close(self) -> None:
        """Close the queue and all its watches; twice does no harm."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _checked(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result

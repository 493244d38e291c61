"""The sockets on which the master daemon is asked: made safely, taken away again.

A socket has its mode from its first moment, so there is never one that anybody may use. What an
ended daemon left is replaced; one that somebody listens on is not. On the way out a socket is only
removed if it is still ours.
"""

import contextlib
import grp
import os
import socket
import stat
from pathlib import Path
from typing import Final

from pyganeti.base import errors, files

MODE: Final = 0o660
DAEMONS: Final = "gnt-daemons"
"""The group of the daemons that may ask, where Ganeti's users have been set up."""

_BACKLOG: Final = 1024
_DIRECTORY_MODE: Final = 0o750
_LONGEST: Final = 107


class Listening:
    """A socket that listens under a name."""

    def __init__(self, path: Path, listening: socket.socket) -> None:
        self.path = path
        self.socket = listening
        found = path.lstat()
        self._identity = (found.st_dev, found.st_ino)

    def close(self) -> None:
        """Listen no more; remove the name, if it is still this socket's."""
        with contextlib.suppress(OSError):
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == self._identity:
                self.path.unlink()
        self.socket.close()


def listen(path: Path, group: str = DAEMONS) -> Listening:
    """Listen under a name; blocks for no longer than the file system does.

    Raises AlreadyRunning if somebody listens there, Denied if something else than a socket has the
    name, BadInput if the path is too long for a socket's, OSError.
    """
    if len(os.fsencode(path)) > _LONGEST:
        raise errors.BadInput(f"the path of a socket has {_LONGEST} bytes at most: {path}")
    number = _group(group)
    files.make_directories(path.parent, _DIRECTORY_MODE)
    if number is not None:
        os.chown(path.parent, -1, number)
    _check(path)
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        os.fchmod(listening.fileno(), MODE)  # Linux gives it to the name, but for the umask
        listening.bind(str(path))
        if number is not None:
            os.chown(path, -1, number)
        path.chmod(MODE)
        listening.listen(_BACKLOG)
        listening.setblocking(False)  # noqa: FBT003 - no keyword there
        return Listening(path, listening)
    except BaseException:
        listening.close()
        raise


def _group(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _check(path: Path) -> None:
    """Raise unless the name is free, or a socket's on which nobody listens."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise errors.Denied(f"{path} is there already, and no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)  # noqa: FBT003 - no keyword there
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return
        except BlockingIOError:  # somebody listens, and is busy
            pass
    raise errors.AlreadyRunning("", None, str(path))

"""The connection on which a command asks the master daemon: LUXI on a blocking socket.

It is made with the first question and kept. A question is sent once: when its answer does not come,
only the caller knows whether asking again would do something twice. What can be told about a daemon
that is not there is told: only when connecting failed is anything else looked at, the name of the
master node.
"""

import errno
import select
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import errors, paths, ssconf
from pyganeti.wire import luxi, luxierrors

_PAUSE: Final = 0.05
_PIECE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds."""

    connect: float = 30.0
    """In which a daemon that is there has to take a connection."""

    answer: float = 180.0
    """Between two signs of life from a daemon that was asked."""

    restart: float = 3.0
    """For which there may be no daemon on the master node: it is being restarted, perhaps."""


PATIENCE: Final = Patience()


class NotCluster(errors.Unavailable):
    """The node belongs to no cluster."""


class NotMaster(errors.Unavailable):
    """The master daemon runs on another node."""


class NotRunning(errors.Unavailable):
    """The master daemon should be here, and is not."""


class Silent(errors.Interrupted):
    """The master daemon took the question and did not answer; what was asked may be done yet."""


class Channel:
    """One connection to the master daemon of a node, made when it is needed; for one thread."""

    def __init__(self, layout: paths.Paths, patience: Patience = PATIENCE) -> None:
        self._layout = layout
        self._patience = patience
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """Let go of the connection; the next question makes a new one."""
        kept, self._socket = self._socket, None
        if kept is not None:
            kept.close()

    def ask(self, request: bytes) -> bytes | bytearray:
        """Send a request with its end; return the answer without.

        Raises NotCluster, NotMaster or NotRunning if there is nobody to ask, Denied if this user
        may not, Silent if no answer comes, Protocol if one does not end.
        """
        connection = self._connection()
        try:
            connection.sendall(request)
            return self._answer(connection)
        except TimeoutError as error:
            self.close()
            raise Silent(
                f"the master daemon has not answered for {self._patience.answer:g} s; what was"
                " asked may be done yet: see gnt-job list"
            ) from error
        except OSError as error:
            self.close()
            raise Silent(
                "the master daemon went away before it answered; what was asked may be done:"
                f" see gnt-job list ({error.strerror or error})"
            ) from error
        except BaseException:  # an answer half read would be taken for the next one
            self.close()
            raise

    def _connection(self) -> socket.socket:
        kept = self._socket
        if kept is not None:
            # The daemon may have let go of a connection that rested, or was restarted.
            poll = select.poll()
            poll.register(kept, select.POLLIN)
            if not poll.poll(0):
                return kept
            self.close()
        self._socket = self._connected()
        return self._socket

    def _connected(self) -> socket.socket:
        begun = time.monotonic()
        while True:
            absent: OSError | None = None
            for path in (self._layout.query_socket, self._layout.master_socket):
                try:
                    return self._connect(path, begun + self._patience.connect)
                except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
                    absent = absent or error
                except PermissionError as error:
                    raise errors.Denied(
                        f"you may not talk to the master daemon ({path}): try again as root"
                    ) from error
                except TimeoutError as error:
                    raise NotRunning(
                        "the master daemon takes no connections: it is overloaded or stuck"
                        f" ({path})"
                    ) from error
                except OSError as error:
                    raise errors.Unavailable(
                        f"the master daemon cannot be reached ({path}): {error.strerror or error}"
                    ) from error
            check_place(self._layout, absent)
            if time.monotonic() > begun + self._patience.restart:
                raise NotRunning(
                    "the master daemon is not running; start it with"
                    " 'systemctl start ganeti-masterd' and look into"
                    f" {self._layout.log_file('ganeti-masterd')}"
                ) from absent
            time.sleep(_PAUSE)

    def _connect(self, path: Path, deadline: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.settimeout(self._patience.answer)
            while True:
                try:
                    connection.connect(str(path))
                except BlockingIOError as error:  # its queue of connections is full
                    if error.errno != errno.EAGAIN or time.monotonic() > deadline:
                        raise TimeoutError from error
                    time.sleep(_PAUSE)
                else:
                    return connection
        except BaseException:
            connection.close()
            raise

    def _answer(self, connection: socket.socket) -> bytes | bytearray:
        splitter = luxi.Splitter(luxi.ANSWER_LIMIT)
        while piece := connection.recv(_PIECE):
            for answer in splitter.feed(piece):
                if answer is None:
                    raise luxierrors.Protocol("the master daemon's answer does not end")
                return answer
        raise ConnectionResetError(errno.ECONNRESET, "the connection was closed")


def check_place(layout: paths.Paths, absent: OSError | None) -> None:
    """Raise NotCluster or NotMaster if a node is not the one where the master daemon should be."""
    master = ssconf.read(layout, "master_node")
    if master is None:
        raise NotCluster(
            "this node belongs to no cluster: make one with 'gnt-cluster init', or have the"
            " master add it with 'gnt-node add'"
        ) from absent
    master = master.strip()
    if master != layout.hostname:
        raise NotMaster(f"this is not the master node: run the command on {master}") from absent
